"""Records without wrapping: aiokafka makes an object of eleven fields of every record, of which we read four.

That object is a third of what reading the log costs. aiokafka has no switch for it, so its class is replaced by one
that leaves the record as it was parsed for the consumers that ask for it, and does as before for all others.
"""

from __future__ import annotations

from typing import Any, Final

from aiokafka.consumer import fetcher

PLAIN: Final = object()
"""As a consumer's key deserializer: records are handed out as parsed, with `key`, `value`, `timestamp` and `offset`."""

_fetcher: Any = fetcher
_Original: Any = fetcher.PartitionRecords


class _Records(_Original):  # type: ignore[misc]
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._is_plain = self._key_deserializer is PLAIN

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record if self._is_plain else super()._consumer_record(tp, record)


def hand_out_plain(consumer: Any) -> None:
    """Let a consumer that has not started yet hand out plain records."""
    _fetcher.PartitionRecords = _Records
    consumer._key_deserializer = PLAIN
