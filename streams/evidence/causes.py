"""Why something fell: a broken tag, a silent source, many cheap visitors, one value, or everybody. Pure."""

from __future__ import annotations

import math

import numpy as np

from schemas.times import DAY_MS, MINUTE_MS
from streams.evidence.detector import MINUTES_OF_HOUR, Evidence, Series
from streams.evidence.history import Place
from streams.evidence.watched import Normals

TRACKING, SILENT, MIX, TRAFFIC, ORDERS, CONVERSION = "tracking", "silent", "mix", "traffic", "orders", "conversion"
_GONE = 0.1
"""A stage with less than this share of what is expected is taken for silent."""
_THERE = 0.5
_SPIKE = 1.3


class Causes:
    """Of one funnel."""

    def __init__(self, normals: Normals) -> None:
        self._normals = normals
        self._watched = normals.watched

    def cause(self, series: Series, at_ms: int, *, evidence: Evidence) -> str:
        """What explains best that a series fell, at the time at which that could be known."""
        place, day = series.place, at_ms // DAY_MS
        if series.kind == "entries":
            return SILENT if not place.dimset and evidence.numerator <= _GONE * evidence.expected else TRAFFIC
        if series.kind == "revenue":
            return ORDERS
        normal = self._normals.of(series, day)
        age_ms = normal.age_seconds * 1000 if normal is not None else 0
        end = (at_ms - self._watched.delay_ms - age_ms) // MINUTE_MS
        span = (end - evidence.window_minutes, end)
        if self._is_tag_broken(place, day, span=span):
            return TRACKING
        if self._is_spike(place, day, span=span, evidence=evidence):
            return MIX
        return CONVERSION if place.dimset else self._value_of(place, span, day=day)

    def _flow(self, place: Place, day: int, *, span: tuple[int, int]) -> float | None:
        """Entries in a span of minutes over what is normal; None where that is not known."""
        normal = self._normals.of(Series("entries", place), day)
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

    def _is_tag_broken(self, place: Place, day: int, *, span: tuple[int, int]) -> bool:
        """The next stage is silent, and a later one is not: people go on, and nobody tells.

        Silent in the newer half of the window: the window may begin a little before the tag broke.
        """
        stages = range(place.stage + 1, len(self._watched.stages))
        if len(stages) < 2:
            return False
        next_stage, *later = stages
        newer = ((span[0] + span[1]) // 2, span[1])
        whole, now = (self._flow(Place(0, 0, next_stage), day, span=each) for each in (span, newer))
        if whole is None or now is None or whole > _THERE or now > _GONE:
            return False
        flows = [self._flow(Place(0, 0, stage), day, span=span) for stage in later]
        return any(flow is not None and flow >= _THERE for flow in flows)

    def _is_spike(self, place: Place, day: int, *, span: tuple[int, int], evidence: Evidence) -> bool:
        """Many more came than usual, and not fewer than usual went on."""
        flow = self._flow(place, day, span=span)
        if flow is None or flow < _SPIKE:
            return False
        usual = evidence.denominator / flow * evidence.expected
        return not _is_fewer(evidence.numerator, usual)

    def _value_of(self, place: Place, span: tuple[int, int], *, day: int) -> str:
        """The value of a dimension without which nothing is missing; `conversion` where it is spread."""
        hours = span[0] // MINUTES_OF_HOUR, max(-(-span[1] // MINUTES_OF_HOUR), span[0] // MINUTES_OF_HOUR + 1)
        usual: dict[Place, float] = {}
        now: dict[Place, float] = {}
        for other in self._normals.places:
            normal = self._normals.of(Series("conversion", other), day) if other.dimset else None
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
            elsewhere = sum(now[other] for other in others), sum(usual[other] for other in others)
            if others and _is_fewer(now[worst], usual[worst]) and not _is_fewer(*elsewhere):
                return self._watched.label(worst)
        return CONVERSION


def _is_fewer(count: float, usual: float) -> bool:
    """By more than chance: two standard deviations of a Poisson count."""
    return count < usual - 2 * math.sqrt(usual)
