"""Rates of one cell of counters, as docs/semantics.md 5 defines them. Pure.

Every rate comes with its denominator, every share with its 95 % Wilson interval (E. B. Wilson, 1927). A rate over
nothing is None: absent, never 0 and never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from schemas.funnel.model import Funnel

Z = 1.959964
ENOUGH_RESOLVED = 30
"""Entries that must be resolved before a stage may be called the bottleneck."""

Rate = dict[str, Any]
"""rate, numerator, denominator, interval ([low, high] or None)."""
NamedCell = Mapping[str, Mapping[str, Any]]


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


def rates_of(funnel: Funnel, cell: NamedCell) -> dict[str, Any]:
    """All rates of one cell (`counters[grain][bucket][dimension values]` of the document).

    Conversions are of neighbouring stages (`"j -> k"`); `overall` is last over first.
    """
    at = CellView(funnel, cell)
    names = [stage.name for stage in funnel.stages]
    last = len(names) - 1
    steps = {f"{names[j]} -> {names[j + 1]}": j for j in range(last)}
    return {
        "period_conversion": {step: ratio(at.entries(j + 1), at.entries(j)) for step, j in steps.items()},
        "step_conversion": {
            step: ratio(at.passed(j + 1) - at.get(j + 1, "started"), at.passed(j)) for step, j in steps.items()
        },
        "cohort_conversion": {names[j]: _cohort_conversion(at, j) for j in range(last)},
        "abandonment": {names[j]: ratio(at.get(j, "abandoned.cohort"), at.resolved(j)) for j in range(last)},
        "overall": ratio(at.entries(last), at.entries(0)),
        "bottleneck": _bottleneck(at, names),
        "money": _money(at),
    }


class CellView:
    """Amounts of a cell by the number of the stage; what is left out is 0."""

    def __init__(self, funnel: Funnel, cell: NamedCell) -> None:
        self.funnel = funnel
        self.cell = cell

    def get(self, stage: int, family: str) -> int:
        """A family without sub-keys."""
        amount: int = self.cell.get(self.funnel.stages[stage].name, {}).get(family, 0)
        return amount

    def by_key(self, stage: int, family: str, key: str) -> int:
        """One sub-key of a family."""
        amount: int = self.cell.get(self.funnel.stages[stage].name, {}).get(family, {}).get(key, 0)
        return amount

    def entries(self, stage: int) -> int:
        """Entries of a stage."""
        return self.get(stage, "entries")

    def passed(self, stage: int) -> int:
        """Journeys that got to the stage or jumped over it."""
        return self.entries(stage) + self.get(stage, "skipped")

    def resolved(self, stage: int) -> int:
        """Entries whose outcome is known."""
        return self.entries(stage) - self.get(stage, "open")

    def in_role(self, role: str, family: str) -> int:
        """A family summed over the stages of a role."""
        return sum(self.get(k, family) for k, stage in enumerate(self.funnel.stages) if stage.role == role)


def _cohort_conversion(at: CellView, stage: int) -> Rate | None:
    entries = at.entries(stage)
    found = ratio(at.get(stage, "advanced.cohort"), entries)
    return None if found is None else {**found, "maturity": at.resolved(stage) / entries}


def _bottleneck(at: CellView, names: list[str]) -> str | None:
    """The stage with the highest abandonment among those with enough resolved entries; the earliest of equals."""
    shares = [
        (Fraction(at.get(stage, "abandoned.cohort"), at.resolved(stage)), -stage)
        for stage in range(len(names) - 1)
        if at.resolved(stage) >= ENOUGH_RESOLVED
    ]
    return names[-max(shares)[1]] if shares else None


def _over(numerator: int | None, denominator: int | None) -> float | None:
    if numerator is None or not denominator:
        return None
    return numerator / denominator


def _money(at: CellView) -> dict[str, Any]:
    """Amounts in minor units of the funnel's currency; costs per unit are absent without ad spend."""
    currency = at.funnel.currency
    order_stages = [k for k, stage in enumerate(at.funnel.stages) if stage.nth is not None]
    orders, revenue, refunds = (
        sum(at.by_key(k, family, currency) for k in order_stages) for family in ("orders", "revenue", "refunds")
    )
    spend: int | None = at.cell.get("", {}).get("spend", {}).get(currency)
    per_mille = None if spend is None else 1000 * spend
    return {
        "currency": currency,
        "orders": orders,
        "revenue": revenue,
        "refunds": refunds,
        "spend": spend,
        "aov": _over(revenue, orders),
        "rpm": _over(1000 * revenue, at.in_role("impression", "events")),
        "cpm": _over(per_mille, at.in_role("impression", "events")),
        "cpc": _over(spend, at.in_role("click", "events")),
        "cpl": _over(spend, at.in_role("lead", "entries")),
        "cpa": _over(spend, at.in_role("payment", "entries")),
        "roas": _over(revenue, spend),
        "forecast": _forecast(at, order_stages),
    }


def _forecast(at: CellView, order_stages: list[int]) -> float | None:
    """Expected revenue: over the stages before the first order, open_value x won / resolved entries, exactly summed."""
    if not order_stages:
        return None
    terms = [
        Fraction(at.by_key(stage, "open_value", at.funnel.currency) * at.get(stage, "won"), at.resolved(stage))
        for stage in range(order_stages[0])
        if at.resolved(stage) > 0
    ]
    return float(sum(terms)) if terms else None
