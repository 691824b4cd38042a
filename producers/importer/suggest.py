"""A first import file for a table: columns recognised by content and heading, with comments. What only a person knows
stands as a question, which the checker refuses. Writes nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from producers.importer.amounts import Marks
from producers.importer.definition import TableFile
from producers.importer.load import QUESTION
from producers.importer.recognition import Column, Looked, looked_at, names_of
from producers.importer.shapes import snowplow
from producers.importer.tables import open_tables

_MOST_COMMENTS: Final = 60
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


def suggested(path: Path) -> str:
    """The text of an import file. Raises InputFileError."""
    opened = open_tables(TableFile(file=path.name), path.parent)[0]
    if opened.clear.head(1 << 16).partition(b"\n")[0].count(b"\t") == len(snowplow.COLUMNS) - 1:
        return _archive(path, "snowplow")
    shape = _shape_of(names_of(opened))
    if shape is not None:
        return _archive(path, shape)
    looked = looked_at(path)
    return "\n".join([*_head(path, looked), *_input(path, looked), *_events(looked), ""])


def _archive(path: Path, shape: str) -> str:
    return f"# {path.name} is an archive in a shape that is known (docs/import.md).\n" + "\n".join(
        ["inputs:", f"  - file: {_quoted(path.name)}", f"    shape: {shape}", ""]
    )


def _shape_of(names: set[str]) -> str | None:
    return next((shape for shape, marks in _SHAPES.items() if marks <= names), None)


def _head(path: Path, looked: Looked) -> list[str]:
    more = len(looked.columns) - _MOST_COMMENTS
    return [
        f"# A first import file for {path.name}, by its first {looked.count} rows. Answer what stands as {QUESTION},",
        "# look through the rest, then: funnelcast import THIS.yaml --dry-run (docs/import.md).",
        "#",
        "# Columns:",
        *(column.comment() for column in looked.columns[:_MOST_COMMENTS]),
        *([f"#   and {more} more"] if more > 0 else []),
        *(f"# Several columns are called {_bare(name)}: rename all but one" for name in looked.doubled),
        "",
        "timezone: UTC              # of times without an offset, e.g. Europe/Athens",
        "# funnels: [shop.yaml]     # names of events are checked against these",
    ]


def _input(path: Path, looked: Looked) -> list[str]:
    lines, marks, table = ["inputs:", f"  - file: {_quoted(path.name)}"], looked.marks, looked.table
    if table.heading != 1:
        lines.append(f"    heading: {table.heading or 'false   # the first line looks like a row'}")
    if table.columns:
        why = "call them what they are" if "column_1" in table.columns else "the heading has two lines"
        lines.append(f"    columns: [{', '.join(map(_in_list, table.columns))}]   # {why}")
    if table.rows is not None:
        lines.append(f"    rows: {_quoted(table.rows)}")
    if looked.doubtful is not None:
        how_much = f"how much is {_bare(looked.doubtful)}?"
        lines.append(f'    decimal: "{QUESTION} the mark before the decimals, . or , : {how_much}"')
        lines.append('    # thousands: ","')
        marks = Marks()
    if marks.decimal != ".":
        lines.append(f'    decimal: "{marks.decimal}"')
    if marks.thousands:
        lines.append(f'    thousands: "{marks.thousands}"')
    forms = [column for column in looked.columns if column.form]
    if forms:
        lines.append("    times:")
        lines += [f"      {_quoted(column.name)}: {column.form}" for column in forms]
    return lines


def _events(looked: Looked) -> list[str]:
    columns = looked.columns
    times = [column for column in columns if column.kind == "time"]
    if not times:
        at = f'"{QUESTION} which column is the time?"'
        return ["events:", *_event(looked, at=at, what="a row is", is_wide=False)]
    lines = ["events:"]
    for column in times:
        what = f"happened at {column.name}" if len(times) > 1 else "a row is"
        lines += _event(looked, at=_quoted(column.name), what=what, is_wide=len(times) > 1)
    return lines


def _event(looked: Looked, *, at: str, what: str, is_wide: bool) -> list[str]:
    """One event of a row; of a wide row one for each of its times."""
    columns = looked.columns
    lines = [f'  - name: "{QUESTION} what {_bare(what)}, e.g. lead_created, payment, deal_lost"', f"    at: {at}"]
    if is_wide:
        lines.append(f"    when: {{{at}: {{exists: true}}}}   # and which rows, e.g. a status")
    elif looked.total is not None:
        line, column = looked.total
        lines.append(f"    when: {{{_quoted(column)}: {{exists: true}}}}   # line {line} looks like a total")
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


def _person(columns: list[Column]) -> list[str]:
    emails = [column for column in columns if column.kind == "e-mail"]
    people = [column for column in columns if column.says("person") and column.kind in ("id", "text")]
    phones = [column for column in columns if column.says("phone") and column.cells]
    lines = [f"    email: {_quoted(emails[0].name)}"] if emails else []
    lines += [f"    phone: {_quoted(phones[0].name)}"] if phones else []
    if people and not emails:
        lines.append(f"    user_id: {_quoted(people[0].name)}   # or contact_id, anonymous_id")
    return lines or [f'    user_id: "{QUESTION} which column says who?"']


def _money(columns: list[Column]) -> list[str]:
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


def _properties(columns: list[Column]) -> list[str]:
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


def _in_list(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _bare(text: str) -> str:
    return re.sub(r'["\\\n\r]', " ", text)


def _slug(text: str) -> str:
    return re.sub(r"[^\w]+", "-", text).strip("-").lower()
