"""How entries of a stage go on with age, learned from cohorts whose outcomes are all known. Pure.

A journey is a semi-Markov process (R. Pyke, Annals of Mathematical Statistics 32, 1961): how it goes on from a stage
depends on the stage and on the time spent there, not on how it came. F_jk(a) is the share of the entries of j that have
gone on to k by the age a, a cumulative incidence (O. O. Aalen and S. Johansen, Scandinavian Journal of Statistics 5,
1978; with nothing censored it is the plain share). Of those that are still there at the age a

    P(k by b | there at a)  =  (F_jk(b) - F_jk(a)) / (1 - F_j(a) - L_j(a))          a < b

with F_j the sum over all k and L_j the share that is lost. g_j(t), the share that has ordered by the time t after
entering j, is the sum over k of the convolution of F_jk with g_k; the g of an order stage is 1. It is scaled to the
share that is counted to have ordered (`won`). Within a bucket of a histogram durations are spread evenly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from schemas.counters import DURATION_EDGES_SECONDS
from schemas.funnel.model import Funnel
from schemas.times import DAY_MS
from streams.report.document.cell import CellView

STEPS = 100
"""Most steps of time; a conversion window of more days has longer ones."""
_EDGES = tuple(edge / 86_400 for edge in DURATION_EDGES_SECONDS)
_NAMES = (*map(str, DURATION_EDGES_SECONDS), "inf")


@dataclass(frozen=True, slots=True)
class Cumulative:
    """A histogram of ages in days: how many by an age."""

    ages: Sequence[float]
    """Upper edges, rising, up to the conversion window; below the first one begins 0."""
    counts: Sequence[float]
    """By each of them."""

    @classmethod
    def of(cls, by_edge: Mapping[str, int], window_days: float) -> Cumulative:
        """By upper edge in seconds, as documents have it; nothing is older than the window."""
        ages, counts, total = [0.0], [0.0], 0
        for name, edge in zip(_NAMES, (*_EDGES, window_days), strict=True):
            total += by_edge.get(name, 0)
            if min(edge, window_days) > ages[-1]:
                ages.append(min(edge, window_days))
                counts.append(total)
            counts[-1] = total
        return cls(ages, counts)

    def at(self, age: float) -> float:
        """By this age."""
        place = bisect_left(self.ages, age)
        if place == 0:
            return self.counts[0]
        if place == len(self.ages):
            return self.counts[-1]
        low, high = self.ages[place - 1], self.ages[place]
        return self.counts[place - 1] + (self.counts[place] - self.counts[place - 1]) * (age - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Leaving:
    """How the entries of a stage left it."""

    entries: int
    won: int
    to: Mapping[int, Cumulative]
    """By the number of the later stage."""
    lost: Cumulative

    def there(self, age: float) -> float:
        """How many were still there at an age: neither gone on nor lost."""
        gone = sum(each.at(age) for each in self.to.values())
        return max(0.0, self.entries - gone - self.lost.at(age))


def leaving_of(funnel: Funnel, view: CellView, *, stage: int) -> Leaving:
    """Of a cell."""
    name, window = funnel.stages[stage].name, window_days(funnel)
    numbers = {each.name: number for number, each in enumerate(funnel.stages)}
    by_stage: dict[int, dict[str, int]] = {}
    for key, count in view.amounts(name, "durations").items():
        after, _, edge = key.rpartition(" ")
        by_stage.setdefault(numbers[after], {})[edge] = count
    return Leaving(
        entries=view.entries(name),
        won=view.amount(name, "won"),
        to={number: Cumulative.of(by_edge, window) for number, by_edge in by_stage.items()},
        lost=Cumulative.of(view.amounts(name, "loss_time"), window),
    )


def window_days(funnel: Funnel) -> float:
    """The conversion window: no journey is longer."""
    return funnel.conversion_window_ms / DAY_MS


@dataclass(frozen=True, slots=True)
class Curves:
    """What is learned of all stages of a cell."""

    leaving: Mapping[int, Leaving]
    """Of each stage that is no order stage."""
    ordered: Mapping[int, Sequence[float]]
    """By stage: of an entry the share that orders in each step of time after it."""
    step_days: float
    won: int
    """Journeys that ordered and did not begin with it."""
    _going_on: dict[tuple[int, float], Mapping[int, Sequence[float]] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, funnel: Funnel, view: CellView) -> Curves:
        """Of the sum of settled cohorts."""
        window = window_days(funnel)
        step, stages = max(1.0, window / STEPS), funnel.stages
        steps = ceil(window / step)
        leaving: dict[int, Leaving] = {}
        ordered: dict[int, Sequence[float]] = {}
        for number in reversed(range(len(stages))):
            if stages[number].nth is not None:
                ordered[number] = [1.0]
                continue
            leaving[number] = each = leaving_of(funnel, view, stage=number)
            ordered[number] = _ordered(each, ordered, step=step, steps=steps)
        return cls(leaving, ordered, step, sum(view.amount(stage.name, "lead_time") for stage in stages))

    def win_rate(self, stage: int) -> float:
        """Of entries of a stage the share that orders."""
        return sum(self.ordered[stage])

    def going_on(self, stage: int, age: float) -> Mapping[int, Sequence[float]] | None:
        """Of an entry that is still there at an age: by later stage the share that goes there in each step from now.
        None where none was still there at that age."""
        if (stage, age) not in self._going_on:
            self._going_on[stage, age] = self._reckon_going_on(self.leaving[stage], age)
        return self._going_on[stage, age]

    def _reckon_going_on(self, leaving: Leaving, age: float) -> Mapping[int, Sequence[float]] | None:
        if (there := leaving.there(age)) <= 0:
            return None
        return {
            later: [share / there for share in _steps(cumulative, age=age, step=self.step_days)]
            for later, cumulative in leaving.to.items()
        }


def _ordered(leaving: Leaving, ordered: Mapping[int, Sequence[float]], *, step: float, steps: int) -> Sequence[float]:
    """The convolution over all ways on, scaled to the share that has ordered."""
    total = [0.0] * steps
    for later, cumulative in leaving.to.items():
        add_convolved(total, first=_steps(cumulative, age=0.0, step=step), second=ordered[later])
    won = sum(total)
    if not leaving.entries or won <= 0:
        return [0.0] * steps
    return [share * leaving.won / leaving.entries / won for share in total]


def _steps(cumulative: Cumulative, *, age: float, step: float) -> list[float]:
    """How many in each step from an age on."""
    steps, before = [], cumulative.at(age)
    while age < cumulative.ages[-1]:
        age += step
        after = cumulative.at(age)
        steps.append(after - before)
        before = after
    return steps


def add_convolved(total: list[float], *, first: Sequence[float], second: Sequence[float]) -> None:
    """Add what comes of one time and then another; what would come after the last step comes in it.

    Two times that are spread over their steps end in the sum of both, or one step later; the second takes none where it
    is over within its first step.
    """
    last = len(total) - 1
    for number, share in enumerate(first):
        if share:
            total[min(number, last)] += share * second[0]
            for later, other in enumerate(second[1:], number + 1):
                total[min(later, last)] += share * other / 2
                total[min(later + 1, last)] += share * other / 2
