"""Delimited text, row by row, each with the line it begins at. Python's `csv` reads: it alone tells the line.

A row that cannot be read costs itself: where a quote is never closed, its line is bad and reading goes on behind it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from producers.reading.clear import ClearFile
from producers.reading.rows import BadRow, Row, Table
from schemas.errors import InputFileError

_CANDIDATES: Final = ",;\t|"
_LOOKED_AT: Final = 50
_PHYSICAL: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a delimited file is laid out; what is None is found."""

    delimiter: str | None = None
    heading: int = 1
    """Line of the heading; 0: there is none."""
    columns: tuple[str, ...] = ()
    """Names of the columns where there is no heading."""
    has_quotes: bool = True


class _Record(NamedTuple):
    line: int
    cells: list[str]
    fault: str = ""


def read_delimited(clear: ClearFile, layout: Layout) -> Table:
    """The table of a file. Raises InputFileError where it has no heading."""
    delimiter = layout.delimiter or _delimiter_of(clear, layout)
    records = _records(_lines(clear), delimiter, has_quotes=layout.has_quotes)
    names = list(layout.columns)
    if layout.heading:
        for record in records:
            if record.line >= layout.heading and record.fault:
                raise InputFileError(f"{clear.name}:{record.line}: is no heading: {record.fault}")
            if record.line >= layout.heading:
                names = names or [cell.strip() for cell in record.cells]
                break
    if not any(names):
        raise InputFileError(f"{clear.name}: there is no heading; without one, name the columns")
    while names and not names[-1]:
        names.pop()
    rows = _rows(records, names)
    return Table(tuple(names), _undamaged(rows) if clear.is_damaged else rows)


def _undamaged(rows: Iterator[Row | BadRow]) -> Iterator[Row | BadRow]:
    for row in rows:
        try:
            if isinstance(row, Row):
                "".join(row.cells.values()).encode()
            yield row
        except UnicodeEncodeError:
            yield BadRow(row.line, "holds bytes that are no UTF-8, as the rest of the file is")


def _rows(records: Iterator[_Record], names: Sequence[str]) -> Iterator[Row | BadRow]:
    width = len(names)
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name:
            first.setdefault(name, index)
    places = list(first.items())
    for line, cells, fault in records:
        if fault:
            yield BadRow(line, fault)
            continue
        has = len(cells)
        if not any(map(str.strip, cells)):
            continue
        surplus = sum(1 for cell in cells[width:] if cell.strip())
        yield Row(line, {name: cells[place] if place < has else "" for name, place in places}, surplus)


def _lines(clear: ClearFile) -> Iterator[str]:
    """With their ends, of any system. No text wrapper: one that is left half read closes the file."""
    for line in clear.rewound():
        text = line.decode("utf-8", "surrogateescape")
        if "\r" in text[:-2]:
            yield from _PHYSICAL.findall(text)
        else:
            yield text


def _records(lines: Iterator[str], delimiter: str, *, has_quotes: bool = True) -> Iterator[_Record]:
    """Every record; after one that cannot be read, the lines behind its first one again."""
    waiting: deque[str] = deque()
    taken: list[str] = []

    def feed() -> Iterator[str]:
        while True:
            line = waiting.popleft() if waiting else next(lines, None)
            if line is None:
                return
            taken.append(line)
            yield line

    def reader_of() -> Iterator[list[str]]:
        if has_quotes:
            return csv.reader(feed(), delimiter=delimiter, strict=True)
        return csv.reader(feed(), delimiter=delimiter, quoting=csv.QUOTE_NONE)

    number = 0
    reader = reader_of()
    while True:
        taken.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            waiting.extendleft(reversed(taken[1:]))
            number += 1
            yield _Record(number, [], _explained(str(error), len(taken)))
            reader = reader_of()
            continue
        if cells is None:
            return
        first, number = number + 1, number + len(taken)
        if cells:
            yield _Record(first, cells)


def _explained(error: str, lines: int) -> str:
    if "expected after" in error:
        return "a quote within a quoted cell must be doubled, or the cell is cut off"
    if lines > 1 or "unexpected end" in error:
        return "a quote is opened and never closed"
    return error


def _delimiter_of(clear: ClearFile, layout: Layout) -> str:
    """The one by which most rows have so many cells or more, and more than one: a row may have cells too many. Of two
    such, the one by which more have just so many. Lines above a heading may have none."""
    best, most = ",", (0, 0, 0)
    lines = [line for line, _ in zip(_lines(clear), range(_LOOKED_AT + layout.heading), strict=False)]
    if layout.heading > 1:
        lines = lines[layout.heading - 1 :]
    for delimiter in _CANDIDATES:
        records = (record for record in _records(iter(lines), delimiter) if not record.fault)
        widths = Counter(len(record.cells) for record in records)
        scores = ((sum(n for has, n in widths.items() if has >= width), widths[width], width) for width in widths)
        fits = max((score for score in scores if score[-1] > 1), default=(0, 0, 0))
        if fits > most:
            best, most = delimiter, fits
    return best
