"""Rates of one cell of counters, in exact arithmetic until the last step. A rate over nothing is None."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from tests.oracle.definition import Funnel

Z = 1.959964
ENOUGH_RESOLVED = 30

Cell = dict[str, dict[str, Any]]
Rate = dict[str, Any]


def wilson(successes: int, trials: int) -> list[float] | None:
    """The 95 % Wilson score interval of a share; None where it is no share of something."""
    if trials <= 0 or not 0 <= successes <= trials:
        return None
    p = successes / trials
    centre = p + Z * Z / (2 * trials)
    spread = Z * math.sqrt(p * (1 - p) / trials + Z * Z / (4 * trials * trials))
    scale = 1 + Z * Z / trials
    return [(centre - spread) / scale, (centre + spread) / scale]


def ratio(numerator: int, denominator: int) -> Rate | None:
    """A rate in contract form."""
    if denominator == 0:
        return None
    return {
        "rate": numerator / denominator,
        "numerator": numerator,
        "denominator": denominator,
        "interval": wilson(numerator, denominator),
    }


class _Reader:
    def __init__(self, funnel: Funnel, cell: Cell) -> None:
        self.funnel, self.cell = funnel, cell

    def get(self, stage: int, family: str, sub: str | None = None) -> int:
        found = self.cell.get(self.funnel.stages[stage].name, {}).get(family, 0)
        value: int = found if sub is None else (found or {}).get(sub, 0)
        return value

    def passed(self, stage: int) -> int:
        return self.get(stage, "entries") + self.get(stage, "skipped")

    def resolved(self, stage: int) -> int:
        return self.get(stage, "entries") - self.get(stage, "open")


def rates_of(funnel: Funnel, cell: Cell) -> dict[str, Any]:
    """All rates of one cell (`counters[grain][bucket][dimension values]`)."""
    at = _Reader(funnel, cell)
    names = [stage.name for stage in funnel.stages]
    last = funnel.last
    steps = [(j, j + 1) for j in range(last)]
    abandonment = {names[j]: ratio(at.get(j, "abandoned.cohort"), at.resolved(j)) for j in range(last)}
    return {
        "period_conversion": {
            f"{names[j]} -> {names[k]}": ratio(at.get(k, "entries"), at.get(j, "entries")) for j, k in steps
        },
        "step_conversion": {
            f"{names[j]} -> {names[k]}": ratio(at.passed(k) - at.get(k, "started"), at.passed(j)) for j, k in steps
        },
        "cohort_conversion": {names[j]: _cohort(at, j) for j in range(last)},
        "abandonment": abandonment,
        "overall": ratio(at.get(last, "entries"), at.get(0, "entries")),
        "bottleneck": _bottleneck(at, names),
        "money": _money(at),
    }


def _cohort(at: _Reader, stage: int) -> Rate | None:
    entries = at.get(stage, "entries")
    found = ratio(at.get(stage, "advanced.cohort"), entries)
    return None if found is None else {**found, "maturity": at.resolved(stage) / entries}


def _bottleneck(at: _Reader, names: list[str]) -> str | None:
    """The stage with the highest abandonment rate among those with enough resolved entries; the earliest of equals."""
    shares = [
        (Fraction(at.get(stage, "abandoned.cohort"), at.resolved(stage)), -stage)
        for stage in range(len(names) - 1)
        if at.resolved(stage) >= ENOUGH_RESOLVED
    ]
    return names[-max(shares)[1]] if shares else None


def _over(numerator: Fraction | int | None, denominator: int) -> float | None:
    if numerator is None or denominator == 0:
        return None
    return float(Fraction(numerator) / denominator)


def _money(at: _Reader) -> dict[str, Any]:
    funnel, currency = at.funnel, at.funnel.currency
    order_stages = [k for k in range(len(funnel.stages)) if funnel.is_order_stage(k)]
    orders = sum(at.get(k, "orders", currency) for k in order_stages)
    revenue = sum(at.get(k, "revenue", currency) for k in order_stages)
    refunds = sum(at.get(k, "refunds", currency) for k in order_stages)
    spend = at.cell.get("", {}).get("spend", {}).get(currency)

    def in_role(role: str, family: str) -> int:
        return sum(at.get(k, family) for k, stage in enumerate(funnel.stages) if stage.role == role)

    return {
        "currency": currency,
        "orders": orders,
        "revenue": revenue,
        "refunds": refunds,
        "spend": spend,
        "aov": _over(revenue, orders),
        "rpm": _over(1000 * revenue, in_role("impression", "events")),
        "cpm": _over(None if spend is None else 1000 * spend, in_role("impression", "events")),
        "cpc": _over(spend, in_role("click", "events")),
        "cpl": _over(spend, in_role("lead", "entries")),
        "cpa": _over(spend, in_role("payment", "entries")),
        "roas": None if not spend else _over(revenue, spend),
        "forecast": _forecast(at, order_stages),
    }


def _forecast(at: _Reader, order_stages: list[int]) -> float | None:
    """Sum over the stages before the first order of open_value x won / (entries - open)."""
    if not order_stages:
        return None
    terms = [
        Fraction(at.get(j, "open_value", at.funnel.currency) * at.get(j, "won"), at.resolved(j))
        for j in range(order_stages[0])
        if at.resolved(j)
    ]
    return float(sum(terms)) if terms else None
