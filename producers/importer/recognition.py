"""What a table seems to hold: where its heading is, what its columns are, by content and heading; a row that looks like
a total. Reads the beginning of the file; asks and writes nothing.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Final

from producers.importer.amounts import Marks, NoNumberError
from producers.importer.columns import text_of
from producers.importer.dates import NoTimeError, TimeReader
from producers.importer.definition import TableFile, TimeFormat
from producers.importer.load import QUESTION
from producers.importer.problems import Kind
from producers.importer.strict import DAMAGED_ID
from producers.importer.tables import OpenTable, decode_repaired, elements_of, open_tables
from producers.reading.rows import Row
from schemas.money import clean_currency

_LOOKED_AT: Final = 2_000
_FIRST_ROWS: Final = 60
_MOST_COLUMNS: Final = 2_000
_DEPTH: Final = 4
_FEWEST_ROWS: Final = 4
_FEWEST_COLUMNS: Final = 2
_DIGIT: Final = re.compile(r"\d")
_WORD: Final = re.compile(r"(?=.*[^\W\d_])[^\d@]+", re.DOTALL)
_PAIR: Final = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.]\d{4}.*")
_MONEY: Final = re.compile(r"[-(+]?\s?[$€£₽]?\s?[-+]?\d[\d.,'’\s]*[.,]\d\d\s?[$€£₽]?[)-]?")
_EPOCH: Final = re.compile(r"1\d{9}(?:\d{3}){0,2}")
_TELLING: Final = ("id", "order", "deal", "person", "phone", "amount")
_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_TIME_FORMS: Final = (TimeFormat(), TimeFormat(order="dmy"), TimeFormat(order="mdy"))
_WORDS: Final = {
    "time": r"date|time|day|created|updated|closed|paid|_at$| at$|дата|время|ts$|datum|fecha",
    "id": r"^id$|\bid$|_id$|number|^no\.?$|^name$|номер|код|reference|order|bestell|auftrag",
    "order": r"order|invoice|bestell|auftrag|rechnung|commande|facture|pedido|factura|заказ|сч[её]т|^name$",
    "deal": r"deal|record|lead|сделк",
    "person": r"user|customer|client|contact|member|visitor|клиент|контакт|инн|who|kunde|klant",
    "phone": r"phone|тел",
    "amount": r"amount|total|sum|price|value|revenue|cost|budget|paid$|gross|net$|betrag|preis|umsatz|montant|prix"
    r"|importe|precio|бюджет|сумм|цена|поступ|списан|дебет|кредит",
    "currency": r"currency|валют|währung|devise|moneda",
    "channel": r"channel|utm_source|source|канал|источник",
    "campaign": r"campaign|utm_campaign|кампан",
    "manager": r"owner|manager|responsible|agent|менеджер|ответствен",
    "reason": r"reason|причин",
}
_MARKS: Final = (Marks(), Marks(",", ""), *(Marks(*marks) for marks in (".,", ",.", ", ", ". ", ".'")))


@dataclass(slots=True)
class Column:
    """What is known of a column."""

    name: str
    cells: list[str] = field(default_factory=list)
    kind: str = "text"
    form: str = ""
    """Of a time: what stands behind its name in `times`."""

    def says(self, what: str) -> bool:
        return re.search(_WORDS[what], self.name.strip().casefold()) is not None

    @property
    def may_hold_epochs(self) -> bool:
        """By its heading; where that says nothing, because all cells look so. Ids may have as many digits."""
        return self.says("time") or (not any(map(self.says, _TELLING)) and all(map(_EPOCH.fullmatch, self.cells)))

    @property
    def is_money(self) -> bool:
        """By its heading, or because all cells have cents."""
        return self.says("amount") or (len(self.cells) > 1 and all(map(_MONEY.fullmatch, self.cells)))

    @property
    def distinct(self) -> int:
        return len(set(self.cells))

    def comment(self) -> str:
        shown = ", ".join(dict.fromkeys(self.cells[:50]))[:60] if self.cells else "empty"
        return f"#   {self.name}: {self.kind}; {self.distinct} distinct; {shown}".replace("\n", " ").replace("\r", " ")


@dataclass(slots=True)
class Looked:
    """What the beginning of a file shows."""

    table: TableFile
    """How it is laid out: its heading, or where its list is."""
    columns: list[Column]
    doubled: list[str]
    count: int = 0
    total: tuple[int, str] | None = None
    """(line of the last row, where it looks like a total; a column that all others have filled)."""
    marks: Marks = field(default_factory=Marks)
    doubtful: str | None = None
    """A cell that other marks read as another number."""


def names_of(opened: OpenTable) -> set[str]:
    """Of the columns, or of the members of the first objects. Raises InputFileError."""
    table = opened.read(frozenset(Kind))
    rows = [row for row in itertools.islice(table.rows, _FIRST_ROWS) if isinstance(row, Row)]
    return {*table.columns, *(name for row in rows for name in row.cells)}


def looked_at(path: Path) -> Looked:
    """Raises InputFileError."""
    table = TableFile(file=path.name)
    opened = open_tables(table, path.parent)[0]
    if opened.format == "json":
        table = _laid_out(table, rows=_list_of(opened))
    elif opened.format in ("csv", "xlsx"):
        table = _with_heading(table, path)
    looked = _columns(table, open_tables(table, path.parent)[0])
    looked.marks, looked.doubtful = _marks_of(looked.columns)
    for column in looked.columns:
        column.kind, column.form = _kind_of(column, looked.marks)
    return looked


def _laid_out(table: TableFile, **changes: Any) -> TableFile:
    """The same with something else."""
    return table.model_copy(update=changes)


def _with_heading(table: TableFile, path: Path) -> TableFile:
    """The heading is the first row that is about as full as most: above it stands what the report is called."""
    names = tuple(f"column {number}" for number in range(_MOST_COLUMNS))
    raw = open_tables(_laid_out(table, heading=0, columns=names), path.parent)[0].read(frozenset(Kind))
    rows = [row for row in itertools.islice(raw.rows, _FIRST_ROWS) if isinstance(row, Row)]
    texts = [[text_of(cell) or "" for cell in row.cells.values()] for row in rows]
    filled = [sum(map(bool, cells)) for cells in texts]
    usual = max(Counter(filled).items(), key=lambda pair: (pair[1], pair[0]), default=(0, 0))[0]
    place = next((number for number, count in enumerate(filled) if count * 10 >= usual * 7), 0)
    if usual < _FEWEST_COLUMNS:
        return table
    if _is_row(texts[place:]):
        width = max(number for cells in texts for number, cell in enumerate(cells, 1) if cell)
        titles = sum(1 for _ in itertools.takewhile(lambda count: count < _FEWEST_COLUMNS, filled))
        names = tuple(f"column_{number}" for number in range(1, width + 1))
        return _laid_out(table, heading=rows[titles - 1].line if titles else 0, columns=names)
    if _is_second_heading(texts[place + 1 :]):
        heading = tuple(texts[place][: max(number for number, cell in enumerate(texts[place], 1) if cell)])
        return _laid_out(table, heading=rows[place + 1].line, columns=heading)
    return _laid_out(table, heading=rows[place].line) if place else table


def _is_row(rows: list[list[str]]) -> bool:
    """Whether the first row has a time or an e-mail where all others have one, and no word above numbers: then it is no
    heading."""
    columns = [[cell for cell in cells if cell] for cells in zip(*rows[1:], strict=True)]
    pairs = [(first, cells) for first, cells in zip(rows[0], columns, strict=False) if cells]
    if any(_WORD.fullmatch(first) and all(map(_DIGIT.search, cells)) for first, cells in pairs):
        return False
    return any(all(map(looks, (first, *cells))) for first, cells in pairs for looks in (_is_time, _is_address))


def _is_time(cell: str) -> bool:
    return _EPOCH.fullmatch(cell) is not None or any(_reads(cell, form) for form in _TIME_FORMS)


def _is_address(cell: str) -> bool:
    return _ADDRESS.fullmatch(cell) is not None


def _is_second_heading(rows: list[list[str]]) -> bool:
    """Whether the first row has words where all others have numbers or times: units, or names once more."""
    if len(rows) < _FEWEST_ROWS or any(map(_DIGIT.search, rows[0])):
        return False
    columns = [[bool(_DIGIT.search(cell)) for cell in cells if cell] for cells in zip(*rows[1:], strict=True)]
    numbers = [has_words for has_words, cells in zip(rows[0], columns, strict=True) if cells and all(cells)]
    return sum(map(bool, numbers)) >= _FEWEST_COLUMNS


def _list_of(opened: OpenTable) -> str | None:
    """The path of the longest list of objects in a document; None where rows are objects themselves."""
    elements = list(itertools.islice(elements_of(opened.clear, None), 2))
    if len(elements) != 1:
        return None
    lists = sorted(_lists_in(decode_repaired(elements[0][1]), ""), key=lambda found: -found[1])
    return lists[0][0] if lists else None


def _lists_in(value: Any, path: str) -> Iterator[tuple[str, int]]:
    for name, inner in value.items() if isinstance(value, dict) and path.count(".") < _DEPTH else ():
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            yield f"{path}{name}", len(inner)
        yield from _lists_in(inner, f"{path}{name}.")


def _columns(table: TableFile, opened: OpenTable) -> Looked:
    read = opened.read(frozenset(Kind))
    columns = {name: Column(name) for name in read.columns if name}
    rows = [row for row in itertools.islice(read.rows, _LOOKED_AT + 1) if isinstance(row, Row)]
    flat = [(row.line, dict(_flat(row.cells, ""))) for row in rows]
    total = _total_of(flat) if len(rows) <= _LOOKED_AT else None
    for _, cells in flat[:-1] if total else flat[:_LOOKED_AT]:
        for name, text in cells.items():
            columns.setdefault(name, Column(name)).cells += [] if text is None else [text]
    return Looked(table, list(columns.values()), read.doubled, min(len(rows), _LOOKED_AT), total)


def _flat(cells: dict[str, Any], path: str) -> Iterator[tuple[str, str | None]]:
    """The members of objects by their paths."""
    for name, cell in cells.items():
        if isinstance(cell, dict) and cell and path.count(".") < _DEPTH:
            yield from _flat(cell, f"{path}{name}.")
        else:
            yield f"{path}{name}", text_of(cell)


def _total_of(rows: list[tuple[int, dict[str, str | None]]]) -> tuple[int, str] | None:
    """The last row where it is far emptier than the others, but for numbers and one word."""
    filled = [{name for name, text in cells.items() if text is not None} for _, cells in rows]
    if len(rows) < _FEWEST_ROWS or len(filled[-1]) * 2 > median(map(len, filled[:-1])):
        return None
    words = [text for text in rows[-1][1].values() if text is not None and not _DIGIT.search(text)]
    always = set.intersection(*filled[:-1]) - filled[-1]
    by_sense = sorted(always, key=lambda name: (not Column(name).says("person"), not Column(name).says("time"), name))
    return (rows[-1][0], by_sense[0]) if by_sense and len(words) <= 1 and filled[-1] else None


def _marks_of(columns: list[Column]) -> tuple[Marks, str | None]:
    """(those by which the amounts can all be read, the simplest first; a cell that others read as another number)."""
    amounts = [column.cells for column in columns if column.cells and column.is_money and _fitting(column.cells)]
    cells = [cell for cells in amounts for cell in cells]
    fitting = _fitting(cells)
    if not fitting:
        return Marks(), None
    doubtful = (cell for cell in cells if len({_number(cell, marks) for marks in fitting}) > 1)
    return fitting[0], next(doubtful, None)


def _fitting(cells: list[str]) -> list[Marks]:
    return [marks for marks in _MARKS if all(_is_number(cell, marks) for cell in cells)]


def _is_number(cell: str, marks: Marks) -> bool:
    return _number(cell, marks) is not None


def _number(cell: str, marks: Marks) -> Decimal | None:
    """Of what stands beside a currency the digits alone."""
    try:
        return marks.read(cell.replace("’", "'").strip("$€£₽ "))
    except NoNumberError:
        return None


def _kind_of(column: Column, marks: Marks) -> tuple[str, str]:
    """(kind, form of its times)."""
    cells = column.cells
    if not cells:
        return "empty", ""
    if all("@" in cell for cell in cells):
        return "e-mail", ""
    if all(_reads(cell, TimeFormat()) for cell in cells):
        return "time", ""
    if all(any(_reads(cell, form) for form in _TIME_FORMS[1:]) for cell in cells):
        return "time", _order_of(cells)
    if column.may_hold_epochs and all(re.fullmatch(r"\d{5}(\.\d+)?|\d{10}|\d{13}|\d{16}", cell) for cell in cells):
        unit = {10: "s", 13: "ms", 16: "us"}.get(len(cells[0]), "excel")
        return "time", f"{{unit: {unit}}}"
    if column.is_money and all(_is_number(cell, marks) for cell in cells):
        return "amount", ""
    if all(clean_currency(cell) for cell in cells) and column.says("currency"):
        return "currency", ""
    if column.says("id") and any(DAMAGED_ID.fullmatch(cell) for cell in cells):
        return "ids that a spreadsheet has rounded: export them as text", ""
    return ("id" if column.says("id") else "text"), ""


def _reads(cell: str, form: TimeFormat) -> bool:
    try:
        TimeReader("", form, zone="UTC").read(cell)
    except NoTimeError:
        return False
    return True


def _order_of(cells: list[str]) -> str:
    """The order that the cells show, or the question."""
    pairs = [(int(found[1]), int(found[2])) for cell in cells if (found := _PAIR.fullmatch(cell))]
    if any(first > 12 for first, _ in pairs) and not any(second > 12 for _, second in pairs):
        return "{order: dmy}"
    if any(second > 12 for _, second in pairs) and not any(first > 12 for first, _ in pairs):
        return "{order: mdy}"
    return f'{{order: "{QUESTION} dmy or mdy: which number of {cells[0]} is the day?"}}'
