"""What a reader of told journeys has taken, on disk: offsets, ids it knows, deliveries that are under way or given up.

A record and the offset behind it are taken in one transaction, and an id once: whatever comes again, after a crash of
this reader or of a worker, is dropped. Deliveries of one person wait for each other; those of others do not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from schemas.times import DAY_MS

KNOWN_DAYS: Final = 14
"""Ids are known for so long: longer than the topic keeps a record."""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS offsets (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS known (id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS known_by_time ON known (at_ms);
CREATE TABLE IF NOT EXISTS deliveries (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, person TEXT NOT NULL,
    body BLOB NOT NULL, attempts INTEGER NOT NULL, due_ms INTEGER NOT NULL, is_dead INTEGER NOT NULL,
    error TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_by_person ON deliveries (person, number) WHERE NOT is_dead;
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A told change as a reader hands it on."""

    id: str
    person: str
    body: bytes
    """Its JSON, as it was told."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One that is to be delivered."""

    change: Change
    attempts: int
    """Made so far."""
    error: str
    """Of the last one."""


class Inbox:
    """One reader's. `path` None: in memory, for a reader that starts anew each time."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(":memory:" if path is None else path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_TABLES)

    def __enter__(self) -> Inbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def offsets(self) -> dict[int, int]:
        """Where to go on, by partition."""
        return dict(self._database.execute("SELECT partition, next FROM offsets"))

    def take(
        self,
        partition: int,
        next_offset: int,
        *,
        changes: Sequence[Change],
        now_ms: int,
        hand_on: Callable[[Change], None] | None = None,
    ) -> None:
        """Take what was read up to an offset. What is new is handed on, in its order, before it is known; without
        `hand_on` it is to be delivered."""
        with self._transaction():
            for change in changes:
                known = self._database.execute("INSERT OR IGNORE INTO known VALUES (?, ?)", (change.id, now_ms))
                if known.rowcount and hand_on is not None:
                    hand_on(change)
                elif known.rowcount:
                    self._enqueue(change, now_ms)
            self._database.execute("INSERT OR REPLACE INTO offsets VALUES (?, ?)", (partition, next_offset))
            self._database.execute("DELETE FROM known WHERE at_ms < ?", (now_ms - KNOWN_DAYS * DAY_MS,))

    def _enqueue(self, change: Change, now_ms: int) -> None:
        self._database.execute(
            "INSERT INTO deliveries (id, person, body, attempts, due_ms, is_dead, error) VALUES (?, ?, ?, 0, ?, 0, '')",
            (change.id, change.person, change.body, now_ms),
        )

    def due(self, now_ms: int, limit: int) -> list[Delivery]:
        """What may be delivered now: of each person the oldest alone."""
        rows = self._database.execute(
            "SELECT id, person, body, attempts, error FROM deliveries AS it WHERE NOT is_dead AND due_ms <= ? AND NOT "
            "EXISTS (SELECT 1 FROM deliveries AS older WHERE older.person = it.person AND older.number < it.number AND "
            "NOT older.is_dead) ORDER BY number LIMIT ?",
            (now_ms, limit),
        )
        return [Delivery(Change(*row[:3]), row[3], row[4]) for row in rows]

    def delivered(self, change_id: str) -> None:
        """It is done."""
        self._database.execute("DELETE FROM deliveries WHERE id = ?", (change_id,))

    def failed(self, change_id: str, *, due_ms: int | None, error: str) -> None:
        """It is to be tried again at a time, or (None) given up."""
        self._database.execute(
            "UPDATE deliveries SET attempts = attempts + 1, due_ms = ?, is_dead = ?, error = ? WHERE id = ?",
            (due_ms or 0, due_ms is None, error, change_id),
        )

    def dead(self) -> list[Delivery]:
        """What was given up, the oldest first."""
        rows = self._database.execute(
            "SELECT id, person, body, attempts, error FROM deliveries WHERE is_dead ORDER BY number"
        )
        return [Delivery(Change(*row[:3]), row[3], row[4]) for row in rows]

    def revive(self, now_ms: int) -> int:
        """Try again what was given up; how many."""
        return self._database.execute(
            "UPDATE deliveries SET is_dead = 0, attempts = 0, due_ms = ? WHERE is_dead", (now_ms,)
        ).rowcount

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)


class _Transaction:
    """All of it or nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")
