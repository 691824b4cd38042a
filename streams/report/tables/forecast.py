"""The forecast as tables for a terminal. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.forecasting.back_test import BackTest
from streams.report.forecasting.forecast import ForecastCell
from streams.report.services.forecast import ForecastDocument
from streams.report.tables import texts
from streams.report.tables.grid import Grid


def render_forecast(document: ForecastDocument) -> RenderableType:
    """For each cell when revenue comes, and from which stage."""
    head = Text(f"{document['funnel']} version {document['version']} · expected of journeys under way", style="bold")
    if not document["cells"]:
        return Group(head, Text("Nothing counted here yet.", style="dim"))
    parts = [part for cell in document["cells"] for part in render_outlook(cell, document["currency"])]
    test = document["back_test"]
    return Group(head, *parts, *([] if test is None else _back_test(test)))


def render_outlook(cell: ForecastCell, currency: str) -> Iterable[RenderableType]:
    """When revenue comes, and from which stage."""
    if cell["expected"] is None:
        yield Text(
            f"{cell['dim']} no journey of a settled cohort has ordered yet: nothing to learn from".strip(), style="dim"
        )
        return
    table = Grid("until", ">orders", ">revenue", ">95 %", title=cell["dim"] or None)
    for when in cell["when"]:
        low, high = (texts.money(amount, currency) for amount in when["interval"])
        table.add_row(
            when["until"], f"{when['orders']:,.1f}", texts.money(when["expected"], currency), f"{low} – {high}"
        )
    yield table
    yield _stages(cell, currency)
    source = cell["learned_from"] or "the whole"
    yield Text(f"learned from {cell['learned_orders']:,} journeys of {source} that ordered", style="dim")


def _stages(cell: ForecastCell, currency: str) -> Grid:
    headings = ("stage, age", ">under way", ">open", ">of open value", ">win rate", ">revenue")
    table = Grid(*headings, optional=("of open value", "open"))
    for stage in cell["stages"]:
        value = texts.money(stage["open_value"], currency) if stage["open_value"] else ""
        rate = f"{100 * stage['orders'] / stage['entries']:.1f} %" if stage["entries"] else texts.ABSENT
        expected = texts.money(stage["expected"], currency)
        table.add_row(stage["stage"], f"{stage['entries']:,.0f}", texts.number(stage["open"]), value, rate, expected)
        for age in stage["ages"]:
            rate = texts.ABSENT if age["win_rate"] is None else f"{100 * age['win_rate']:.1f} %"
            expected = texts.money(age["expected"], currency)
            table.add_row(
                f"  from day {age['least_days']}", f"{age['entries']:,.0f}", "", "", rate, expected, style="dim"
            )
    return table


def _back_test(test: BackTest) -> Iterable[RenderableType]:
    if test["coverage"] is None:
        yield Text("back-test: too little history", style="dim")
        return
    title = f"back-test: orders within {test['horizon_days']} days"
    table = Grid("foretold on", ">expected", ">95 %", ">came", "", title=title)
    for each in test["dates"]:
        low, high = each["interval"]
        verdict = "" if each["is_inside"] else "outside"
        table.add_row(
            each["date"], f"{each['expected']:,.1f}", f"{low:,.1f} – {high:,.1f}", f"{each['actual']:,.1f}", verdict
        )
    yield table
    bias = "" if test["bias"] is None else f", {100 * test['bias']:.0f} % of what came was expected"
    yield Text(f"{test['inside']} of {len(test['dates'])} inside ({100 * test['coverage']:.0f} %){bias}", style="bold")
