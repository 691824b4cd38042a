"""Sorts any number of events by time in bounded memory: SQLite, in a temporary file. Knows only their times."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Final

_AT_ONCE: Final = 2_000


class Sorter:
    """Add events, then read them by time; those of one instant keep the order in which they were added."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # "": a temporary file that nobody else sees
        self._database.execute("pragma journal_mode = off")
        self._database.execute("create table events (at integer, place integer, event blob)")
        self._database.execute("begin")
        self._waiting: list[tuple[int, int, bytes]] = []
        self.count = 0

    def __enter__(self) -> Sorter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Throw everything away."""
        self._database.close()

    def add(self, at_ms: int, place: int, *, event: bytes) -> None:
        """`place` comes back with the event."""
        self._waiting.append((at_ms, place, event))
        self.count += 1
        if len(self._waiting) >= _AT_ONCE:
            self._write()

    def count_before(self, at_ms: int) -> int:
        """Events of earlier times."""
        self._write()
        (count,) = self._database.execute("select count(*) from events where at < ?", (at_ms,)).fetchone()
        return int(count)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """(place, event) by time. May be read again."""
        self._write()
        yield from self._database.execute("select place, event from events order by at, rowid")

    def _write(self) -> None:
        self._database.executemany("insert into events values (?, ?, ?)", self._waiting)
        self._waiting = []
