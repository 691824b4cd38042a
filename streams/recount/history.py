"""Where the records of a recount come from: Kafka as far as it reaches, before that (or alone) an archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from schemas.record import is_forward
from streams.transport.log_reader import LogReader

_NOWHERE: Final = 1 << 62


class Archive(Protocol):
    """Records that were kept beside Kafka."""

    def open(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Which partitions are read; the first offset of each that is kept, where one is."""

    def read(self, partition: int, *, start: int, end: int) -> tuple[Sequence[Any], int]:
        """Records from `start` on and the next offset, at most `end`."""


class History:
    """Reads partitions from their beginning. `open` first."""

    def __init__(self, log: LogReader | None, archive: Archive | None) -> None:
        self._log = log
        self._archive = archive
        self._kafka_from: dict[int, int] = {}
        self.from_archive = 0
        """Records that came out of the archive."""

    async def open(self, partitions: Sequence[int]) -> dict[int, int]:
        """The first offset that can be read, by partition."""
        self._kafka_from = (
            dict.fromkeys(partitions, _NOWHERE) if self._log is None else await self._log.assign(list(partitions))
        )
        kept = {} if self._archive is None else self._archive.open(partitions)
        return {partition: min(kept.get(partition, _NOWHERE), self._kafka_from[partition]) for partition in partitions}

    async def read(self, partition: int, *, start: int, end: int) -> tuple[Sequence[Any], int]:
        """Records from `start` on and the next offset, at most `end`. Without what workers have forwarded: that is made
        anew."""
        kafka_from = self._kafka_from[partition]
        if self._log is not None and (start >= kafka_from or self._archive is None):
            records, reached = await self._log.read(partition, start=start, end=end)
            return _made_here(records), reached
        assert self._archive is not None  # noqa: S101 - without a log there is an archive
        archived, reached = self._archive.read(partition, start=start, end=min(end, kafka_from))
        self.from_archive += len(archived)
        return _made_here(archived), reached


def _made_here(records: Sequence[Any]) -> list[Any]:
    return [record for record in records if not is_forward(record.value)]
