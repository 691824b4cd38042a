"""What the settled cohorts of a cell teach about journeys that are under way, and which entries still are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView, sum_cells
from streams.report.document.shapes import NamedCell
from streams.report.forecasting.curves import Curves, leaving_of, window_days

HISTORY_DAYS = 90
"""Days of settled cohorts to learn from."""
LEAST_ORDERS = 30
"""Of a dimension value; with less the whole is taken."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What an order of a journey is worth."""

    mean: float
    relative_variance: float
    """The variance over the mean's square."""
    orders: int

    @classmethod
    def of(cls, funnel: Funnel, days: Iterable[NamedCell]) -> Amounts | None:
        """From days: the revenue of one with n orders varies by n times the variance of an order. None without any."""
        sums = [_orders_and_revenue(funnel, cell) for cell in days]
        orders, revenue = (sum(numbers) for numbers in zip(*sums, strict=True)) if sums else (0, 0)
        if orders <= 0 or revenue <= 0:
            return None
        mean = revenue / orders
        squares = [(amount - number * mean) ** 2 / number for number, amount in sums if number > 0]
        variance = sum(squares) / max(1, len(squares) - 1)
        return cls(mean, variance / (mean * mean), orders)


def _orders_and_revenue(funnel: Funnel, cell: NamedCell) -> tuple[int, int]:
    view = CellView(cell)
    stages = [stage.name for stage in funnel.stages if stage.nth is not None]
    orders, revenue = (
        sum(view.amounts(name, family).get(funnel.currency, 0) for name in stages) for family in ("orders", "revenue")
    )
    return orders, revenue


@dataclass(frozen=True, slots=True)
class Learned:
    """What the history of a cell says."""

    dim: str
    curves: Curves
    amounts: Amounts | None
    has_values: frozenset[int]
    """Stages that book values of their own."""
    mean_values: Mapping[int, float]


def learn(funnel: Funnel, days: Mapping[int, NamedCell], *, now: int, dim: str) -> Learned:
    """From the cohorts that are settled on the day `now`: the window lies behind all of their entries. What was
    counted of them by then is what is counted today, so a look back learns nothing that was not known."""
    end = settled_before(funnel, now)
    settled = [cell for day, cell in days.items() if end - HISTORY_DAYS <= day < end]
    cell = CellView(sum_cells(settled))
    past = [cell for day, cell in days.items() if now - HISTORY_DAYS <= day < now]
    values = {
        number: sum(CellView(each).amounts(stage.name, "value").get(funnel.currency, 0) for each in settled)
        for number, stage in enumerate(funnel.stages)
        if stage.nth is None
    }
    means = {number: value / cell.entries(funnel.stages[number].name) for number, value in values.items() if value}
    return Learned(dim, Curves.of(funnel, cell), Amounts.of(funnel, past), frozenset(means), means)


def settled_before(funnel: Funnel, now: int) -> int:
    """Every journey with an entry before this day is over when the day `now` begins."""
    return now - ceil(window_days(funnel)) - 1


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of one stage and day that are still there."""

    stage: int
    age: float
    there: float
    open: int = 0
    open_value: int = 0


def groups_now(funnel: Funnel, days: Mapping[int, NamedCell], *, now: float) -> list[Group]:
    """Exactly as counted: entries without those that went on or were lost; `now` in days, with its fraction."""
    groups = []
    for day, cell in days.items():
        if not now - window_days(funnel) <= day <= now:
            continue
        view, age = CellView(cell), (now - day) / 2 if now - day < 1 else now - day - 0.5
        for number, stage in open_stages(funnel):
            gone = view.amount(stage, "transitions.cohort") + view.lost(stage)
            if (there := view.entries(stage) - gone) > 0:
                value = view.amounts(stage, "open_value").get(funnel.currency, 0)
                groups.append(Group(number, age, there, view.amount(stage, "open"), value))
    return groups


def groups_then(funnel: Funnel, days: Mapping[int, NamedCell], *, now: int) -> list[Group]:
    """As they were when the day `now` began: by the cohort's own histograms, spread evenly within a bucket."""
    groups = []
    for day, cell in days.items():
        if now - window_days(funnel) <= day < now:
            age = now - day - 0.5
            for number, _ in open_stages(funnel):
                if (there := leaving_of(funnel, CellView(cell), stage=number).there(age)) > 0:
                    groups.append(Group(number, age, there))
    return groups


def open_stages(funnel: Funnel) -> list[tuple[int, str]]:
    """Those from which an order can still come first."""
    return [(number, stage.name) for number, stage in enumerate(funnel.stages[:-1]) if stage.nth is None]
