"""The answer to a what-if as tables for a terminal. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.what_if import Expected, WhatIfCell, WhatIfDocument, WhatIfStage
from streams.report.tables import texts
from streams.report.tables.grid import Grid

SATURATED = "▲"


def render_what_if(document: WhatIfDocument) -> RenderableType:
    """A table for each cell: what is counted and what is expected, and what each stage would bring."""
    supposed = ", ".join(f"{name}={text}" for name, text in document["what_if"].items())
    head = Text(f"{document['funnel']} version {document['version']} · what if {supposed}", style="bold")
    if not document["cells"]:
        return Group(head, Text("Nothing counted here yet.", style="dim"))
    return Group(head, *(part for cell in document["cells"] for part in _cell(cell, document["currency"])))


def _cell(cell: WhatIfCell, currency: str) -> Iterable[RenderableType]:
    yield _stages(cell, currency)
    if any(stage["is_saturated"] for stage in cell["stages"]):
        yield Text(f"{SATURATED} no more than 100 %", style="dim")
    yield Text(f"together {_brings(cell['gain'], currency)}")
    for gain in cell["gains"]:
        alone = f"{gain['stage']} alone: {cell['lift_percent']:+g} % brings {_brings(gain['lift'], currency)}"
        yield Text(f"{alone}, one point more {_brings(gain['point'], currency)}", style="dim")
    best, most = cell["converts_best"] or texts.ABSENT, cell["pays_most"] or texts.ABSENT
    yield Text(f"pays most: {most} · converts best: {best}")


def _stages(cell: WhatIfCell, currency: str) -> Grid:
    pairs = [(f">{heading}", ">expected") for heading in ("conversion", "entries", "orders", "revenue")]
    table = Grid("stage", *(heading for pair in pairs for heading in pair), title=cell["dim"] or None)
    for stage in cell["stages"]:
        table.add_row(stage["stage"], *_row(stage, currency))
    return table


def _row(stage: WhatIfStage, currency: str) -> Iterable[str]:
    yield _percent(stage["conversion"])
    yield f"{SATURATED + ' ' if stage['is_saturated'] else ''}{_percent(stage['expected_conversion'])}"
    yield texts.number(stage["entries"])
    yield f"{stage['expected_entries']:,.1f}"
    has_orders = stage["orders"] or stage["expected_orders"]
    yield texts.number(stage["orders"])
    yield f"{stage['expected_orders']:,.1f}" if has_orders else ""
    yield texts.money(stage["revenue"], currency) if has_orders else ""
    yield texts.money(stage["expected_revenue"], currency) if has_orders else ""


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f} %"


def _brings(gain: Expected, currency: str) -> str:
    """The most telling of the three."""
    if gain["revenue"]:
        return f"{'+' if gain['revenue'] > 0 else ''}{texts.money(gain['revenue'], currency)}"
    return f"{gain['orders']:+,.1f} orders" if gain["orders"] else f"{gain['entries']:+,.1f} at the last stage"
