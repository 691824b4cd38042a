"""What is left of the money, as tables for a terminal. Counts nothing."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.profit import CustomerAge, ProfitCell, ProfitDocument
from streams.report.tables import texts
from streams.report.tables.grid import Grid


def render_profit(document: ProfitDocument) -> RenderableType:
    """A row for each value: first the money, then the customers."""
    head = Text(f"{document['funnel']} version {document['version']} · what is left", style="bold")
    if not document["cells"]:
        return Group(head, Text("Nothing counted here yet.", style="dim"))
    currency, cells = document["currency"], document["cells"]
    parts: list[RenderableType] = [head, _money(cells, currency)]
    if any(cell["customers"] for cell in cells):
        parts.append(_customers(cells, currency))
        parts.append(Text(f"{texts.SO_FAR} so far: not all of these customers are that old", style="dim"))
    return Group(*parts)


def _money(cells: list[ProfitCell], currency: str) -> Grid:
    table = Grid(
        *("", ">orders", ">revenue", ">refunds", ">cost", ">discount", ">margin", ">spend", ">per sale", ">left"),
        optional=("discount", "refunds", "cost", "per sale", "spend"),
    )
    for cell in cells:
        amounts = (cell["revenue"], cell["refunds"], cell["cost"], cell["discount"], cell["margin"], cell["spend"])
        shown = [_amount(amount, currency) for amount in (*amounts, cell["cost_per_sale"], cell["left"])]
        table.add_row(cell["dim"] or "all", texts.number(cell["orders"]), *shown)
    return table


def _customers(cells: list[ProfitCell], currency: str) -> Grid:
    ages = next(cell["lifetime"] for cell in cells if cell["lifetime"])
    headings = [_heading(age) for age in ages]
    table = Grid(
        *("", ">customers", ">cost each", *(f">{heading}" for heading in headings), ">paid back"),
        optional=headings[1:-1],
    )
    for cell in cells:
        brought = [
            f"{'' if age['is_complete'] else texts.SO_FAR}{_amount(age['per_customer'], currency)}"
            for age in cell["lifetime"]
        ] or [texts.ABSENT] * len(ages)
        days = cell["payback_days"]
        paid = texts.ABSENT if days is None else f"within {days} d" if days else "at once"
        cost = _amount(cell["acquisition_cost"], currency)
        table.add_row(cell["dim"] or "all", texts.number(cell["customers"]), cost, *brought, paid)
    return table


def _heading(age: CustomerAge) -> str:
    return "first order" if age["days"] == 0 else "by now" if age["days"] is None else f"{age['days']} d"


def _amount(minor: float | None, currency: str) -> str:
    return texts.ABSENT if minor is None else texts.money(minor, currency)
