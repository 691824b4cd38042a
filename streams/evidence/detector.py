"""Evidence of one funnel at a time: what is normal is learned once a day, what is new is compared with it. Pure.

The same functions serve the exporter (the newest moment) and the back-test (every moment of a day).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from schemas.counters import DURATION_EDGES_SECONDS
from streams.evidence.history import EDGES, History, Place
from streams.evidence.likelihood import Floats
from streams.evidence.reference import (
    HOURS_OF_WEEK,
    WEEKS,
    CountReference,
    Ints,
    ShareReference,
    learn_count,
    learn_share,
)
from streams.evidence.scan import HOUR_WINDOWS, MINUTE_WINDOWS, Scan, Scans, scan_count, scan_share

Kind: TypeAlias = Literal["conversion", "entries", "revenue"]
HOURS_OF_DAY = 24
MINUTES_OF_HOUR = 60
MINUTES_OF_DAY = HOURS_OF_DAY * MINUTES_OF_HOUR
SHARE_GUARD_HOURS = HOURS_OF_WEEK
"""A share is compared with weeks that ended so long before the day: what is new must not be taken for normal."""
COUNT_GUARD_HOURS = HOURS_OF_DAY
COUNT_WINDOW_HOURS = 45
"""The longest window of a volume: what lasts longer is growth or decline."""
MINUTE_AGE_SECONDS = 86_400
"""Cohorts that need longer are judged by hours alone: minutes are kept for two days."""

HourOfWeek: TypeAlias = Callable[[int], int]
"""Hour of the local week of an hour since 1970."""


class Series(NamedTuple):
    """What is watched."""

    kind: Kind
    place: Place


class Steps(NamedTuple):
    """Buckets [first, end), so many an hour."""

    first: int
    end: int
    per_hour: int


@dataclass(frozen=True, slots=True)
class Normal:
    """What is normal on one day for one series."""

    share: ShareReference | None = None
    count: CountReference | None = None
    edge: int = EDGES
    """Of a share: the age at which it is judged, as an index into the edges."""
    unit: float = 1.0
    """Of revenue: minor units that vary as one event would."""

    @property
    def age_seconds(self) -> int:
        """0 for volumes."""
        return DURATION_EDGES_SECONDS[self.edge] if self.share is not None else 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks most at one moment."""

    nats: float
    window_minutes: int
    numerator: float
    denominator: float
    """0 for volumes."""
    expected: float
    """Share, or amount."""


class Detector:
    """Reads the histories of one funnel. `minutes` is of the whole alone and may lack what is old."""

    def __init__(self, hours: History, minutes: History | None, *, hour_of_week: HourOfWeek, first_hour: int) -> None:
        self._hours, self._minutes = hours, minutes
        self._hour_of_week = hour_of_week
        self._first_hour = first_hour
        """Nothing was counted before it."""

    def normal(self, series: Series, day: int) -> Normal | None:
        """What is normal on a UTC day, by number; None where there is too little to learn from."""
        guard = SHARE_GUARD_HOURS if series.kind == "conversion" else COUNT_GUARD_HOURS
        start = day * HOURS_OF_DAY
        known = start - self._first_hour
        end = start - min(guard, known // 2)
        first = max(self._first_hour, end - WEEKS * HOURS_OF_WEEK)
        if end - first < HOURS_OF_WEEK:
            return None
        hours = self._weekly_hours(first, end)
        if series.kind == "conversion":
            return self._normal_share(series.place, first=first, end=end, hours=hours)
        amounts = _amounts(self._hours, series, first=first, end=end)
        unit = _unit(amounts, hours) if series.kind == "revenue" else 1.0
        count = learn_count(amounts / unit, hours)
        return None if count is None else Normal(count=count, unit=unit)

    def _normal_share(self, place: Place, *, first: int, end: int, hours: Ints) -> Normal | None:
        """At the youngest age by which half of those went on who ever do."""
        trials = self._hours.entries(place, first, end)
        ever = self._hours.went_on(place, EDGES, first, end).sum()
        for edge in range(EDGES):
            successes = self._hours.went_on(place, edge, first, end)
            if ever and 2 * successes.sum() >= ever:
                share = learn_share(successes, np.maximum(trials, successes), hours=hours)
                return None if share is None else Normal(share=share, edge=edge)
        return None

    def by_hour(self, series: Series, normal: Normal, *, first: int, end: int) -> Scans:
        """Of the hour buckets [first, end)."""
        longest = HOUR_WINDOWS[-1] if series.kind == "conversion" else COUNT_WINDOW_HOURS
        windows = [window for window in HOUR_WINDOWS if window <= longest]
        steps = Steps(max(first - longest, self._first_hour), end, 1)
        return self._scan(self._hours, series, normal=normal, steps=steps, windows=windows, newest=end - first)

    def by_minute(self, series: Series, normal: Normal, *, first: int, end: int) -> Scans | None:
        """Of the minute buckets [first, end); None where minutes say nothing about it."""
        if self._minutes is None or series.place.dimset or normal.age_seconds > MINUTE_AGE_SECONDS:
            return None
        start = max(first - MINUTE_WINDOWS[-1], self._first_hour * MINUTES_OF_HOUR)
        steps = Steps(start, end, MINUTES_OF_HOUR)
        return self._scan(self._minutes, series, normal=normal, steps=steps, windows=MINUTE_WINDOWS, newest=end - first)

    def _scan(
        self, history: History, series: Series, *, normal: Normal, steps: Steps, windows: Sequence[int], newest: int
    ) -> Scans:
        first, end, per_hour = steps
        hours = np.repeat(self._weekly_hours(first // per_hour, -(-end // per_hour)), per_hour)
        hours = hours[first % per_hour :][: end - first]
        if normal.share is not None:
            successes = history.went_on(series.place, normal.edge, first, end)
            trials = np.maximum(history.entries(series.place, first, end), successes)
            return scan_share(
                successes,
                trials,
                hours=hours,
                reference=normal.share,
                steps_per_hour=per_hour,
                windows=windows,
                newest=newest,
            )
        assert normal.count is not None  # noqa: S101 - a Normal has one of the two
        amounts = _amounts(history, series, first=first, end=end) / normal.unit
        return scan_count(
            amounts, hours, reference=normal.count, steps_per_hour=per_hour, windows=windows, newest=newest
        )

    def _weekly_hours(self, first: int, end: int) -> Ints:
        return np.fromiter((self._hour_of_week(hour) for hour in range(first, end)), dtype=np.int64, count=end - first)


def _amounts(history: History, series: Series, *, first: int, end: int) -> Floats:
    return (history.revenue if series.kind == "revenue" else history.entries)(series.place, first, end)


def _unit(amounts: Floats, hours: Ints) -> float:
    """Minor units that vary as one event of a Poisson count does: variance of the hours over their mean."""
    seen = np.maximum(np.bincount(hours, minlength=HOURS_OF_WEEK), 1)
    mean = np.bincount(hours, weights=amounts, minlength=HOURS_OF_WEEK) / seen
    expected = mean[hours]
    total = float((expected * (1 - 1 / seen[hours])).sum())  # a mean of few weeks lies too near to each of them
    if total <= 0:
        return 1.0
    return max(1.0, float(np.square(amounts - expected).sum()) / total)


def at(scan: Scan, step: int, *, minutes: int, unit: float = 1.0) -> Evidence:
    """One step of a scan; `minutes` is the length of a step."""
    return Evidence(
        nats=float(scan.evidence[step]),
        window_minutes=int(scan.window[step]) * minutes,
        numerator=float(scan.numerator[step]) * unit,
        denominator=float(scan.denominator[step]),
        expected=float(scan.expected[step]) * unit,
    )
