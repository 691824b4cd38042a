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
        number = self.cell.get(self.funnel.stages[stage].name, {}).get(family, 0)
        value: int = number if sub is None else (number or {}).get(sub, 0)
        return value

    def passed(self, stage: int) -> int:
        return self.get(stage, "entries") + self.get(stage, "skipped")

    def lost(self, stage: int) -> int:
        reasons: dict[str, int] = self.cell.get(self.funnel.stages[stage].name, {}).get("lost.cohort", {})
        return sum(reasons.values())

    def left(self, stage: int) -> int:
        return self.lost(stage) + self.get(stage, "abandoned.cohort")

    def resolved(self, stage: int) -> int:
        return self.get(stage, "entries") - self.get(stage, "open")


def _compares_people(funnel: Funnel, dimension_values: str) -> bool:
    """Whether the people of a cell are the same at every stage: by a dimension of attribution `first` alone."""
    by_stage = {dimension.name for dimension in funnel.dimensions if dimension.attribution == "stage"}
    return not by_stage & {part.split("=", 1)[0] for part in dimension_values.split("|") if part}


def _end(funnel: Funnel) -> int:
    """The stage at which overall conversion ends."""
    first = next((k for k in range(len(funnel.stages)) if funnel.is_order_stage(k)), 0)
    return first or funnel.last


def rates_of(funnel: Funnel, cell: Cell, dimension_values: str = "") -> dict[str, Any]:
    """All rates of one cell (`counters[grain][bucket][dimension values]`)."""
    at = _Reader(funnel, cell)
    compares = _compares_people(funnel, dimension_values)
    names = [stage.name for stage in funnel.stages]
    last = funnel.last
    steps = [(j, j + 1) for j in range(last)]
    return {
        "period_conversion": {
            f"{names[j]} -> {names[k]}": ratio(at.get(k, "entries"), at.get(j, "entries")) if compares else None
            for j, k in steps
        },
        "step_conversion": {
            f"{names[j]} -> {names[k]}": ratio(at.passed(k) - at.get(k, "started"), at.passed(j)) if compares else None
            for j, k in steps
        },
        "cohort_conversion": {names[j]: _cohort(at, j) for j in range(last)},
        "abandonment": {names[j]: ratio(at.get(j, "abandoned.cohort"), at.resolved(j)) for j in range(last)},
        "loss": {names[j]: ratio(at.lost(j), at.resolved(j)) for j in range(last)},
        "leaving": {names[j]: ratio(at.left(j), at.resolved(j)) for j in range(last)},
        "win": {names[j]: ratio(at.get(j, "won"), at.resolved(j)) for j in range(last)},
        "overall": ratio(at.get(_end(funnel), "entries"), at.get(0, "entries")) if compares else None,
        "bottleneck": _bottleneck(at, names),
        "money": _money(at),
    }


def _cohort(at: _Reader, stage: int) -> Rate | None:
    entries = at.get(stage, "entries")
    share = ratio(at.get(stage, "advanced.cohort"), entries)
    return None if share is None else {**share, "maturity": at.resolved(stage) / entries}


def _bottleneck(at: _Reader, names: list[str]) -> str | None:
    """The stage before the end of the overall conversion that most leave, given enough; the earliest of equals."""
    shares = [
        (Fraction(at.left(stage), at.resolved(stage)), -stage)
        for stage in range(_end(at.funnel))
        if at.resolved(stage) >= ENOUGH_RESOLVED and at.left(stage)
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
    """Sum over the stages that are no order stage, the last one aside, of open_value x won / (entries - open)."""
    if not order_stages:
        return None
    terms = [
        Fraction(at.get(j, "open_value", at.funnel.currency) * at.get(j, "won"), at.resolved(j))
        for j in range(at.funnel.last)
        if at.resolved(j) and not at.funnel.is_order_stage(j)
    ]
    return float(sum(terms)) if terms else None
