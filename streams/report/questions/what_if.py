"""What-if: the entries, orders and revenue of a cell if stages converted better, or more people came. Pure.

A journey that gets to a stage or jumps over it goes on with the step conversion (docs/semantics.md 5); those that start
in the middle of the funnel stay as many as they are. A lift of a stage raises the step conversion *into* it, at most to
100 %. Orders and revenue grow with the entries of their stage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.question import QuestionError
from streams.report.document.shapes import NamedCell

TOP = "top"
EACH = "each"
_LIFT = re.compile(r"([+-]?)(\d{1,6}(?:\.\d{1,6})?) ?%", re.ASCII)
_DEFAULT_LIFT = Fraction(11, 10)
_POINT = Fraction(1, 100)


@dataclass(frozen=True, slots=True)
class Lift:
    """What becomes of a conversion: `factor` times as much, then `points` more; or exactly `rate`."""

    factor: Fraction = Fraction(1)
    points: Fraction = Fraction(0)
    rate: Fraction | None = None

    def of(self, rate: Fraction) -> tuple[Fraction, bool]:
        """(the lifted conversion, whether it would have gone beyond 100 %)."""
        lifted = rate * self.factor + self.points if self.rate is None else self.rate
        most = max(Fraction(1), rate)  # a ratio of flows may lie above 1 before any lift
        return min(lifted, most), lifted > most


@dataclass(frozen=True, slots=True)
class Lifts:
    """What is supposed."""

    top: Fraction = Fraction(1)
    """So many times as many at the first stage."""
    stages: Mapping[str, Lift] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    """As they were written."""
    each: Fraction | None = None

    @classmethod
    def parse(cls, funnel: Funnel, text: str) -> Lifts:
        """`lead=+10%,payment=60%`, `top=+50%`, `each=+10%` (stages that are not named). Raises QuestionError."""
        names = [stage.name for stage in funnel.stages]
        texts: dict[str, str] = {}
        for part in text.split(","):
            name, _, amount = (piece.strip() for piece in part.partition("="))
            if name not in (TOP, EACH, *names):
                raise QuestionError(
                    f"what-if {name!r}: write {TOP}, {EACH} or a stage: {', '.join(names)}; e.g. lead=+10%"
                )
            if name in texts:
                raise QuestionError(f"what-if {name!r} is given twice")
            texts[name] = amount
        top = _lift(TOP if TOP in texts else names[0], texts.get(TOP, texts.get(names[0], "+0%")))
        if top.rate is not None:
            raise QuestionError("what-if: at the top there are entries and no conversion; write top=+50%")
        each = _lift(EACH, texts[EACH]) if EACH in texts else None
        stages = {name: _lift(name, texts[name]) if name in texts else each for name in names[1:]}
        lifts = {name: lift for name, lift in stages.items() if lift is not None}
        is_relative = each is not None and each.rate is None
        return cls(top.factor, lifts, texts, each.factor if each is not None and is_relative else None)


def _lift(name: str, text: str) -> Lift:
    match = _LIFT.fullmatch(text)
    if match is None:
        raise QuestionError(f"what-if {name}={text!r}: write +10%, -5%, or a conversion such as 60%")
    sign, share = match[1], Fraction(match[2]) / 100
    if not sign:
        if share > 1:
            raise QuestionError(f"what-if {name}={text}: a conversion is at most 100%; to raise it write +{text}")
        return Lift(rate=share)
    if sign == "-" and share > 1:
        raise QuestionError(f"what-if {name}={text}: nothing falls by more than 100%")
    return Lift(factor=1 + share if sign == "+" else 1 - share)


class Expected(TypedDict):
    """What a lift brings in all: expected minus counted."""

    entries: float
    """Of the last stage."""
    orders: float
    revenue: float
    """Minor units of the funnel's currency."""


class WhatIfStage(TypedDict):
    """One stage as it is and as it is expected."""

    stage: str
    conversion: float | None
    """Step conversion into it; None: at the first stage, or nobody got to the one before."""
    expected_conversion: float | None
    is_saturated: bool
    """Whether the lift was cut at 100 %."""
    entries: int
    expected_entries: float
    orders: int
    expected_orders: float
    revenue: int
    expected_revenue: float


class WhatIfGain(TypedDict):
    """What one stage alone would bring."""

    stage: str
    lift: Expected
    """By the relative lift of `lift_percent`."""
    point: Expected
    """By one percentage point."""


class WhatIfCell(TypedDict):
    """One cell."""

    dim: str
    stages: list[WhatIfStage]
    gain: Expected
    """Of all that is supposed."""
    lift_percent: float
    gains: list[WhatIfGain]
    pays_most: str | None
    """The stage whose lift brings most revenue (without revenue: orders, then entries of the last stage); of equal ones
    the one whose percentage point brings most."""
    converts_best: str | None
    """The stage with the highest step conversion into it."""


class WhatIfDocument(TypedDict):
    """The answer to a what-if."""

    funnel: str
    version: int
    watermark_ms: int | None
    currency: str
    what_if: dict[str, str]
    cells: list[WhatIfCell]


@dataclass(frozen=True, slots=True)
class _Flow:
    """A stage after the lifts, exactly."""

    conversion: Fraction | None
    is_saturated: bool
    passed: Fraction
    entries: Fraction
    orders: Fraction
    revenue: Fraction


def what_if(funnel: Funnel, cell: NamedCell, *, lifts: Lifts, dim: str = "") -> WhatIfCell:
    """The answer for one cell."""
    view = CellView(cell)
    counted, expected = _flows(funnel, view, lifts=Lifts()), _flows(funnel, view, lifts=lifts)
    factor = _DEFAULT_LIFT if lifts.each is None else lifts.each
    names = [stage.name for stage in funnel.stages]
    alone: dict[str, tuple[tuple[Fraction, ...], tuple[Fraction, ...]]] = {}
    for name in names[1:]:
        lifted, pointed = (Lifts(stages={name: lift}) for lift in (Lift(factor=factor), Lift(points=_POINT)))
        alone[name] = (
            _gain(counted, _flows(funnel, view, lifts=lifted)),
            _gain(counted, _flows(funnel, view, lifts=pointed)),
        )
    best = max(names[1:], key=lambda name: alone[name])
    rates = {name: flow.conversion for name, flow in zip(names, counted, strict=True) if flow.conversion is not None}
    return {
        "dim": dim,
        "stages": [_stage(*row) for row in zip(names, counted, expected, strict=True)],
        "gain": _expected(_gain(counted, expected)),
        "lift_percent": float(100 * (factor - 1)),
        "gains": [
            {"stage": name, "lift": _expected(lift), "point": _expected(point)} for name, (lift, point) in alone.items()
        ],
        "pays_most": best if any(gain > 0 for gains in alone[best] for gain in gains) else None,
        "converts_best": max(rates, key=lambda name: rates[name]) if rates else None,
    }


def _flows(funnel: Funnel, view: CellView, *, lifts: Lifts) -> list[_Flow]:
    flows: list[_Flow] = []
    for number, stage in enumerate(funnel.stages):
        before = (funnel.stages[number - 1].name, flows[-1].passed) if number else None
        flows.append(_flow(view, stage.name, lifts=lifts, before=before, currency=funnel.currency))
    return flows


def _flow(view: CellView, stage: str, *, lifts: Lifts, before: tuple[str, Fraction] | None, currency: str) -> _Flow:
    """`before`: the stage before and how many pass it now."""
    counted, passed = view.passed(stage), Fraction(view.passed(stage))
    conversion, is_saturated = None, False
    if before is None:
        passed *= lifts.top
    elif (base := view.passed(before[0])) > 0:
        started = view.amount(stage, "started")
        rate = Fraction(counted - started, base)
        conversion, is_saturated = lifts.stages.get(stage, Lift()).of(rate)
        passed = started + conversion * before[1]
    entries = view.entries(stage)
    expected = passed * Fraction(entries, counted) if counted else passed
    grown = expected / entries if entries else Fraction(1)
    orders, revenue = (view.amounts(stage, family).get(currency, 0) for family in ("orders", "revenue"))
    return _Flow(conversion, is_saturated, passed, expected, orders * grown, revenue * grown)


def _gain(counted: Sequence[_Flow], expected: Sequence[_Flow]) -> tuple[Fraction, ...]:
    """(revenue, orders, entries of the last stage)."""
    pairs = list(zip(counted, expected, strict=True))
    return (
        sum((after.revenue - before.revenue for before, after in pairs), Fraction(0)),
        sum((after.orders - before.orders for before, after in pairs), Fraction(0)),
        expected[-1].entries - counted[-1].entries,
    )


def _expected(gain: tuple[Fraction, ...]) -> Expected:
    revenue, orders, entries = map(float, gain)
    return {"entries": entries, "orders": orders, "revenue": revenue}


def _stage(name: str, counted: _Flow, expected: _Flow) -> WhatIfStage:
    return {
        "stage": name,
        "conversion": None if counted.conversion is None else float(counted.conversion),
        "expected_conversion": None if expected.conversion is None else float(expected.conversion),
        "is_saturated": expected.is_saturated,
        "entries": int(counted.entries),
        "expected_entries": float(expected.entries),
        "orders": int(counted.orders),
        "expected_orders": float(expected.orders),
        "revenue": int(counted.revenue),
        "expected_revenue": float(expected.revenue),
    }
