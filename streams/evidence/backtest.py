"""What alerts there would have been: evidence over a whole history in event time. Pure.

Every bucket is judged at the time at which it could have been: when it had ended, was as old as the age of its cohorts,
and the watermark had passed. Events that came late count as if they had been in time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from streams.evidence.alerts import MIX, SILENT, TRACKING, Alert, Moment, alerts_of, mute_repeated
from streams.evidence.detector import HOURS_OF_DAY, MINUTES_OF_HOUR, Detector, Normal, Series, at
from streams.evidence.history import History, Place
from streams.evidence.scan import Scan

MINUTES_OF_DAY = HOURS_OF_DAY * MINUTES_OF_HOUR
VALUES = 20
"""Of each dimension those with the most entries are watched."""
_GONE = 0.1
"""A stage with less than this share of what is expected is taken for silent."""
_THERE = 0.5
_SPIKE = 1.3


@dataclass(frozen=True, slots=True)
class Watched:
    """One funnel's stages and histories."""

    stages: tuple[str, ...]
    order_stages: tuple[int, ...]
    hours: History
    minutes: History
    label: Callable[[Place], str]
    """`channel=google`; empty for the whole."""
    hour_of_week: Callable[[int], int]
    delay_ms: int
    """Of the watermark."""


class Backtest:
    """Over one funnel."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        first, end = watched.hours.span
        entered = np.flatnonzero(watched.hours.entries(Place(0, 0, 0), first, end))
        end = first + int(entered[-1]) if entered.size else first  # the last hour may not be whole
        self._days = range(first // HOURS_OF_DAY, -(-end // HOURS_OF_DAY))
        self._end = end
        self._detector = Detector(watched.hours, watched.minutes, watched.hour_of_week, first_hour=first)
        self._normals: dict[tuple[Series, int], Normal | None] = {}

    @property
    def days(self) -> range:
        """UTC days, by number, that the history covers."""
        return self._days

    def run(self, days: range, *, threshold: float, progress: Callable[[int, int], None]) -> list[Alert]:
        """All alerts that begin on these days, by start; those that another one explains are marked."""
        alerts: list[Alert] = []
        series = list(self._series())
        for number, one in enumerate(series):
            place = one.place
            moments = [moment for day in days for moment in self._moments(one, day, threshold)]
            stage = "" if one.kind == "revenue" else self._watched.stages[place.stage]
            raised = alerts_of(one.kind, moments, threshold, stage=stage, dim=self._watched.label(place))
            alerts += [replace(alert, cause=self._cause(one, alert)) for alert in raised]
            progress(number + 1, len(series))
        return mute_repeated(alerts)

    def evaluated_days(self, days: range) -> int:
        """Days on which there was enough to learn from for the first stage."""
        series = Series("conversion", Place(0, 0, 0))
        return sum(self._normal(series, day) is not None for day in days)

    def _series(self) -> Iterator[Series]:
        stages = len(self._watched.stages)
        for place in self._places():
            if place.stage < stages - 1:
                yield Series("conversion", place)
            if place.stage == 0:
                yield Series("entries", place)
        for stage in self._watched.order_stages:
            yield Series("revenue", Place(0, 0, stage))

    def _places(self) -> list[Place]:
        """The whole, and the values of single dimensions with the most entries."""
        hours = self._watched.hours
        places = [place for place in hours.places if place.stage < len(self._watched.stages)]
        sizes: dict[tuple[int, int], float] = {}
        for place in places:
            if place.dimset and self._watched.label(place):
                size = float(hours.entries(place, *hours.span).sum())
                sizes[place.dimset, place.value] = sizes.get((place.dimset, place.value), 0.0) + size
        kept: set[tuple[int, int]] = set()
        for dimset in {dimset for dimset, _ in sizes}:
            values = sorted((value for one, value in sizes if one == dimset), key=lambda value: -sizes[dimset, value])
            kept |= {(dimset, value) for value in values[:VALUES]}
        return [place for place in places if not place.dimset or (place.dimset, place.value) in kept]

    def _normal(self, series: Series, day: int) -> Normal | None:
        key = series, day
        if key not in self._normals:
            self._normals[key] = self._detector.normal(series, day)
        return self._normals[key]

    def _moments(self, series: Series, day: int, floor: float) -> list[Moment]:
        """Of the buckets of a day."""
        normal = self._normal(series, day)
        if normal is None:
            return []
        end = min((day + 1) * HOURS_OF_DAY, self._end)
        age_ms = normal.age_seconds * 1000 + self._watched.delay_ms
        hours = self._detector.by_hour(series, normal, day * HOURS_OF_DAY, end).down
        moments = _at_least(hours, floor, day * HOURS_OF_DAY, HOUR_MS, age_ms, normal.unit)
        minutes = self._detector.by_minute(series, normal, day * MINUTES_OF_DAY, end * MINUTES_OF_HOUR)
        if minutes is not None:
            moments += _at_least(minutes.down, floor, day * MINUTES_OF_DAY, MINUTE_MS, age_ms, normal.unit)
        return sorted(moments, key=lambda moment: (moment.at_ms, -moment.evidence.nats))

    # -- causes -------------------------------------------------------------------------------------------------------

    def _cause(self, series: Series, alert: Alert) -> str:
        """What explains it best."""
        day = alert.starts_at_ms // DAY_MS
        normal = self._normal(series, day)
        age_ms = normal.age_seconds * 1000 if normal is not None else 0
        end = (alert.starts_at_ms - self._watched.delay_ms - age_ms) // MINUTE_MS
        span = (end - alert.first.window_minutes, end)
        if series.kind == "entries":
            return SILENT if not alert.dim and alert.first.numerator <= _GONE * alert.first.expected else "traffic"
        if series.kind == "revenue":
            return "orders"
        if self._is_tag_broken(series.place, day, span):
            return TRACKING
        if self._is_spike(series.place, day, span, alert):
            return MIX
        return self._value_of(series.place, span, day) if not alert.dim else "conversion"

    def _flow(self, place: Place, day: int, span: tuple[int, int]) -> float | None:
        """Entries in a span of minutes over what is normal; None where that is not known."""
        normal = self._normal(Series("entries", place), day)
        if normal is None or normal.count is None:
            return None
        hours = range(span[0] // MINUTES_OF_HOUR, -(-span[1] // MINUTES_OF_HOUR))
        expected = sum(float(normal.count.mean[self._watched.hour_of_week(hour)]) for hour in hours)
        expected *= (span[1] - span[0]) / (len(hours) * MINUTES_OF_HOUR)
        return self._entries(place, span) / expected if expected > 0 else None

    def _entries(self, place: Place, span: tuple[int, int]) -> float:
        if place.dimset == 0:
            return float(self._watched.minutes.entries(place, *span).sum())
        hours = span[0] // MINUTES_OF_HOUR, -(-span[1] // MINUTES_OF_HOUR)
        return float(self._watched.hours.entries(place, *hours).sum())

    def _is_tag_broken(self, place: Place, day: int, span: tuple[int, int]) -> bool:
        """The next stage is silent, and a later one is not: people go on, and nobody tells."""
        flows = [
            self._flow(Place(0, 0, stage), day, span) for stage in range(place.stage + 1, len(self._watched.stages))
        ]
        if len(flows) < 2 or flows[0] is None or flows[0] > _GONE:
            return False
        return any(flow is not None and flow >= _THERE for flow in flows[1:])

    def _is_spike(self, place: Place, day: int, span: tuple[int, int], alert: Alert) -> bool:
        """Many more came than usual, and not fewer than usual went on."""
        flow = self._flow(place, day, span)
        if flow is None or flow < _SPIKE:
            return False
        usual = alert.first.denominator / flow * alert.first.expected
        return not _is_fewer(alert.first.numerator, usual)

    def _value_of(self, place: Place, span: tuple[int, int], day: int) -> str:
        """The value of a dimension without which nothing is missing; `conversion` where it is spread."""
        hours = span[0] // MINUTES_OF_HOUR, max(-(-span[1] // MINUTES_OF_HOUR), span[0] // MINUTES_OF_HOUR + 1)
        usual: dict[Place, float] = {}
        now: dict[Place, float] = {}
        for other in self._places():
            normal = self._normal(Series("conversion", other), day) if other.dimset else None
            if other.stage != place.stage or normal is None or normal.share is None:
                continue
            trials = self._watched.hours.entries(other, *hours)
            weekly = np.array([self._watched.hour_of_week(hour) for hour in range(*hours)], dtype=np.int64)
            usual[other] = float((trials * normal.share.rate[weekly]).sum())
            now[other] = float(self._watched.hours.went_on(other, normal.edge, *hours).sum())
        for dimset in sorted({other.dimset for other in usual}):
            values = [other for other in usual if other.dimset == dimset]
            worst = max(values, key=lambda other: usual[other] - now[other])
            others = [other for other in values if other != worst]
            rest = sum(now[other] for other in others), sum(usual[other] for other in others)
            if others and _is_fewer(now[worst], usual[worst]) and not _is_fewer(*rest):
                return self._watched.label(worst)
        return "conversion"


def _is_fewer(count: float, usual: float) -> bool:
    """By more than chance: two standard deviations of a Poisson count."""
    return count < usual - 2 * math.sqrt(usual)


def _at_least(scan: Scan, floor: float, first: int, step_ms: int, age_ms: int, unit: float) -> list[Moment]:  # noqa: PLR0917
    """Steps with so much evidence."""
    return [
        Moment((first + int(step) + 1) * step_ms + age_ms, at(scan, int(step), minutes=step_ms // MINUTE_MS, unit=unit))
        for step in np.flatnonzero(scan.evidence >= floor)
    ]
