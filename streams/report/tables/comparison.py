"""The answer to a comparison as tables for a terminal. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.compared import Compared, ComparedNumber
from streams.report.questions.comparison import ComparisonDocument, Decomposition
from streams.report.questions.legs import Legs
from streams.report.tables import texts
from streams.report.tables.grid import Grid

_SHOWN_VALUES = 10


def render_comparison(document: ComparisonDocument) -> RenderableType:
    """Conversions from stage to stage, then the overall one and what it has changed by."""
    before, after = document["before"], document["after"]
    head = (
        f"{document['funnel']} version {document['version']}{' · ' + document['dim'] if document['dim'] else ''} · "
        f"{after['first']} to {after['last']} compared with {before['first']} to {before['last']}"
    )
    currency = document["currency"]
    revenue = document["revenue"]
    lines = [
        f"orders {_number(document['orders'])}",
        f"revenue {texts.money(revenue['before'], currency)} → {texts.money(revenue['after'], currency)}"
        f"{_change(revenue)}",
    ]
    return Group(
        Text(head, style="bold"),
        _entries(document),
        _conversions(document),
        Text(" · ".join(lines)),
        *([] if document["legs"] is None else [_legs(document["legs"])]),
        *(part for each in document["decompositions"] for part in _decomposition(each)),
    )


def _entries(document: ComparisonDocument) -> RenderableType:
    numbers = (f"{stage} {_number(number)}" for stage, number in document["entries"].items())
    return Text("entries: " + " · ".join(numbers))


def _conversions(document: ComparisonDocument) -> Grid:
    table = Grid("share of journeys", ">before", ">after", ">points", ">95 %", ">significant", optional=("95 %",))
    for step, compared in document["step_conversion"].items():
        table.add_row(f"{step} or later", *_row(compared))
    for stage, compared in document["cohort_conversion"].items():
        table.add_row(f"{stage} went on", *_row(compared))
    if (legs := document["legs"]) is not None:
        table.add_row(f"web leg, to {legs['boundary']}", *_row(legs["web"]))
        table.add_row(f"sales leg, from {legs['boundary']}", *_row(legs["sales"]))
    table.add_row("overall", *_row(document["overall"]), style="bold")
    return table


def _legs(legs: Legs) -> RenderableType:
    most = "" if legs["most"] is None else f": most of it is the {legs['most']} leg"
    web, sales = (texts.points(part) for part in (legs["web_part"], legs["sales_part"]))
    return Text(f"of the overall change web leg {web}, sales leg {sales}{most}")


def _row(compared: Compared) -> Iterable[str]:
    for rate in (compared["before"], compared["after"]):
        counts = "" if rate is None else f"  {rate['numerator']:,} of {rate['denominator']:,}"
        yield f"{texts.share(rate)}{counts}"
    yield texts.ABSENT if compared["difference"] is None else texts.points(compared["difference"])
    interval = compared["interval"]
    yield "" if interval is None else f"{texts.points(interval[0])} to {texts.points(interval[1])}"
    yield _verdict(compared)


def _verdict(compared: Compared) -> str:
    p = compared["p_value"]
    if p is None:
        return texts.ABSENT
    return texts.verdict(p, is_significant=bool(compared["is_significant"]))


def _decomposition(each: Decomposition) -> Iterable[RenderableType]:
    title = f"overall {texts.points(each['change'])} points by {each['dim']}"
    headings = (each["dim"], ">before", ">after", ">mix", ">rate", ">neither", ">all")
    table = Grid(*headings, title=title, optional=("neither", "mix", "rate"))
    for value in each["values"][:_SHOWN_VALUES]:
        counts = (f"{pair[0]:,} of {pair[1]:,}" for pair in (value["before"], value["after"]))
        parts = (value["mix"], value["rate"], value["neither"], value["total"])
        table.add_row(value["value"], *counts, *map(texts.points, parts))
    table.add_row(
        "all", "", "", *map(texts.points, (each["mix"], each["rate"], each["neither"], each["change"])), style="bold"
    )
    yield table
    totals = {value["value"]: value["total"] for value in each["values"]}
    named = (f"{value} {texts.points(totals[value])}" for value in each["top"])
    yield Text(f"most of it: {', '.join(named) or texts.ABSENT}")


def _number(number: ComparedNumber) -> str:
    return f"{number['before']:,} → {number['after']:,}{_change(number)}"


def _change(number: ComparedNumber) -> str:
    return "" if number["change"] is None else f" ({100 * number['change']:+.1f} %)"
