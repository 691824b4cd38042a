"""Faust's consumer without its own record of what was read and acknowledged: only the store knows that.

The overridden names are private parts of faust-streaming 0.15.3, which is pinned.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP


class _NoReadOffsets(dict[Any, Any]):
    """In place of Faust's duplicate filter, which keeps a read offset per partition and silently drops what lies below
    it: it would drop the batches of a placement that starts further back. This one keeps nothing."""

    def __getitem__(self, key: Any) -> None:
        return None

    def __setitem__(self, key: Any, value: Any) -> None:
        return


class OffsetFreeConsumer(driver.Consumer):
    """What Faust would decide by offsets is decided by nothing here."""

    def on_init(self) -> None:
        """Called by Service.__init__ and at a restart."""
        self._read_offset = _NoReadOffsets()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust's livelock detector raises false alarms, and the worker has a watchdog of its own."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: the offsets of messages have gaps on purpose."""

    def ack(self, message: Any) -> bool:
        """Nothing: acknowledgements decide nothing here."""
        return False

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterable[Any]:  # type: ignore[override]
        return ()
