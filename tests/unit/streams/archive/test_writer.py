"""The archive's writer on a log whose clock goes back: days follow one another in each partition all the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from schemas.times import DAY_MS
from streams.archive.files import ArchiveFolder
from streams.archive.reader import ArchiveReader
from streams.archive.writer import ArchiveWriter

MIDNIGHT = 20_000 * DAY_MS


class Log:
    """A log of one partition, as the writer asks for it."""

    identity = SimpleNamespace(partitions=1)

    def __init__(self, times: list[int]) -> None:
        self._times = times
        self._at = 0

    async def assign(self, partitions: list[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 0)

    def start_at(self, partition: int, offset: int) -> None:
        self._at = offset

    async def news(self) -> dict[int, tuple[list[Any], int]]:
        begin, self._at = self._at, len(self._times)
        records = [
            SimpleNamespace(key=b"u:ann", value=b'{"id":"e"}', timestamp=at, offset=begin + number)
            for number, at in enumerate(self._times[begin:])
        ]
        return {0: (records, self._at)} if records else {}


async def archive(folder: ArchiveFolder, times: list[int]) -> None:
    with folder.writing():
        writer = ArchiveWriter(folder, Log(times), progress=lambda rows: None, flush_rows=2)  # type: ignore[arg-type]
        await writer.run(follow=False)


async def test_a_clock_that_goes_back_over_midnight_hides_no_records(tmp_path: Path) -> None:
    """Two collectors' clocks differ by a moment: of records around midnight a later one may be of the day before. Each
    flush and each start goes on with the day that was reached."""
    times = [MIDNIGHT - 3, MIDNIGHT + 1, MIDNIGHT - 2, MIDNIGHT + 2, MIDNIGHT - 1]
    await archive(ArchiveFolder(tmp_path), times[:4])
    await archive(ArchiveFolder(tmp_path), times)
    read: list[int] = []
    at, again = 0, ArchiveReader(ArchiveFolder(tmp_path))
    while at < len(times):
        records, at = again.read(0, start=at, end=len(times))
        read += [record.offset for record in records]
    assert read == [0, 1, 2, 3, 4]
