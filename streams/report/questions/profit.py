"""What is left of the money and what customers bring: margin, spend against sales, revenue by age of a customer. Pure.

All amounts are those of the funnel's currency, in minor units. A customer belongs to the cell of the first order; what
customers have brought by an age is complete only where all of them are that old.
"""

from __future__ import annotations

from typing import TypedDict

from schemas.counters import AGE_EDGES_DAYS
from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.shapes import NamedCell

DAY_MS = 86_400_000


class CustomerAge(TypedDict):
    """What the customers of a cell have brought by an age since their first order."""

    days: int | None
    """Upper bound, inclusive; 0: the first order. None: by now."""
    revenue: int
    per_customer: float
    is_complete: bool
    """Whether all of them are so old: False is "so far"."""


class ProfitCell(TypedDict):
    """One cell."""

    dim: str
    orders: int
    revenue: int
    refunds: int
    cost: int
    discount: int
    margin: int | None
    """Revenue without refunds and cost; None where no order has a cost."""
    spend: int | None
    cost_per_sale: float | None
    """Spend for each order."""
    left: int | None
    """Margin, or where no cost is known revenue without refunds, without spend; None without spend."""
    customers: int
    acquisition_cost: float | None
    """Spend for each new customer."""
    lifetime: list[CustomerAge]
    """By rising age; empty without customers."""
    payback_days: int | None
    """Lowest age by which customers have brought what they cost; None: not yet, or there is no spend."""


class ProfitDocument(TypedDict):
    """The answer to the question what is left."""

    funnel: str
    version: int
    watermark_ms: int | None
    currency: str
    cells: list[ProfitCell]


def profit_cell(funnel: Funnel, cell: NamedCell, *, dim: str, oldest_age_ms: int) -> ProfitCell:
    """The answer for one cell; `oldest_age_ms` is the age that the youngest of its customers have at least."""
    view, currency = CellView(cell), funnel.currency

    def money(family: str) -> int:
        return sum(view.amounts(stage.name, family).get(currency, 0) for stage in funnel.stages)

    orders, revenue, refunds, cost = (money(family) for family in ("orders", "revenue", "refunds", "cost"))
    spend = view.amounts("", "spend").get(currency)
    margin = revenue - refunds - cost if cost else None
    customers = sum(view.amount(stage.name, "customers") for stage in funnel.stages)
    lifetime = _lifetime(funnel, view, customers=customers, oldest_age_ms=oldest_age_ms) if customers else []
    acquisition_cost = spend / customers if spend is not None and customers else None
    return {
        "dim": dim,
        "orders": orders,
        "revenue": revenue,
        "refunds": refunds,
        "cost": cost,
        "discount": money("discount"),
        "margin": margin,
        "spend": spend,
        "cost_per_sale": spend / orders if spend is not None and orders else None,
        "left": None if spend is None else (revenue - refunds if margin is None else margin) - spend,
        "customers": customers,
        "acquisition_cost": acquisition_cost,
        "lifetime": lifetime,
        "payback_days": _payback(lifetime, acquisition_cost),
    }


def _lifetime(funnel: Funnel, view: CellView, *, customers: int, oldest_age_ms: int) -> list[CustomerAge]:
    ages: list[CustomerAge] = []
    brought = 0
    for days in (*AGE_EDGES_DAYS, None):
        key = f"{funnel.currency} {'inf' if days is None else days}"
        brought += sum(view.amounts(stage.name, "lifetime").get(key, 0) for stage in funnel.stages)
        is_complete = days == 0 or (days is not None and days * DAY_MS <= oldest_age_ms)
        ages.append({"days": days, "revenue": brought, "per_customer": brought / customers, "is_complete": is_complete})
    return ages


def _payback(lifetime: list[CustomerAge], acquisition_cost: float | None) -> int | None:
    if acquisition_cost is None:
        return None
    paid = (age["days"] for age in lifetime if age["per_customer"] >= acquisition_cost)
    return next(paid, None)
