"""One row as rules see it: cells by column or by path, empty ones absent. Pure."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from producers.importer.definition import Constant, Source
from schemas.errors import InputFileError
from schemas.explain import did_you_mean

_formatter: Final = string.Formatter()


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def resolved(name: str, columns: Sequence[str], *, where: str) -> str:
    """The column that is meant: by its name, else without regard to case and blanks. Raises InputFileError."""
    if name in columns:
        return name
    alike = [column for column in columns if column and _plain(column) == _plain(name)]
    if len(alike) == 1:
        return alike[0]
    has = ", ".join(filter(None, columns))
    raise InputFileError(
        f"{where}: there is no column {name!r}{did_you_mean(name, list(columns))}; there are: {has}. "
        f"For a text that is the same in every row write {{text: {name}}}"
    )


class Row:
    """A row. `empty`: texts that stand for an empty cell."""

    __slots__ = ("_cells", "_empty", "line")

    def __init__(self, line: int, cells: dict[str, Any], *, empty: frozenset[str] = frozenset()) -> None:
        self.line = line
        self._cells = cells
        self._empty = empty

    @property
    def cells(self) -> dict[str, Any]:
        """Everything there is."""
        return self._cells

    def add(self, cells: dict[str, Any]) -> None:
        """More columns."""
        self._cells = {**self._cells, **cells}

    def get(self, name: str) -> Any:
        """The value of a column or path; None where it is empty; a list where the path leads through one."""
        cells = self._cells
        value = cells[name] if name in cells else _walk(cells, name.split("."))
        if isinstance(value, str):
            value = value.strip()
            return None if not value or value in self._empty else value
        return value

    def text(self, name: str) -> str | None:
        """The value as a text, None where it is empty or no plain value."""
        return text_of(self.get(name))


def text_of(value: object) -> str | None:
    """A plain value as a text; whole numbers without a point."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return None


def _walk(value: Any, path: list[str]) -> Any:
    for index, part in enumerate(path):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit():
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, list):
            return [_walk(element, path[index:]) for element in value]
        else:
            return None
    return value


Getter = Callable[[Row], str | None]


def getter(source: Source, name_of: Callable[[str], str]) -> Getter:
    """Reads a source. `name_of` gives the column that is meant."""
    if isinstance(source, Constant):
        text = source.text
        return lambda row: text
    if isinstance(source, tuple):
        several = [getter(each, name_of) for each in source]
        return lambda row: next((found for read in several if (found := read(row)) is not None), None)
    if "{" not in source:
        column = name_of(source)
        return lambda row: row.text(column)
    return _template(source, name_of)


def _template(source: str, name_of: Callable[[str], str]) -> Getter:
    try:
        parts = list(_formatter.parse(source))
    except ValueError as error:
        raise InputFileError(f"{source!r} is no template: {error}; write e.g. '{{Name}}-paid'") from None
    pieces = [(literal, None if field is None else name_of(field)) for literal, field, _, _ in parts]

    def read(row: Row) -> str | None:
        texts = []
        for literal, column in pieces:
            texts.append(literal)
            if column is not None:
                cell = row.text(column)
                if cell is None:
                    return None
                texts.append(cell)
        return "".join(texts)

    return read


def merged(rows: Sequence[Row]) -> Row:
    """One row of several: of each column the first cell that is filled."""
    if len(rows) == 1:
        return rows[0]
    cells: dict[str, Any] = {}
    for row in rows:
        for name in row.cells:
            if cells.get(name) is None:
                cells[name] = row.get(name)
    return Row(rows[0].line, cells)
