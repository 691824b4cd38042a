"""Which column of a table becomes which member or property of an event, and what is the same on every line. Pure.

`--map id=order_no,user_id=customer,occurred_at=date,value=amount --set name=payment`. Left of `=` is the member of the
event, right the column; what is no member of an event becomes a property. Cells stay texts, so money is as exact as
the file; empty cells are left out. Columns that are not mapped are left out; without `--map` every column goes to the
member or property of its own name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from producers.importer.problems import Kind
from producers.reading.rows import Table
from schemas.errors import InputFileError

MEMBERS: Final = frozenset(
    {"id", "name", "occurred_at", "anonymous_id", "contact_id", "user_id", "email", "phone", "source"}
)
_MILLISECONDS: Final = frozenset({"occurred_at_ms"})
_TIMES: Final = frozenset({"occurred_at", "occurred_at_ms"})


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which column becomes which member or property, and what is the same on every line."""

    columns: tuple[tuple[str, str], ...] = ()
    """(member or property, column); empty: every column under its own name."""
    constants: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, mapped: Sequence[str], constants: Sequence[str]) -> Mapping:
        """From `a=b,c=d` texts. Raises InputFileError."""
        return cls(tuple(_pairs("--map", mapped)), tuple(_pairs("--set", constants)))

    def check(self, table: Table, tolerated: frozenset[Kind], *, name: str) -> None:
        """Raises InputFileError for a column that is not there, or stands twice."""
        for target, column in self.columns:
            if column not in table.columns:
                has = ", ".join(filter(None, table.columns))
                raise InputFileError(f"{name}: there is no column {column!r} for {target}; the file has: {has}")
        check_doubled(table, tolerated, name=name)

    def empty_time(self, row: dict[str, Any]) -> str | None:
        """The column of the time, where its cell is empty: an event without a time would be taken as happening now."""
        columns = [column for target, column in self._of(row) if target in _TIMES and column in row]
        return columns[0] if columns and not any(row[column].strip() for column in columns) else None

    def event_of(self, row: dict[str, Any]) -> bytes:
        """A native event as JSON."""
        event: dict[str, object] = {}
        properties: dict[str, str] = {}
        for target, column in self._of(row):
            _put(event, properties, target=target, cell=row[column])
        for target, text in self.constants:
            _put(event, properties, target=target, cell=text)
        return orjson.dumps(event | {"properties": properties})

    def _of(self, row: dict[str, Any]) -> Sequence[tuple[str, str]]:
        return self.columns or tuple((column, column) for column in row)


def check_doubled(table: Table, tolerated: frozenset[Kind], *, name: str) -> None:
    """Raises InputFileError where two columns have one name."""
    if table.doubled and Kind.COLUMNS not in tolerated:
        doubled = ", ".join(map(repr, table.doubled))
        raise InputFileError(
            f"{name}:1: {Kind.COLUMNS}: two columns are called {doubled}: rename one, or read the first with "
            "--tolerate columns"
        )


def _pairs(flag: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        for part in text.split(","):
            target, equals, value = part.partition("=")
            if not equals or not target.strip() or not value.strip():
                raise InputFileError(f"{flag} {part!r}: write member=column, e.g. user_id=customer,value=amount")
            yield target.strip(), value.strip()


def _put(event: dict[str, object], properties: dict[str, str], *, target: str, cell: str) -> None:
    text = cell.strip()
    if not text:
        return
    if target in MEMBERS:
        event[target] = text
    elif target in _MILLISECONDS:
        event[target] = int(text) if text.isascii() and text.lstrip("-").isdigit() else text
    else:
        properties[target] = text
