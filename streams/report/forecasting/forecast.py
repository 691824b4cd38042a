"""Revenue to expect from journeys that are under way: by stage and age of the entry, and when it comes. Pure.

An entry that is still there at its age orders with the probability that the settled cohorts had
(`forecasting.curves`). It brings its own value where its stage books values (`open_value`), else the mean revenue of
an order. With q the probability, v the mean amount and c its coefficient of variation, n entries bring n q v with the
variance

    n v^2 (q (1 - q) + q c^2)  +  (n q v)^2 ((1 - q) / w + c^2 / o)

the first part from chance, the second from having learned q of w orders and the amount of o. The sum is taken for a
gamma variable (`forecasting.gamma`). Entries that are abandoned and may yet come back count with the others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from schemas.funnel.model import Funnel
from schemas.times import date_of
from streams.report.forecasting.curves import add_convolved, window_days
from streams.report.forecasting.gamma import Outlook
from streams.report.forecasting.learning import Group, Learned, open_stages

AGES_DAYS = (0, 1, 3, 7, 14, 30, 60, 90)
WHEN_DAYS = (7, 14, 30, 60, 90)


class ForecastAge(TypedDict):
    """Entries of one stage by their age in days."""

    least_days: int
    """At least so old."""
    entries: float
    win_rate: float | None
    """None: in the history nobody stayed so long."""
    expected: float


class ForecastStage(TypedDict):
    """What is under way at one stage."""

    stage: str
    entries: float
    """Still there: neither gone on nor lost."""
    open: int
    open_value: int
    """Minor units of the funnel's currency."""
    orders: float
    expected: float
    """Revenue, minor units."""
    ages: list[ForecastAge]


class ForecastUntil(TypedDict):
    """What has come by a date."""

    until: str
    """The last day of it."""
    orders: float
    expected: float
    interval: list[float]
    """95 %."""


class ForecastCell(TypedDict):
    """One cell."""

    dim: str
    learned_from: str
    """The cell whose history was taken: this one, or the whole where it has too few orders."""
    learned_orders: int
    orders: float | None
    expected: float | None
    """None, like the others: no settled cohort has ordered yet."""
    interval: list[float] | None
    when: list[ForecastUntil]
    """By then in all; the last one is the end of the conversion window."""
    stages: list[ForecastStage]


@dataclass(frozen=True, slots=True)
class StageOutlook:
    """What a stage's entries bring."""

    there: float
    steps: Sequence[float]
    """Orders in each step of time from now."""
    worth_steps: Sequence[float]

    def outlook(self, learned: Learned, *, stage: int, until: int) -> tuple[float, Outlook]:
        """(orders, revenue) of the first steps."""
        orders, expected = sum(self.steps[:until]), sum(self.worth_steps[:until])
        return orders, Outlook(expected, _variance(learned, stage, of=self, orders=orders, expected=expected))


def _variance(learned: Learned, stage: int, *, of: StageOutlook, orders: float, expected: float) -> float:
    """See the module."""
    if orders <= 0 or expected <= 0 or learned.amounts is None:
        return 0.0
    q, mean, spread = min(1.0, orders / of.there), expected / orders, learned.amounts.relative_variance
    chance = of.there * mean * mean * (q * (1 - q) + q * spread)
    won = max(1, learned.curves.leaving[stage].won)
    return chance + expected * expected * ((1 - q) / won + spread / learned.amounts.orders)


def stage_outlooks(learned: Learned, groups: Iterable[Group]) -> dict[int, StageOutlook]:
    """By stage what its entries bring."""
    curves, by_stage = learned.curves, _by_stage(groups)
    outlooks = {}
    for stage, those in by_stage.items():
        steps = [0.0] * len(curves.ordered[stage])
        worths = list(steps)
        weighted: dict[int, tuple[list[float], list[float]]] = {}
        for group in those:
            worth = worth_of(learned, group)
            for later, shares in (curves.going_on(stage, group.age) or {}).items():
                counted, valued = weighted.setdefault(later, ([], []))
                _add(counted, shares, weight=group.there)
                _add(valued, shares, weight=worth)
        for later, (counted, valued) in weighted.items():
            add_convolved(steps, first=counted, second=curves.ordered[later])
            add_convolved(worths, first=valued, second=curves.ordered[later])
        outlooks[stage] = StageOutlook(sum(group.there for group in those), steps, worths)
    return outlooks


def worth_of(learned: Learned, group: Group) -> float:
    """The amount of all its entries, if all ordered."""
    if group.stage in learned.has_values:
        return group.open_value + (group.there - group.open) * learned.mean_values[group.stage]
    return group.there * (learned.amounts.mean if learned.amounts else 0.0)


def _by_stage(groups: Iterable[Group]) -> dict[int, list[Group]]:
    by_stage: dict[int, list[Group]] = {}
    for group in groups:
        by_stage.setdefault(group.stage, []).append(group)
    return by_stage


def _add(total: list[float], shares: Sequence[float], *, weight: float) -> None:
    total += [0.0] * (len(shares) - len(total))
    for number, share in enumerate(shares):
        total[number] += share * weight


def forecast_cell(funnel: Funnel, learned: Learned, *, groups: Sequence[Group], dim: str, today: int) -> ForecastCell:
    """The answer for one cell."""
    if learned.amounts is None or not learned.curves.won:
        return _nothing_learned(dim, learned)
    outlooks = stage_outlooks(learned, groups)
    last = today + int(window_days(funnel))
    whens = [today + days for days in WHEN_DAYS if today + days < last] + [last]
    when = [_until(learned, outlooks, today=today, until=until) for until in whens]
    return {
        "dim": dim,
        "learned_from": learned.dim,
        "learned_orders": learned.curves.won,
        "orders": when[-1]["orders"],
        "expected": when[-1]["expected"],
        "interval": when[-1]["interval"],
        "when": when,
        "stages": [
            _stage(name, learned, outlook=outlooks[number], groups=[group for group in groups if group.stage == number])
            for number, name in open_stages(funnel)
            if number in outlooks
        ],
    }


def _nothing_learned(dim: str, learned: Learned) -> ForecastCell:
    return {
        "dim": dim,
        "learned_from": learned.dim,
        "learned_orders": learned.curves.won,
        "orders": None,
        "expected": None,
        "interval": None,
        "when": [],
        "stages": [],
    }


def _until(learned: Learned, outlooks: Mapping[int, StageOutlook], *, today: int, until: int) -> ForecastUntil:
    steps = round((until - today) / learned.curves.step_days)
    orders, total = 0.0, Outlook(0, 0)
    for stage, each in outlooks.items():
        more, outlook = each.outlook(learned, stage=stage, until=steps)
        orders, total = orders + more, total + outlook
    return {
        "until": date_of(until).isoformat(),
        "orders": orders,
        "expected": total.mean,
        "interval": list(total.interval()),
    }


def _stage(name: str, learned: Learned, *, outlook: StageOutlook, groups: Sequence[Group]) -> ForecastStage:
    return {
        "stage": name,
        "entries": outlook.there,
        "open": sum(group.open for group in groups),
        "open_value": sum(group.open_value for group in groups),
        "orders": sum(outlook.steps),
        "expected": sum(outlook.worth_steps),
        "ages": _ages(learned, groups),
    }


def _ages(learned: Learned, groups: Sequence[Group]) -> list[ForecastAge]:
    by_age: dict[int, list[Group]] = {}
    for group in groups:
        by_age.setdefault(AGES_DAYS[bisect_right(AGES_DAYS, group.age) - 1], []).append(group)
    ages: list[ForecastAge] = []
    for least_days, those in sorted(by_age.items()):
        rates = [(_win_rate(learned, group), group) for group in those]
        known = [(rate, group) for rate, group in rates if rate is not None]
        entries = sum(group.there for _, group in known)
        ages.append(
            {
                "least_days": least_days,
                "entries": sum(group.there for group in those),
                "win_rate": sum(rate * group.there for rate, group in known) / entries if known else None,
                "expected": sum(rate * worth_of(learned, group) for rate, group in known),
            }
        )
    return ages


def _win_rate(learned: Learned, group: Group) -> float | None:
    going_on = learned.curves.going_on(group.stage, group.age)
    if going_on is None:
        return None
    return sum(sum(shares) * learned.curves.win_rate(later) for later, shares in going_on.items())
