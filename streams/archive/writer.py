"""Follows the events topic into an archive. Commits and joins nothing: the files say how far it is.

A forget record reaches what is archived: before it is written, the rows of its person lose everything that says who it
was. A crash in between does it again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from schemas.errors import NeedsHumanError
from schemas.record import decode_any
from streams.archive.files import ArchiveFolder, Row
from streams.transport.log_reader import LogReader

FLUSH_ROWS: Final = 50_000
FLUSH_SECONDS: Final = 30.0
_QUIET: Final = 3
"""Looks without news after which the log counts as read."""


class ArchiveWriter:
    """Writes one topic into one folder."""

    def __init__(
        self,
        folder: ArchiveFolder,
        log: LogReader,
        *,
        progress: Callable[[int], None],
        flush_rows: int = FLUSH_ROWS,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._flush_rows = flush_rows
        self._flush_seconds = flush_seconds
        self._folder = folder
        self._log = log
        self._progress = progress
        self._rows: list[Row] = []
        self._days: dict[int, str] = {}
        """By partition: the day of its newest row."""
        self._flushed_at = time.monotonic()
        self.written = 0
        self.erased = 0

    async def run(self, *, follow: bool) -> None:
        """To the end of the log, or (`follow`) until cancelled. Raises NeedsHumanError where records are gone."""
        await self._start()
        quiet = 0
        while follow or quiet < _QUIET:
            news = await self._log.news()
            quiet = 0 if news else quiet + 1
            for partition, (records, _) in news.items():
                self._rows += [_row(partition, record) for record in records]
            waited = time.monotonic() - self._flushed_at
            while len(self._rows) >= self._flush_rows or (self._rows and waited > self._flush_seconds):
                self.flush()
        while self._rows:
            self.flush()

    def flush(self) -> None:
        """Write what has come, as much as one write may take."""
        rows, self._rows = self._rows[: self._flush_rows], self._rows[self._flush_rows :]
        self._flushed_at = time.monotonic()
        rows = self._forgotten(rows)
        for day, part in _by_day(rows, self._days).items():
            self._folder.add(day, part)
        self.written += len(rows)
        self._progress(len(rows))

    async def _start(self) -> None:
        cursor, self._days = self._folder.cursor(), self._folder.days()
        for partition, start in (await self._log.assign(list(range(self._log.identity.partitions)))).items():
            wanted = cursor.get(partition, start)
            if wanted < start:
                raise NeedsHumanError(
                    f"partition {partition}: the archive reaches to offset {wanted}, the log begins at {start}: the "
                    "records between them are gone. Begin another archive in another folder"
                )
            self._log.start_at(partition, wanted)

    def _forgotten(self, rows: list[Row]) -> list[Row]:
        """Erase, in the archive and in what is about to be written, who is forgotten."""
        last = {row.key: index for index, row in enumerate(rows) if row.key and row.record.startswith('{"forget":')}
        if not last:
            return rows
        self.erased += self._folder.erase(list(last))
        return [
            row._replace(key=None, record=_nameless(row.record))
            if any(index <= last.get(person, -1) for person in _persons(row))
            else row
            for index, row in enumerate(rows)
        ]


def _persons(row: Row) -> list[str]:
    """Keys that a row names."""
    keys = [] if row.key is None else [row.key]
    return [*keys, decode_any(row.record.encode())["link"]] if row.record.startswith('{"link":') else keys


def _nameless(record: str) -> str:
    """What stays of a forgotten record: what it was and when."""
    try:
        fields = decode_any(record.encode())
    except ValueError:
        return "{}"
    names = ("name", "source", "occurred_at_ms", "received_at_ms", "forget")
    return json.dumps({name: fields[name] for name in names if name in fields} | {"forgotten": True})


def _row(partition: int, record: Any) -> Row:
    key = None if record.key is None else record.key.decode(errors="replace")
    return Row(partition, record.offset, record.timestamp, key, (record.value or b"").decode(errors="replace"))


def _by_day(rows: list[Row], newest: dict[int, str]) -> dict[str, list[Row]]:
    """By the day of the log's clock, which does not go back within a partition (`newest`: its last day, which is moved
    on): so the part of each day is a stretch of offsets, and days are written in their order."""
    days: dict[str, list[Row]] = {}
    for row in rows:
        day = f"{datetime.fromtimestamp(row.timestamp_ms / 1000, tz=UTC):%Y-%m-%d}"
        day = newest[row.partition] = max(day, newest.get(row.partition, ""))
        days.setdefault(day, []).append(row)
    return dict(sorted(days.items()))
