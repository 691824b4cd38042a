"""Rates of one cell of counters, as docs/semantics.md 5 defines them. Pure.

Every rate comes with its denominator, every share with its 95 % Wilson interval (E. B. Wilson, 1927). A rate over
nothing is None: absent, never 0 and never NaN.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from schemas.funnel.model import Funnel
from streams.report.document.cell import NO_STAGE, CellView, StageView
from streams.report.document.shapes import CohortRate, Money, NamedCell, Rate, Rates

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


@lru_cache(maxsize=16_384)  # nearly all cells of a long, sparse history are among few
def ratio(numerator: int, denominator: int) -> Rate | None:
    """A rate with what it was made of, which nobody may change. Above 1 (a ratio of flows) it has no interval."""
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


def rates_of(funnel: Funnel, cell: NamedCell, *, dim: str = "") -> Rates:
    """All rates of one cell (`counters[grain][bucket][dim]` of the document).

    Conversions are of neighbouring stages (`"j -> k"`); `overall` ends at the first order stage.
    """
    return FunnelRates(funnel).of(cell, dim)


class FunnelRates:
    """Rates of many cells of one funnel: what follows from the funnel alone is made once."""

    def __init__(self, funnel: Funnel) -> None:
        self._funnel, self._stages = funnel, [stage.name for stage in funnel.stages]
        self._steps = [(f"{j} -> {k}", j, k) for j, k in pairwise(self._stages)]
        self._overall = last_of_overall(funnel)
        self._orders = [stage.name for stage in funnel.stages if stage.nth is not None]
        self._roles = {
            role: [stage.name for stage in funnel.stages if stage.role == role]
            for role in ("impression", "click", "lead", "payment")
        }
        self._forecast = [stage.name for stage in funnel.stages[:-1] if stage.nth is None] if self._orders else []
        self._compares: dict[str, bool] = {}

    def of(self, cell: NamedCell, dim: str = "") -> Rates:
        """All rates of one cell; equal rates may be one object."""
        view = CellView(cell)
        stages = {name: view.stage(name) if name in cell else NO_STAGE for name in self._stages}
        conversion = ratio if self._compares_people(dim) else _absent
        steps = [(label, stages[j], stages[k]) for label, j, k in self._steps]
        inner = list(stages.items())[:-1]
        return {
            "period_conversion": {label: conversion(of_k.entries, of_j.entries) for label, of_j, of_k in steps},
            "step_conversion": {
                label: conversion(of_k.passed - of_k.started, of_j.passed) for label, of_j, of_k in steps
            },
            "cohort_conversion": {name: _cohort_conversion(stage) for name, stage in inner},
            "abandonment": {name: ratio(stage.abandoned, stage.resolved) for name, stage in inner},
            "loss": {name: ratio(stage.lost, stage.resolved) for name, stage in inner},
            "leaving": {name: ratio(stage.lost + stage.abandoned, stage.resolved) for name, stage in inner},
            "win": {name: ratio(stage.won, stage.resolved) for name, stage in inner},
            "overall": conversion(stages[self._stages[self._overall]].entries, stages[self._stages[0]].entries),
            "bottleneck": _bottleneck(list(stages.items())[: self._overall]),
            "money": self._money(view),
        }

    def _compares_people(self, dim: str) -> bool:
        known = self._compares.get(dim)
        if known is None:
            known = self._compares[dim] = compares_people(self._funnel, dim)
        return known

    def _money(self, view: CellView) -> Money:
        """Amounts in minor units of the funnel's currency; costs per unit are absent without ad spend."""
        currency = self._funnel.currency

        def ordered(family: str) -> int:
            return sum([view.amounts(name, family).get(currency, 0) for name in self._orders])

        def in_role(role: str, family: str) -> int:
            return sum([view.amount(name, family) for name in self._roles[role]])

        orders, revenue = ordered("orders"), ordered("revenue")
        spend = view.amounts("", "spend").get(currency)
        impressions = in_role("impression", "events")
        return {
            "currency": currency,
            "orders": orders,
            "revenue": revenue,
            "refunds": ordered("refunds"),
            "spend": spend,
            "aov": _over(revenue, orders),
            "rpm": _over(1000 * revenue, impressions),
            "cpm": _over(None if spend is None else 1000 * spend, impressions),
            "cpc": _over(spend, in_role("click", "events") if spend is not None else 0),
            "cpl": _over(spend, in_role("lead", "entries") if spend is not None else 0),
            "cpa": _over(spend, in_role("payment", "entries") if spend is not None else 0),
            "roas": _over(revenue, spend),
            "forecast": self._expected(view, currency),
        }

    def _expected(self, view: CellView, currency: str) -> float | None:
        """Expected revenue: over the stages that are no order stage, the last one aside, open_value x won / resolved
        entries, exactly summed."""
        resolved = {name: number for name in self._forecast if (number := view.resolved(name)) > 0}
        if not resolved:
            return None
        values = {name: view.amounts(name, "open_value").get(currency, 0) for name in resolved}
        terms = (Fraction(value * view.amount(name, "won"), resolved[name]) for name, value in values.items() if value)
        return float(sum(terms))


def _absent(_numerator: int, _denominator: int) -> None:
    return None


def _cohort_conversion(stage: StageView) -> CohortRate | None:
    rate = ratio(stage.advanced, stage.entries)
    return None if rate is None else {**rate, "maturity": stage.resolved / stage.entries}


def _bottleneck(stages: list[tuple[str, StageView]]) -> str | None:
    """The stage that most leave, of those that any leave and that have enough resolved entries; the earliest of
    equals."""
    shares = [
        (Fraction(stage.lost + stage.abandoned, stage.resolved), -number)
        for number, (_, stage) in enumerate(stages)
        if stage.resolved >= ENOUGH_RESOLVED and stage.lost + stage.abandoned
    ]
    return stages[-max(shares)[1]][0] if shares else None


def _over(numerator: int | None, denominator: int | None) -> float | None:
    if numerator is None or not denominator:
        return None
    return numerator / denominator
