"""The forecast compared with history: at past dates, what it would have said then beside what came. Pure.

What was under way at a past date is reckoned from the cohorts' histograms, what was learned from cohorts that were
settled by then. What came of it are the first orders of journeys that had begun before: `lead_time` says when those
that ordered on a day had begun, by bucket; within a bucket they are spread evenly. Orders are compared and not revenue:
counters do not part the revenue of a day by when its journeys began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from schemas.funnel.model import Funnel
from schemas.times import date_of
from streams.report.document.cell import CellView
from streams.report.document.shapes import NamedCell
from streams.report.forecasting.curves import Cumulative, window_days
from streams.report.forecasting.forecast import stage_outlooks
from streams.report.forecasting.gamma import Outlook
from streams.report.forecasting.learning import Learned, groups_then, learn, settled_before

EVERY_DAYS = 7
LEAST_SETTLED_DAYS = 14
_MOST_DATES = 26


class BackTestDate(TypedDict):
    """The forecast of one past date."""

    date: str
    """As the day began."""
    expected: float
    """Orders of journeys under way, within the horizon."""
    interval: list[float]
    actual: float
    is_inside: bool


class BackTest(TypedDict):
    """All of them."""

    horizon_days: int
    dates: list[BackTestDate]
    inside: int
    coverage: float | None
    """Share of the dates whose interval held what came: 0.95 is due. None: too little history."""
    bias: float | None
    """All that was expected over all that came; None: nothing came."""


def back_test(funnel: Funnel, days: Mapping[int, NamedCell], *, today: int, horizon_days: int) -> BackTest:
    """At every seventh day of the past for which everything is known."""
    first = min(days, default=today) + LEAST_SETTLED_DAYS + today - settled_before(funnel, today)
    dates = range(today - horizon_days, first - 1, -EVERY_DAYS)[:_MOST_DATES]
    answers = [_at(funnel, days, now=now, horizon_days=horizon_days) for now in reversed(dates)]
    inside = sum(answer["is_inside"] for answer in answers)
    actual = sum(answer["actual"] for answer in answers)
    return {
        "horizon_days": horizon_days,
        "dates": answers,
        "inside": inside,
        "coverage": inside / len(answers) if answers else None,
        "bias": sum(answer["expected"] for answer in answers) / actual if actual > 0 else None,
    }


def _at(funnel: Funnel, days: Mapping[int, NamedCell], *, now: int, horizon_days: int) -> BackTestDate:
    learned = learn(funnel, days, now=now, dim="")
    total = orders_outlook(learned, funnel, days=days, now=now, horizon_days=horizon_days)
    low, high = total.interval()
    actual = came(funnel, days, now=now, horizon_days=horizon_days)
    return {
        "date": date_of(now).isoformat(),
        "expected": total.mean,
        "interval": [low, high],
        "actual": actual,
        "is_inside": low - 0.5 <= actual <= high + 0.5,
    }


def orders_outlook(
    learned: Learned, funnel: Funnel, *, days: Mapping[int, NamedCell], now: int, horizon_days: int
) -> Outlook:
    """First orders within the horizon; the variance as that of revenue, of amounts that are all 1."""
    total, steps = Outlook(0, 0), round(horizon_days / learned.curves.step_days)
    first_order = next(number for number, stage in enumerate(funnel.stages) if stage.nth is not None)
    groups = [group for group in groups_then(funnel, days, now=now) if group.stage < first_order]
    for stage, outlook in stage_outlooks(learned, groups).items():
        orders = sum(outlook.steps[:steps])
        q = min(1.0, orders / outlook.there)
        won = max(1, learned.curves.leaving[stage].won)
        total += Outlook(orders, outlook.there * q * (1 - q) + orders * orders * (1 - q) / won)
    return total


def came(funnel: Funnel, days: Mapping[int, NamedCell], *, now: int, horizon_days: int) -> float:
    """First orders within the horizon of journeys that had begun before the day `now`."""
    total, window = 0.0, window_days(funnel)
    for day in range(now, now + horizon_days):
        view = CellView(days.get(day, {}))
        for stage in funnel.stages:
            if by_edge := view.amounts(stage.name, "lead_time"):
                took = Cumulative.of(by_edge, window)
                total += took.counts[-1] - took.at(day - now + 0.5)
    return total
