"""What is normal: learned from the hours of past weeks. Pure.

A week has hours of its own (Monday morning is not Saturday night), and weeks differ by more than chance. Both are
estimated by the method of moments of R. DerSimonian & N. Laird (1986): between hours of the week, which says how far
an hour's own rate is trusted beside the rate of all; and between weeks, which says how well any expectation for the
present week can be known. Counts vary more than independent people would: the factor comes from the median day, so that
a day of trouble in the past does not hide the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.evidence.likelihood import Floats

HOURS_OF_WEEK = 168
WEEKS = 12
"""So many past weeks are looked at, at most."""
_DAY = 24
_PRIOR_DRIFT = 0.03
"""Weeks are taken to differ by so much, relatively, before anything is known: worth one week of knowledge."""
_RECENT_WEEKS = 4
"""A volume is expected to be as high as in these; a share as in all."""
_MEDIAN_CHI2 = 0.4549
"""Median of the chi-square distribution with one degree of freedom."""
_LEAST_EXPECTED = 5.0
_CERTAIN = 1e12
_LEAST_WEEKS = 3
_TINY = 1e-12

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShareReference:
    """What share of those who entered in an hour of the week goes on."""

    rate: Floats
    """By hour of the week."""
    size: Floats
    """How many trials that rate is worth, by hour of the week."""
    total: float
    """Trials in all."""
    drift: float
    """Relative standard deviation between weeks beyond chance."""
    dispersion: float
    """Variance of a day in units of a binomial's; at least 1."""

    def effective(self, expected: Floats, size: Floats, *, weeks: Floats) -> Floats:
        """Independent trials that an expected share is worth for a window of so many weeks. Of those `dispersion` real
        ones are worth one; the drift between weeks is what it is, however many there are, but two weeks have less of it
        than one."""
        chance = expected * (1 - expected)
        drift = np.square(self.drift * expected) / np.maximum(weeks, 1.0)
        return np.divide(1.0, self.dispersion / np.maximum(size, 1e-9) + drift / np.maximum(chance, 1e-12))


@dataclass(frozen=True, slots=True)
class CountReference:
    """How much happens in an hour of the week."""

    mean: Floats
    """By hour of the week."""
    seen: Floats
    """What was counted in that hour of all weeks, by hour of the week."""
    drift: float
    """Relative standard deviation between days beyond chance; where a day is too little, between weeks."""
    dispersion: float
    """Variance of an hour in units of a Poisson count's; at least 1."""

    def effective(self, seen: Floats) -> Floats:
        """Independent events that an expectation is worth, of which so many were seen."""
        return np.divide(1.0, self.dispersion / np.maximum(seen, _TINY) + self.drift**2)


def learn_share(successes: Floats, trials: Floats, *, hours: Ints) -> ShareReference | None:
    """From whole hours, oldest first; `hours` is their hour of the week. None where nobody went on, or everybody."""
    total, went_on = float(trials.sum()), float(successes.sum())
    if not 0 < went_on < total:
        return None
    overall = went_on / total
    chance = overall * (1 - overall)
    k, n = _by_hour(successes, hours), _by_hour(trials, hours)
    between_hours = _variance_between(k, n, overall=overall)
    strength = chance / between_hours if between_hours > 0 else _CERTAIN
    rate = (k + strength * overall) / (n + strength)
    expected = rate[hours]
    drift = _share_drift(successes, trials=trials, rate=expected)
    dispersion = _dispersion(successes, trials=trials, rate=expected)
    return ShareReference(rate, np.minimum(n + strength, total), total, drift, dispersion)


def learn_count(counts: Floats, hours: Ints) -> CountReference | None:
    """From hours, oldest first, of which the newest whole weeks are used. None where that is too little, or nothing was
    counted in most of the newest weeks."""
    counts = _whole_weeks(counts)
    hours = hours[hours.size - counts.size :]
    weekly = _weekly(counts)
    level = float(np.median(weekly[-_RECENT_WEEKS:])) if weekly.size >= _LEAST_WEEKS else 0.0
    if level <= 0:
        return None
    usual = _usual_week(counts.reshape(-1, HOURS_OF_WEEK))
    shape = _by_hour(usual, hours[:HOURS_OF_WEEK])
    shape /= shape.sum()
    expected = shape[hours] * np.repeat(weekly, HOURS_OF_WEEK)
    dispersion = _from_median(np.square(counts - expected), variance=expected, mean=expected)
    return CountReference(shape * level, shape * weekly.sum(), _volume_drift(counts, dispersion), dispersion)


def _usual_week(weeks: Floats) -> Floats:
    """Mean of every hour over the weeks, without its highest and lowest where there are enough: no spike or outage of
    the past becomes what is expected."""
    if weeks.shape[0] < _LEAST_WEEKS + 1:
        return np.asarray(weeks.mean(axis=0))
    return np.asarray(np.sort(weeks, axis=0)[1:-1].mean(axis=0) + _TINY)


def _by_hour(amounts: Floats, hours: Ints) -> Floats:
    return np.bincount(hours, weights=amounts, minlength=HOURS_OF_WEEK).astype(np.float64)


def _weekly(amounts: Floats) -> Floats:
    """Sums of whole weeks, the newest last; what is left over at the beginning is left out."""
    return np.asarray(_whole_weeks(amounts).reshape(-1, HOURS_OF_WEEK).sum(axis=1))


def _days_of_weeks(amounts: Floats) -> Floats:
    """By whole week and day."""
    return np.asarray(_whole_weeks(amounts).reshape(-1, HOURS_OF_WEEK // _DAY, _DAY).sum(axis=2))


def _whole_weeks(amounts: Floats) -> Floats:
    return amounts[amounts.size % HOURS_OF_WEEK :]


def _variance_between(k: Floats, n: Floats, *, overall: float) -> float:
    """Variance of the groups' shares beyond chance (DerSimonian & Laird)."""
    k, n = k[n > 0], n[n > 0]
    if n.size < 2:
        return 0.0
    weight = n / (overall * (1 - overall))
    q = float((weight * np.square(k / n - overall)).sum())
    spread = float(weight.sum() - np.square(weight).sum() / weight.sum())
    return max(0.0, (q - (n.size - 1)) / spread) if spread > 0 else 0.0


def _volume_drift(counts: Floats, dispersion: float) -> float:
    """How far a day is from the mean of the same day of the weeks before it, relatively; the median, so one day of
    trouble is no rule. No window of a volume is much longer than a day, and days differ by more than weeks do."""
    by_day = _days_of_weeks(counts)
    amounts = by_day if by_day.mean() >= _LEAST_EXPECTED else by_day.sum(axis=1, keepdims=True)
    excess: list[Floats] = []
    for week in range(1, amounts.shape[0]):
        before = amounts[max(0, week - _RECENT_WEEKS) : week]
        mean = before.mean(axis=0)
        chance = dispersion * (1 + 1 / before.shape[0]) / np.maximum(mean, 1.0)
        squares = np.square(amounts[week] / np.maximum(mean, _TINY) - 1) / _MEDIAN_CHI2
        excess.append((squares - chance)[mean > 0])
    variance = float(np.median(np.concatenate(excess))) if excess else 0.0
    return _with_prior(max(0.0, variance), amounts.shape[0])


def _share_drift(successes: Floats, *, trials: Floats, rate: Floats) -> float:
    """Between weeks, relative; each week beside what its own hours would give."""
    k, n, expected = _weekly(successes), _weekly(trials), _weekly(trials * rate)
    is_used = expected > 0
    k, n, expected = k[is_used], n[is_used], expected[is_used]
    if n.size < 2:
        return _with_prior(0.0, n.size)
    overall = float(expected.sum() / n.sum())
    variance = _variance_between(k / expected * overall * n, n, overall=overall) / overall**2
    return _with_prior(variance, n.size)


def _with_prior(variance: float, weeks: int) -> float:
    """Relative standard deviation, drawn towards the prior where there are few weeks."""
    return float(np.sqrt((_PRIOR_DRIFT**2 + max(weeks - 1, 0) * variance) / max(weeks, 1)))


def _dispersion(successes: Floats, *, trials: Floats, rate: Floats) -> float:
    """Of days around what their own week gives: what weeks differ by is the drift."""
    k, n, mean = (_days_of_weeks(amounts) for amounts in (successes, trials, trials * rate))
    mean = mean * k.sum(axis=1, keepdims=True) / np.maximum(mean.sum(axis=1, keepdims=True), 1e-9)
    variance = mean * (1 - mean / np.maximum(n, 1)) * (1 - _DAY / HOURS_OF_WEEK)
    return _from_median(np.square(k - mean), variance=variance, mean=mean)


def _from_median(squares: Floats, *, variance: Floats, mean: Floats) -> float:
    is_used = (mean >= _LEAST_EXPECTED) & (variance > 0)
    if np.count_nonzero(is_used) < _DAY // 2:
        return 1.0
    return max(1.0, float(np.median(squares[is_used] / variance[is_used])) / _MEDIAN_CHI2)
