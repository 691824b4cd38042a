"""Parquet (DuckDB) and Excel (calamine) as rows. Cells keep their types: numbers, dates and lists are themselves."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Final

from producers.reading.clear import ClearFile
from producers.reading.duck import MISSING, duckdb
from producers.reading.rows import BadRow, Row, Table
from schemas.errors import InputFileError, UsageError

_AT_ONCE: Final = 1_000


def read_parquet(clear: ClearFile) -> Table:
    """A row is a record; its line is its number. Raises InputFileError."""
    with duckdb(clear) as (connection, path, failure):
        try:
            columns = [
                row[0] for row in connection.execute("describe select * from read_parquet(?)", [path]).fetchall()
            ]
        except failure as error:
            raise _unreadable(clear, error) from None
    return Table(tuple(columns), _of_parquet(clear, columns))


def _of_parquet(clear: ClearFile, columns: list[str]) -> Iterator[Row | BadRow]:
    number = 0
    with duckdb(clear) as (connection, path, failure):
        try:
            result = connection.execute("select * from read_parquet(?)", [path])
            while rows := result.fetchmany(_AT_ONCE):
                for cells in rows:
                    number += 1
                    yield Row(number, dict(zip(columns, cells, strict=True)))
        except failure as error:
            raise _unreadable(clear, error) from None


def _unreadable(clear: ClearFile, error: Exception) -> InputFileError:
    return InputFileError(f"{clear.name}: is no Parquet that can be read: {str(error).splitlines()[0]}")


def read_excel(clear: ClearFile, *, sheet: str | None, heading: int, columns: tuple[str, ...]) -> Table:
    """A sheet, by default the only one. Raises InputFileError, UsageError."""
    try:
        library: Any = importlib.import_module("python_calamine")
    except ImportError:
        raise UsageError(MISSING % clear.name) from None
    try:
        book = library.CalamineWorkbook.from_filelike(clear.rewound())
    except (library.CalamineError, OSError, ValueError) as error:
        raise InputFileError(f"{clear.name}: is no workbook that can be read: {error}") from None
    names = book.sheet_names
    if sheet is None and len(names) > 1:
        raise InputFileError(f"{clear.name} has the sheets {', '.join(names)}: say which one with `sheet: NAME`")
    if sheet is not None and sheet not in names:
        raise InputFileError(f"{clear.name}: there is no sheet {sheet!r}; it has {', '.join(names)}")
    rows = book.get_sheet_by_name(sheet or names[0]).to_python(skip_empty_area=False)
    if heading:
        columns = columns or tuple(str(cell).strip() for cell in (rows[heading - 1] if len(rows) >= heading else ()))
    if not any(columns):
        raise InputFileError(f"{clear.name}: there is no heading in row {heading}; say it with heading: N")
    return Table(columns, _of_sheet(rows, columns, heading=heading))


def _of_sheet(rows: list[list[Any]], columns: tuple[str, ...], *, heading: int) -> Iterator[Row | BadRow]:
    for number, cells in enumerate(rows[heading:], heading + 1):
        filled = [_whole(cell) for cell in cells]
        if any(cell not in ("", None) for cell in filled):
            named: dict[str, Any] = {}
            for name, cell in zip(columns, filled, strict=False):
                if name:
                    named.setdefault(name, cell)  # of two columns of one name the first
            surplus = sum(1 for cell in filled[len(columns) :] if cell not in ("", None))
            yield Row(number, named, surplus)


def _whole(cell: Any) -> Any:
    """Excel has no whole numbers: 1001 is read as 1001.0."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15 else cell
