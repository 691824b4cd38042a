"""A role's first look as tables for a terminal. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.views import Unit
from streams.report.services.views import ViewDocument
from streams.report.tables import texts
from streams.report.tables.comparison import render_comparison
from streams.report.tables.forecast import render_outlook
from streams.report.tables.grid import Grid


def render_view(document: ViewDocument) -> RenderableType:
    """The table first, then what has changed, what is lost, what is to come."""
    span = document["span"]
    head = (
        f"{document['funnel']} version {document['version']} · {document['view']} · {span['first']} to {span['last']}"
    )
    return Group(Text(head, style="bold"), _table(document), *_below_the_table(document))


def _table(document: ViewDocument) -> Grid:
    columns, currency = document["table"]["columns"], document["currency"]
    names = [column["name"].replace("_", " ") for column in columns]
    table = Grid("", *(f">{name}" for name in names), optional=names[:0:-1])
    for row in document["table"]["rows"]:
        units = (column["unit"] for column in columns)
        shown = (_number(number, unit, currency=currency) for number, unit in zip(row["numbers"], units, strict=True))
        table.add_row(row["dim"].partition("=")[2] or "all", *shown, style=None if row["dim"] else "bold")
    return table


def _number(number: float | None, unit: Unit, *, currency: str) -> str:
    if number is None:
        return texts.ABSENT
    match unit:
        case "money":
            return texts.money(number, currency)
        case "share":
            return texts.percent(number)
        case "factor":
            return f"{number:.2f}"
        case "seconds":
            return texts.seconds(number)
    return f"{number:,.0f}"


def _below_the_table(document: ViewDocument) -> Iterable[RenderableType]:
    yield Text(f"bottleneck {document['bottleneck'] or texts.ABSENT}")
    if document["lost"]:
        yield Text("lost: " + ", ".join(f"{reason} {count:,}" for reason, count in document["lost"].items()))
    if document["comparison"] is not None:
        yield render_comparison(document["comparison"])
    if document["forecast"] is not None:
        yield from render_outlook(document["forecast"], document["currency"])
    for said in document["annotations"]:
        yield Text(f"{texts.instant(said['at_ms'])}  {said['text']}")
