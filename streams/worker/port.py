"""What a partition's counting needs of those around it beside the store: who sends records out, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from streams.core.handover import Held
from streams.core.outgoing import Outgoing
from streams.state import PartitionMeta


class Publisher(Protocol):
    """The one way out of the worker beside the store."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Return when every one is acknowledged; waits as long as that takes.

        Nothing of their chunk is applied before. The same records may come again after a crash.
        """


class Observer(Protocol):
    """Is told what was applied (metrics). Must not raise."""

    def on_chunk(self, records: int, seconds: float) -> None:
        """A chunk of records was applied; from its first step to the acknowledged write."""

    def on_apply(self, meta: PartitionMeta, held: Held) -> None:
        """A write was acknowledged; what is in memory since."""

    def on_late(self, funnel_id: str, count: int) -> None:
        """Events were too late for a funnel."""
