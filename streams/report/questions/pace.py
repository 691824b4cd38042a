"""What the coming days may bring, from the days before: the mean of each weekday and how much days vary. Pure.

Days of a weekday are taken to have one mean m and the variance f m; the dispersion f is Pearson's chi-square over its
degrees of freedom (McCullagh and Nelder, Generalized Linear Models, 1989, ch. 4.5). The sum over c coming days of a
weekday whose mean was made of n days then varies by f m (c + c^2 / n): the days themselves, and the mean that is not
quite known. With less than four weeks of history all weekdays have one mean. Nothing here knows of holidays, trends or
campaigns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.times import date_of
from streams.report.forecasting.gamma import Outlook

LEAST_DAYS = 7
_LEAST_FOR_WEEKDAYS = 28


@dataclass(frozen=True, slots=True)
class Pace:
    """Means of a day."""

    by_weekday: bool
    means: Mapping[int, float]
    """By weekday (0 is Monday), or one mean of all days under 0."""
    days: Mapping[int, int]
    """Of how many days each was made."""
    dispersion: float

    @classmethod
    def of(cls, amounts: Mapping[int, float], *, is_count: bool) -> Pace | None:
        """Of amounts by day number, days without anything among them; None where there are too few. Counts vary at
        least as Poisson's do."""
        if len(amounts) < LEAST_DAYS:
            return None
        by_weekday = len(amounts) >= _LEAST_FOR_WEEKDAYS
        groups: dict[int, list[float]] = {}
        for day, amount in amounts.items():
            groups.setdefault(_group(day, by_weekday=by_weekday), []).append(amount)
        means = {group: sum(values) / len(values) for group, values in groups.items()}
        chi2 = sum((x - means[g]) ** 2 / means[g] for g, values in groups.items() if means[g] > 0 for x in values)
        dispersion = max(chi2 / (len(amounts) - len(groups)), 1.0 if is_count else 0.0)
        return cls(by_weekday, means, {group: len(values) for group, values in groups.items()}, dispersion)

    def mean(self, shares: Mapping[int, float]) -> float:
        """What days bring in the mean; `shares`: by day number which part of the day."""
        return sum(self.means[_group(day, by_weekday=self.by_weekday)] * share for day, share in shares.items())

    def outlook(self, shares: Mapping[int, float]) -> Outlook:
        """What they may bring."""
        counts: dict[int, float] = {}
        for day, share in shares.items():
            group = _group(day, by_weekday=self.by_weekday)
            counts[group] = counts.get(group, 0.0) + share
        spread = (self.means[g] * (count + count * count / self.days[g]) for g, count in counts.items())
        return Outlook(self.mean(shares), self.dispersion * sum(spread))


def _group(day: int, *, by_weekday: bool) -> int:
    return date_of(day).weekday() if by_weekday else 0
