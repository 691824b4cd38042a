"""Reads an archive for counting: partitions side by side, each file once for all of them.

A file holds a stretch of every partition, so a query for each partition would read the same row groups again and again.
What a file holds of partitions that have not come to it waits in memory; they are counted in step, so it is little.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from streams.archive.files import ArchiveFile, ArchiveFolder, ReplacedError

_partition: Final = attrgetter("partition")
_offset: Final = attrgetter("offset")


class KeptRecord(NamedTuple):
    """A record as counting takes it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    """None: forgotten."""
    partition: int


class ArchiveReader:
    """`open` first."""

    def __init__(self, folder: ArchiveFolder) -> None:
        self._folder = folder
        self._partitions: tuple[int, ...] = ()
        self._waiting: dict[tuple[str, str], dict[int, list[KeptRecord]]] = {}
        """By name and version of a file: what was read of it and not taken yet."""

    def open(self, partitions: Sequence[int]) -> dict[int, int]:
        """Which partitions are read; the first offset of each that is kept, where one is."""
        self._partitions = tuple(partitions)
        firsts = {}
        for partition in partitions:
            file, records = self._at(partition, 0)
            if file is not None:
                self._waiting[file.name, file.version][partition] = records
                firsts[partition] = records[0].offset
        return firsts

    def read(self, partition: int, *, start: int, end: int) -> tuple[Sequence[KeptRecord], int]:
        """Records from `start` on and the next offset, at most `end`. What was forgotten is left out. Of one file: days
        follow one another in each partition."""
        file, records = self._at(partition, start)
        if file is None:
            return [], end
        stop = min(end, file.reaches[partition])  # a file that grew since it was listed holds more: of its next listing
        first, last = (bisect_left(records, offset, key=_offset) for offset in (start, stop))
        return [record for record in records[first:last] if record.value is not None], stop

    def _at(self, partition: int, offset: int) -> tuple[ArchiveFile | None, list[KeptRecord]]:
        """The file that holds what follows an offset of a partition, and all records that it has of the partition."""
        while (file := self._folder.holding(partition, offset)) is not None:
            try:
                return file, self._taken(file, partition)
            except ReplacedError:
                self._folder.files()
        return None, []

    def _taken(self, file: ArchiveFile, partition: int) -> list[KeptRecord]:
        place = file.name, file.version
        waiting = self._waiting.get(place)
        if waiting is None:
            for old in [each for each in self._waiting if each[0] == file.name]:
                del self._waiting[old]
            waiting = self._waiting[place] = self._read(file, self._partitions)
        # Where only a part was wanted, the file is asked again.
        return waiting.pop(partition) if partition in waiting else self._read(file, [partition]).get(partition, [])

    def _read(self, file: ArchiveFile, partitions: Sequence[int]) -> dict[int, list[KeptRecord]]:
        records = map(KeptRecord._make, self._folder.records_of(file, partitions))
        return {partition: list(part) for partition, part in groupby(records, _partition)}
