"""Two spans compared: every rate with its test, and where the change of the overall conversion comes from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.rates import last_of_overall, rates_of
from streams.report.document.shapes import NamedCell
from streams.report.document.spans import SpanDates
from streams.report.questions.compared import Compared, ComparedNumber, compare_numbers, compare_rates, pair_up
from streams.report.questions.decompose import Contribution, Counts, decompose
from streams.report.questions.legs import Legs, legs_of

TOP_CONTRIBUTORS = 3


class ValueContribution(TypedDict):
    """What one value of a dimension has contributed to the change of the overall conversion."""

    value: str
    before: list[int]
    """[numerator, denominator]."""
    after: list[int]
    mix: float
    rate: float
    neither: float
    total: float


class Decomposition(TypedDict):
    """The change of the overall conversion by the values of one dimension: mix + rate + neither = change."""

    dim: str
    change: float
    mix: float
    rate: float
    neither: float
    """Of values with orders and without entries in a span: who came before it."""
    values: list[ValueContribution]
    """Those that contributed most come first."""
    top: list[str]
    """The first three of them that contributed anything."""


class ComparedTables(TypedDict):
    """The part of the document that is of one cell."""

    entries: dict[str, ComparedNumber]
    """By stage."""
    period_conversion: dict[str, Compared]
    step_conversion: dict[str, Compared]
    """Both by `"j -> k"`."""
    cohort_conversion: dict[str, Compared]
    """By stage."""
    overall: Compared
    legs: Legs | None
    """Where the funnel has no sales leg, or one of the spans has no overall conversion: None."""
    orders: ComparedNumber
    revenue: ComparedNumber
    """Minor units."""


class ComparisonDocument(ComparedTables):
    """The answer to a comparison."""

    funnel: str
    version: int
    watermark_ms: int | None
    currency: str
    dim: str
    """The cell that is compared: empty for the whole."""
    before: SpanDates
    after: SpanDates
    decompositions: list[Decomposition]


@dataclass(frozen=True, slots=True)
class Sides:
    """Cells of both spans by the values of a dimension, or the one that is compared."""

    before: Mapping[str, NamedCell]
    after: Mapping[str, NamedCell]


def compare_cells(funnel: Funnel, *, before: NamedCell, after: NamedCell, dim: str = "") -> ComparedTables:
    """Every rate of a cell in both spans; `dim` is its label."""
    first, second = rates_of(funnel, before, dim=dim), rates_of(funnel, after, dim=dim)
    views = CellView(before), CellView(after)
    cohorts = {
        stage: (rate, second["cohort_conversion"].get(stage)) for stage, rate in first["cohort_conversion"].items()
    }
    are_known = {
        stage: all(rate is not None and rate["maturity"] == 1 for rate in pair) for stage, pair in cohorts.items()
    }
    return {
        "entries": {
            stage.name: compare_numbers(*(view.entries(stage.name) for view in views)) for stage in funnel.stages
        },
        "period_conversion": compare_rates(pair_up(first["period_conversion"], second["period_conversion"])),
        "step_conversion": compare_rates(pair_up(first["step_conversion"], second["step_conversion"])),
        "cohort_conversion": compare_rates(cohorts, are_known),
        "overall": compare_rates({"": (first["overall"], second["overall"])})[""],
        "legs": legs_of(funnel, before=before, after=after, dim=dim),
        "orders": compare_numbers(first["money"]["orders"], second["money"]["orders"]),
        "revenue": compare_numbers(first["money"]["revenue"], second["money"]["revenue"]),
    }


def decompose_overall(funnel: Funnel, sides: Sides, *, dim: str) -> Decomposition | None:
    """Where the change of the overall conversion comes from; None where one of the spans has none."""
    before, after = (
        {value: overall_counts(funnel, cell) for value, cell in cells.items()} for cells in (sides.before, sides.after)
    )
    parts = decompose(before, after)
    if not parts:
        return None
    ranked = sorted(parts, key=lambda value: (-abs(parts[value].total), value))
    return {
        "dim": dim,
        "change": float(sum((part.total for part in parts.values()), Fraction(0))),
        "mix": float(sum((part.mix for part in parts.values()), Fraction(0))),
        "rate": float(sum((part.rate for part in parts.values()), Fraction(0))),
        "neither": float(sum((part.neither for part in parts.values()), Fraction(0))),
        "values": [
            _value(value, before=before.get(value), after=after.get(value), part=parts[value]) for value in ranked
        ],
        "top": [value for value in ranked if parts[value].total][:TOP_CONTRIBUTORS],
    }


def overall_counts(funnel: Funnel, cell: NamedCell) -> Counts:
    """(numerator, denominator) of the overall conversion, also where the denominator is 0 and there is no rate."""
    view = CellView(cell)
    return view.entries(funnel.stages[last_of_overall(funnel)].name), view.entries(funnel.stages[0].name)


def _value(value: str, *, before: Counts | None, after: Counts | None, part: Contribution) -> ValueContribution:
    return {
        "value": value,
        "before": list(before or (0, 0)),
        "after": list(after or (0, 0)),
        "mix": float(part.mix),
        "rate": float(part.rate),
        "neither": float(part.neither),
        "total": float(part.total),
    }
