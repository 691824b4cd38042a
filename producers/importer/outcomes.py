"""What reading an import comes to: events that will be sent, rows that are counted once. Values and ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from producers.importer.columns import Row
from producers.importer.making import Made
from producers.importer.problems import Problem
from producers.ingest.verdicts import Accepted


class Maker(Protocol):
    """Makes events of rows: the rules of an input, or the reader of an archive."""

    def events_of(self, row: Row) -> list[Made | Problem]:
        """Of the row alone."""

    def groups_of(self, row: Row) -> list[tuple[int, str]] | Problem:
        """Which groups it belongs to."""

    def event_of_group(self, number: int, rows: Sequence[Row]) -> Made | Problem | None:
        """When all rows of a group are there."""


class Checked(NamedTuple):
    """An event that will be sent."""

    event: Made
    raw: bytes
    accepted: Accepted
    has_own_id: bool


class Watcher(Protocol):
    """Looks at every event that will be sent."""

    def add(self, event: Made, accepted: Accepted, *, has_own_id: bool) -> None:
        """One event."""


@dataclass(slots=True)
class Rows:
    """What became of the rows: `read` is the sum of the others."""

    read: int = 0
    taken: int = 0
    refused: int = 0
    without_event: int = 0

    def refuse_later(self) -> None:
        """A row that was taken is refused by the collector."""
        self.taken -= 1
        self.refused += 1
