"""Plan against fact: how far a target is, whether it will be made, and how many at the top it needs. Pure.

The fact is counted. What is left of a period is expected from the days before (`pace`); the goal goes
backwards with the conversions of those days. A day is as far as the watermark says, never as a clock does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal, TypedDict

from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from streams.report.document.cell import CellView, sum_cells
from streams.report.document.question import ReportQuestion
from streams.report.document.rates import compares_people, ratio
from streams.report.document.shapes import NamedCell
from streams.report.forecasting.gamma import Outlook
from streams.report.questions.pace import Pace
from streams.report.questions.targets_file import Target

_LIKELY, _UNLIKELY = 0.8, 0.2
Verdict = Literal["made", "likely", "open", "unlikely", "missed", "unknown"]


class Needed(TypedDict):
    """The goal backwards: what a stage needs for it."""

    stage: str
    entries: float
    """For the whole goal, with the conversions of the history."""
    interval: list[float] | None
    """By the 95 % interval of the conversion; None where that is no share or 0."""
    still: float
    """For what is left of the goal."""
    still_per_day: float | None
    """None: the period is over."""


class TargetAnswer(TypedDict):
    """One target. Amounts of revenue are in minor units."""

    stage: str
    of: Literal["entries", "orders", "revenue"]
    team: str
    period: str
    first: str
    last: str
    goal: int
    fact: int
    elapsed: float
    """The share of the period's days that is over at the watermark."""
    plan_by_now: float
    """What of the goal would be due by now, days weighted as the history has them."""
    pace: float | None
    """Fact over that; None: nothing is due yet."""
    expected: float | None
    """At the end of the period; None: too little history."""
    interval: list[float] | None
    """Of it, 95 %."""
    probability: float | None
    """That the goal is made."""
    verdict: Verdict
    """`likely` from 0.8 on, `unlikely` up to 0.2."""
    needs: list[Needed] | None
    """From the first stage to this one. None: no such conversion, or a team with other people at each stage."""


class TargetsDocument(TypedDict):
    """All targets of one funnel."""

    funnel: str
    version: int
    watermark_ms: int | None
    currency: str
    history_days: int
    """Those that there were, of those asked for."""
    targets: list[TargetAnswer]


@dataclass(frozen=True, slots=True)
class AskedTarget:
    """A target with where its numbers are."""

    target: Target
    question: ReportQuestion
    """Of its team."""

    @property
    def stage(self) -> str:
        """Its stage as the funnel writes it."""
        return self.target.stage


@dataclass(frozen=True, slots=True)
class Progress:
    """Until when is counted."""

    today: int
    """The day of the watermark, which is not over."""
    share: float
    """The part of it that is."""

    def over(self, first: int, last: int) -> dict[int, float]:
        """Of which days of a span which part is over."""
        done: dict[int, float] = dict.fromkeys(range(first, min(last, self.today - 1) + 1), 1.0)
        if first <= self.today <= last:
            done[self.today] = self.share
        return done

    def ahead(self, first: int, last: int) -> dict[int, float]:
        """Of which days which part lies ahead."""
        left: dict[int, float] = dict.fromkeys(range(max(first, self.today + 1), last + 1), 1.0)
        if first <= self.today <= last:
            left[self.today] = 1 - self.share
        return left


def answer_target(
    funnel: Funnel, target: Target, *, days: Mapping[int, NamedCell], progress: Progress, history: range
) -> TargetAnswer:
    """The answer for one target; `days` are those of its team by number, `history` the days to learn from."""
    span, goal = target.days, goal_of(funnel, target)
    amounts = {day: measure(funnel, target, cell=cell) for day, cell in days.items()}
    fact = sum(amount for day, amount in amounts.items() if span.first <= day <= span.last)
    is_count = target.of != "revenue"
    pace = Pace.of({day: amounts.get(day, 0) for day in history}, is_count=is_count)
    over, ahead = progress.over(span.first, span.last), progress.ahead(span.first, span.last)
    due = goal * _share(pace, over=over, ahead=ahead)
    outlook = Outlook(0, 0) if not ahead else None if pace is None else pace.outlook(ahead)
    probability = None if outlook is None else outlook.at_least(goal - fact - (0.5 if is_count and ahead else 0))
    first, last = span.dates()
    return {
        "stage": target.stage,
        "of": target.of,
        "team": target.team,
        "period": target.period,
        "first": first,
        "last": last,
        "goal": goal,
        "fact": fact,
        "elapsed": sum(over.values()) / (span.last - span.first + 1),
        "plan_by_now": due,
        "pace": fact / due if due > 0 else None,
        "expected": None if outlook is None else fact + outlook.mean,
        "interval": None if outlook is None else _interval(fact, outlook, is_count=is_count),
        "probability": probability,
        "verdict": _verdict(fact >= goal, probability, is_over=not ahead),
        "needs": _needs(
            funnel, target, days=days, missing=max(0, goal - fact), history=history, ahead=sum(ahead.values())
        ),
    }


def goal_of(funnel: Funnel, target: Target) -> int:
    """The goal in the unit that is counted; of half an entry the whole one."""
    if target.of != "revenue":
        return ceil(target.goal)
    return ceil(target.goal.scaleb(minor_digits(funnel.currency)))


def measure(funnel: Funnel, target: Target, *, cell: NamedCell) -> int:
    """What a cell has of it."""
    view = CellView(cell)
    if target.of == "entries":
        return view.entries(target.stage)
    return view.amounts(target.stage, target.of).get(funnel.currency, 0)


def _share(pace: Pace | None, *, over: Mapping[int, float], ahead: Mapping[int, float]) -> float:
    """Which part of a period's goal is due."""
    done, left = sum(over.values()), sum(ahead.values())
    if pace is not None and pace.mean(over) + pace.mean(ahead) > 0:
        done, left = pace.mean(over), pace.mean(ahead)
    return done / (done + left)


def _interval(fact: int, outlook: Outlook, *, is_count: bool) -> list[float]:
    low, high = outlook.interval()
    return [fact + floor(low), fact + ceil(high)] if is_count else [fact + low, fact + high]


def _verdict(is_made: bool, probability: float | None, *, is_over: bool) -> Verdict:
    if is_made:
        return "made"
    if is_over:
        return "missed"
    if probability is None:
        return "unknown"
    return "likely" if probability >= _LIKELY else "unlikely" if probability <= _UNLIKELY else "open"


def _needs(
    funnel: Funnel, target: Target, *, days: Mapping[int, NamedCell], missing: int, history: range, ahead: float
) -> list[Needed] | None:
    """Backwards with the ratios of the history: of so many entries of a stage came so much."""
    cell = sum_cells(days[day] for day in history if day in days)
    view, came = CellView(cell), measure(funnel, target, cell=cell)
    if not came or not compares_people(funnel, target.team):
        return None
    names = [stage.name for stage in funnel.stages]
    goal, to_target = goal_of(funnel, target), names[: names.index(target.stage) + 1]
    return list(_needed(view, to_target, goal=goal, missing=missing, came=came, ahead=ahead))


def _needed(view: CellView, names: list[str], *, goal: int, missing: int, came: int, ahead: float) -> Iterable[Needed]:
    end = view.entries(names[-1])
    for name in names:
        entries = view.entries(name)
        if not entries:
            continue
        needed, still = goal * entries / came, missing * entries / came
        rate = ratio(end, entries)
        interval = None if rate is None or name == names[-1] else rate["interval"]
        bounds = None
        if interval is not None and interval[0] > 0 and end:
            at_target = goal * end / came
            bounds = [at_target / interval[1], at_target / interval[0]]
        yield {
            "stage": name,
            "entries": needed,
            "interval": bounds,
            "still": still,
            "still_per_day": still / ahead if ahead > 0 else None,
        }
