"""What the transport tells the worker and what it hands over. No Faust, no client library here.

The transport never reads or writes a cursor: the worker says where a partition starts (`place`), and gets the log from
there on in whole batches that are chained: a batch's `prev` is the `next` of the batch before it in the same placement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one partition."""

    partition: int
    placement_id: int
    """Of the placement it belongs to; a batch of an earlier placement is stale and must be dropped."""
    prev: int
    """Where the partition was before this batch."""
    next: int
    """Offset to continue from after it."""
    records: Sequence[Any]
    """Objects with `key`, `value`, `timestamp` (ms) and `offset`, in order."""


class LogRange(NamedTuple):
    """What the broker holds of a partition: offsets from `start` (inclusive) to `end` (exclusive)."""

    start: int
    end: int | None
    """None where the broker's answer cannot be trusted (see `streams.transport.metadata`)."""


class BatchHost(Protocol):
    """The worker as the transport sees it. Called on the main loop; must return immediately and never raise."""

    def on_polled(self) -> None:
        """The consumer asked the broker for records and got an answer, an empty one included."""

    def on_revoked(self) -> None:
        """All partitions are taken away (a rebalance); batches already handed over may still be finished."""

    def on_joined(self, partitions: frozenset[int]) -> None:
        """The group has decided; an empty set is a legal answer."""

    def on_ready_to_place(self, partitions: frozenset[int]) -> None:
        """All of these are paused and wait for `place`."""

    def on_fatal(self, error: Exception) -> None:
        """The transport cannot go on; the process must end."""

    def applied(self) -> dict[int, int]:
        """Next offset of each own partition as applied: committed to Kafka only for lag displays."""


class Placement(Protocol):
    """What the worker asks of the transport."""

    def assigned(self) -> frozenset[int]:
        """Partitions that belong to this worker now."""

    async def log_range(self, partition: int) -> LogRange:
        """First and next offset of the log. Raises BrokerUnavailableError."""

    async def place(self, partition: int, offset: int) -> int:
        """Read the partition from `offset` on; returns the id of this placement. Batches of earlier placements may
        still arrive. Raises BrokerUnavailableError when the partition was taken away or the broker did not answer."""

    def hold(self, partition: int) -> None:
        """Stop fetching for a partition whose queue is full; what is on its way still arrives."""

    def release(self, partition: int) -> None:
        """Fetch again."""

    def highwater(self, partition: int) -> int | None:
        """End of the log as of the last fetch; None before the first one."""
