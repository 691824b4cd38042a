"""Rates of one cell of counters, as docs/semantics.md 5 defines them. Pure.

Every rate comes with its denominator, every share with its 95 % Wilson interval (E. B. Wilson, 1927). A rate over
nothing is None: absent, never 0 and never NaN.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

from schemas.funnel.model import Funnel
from streams.report.cell import CellView
from streams.report.shapes import CohortRate, Money, NamedCell, Rate, Rates

Z = 1.959964
ENOUGH_RESOLVED = 30
"""Entries that must be resolved before a stage may be called the bottleneck."""


def wilson(successes: int, trials: int) -> list[float] | None:
    """The 95 % Wilson score interval [low, high] of a share; None where it is no share of something."""
    if trials <= 0 or not 0 <= successes <= trials:
        return None
    share, z2 = successes / trials, Z * Z
    centre = share + z2 / (2 * trials)
    spread = Z * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == trials else (centre + spread) / scale
    return [low, high]


def ratio(numerator: int, denominator: int) -> Rate | None:
    """A rate with what it was made of. Above 1 (a ratio of flows) it has no interval."""
    if denominator <= 0:
        return None
    return {
        "rate": numerator / denominator,
        "numerator": numerator,
        "denominator": denominator,
        "interval": wilson(numerator, denominator),
    }


def last_of_overall(funnel: Funnel) -> int:
    """The stage at which overall conversion ends: the first order stage, else the last one."""
    first_order = next((number for number, stage in enumerate(funnel.stages) if stage.nth is not None), 0)
    return first_order or len(funnel.stages) - 1


def compares_people(funnel: Funnel, dim: str) -> bool:
    """Whether the people of a cell are the same ones at every stage: by a dimension of attribution `first` alone."""
    by_stage = {dimension.name for dimension in funnel.dimensions if dimension.attribution != "first"}
    first = dim.partition("=")[0]
    names = {first, *(right for left, right in funnel.pairs if left == first and f"|{right}=" in dim)}
    return not by_stage & names  # by declared pairs: a value may hold a bar itself


def rates_of(funnel: Funnel, cell: NamedCell, dim: str = "") -> Rates:
    """All rates of one cell (`counters[grain][bucket][dim]` of the document).

    Conversions are of neighbouring stages (`"j -> k"`); `overall` ends at the first order stage.
    """
    view = CellView(cell)
    names = [stage.name for stage in funnel.stages]
    compares = compares_people(funnel, dim)

    def conversion(numerator: int, denominator: int) -> Rate | None:
        return ratio(numerator, denominator) if compares else None

    def share(stage: str, amount: int) -> Rate | None:
        return ratio(amount, view.resolved(stage))

    steps, inner = list(pairwise(names)), names[:-1]
    return {
        "period_conversion": {f"{j} -> {k}": conversion(view.entries(k), view.entries(j)) for j, k in steps},
        "step_conversion": {
            f"{j} -> {k}": conversion(view.passed(k) - view.amount(k, "started"), view.passed(j)) for j, k in steps
        },
        "cohort_conversion": {stage: _cohort_conversion(view, stage) for stage in inner},
        "abandonment": {stage: share(stage, view.amount(stage, "abandoned.cohort")) for stage in inner},
        "loss": {stage: share(stage, view.lost(stage)) for stage in inner},
        "leaving": {stage: share(stage, view.left(stage)) for stage in inner},
        "win": {stage: share(stage, view.amount(stage, "won")) for stage in inner},
        "overall": conversion(view.entries(names[last_of_overall(funnel)]), view.entries(names[0])),
        "bottleneck": _bottleneck(view, names[: last_of_overall(funnel)]),
        "money": _money(funnel, view),
    }


def _cohort_conversion(view: CellView, stage: str) -> CohortRate | None:
    entries = view.entries(stage)
    rate = ratio(view.amount(stage, "advanced.cohort"), entries)
    return None if rate is None else {**rate, "maturity": view.resolved(stage) / entries}


def _bottleneck(view: CellView, names: list[str]) -> str | None:
    """The stage that most leave, of those that any leave and that have enough resolved entries; the earliest of
    equals."""
    shares = [
        (Fraction(view.left(stage), view.resolved(stage)), -number)
        for number, stage in enumerate(names)
        if view.resolved(stage) >= ENOUGH_RESOLVED and view.left(stage)
    ]
    return names[-max(shares)[1]] if shares else None


def _over(numerator: int | None, denominator: int | None) -> float | None:
    if numerator is None or not denominator:
        return None
    return numerator / denominator


def _money(funnel: Funnel, view: CellView) -> Money:
    """Amounts in minor units of the funnel's currency; costs per unit are absent without ad spend."""

    def ordered(family: str) -> int:
        amounts = (view.amounts(stage.name, family) for stage in funnel.stages if stage.nth is not None)
        return sum(by_currency.get(funnel.currency, 0) for by_currency in amounts)

    def in_role(role: str, family: str) -> int:
        return sum(view.amount(stage.name, family) for stage in funnel.stages if stage.role == role)

    orders, revenue = ordered("orders"), ordered("revenue")
    spend = view.amounts("", "spend").get(funnel.currency)
    impressions = in_role("impression", "events")
    return {
        "currency": funnel.currency,
        "orders": orders,
        "revenue": revenue,
        "refunds": ordered("refunds"),
        "spend": spend,
        "aov": _over(revenue, orders),
        "rpm": _over(1000 * revenue, impressions),
        "cpm": _over(None if spend is None else 1000 * spend, impressions),
        "cpc": _over(spend, in_role("click", "events")),
        "cpl": _over(spend, in_role("lead", "entries")),
        "cpa": _over(spend, in_role("payment", "entries")),
        "roas": _over(revenue, spend),
        "forecast": _forecast(funnel, view),
    }


def _forecast(funnel: Funnel, view: CellView) -> float | None:
    """Expected revenue: over the stages that are no order stage, the last one aside, open_value x won / resolved
    entries, exactly summed."""
    if all(stage.nth is None for stage in funnel.stages):
        return None
    names = [stage.name for stage in funnel.stages[:-1] if stage.nth is None]
    terms = [
        Fraction(
            view.amounts(stage, "open_value").get(funnel.currency, 0) * view.amount(stage, "won"), view.resolved(stage)
        )
        for stage in names
        if view.resolved(stage) > 0
    ]
    return float(sum(terms)) if terms else None
