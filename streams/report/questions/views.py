"""What an owner, a marketer and a head of sales look at first: which numbers, by which dimension. Pure.

A view counts nothing of its own: it chooses from what reports know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.percentiles import percentile
from streams.report.document.rates import rates_of
from streams.report.document.shapes import NamedCell, Rates
from streams.report.questions.legs import boundary_of

ViewName = Literal["owner", "marketing", "sales"]
Unit = Literal["count", "money", "share", "factor", "seconds"]


class ViewColumn(TypedDict):
    """One number of a row."""

    name: str
    unit: Unit
    """Money in minor units of the funnel's currency; seconds are an upper bound."""


class ViewRow(TypedDict):
    """One value of the dimension."""

    dim: str
    """Empty: the whole."""
    numbers: list[float | None]
    """In the order of the columns; None: absent."""


class ViewTable(TypedDict):
    """A table, its rows by the first column from the most to the least; the whole comes first."""

    columns: list[ViewColumn]
    rows: list[ViewRow]


@dataclass(frozen=True, slots=True)
class _Facts:
    """A cell with its rates."""

    funnel: Funnel
    view: CellView
    rates: Rates

    @property
    def first(self) -> str:
        """The first stage."""
        return self.funnel.stages[0].name

    @property
    def handed_over(self) -> str:
        """The stage at which people take over; without one the first."""
        return self.funnel.stages[boundary_of(self.funnel) or 0].name

    def summed(self, family: str, *, key: str | None = None) -> int:
        """Of all stages from there on."""
        stages = self.funnel.stages[boundary_of(self.funnel) or 0 :]
        if key is not None:
            return sum(self.view.amounts(stage.name, family).get(key, 0) for stage in stages)
        return sum(self.view.amount(stage.name, family) for stage in stages)


def _margin(facts: _Facts) -> float | None:
    """Revenue without refunds and cost, where orders have a cost."""
    cost = facts.summed("cost", key=facts.funnel.currency)
    money = facts.rates["money"]
    return money["revenue"] - money["refunds"] - cost if cost else None


def _win_rate(facts: _Facts) -> float | None:
    rate = facts.rates["win"].get(facts.handed_over)
    return None if rate is None else rate["rate"]


def _overall(facts: _Facts) -> float | None:
    rate = facts.rates["overall"]
    return None if rate is None else rate["rate"]


def _first_answer(facts: _Facts) -> float | None:
    """Within which edge half of the entries that went on had gone on."""
    by_edge: dict[str, int] = {}
    for key, count in facts.view.amounts(facts.handed_over, "durations").items():
        edge = key.rpartition(" ")[2]
        by_edge[edge] = by_edge.get(edge, 0) + count
    return percentile(by_edge, Fraction(1, 2))["at_most"] if sum(by_edge.values()) else None


_Column = tuple[str, Unit, Callable[[_Facts], float | None]]
_REVENUE: Final[_Column] = ("revenue", "money", lambda facts: facts.rates["money"]["revenue"])
_ORDERS: Final[_Column] = ("orders", "count", lambda facts: facts.rates["money"]["orders"])
_SPEND: Final[_Column] = ("spend", "money", lambda facts: facts.rates["money"]["spend"])
_ROAS: Final[_Column] = ("roas", "factor", lambda facts: facts.rates["money"]["roas"])
_OVERALL: Final[_Column] = ("overall", "share", _overall)

_COLUMNS: Final[Mapping[ViewName, tuple[_Column, ...]]] = {
    "owner": (
        _REVENUE,
        ("margin", "money", _margin),
        _ORDERS,
        ("aov", "money", lambda facts: facts.rates["money"]["aov"]),
        _SPEND,
        _ROAS,
        _OVERALL,
    ),
    "marketing": (
        ("entries", "count", lambda facts: facts.view.entries(facts.first)),
        ("leads", "count", lambda facts: facts.view.entries(facts.handed_over)),
        _ORDERS,
        _OVERALL,
        _REVENUE,
        _SPEND,
        ("cpl", "money", lambda facts: facts.rates["money"]["cpl"]),
        ("cpa", "money", lambda facts: facts.rates["money"]["cpa"]),
        _ROAS,
    ),
    "sales": (
        ("entries", "count", lambda facts: facts.view.entries(facts.handed_over)),
        ("open", "count", lambda facts: facts.summed("open")),
        ("stalled", "count", lambda facts: facts.summed("stalled")),
        ("open_value", "money", lambda facts: facts.summed("open_value", key=facts.funnel.currency)),
        ("lost", "count", lambda facts: facts.summed("lost.cohort")),
        ("win", "share", _win_rate),
        ("half_within", "seconds", _first_answer),
        _REVENUE,
    ),
}
VIEWS: Final = tuple(_COLUMNS)


def dimension_of(funnel: Funnel, view: ViewName) -> str | None:
    """By what the rows are: sales by the first dimension with the attribution `stage` (who works on it), the others by
    the first one with `first` (where people came from); None where there is none."""
    attribution = "stage" if view == "sales" else "first"
    return next((each.name for each in funnel.dimensions if each.attribution == attribution), None)


def view_table(funnel: Funnel, view: ViewName, *, cells: Mapping[str, NamedCell]) -> ViewTable:
    """Of the whole, and of each value of which there is anything to see."""
    rows = [_row(funnel, view, dim=dim, cell=cell) for dim, cell in cells.items()]
    rows = [row for row in rows if not row["dim"] or any(row["numbers"])]
    rows.sort(key=lambda row: (row["dim"] != "", -(row["numbers"][0] or 0), row["dim"]))
    return {"columns": [{"name": name, "unit": unit} for name, unit, _ in _COLUMNS[view]], "rows": rows}


def _row(funnel: Funnel, view: ViewName, *, dim: str, cell: NamedCell) -> ViewRow:
    facts = _Facts(funnel, CellView(cell), rates_of(funnel, cell, dim=dim))
    return {"dim": dim, "numbers": [of(facts) for _, _, of in _COLUMNS[view]]}


def lost_reasons(funnel: Funnel, cell: NamedCell) -> dict[str, int]:
    """Entries that were lost, by reason, of all stages, the most frequent first."""
    reasons: dict[str, int] = {}
    for stage in funnel.stages:
        for reason, count in CellView(cell).amounts(stage.name, "lost.cohort").items():
            reasons[reason] = reasons.get(reason, 0) + count
    return dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
