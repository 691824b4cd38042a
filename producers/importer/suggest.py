"""A first import file for a table: columns recognised by content and heading, with comments. What only a person knows
stands as a question, which the checker refuses. Reads the beginning of the file; writes nothing.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from producers.importer.amounts import Marks, NoNumberError
from producers.importer.columns import text_of
from producers.importer.dates import NoTimeError, TimeReader
from producers.importer.definition import TableFile, TimeFormat
from producers.importer.load import QUESTION
from producers.importer.problems import Kind
from producers.importer.shapes import snowplow
from producers.importer.strict import DAMAGED_ID
from producers.importer.tables import OpenTable, open_tables
from producers.reading.rows import Row
from schemas.money import clean_currency

_LOOKED_AT: Final = 2_000
_PAIR: Final = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.]\d{4}.*")
_WORDS: Final = {
    "time": r"date|time|day|created|updated|closed|paid|_at$| at$|дата|время|ts$",
    "id": r"^id$|\bid$|_id$|number|^no\.?$|^name$|номер|код|reference|order",
    "order": r"order|invoice|заказ|сч[её]т|^name$",
    "deal": r"deal|record|lead|сделк",
    "person": r"user|customer|client|contact|member|visitor|клиент|контакт|инн|who",
    "phone": r"phone|тел",
    "amount": r"amount|total|sum|price|value|revenue|cost|budget|paid$|бюджет|сумм|цена|поступ|списан|дебет|кредит",
    "currency": r"currency|валют",
    "channel": r"channel|utm_source|source|канал|источник",
    "campaign": r"campaign|utm_campaign|кампан",
    "manager": r"owner|manager|responsible|agent|менеджер|ответствен",
    "reason": r"reason|причин",
}
_SHAPES: Final = {
    "ga4": {"event_timestamp", "event_name", "user_pseudo_id"},
    "segment": {"messageId", "type"},
    "posthog": {"uuid", "event", "distinct_id"},
    "snowplow": {"schema", "data"},
    "stripe": {"object", "data", "has_more"},
    "shopify": {"orders"},
    "pipedrive": {"success", "data"},
    "hubspot": {"results"},
}
"""Columns or members that only such an archive has."""
_MARKS: Final = (Marks(), Marks(",", ""), Marks(".", ","), Marks(",", "."), Marks(",", " "), Marks(".", " "))


@dataclass(slots=True)
class _Column:
    """What is known of a column."""

    name: str
    cells: list[str] = field(default_factory=list)
    kind: str = "text"
    form: str = ""
    """Of a time: what stands behind its name in `times`."""

    def says(self, what: str) -> bool:
        return re.search(_WORDS[what], self.name.strip().casefold()) is not None

    @property
    def distinct(self) -> int:
        return len(set(self.cells))

    def comment(self) -> str:
        shown = ", ".join(dict.fromkeys(self.cells[:50]))[:60] if self.cells else "empty"
        return f"#   {self.name}: {self.kind}; {self.distinct} distinct; {shown}".replace("\n", " ").replace("\r", " ")


def suggested(path: Path) -> str:
    """The text of an import file. Raises InputFileError."""
    opened = open_tables(TableFile(file=path.name), path.parent)[0]
    is_snowplow = opened.clear.head(1 << 16).partition(b"\n")[0].count(b"\t") == len(snowplow.COLUMNS) - 1
    columns, count = ([], 0) if is_snowplow else _columns(opened)
    shape = "snowplow" if is_snowplow else _shape_of({column.name for column in columns})
    if shape is not None:
        return f"# {path.name} is an archive in a shape that is known (docs/import.md).\n" + "\n".join(
            ["inputs:", f"  - file: {_quoted(path.name)}", f"    shape: {shape}", ""]
        )
    marks, doubtful = _marks_of(columns)
    for column in columns:
        column.kind, column.form = _kind_of(column, marks)
    return "\n".join([*_head(path, count, columns), *_input(path, columns, marks, doubtful), *_events(columns), ""])


def _shape_of(names: set[str]) -> str | None:
    return next((shape for shape, marks in _SHAPES.items() if marks <= names), None)


def _columns(opened: OpenTable) -> tuple[list[_Column], int]:
    table = opened.read(frozenset(Kind))
    columns = {name: _Column(name) for name in table.columns if name}
    count = 0
    for row in itertools.islice(table.rows, _LOOKED_AT):
        if isinstance(row, Row):
            count += 1
            for name, cell in row.cells.items():
                column, text = columns.setdefault(name, _Column(name)), text_of(cell)
                column.cells += [] if text is None else [text]
    return list(columns.values()), count


def _marks_of(columns: list[_Column]) -> tuple[Marks, str | None]:
    """(those by which the amounts can all be read, the simplest first; a cell that others read as another number)."""
    amounts = [column.cells for column in columns if column.says("amount") and column.cells]
    cells = [cell for cells in amounts for cell in cells]
    fitting = [marks for marks in _MARKS if all(_is_number(cell, marks) for cell in cells)]
    if not fitting:
        return Marks(), None
    doubtful = (cell for cell in cells if len({_number(cell, marks) for marks in fitting}) > 1)
    return fitting[0], next(doubtful, None)


def _is_number(cell: str, marks: Marks) -> bool:
    return _number(cell, marks) is not None


def _number(cell: str, marks: Marks) -> Decimal | None:
    """Of what stands beside a currency the digits alone."""
    try:
        return marks.read(cell.strip("$€£₽ "))
    except NoNumberError:
        return None


def _kind_of(column: _Column, marks: Marks) -> tuple[str, str]:
    """(kind, form of its times)."""
    cells = column.cells
    if not cells:
        return "empty", ""
    if all("@" in cell for cell in cells):
        return "e-mail", ""
    if all(_reads(cell, TimeFormat()) for cell in cells):
        return "time", ""
    if all(_reads(cell, TimeFormat(order="dmy")) or _reads(cell, TimeFormat(order="mdy")) for cell in cells):
        return "time", _order_of(cells)
    if column.says("time") and all(re.fullmatch(r"\d{5}(\.\d+)?|\d{10}|\d{13}|\d{16}", cell) for cell in cells):
        unit = {10: "s", 13: "ms", 16: "us"}.get(len(cells[0]), "excel")
        return "time", f"{{unit: {unit}}}"
    if column.says("amount") and all(_is_number(cell, marks) for cell in cells):
        return "amount", ""
    if all(clean_currency(cell) for cell in cells) and column.says("currency"):
        return "currency", ""
    if column.says("id") and any(DAMAGED_ID.fullmatch(cell) for cell in cells):
        return "ids that a spreadsheet has rounded: export them as text", ""
    return ("id" if column.says("id") else "text"), ""


def _reads(cell: str, form: TimeFormat) -> bool:
    try:
        TimeReader("", form, "UTC").read(cell)
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


def _head(path: Path, count: int, columns: list[_Column]) -> list[str]:
    return [
        f"# A first import file for {path.name}, by its first {count} rows. Answer what stands as {QUESTION},",
        "# look through the rest, then: funnelcast import THIS.yaml --dry-run (docs/import.md).",
        "#",
        "# Columns:",
        *(column.comment() for column in columns),
        "",
        "timezone: UTC              # of times without an offset, e.g. Europe/Athens",
        "# funnels: [shop.yaml]     # names of events are checked against these",
    ]


def _input(path: Path, columns: list[_Column], marks: Marks, doubtful: str | None) -> list[str]:
    lines = ["inputs:", f"  - file: {_quoted(path.name)}"]
    if doubtful is not None:
        lines.append(f'    decimal: "{QUESTION} the mark before the decimals, . or , : how much is {_bare(doubtful)}?"')
        lines.append('    # thousands: ","')
        marks = Marks()
    if marks.decimal != ".":
        lines.append(f'    decimal: "{marks.decimal}"')
    if marks.thousands:
        lines.append(f'    thousands: "{marks.thousands}"')
    forms = [column for column in columns if column.form]
    if forms:
        lines.append("    times:")
        lines += [f"      {_quoted(column.name)}: {column.form}" for column in forms]
    return lines


def _events(columns: list[_Column]) -> list[str]:
    times = [column for column in columns if column.kind == "time"]
    if not times:
        at = f'"{QUESTION} which column is the time?"'
        return ["events:", *_event(columns, at, "a row", is_wide=False)]
    lines = ["events:"]
    for column in times:
        what = f"happened at {column.name}" if len(times) > 1 else "a row is"
        lines += _event(columns, _quoted(column.name), what, is_wide=len(times) > 1)
    return lines


def _event(columns: list[_Column], at: str, what: str, *, is_wide: bool) -> list[str]:
    """One event of a row; of a wide row one for each of its times."""
    lines = [f'  - name: "{QUESTION} what {_bare(what)}, e.g. lead_created, payment, deal_lost"', f"    at: {at}"]
    if is_wide:
        lines.append(f"    when: {{{at}: {{exists: true}}}}   # and which rows, e.g. a status")
    ids = [column for column in columns if column.kind == "id" and not column.says("person")]
    unique = max(ids, key=lambda column: column.distinct, default=None)
    if unique is None:
        lines.append("    # id: no column tells events apart; one is made of the content")
    elif is_wide:
        lines.append(f"    id: {_quoted('{' + unique.name + '}-' + _slug(at))}")
    else:
        lines.append(f"    id: {_quoted(unique.name)}")
        if unique.distinct < len(unique.cells):
            lines.append(f"    group: {_quoted(unique.name)}   # its values repeat: rows of one are one event")
    lines += _person(columns)
    if unique is not None:
        if unique.says("deal"):
            lines.append(f"    deal_id: {_quoted(unique.name)}")
        if unique.says("order"):
            lines.append(f"    order_id: {_quoted(unique.name)}")
    return lines + _money(columns) + _properties(columns)


def _person(columns: list[_Column]) -> list[str]:
    emails = [column for column in columns if column.kind == "e-mail"]
    people = [column for column in columns if column.says("person") and column.kind in ("id", "text")]
    phones = [column for column in columns if column.says("phone") and column.cells]
    lines = [f"    email: {_quoted(emails[0].name)}"] if emails else []
    lines += [f"    phone: {_quoted(phones[0].name)}"] if phones else []
    if people and not emails:
        lines.append(f"    user_id: {_quoted(people[0].name)}   # or contact_id, anonymous_id")
    return lines or [f'    user_id: "{QUESTION} which column says who?"']


def _money(columns: list[_Column]) -> list[str]:
    amounts = [column for column in columns if column.kind == "amount"]
    amounts.sort(key=lambda column: not re.fullmatch(r"(order[ _])?(total|amount)", column.name.strip().casefold()))
    if not amounts:
        return []
    lines = [f"    value: {_quoted(amounts[0].name)}"]
    lines += [f"    # value: {_quoted(column.name)}" for column in amounts[1:]]
    currency = next((column for column in columns if column.kind == "currency"), None)
    if currency is not None:
        return [*lines, f"    currency: {_quoted(currency.name)}"]
    return [*lines, f'    currency: {{text: "{QUESTION} which currency, e.g. EUR"}}']


def _properties(columns: list[_Column]) -> list[str]:
    lines = []
    for what in ("channel", "campaign", "manager", "reason"):
        fitting = next((column for column in columns if column.kind == "text" and column.says(what)), None)
        if fitting is not None:
            lines.append(f"    {what}: {_quoted(fitting.name)}")
    return lines


def _quoted(text: str) -> str:
    """Plain where YAML reads it as it is, else in quotes."""
    plain = re.fullmatch(r"[^\W\d_][\w .()/-]*[\w)]|[^\W\d_]", text)
    is_word = text.casefold() in ("true", "false", "null", "yes", "no", "on", "off")
    return text if plain and not is_word else json.dumps(text, ensure_ascii=False)


def _bare(text: str) -> str:
    return re.sub(r'["\\\n\r]', " ", text)


def _slug(text: str) -> str:
    return re.sub(r"[^\w]+", "-", text).strip("-").lower()
