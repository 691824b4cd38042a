"""What a table is to its readers: columns, and rows with the line each begins at. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One row: cells by column. `surplus` is how many filled cells it has beyond the heading."""

    line: int
    cells: dict[str, Any]
    surplus: int = 0


class BadRow(NamedTuple):
    """A row that cannot be read, and why."""

    line: int
    detail: str


@dataclass(slots=True)
class Table:
    """Rows can be read once. `columns` is empty where rows say it themselves (JSON)."""

    columns: tuple[str, ...]
    rows: Iterator[Row | BadRow]

    @property
    def doubled(self) -> list[str]:
        """Names that several columns have: of such only the first is read."""
        return [name for name, count in Counter(filter(None, self.columns)).items() if count > 1]
