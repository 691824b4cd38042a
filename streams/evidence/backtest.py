"""What alerts there would have been: evidence over a whole history in event time. Pure.

Every bucket is judged at the time at which it could have been: when it had ended, was as old as the age of its cohorts,
and the watermark had passed. Events that came late count as if they had been in time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from schemas.times import HOUR_MS, MINUTE_MS
from streams.evidence.alerts import Alert, Moment, alerts_of, mute_repeated
from streams.evidence.causes import Causes
from streams.evidence.detector import HOURS_OF_DAY, MINUTES_OF_DAY, MINUTES_OF_HOUR, Series, at
from streams.evidence.history import Place
from streams.evidence.scan import Scan
from streams.evidence.watched import Normals, Watched


class Backtest:
    """Over one funnel."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        first, end = watched.hours.span
        entered = np.flatnonzero(watched.hours.entries(Place(0, 0, 0), first, end))
        self._end = first + int(entered[-1]) if entered.size else first
        """The last hour may not be whole."""
        self.days = range(first // HOURS_OF_DAY, -(-self._end // HOURS_OF_DAY))
        """UTC days, by number, that the history covers."""
        self._normals = Normals(watched)
        self._causes = Causes(self._normals)

    def run(self, days: range, *, threshold: float, progress: Callable[[int, int], None]) -> list[Alert]:
        """All alerts that begin on these days, by start; those that another one explains are marked."""
        alerts: list[Alert] = []
        every = list(self._normals.series())
        for number, series in enumerate(every):
            moments = [moment for day in days for moment in self.moments(series, day, floor=threshold)]
            stage = self._watched.stages[series.place.stage]
            raised = alerts_of(
                series.kind, moments, threshold=threshold, stage=stage, dim=self._watched.label(series.place)
            )
            alerts += [
                replace(alert, cause=self._causes.cause(series, alert.starts_at_ms, evidence=alert.first))
                for alert in raised
            ]
            progress(number + 1, len(every))
        return mute_repeated(alerts)

    def evaluated_days(self, days: range) -> int:
        """Days on which there was enough to learn from for the first stage."""
        series = Series("conversion", Place(0, 0, 0))
        return sum(self._normals.of(series, day) is not None for day in days)

    def moments(self, series: Series, day: int, *, floor: float) -> list[Moment]:
        """Of the buckets of a day, those with so much evidence that something fell."""
        normal = self._normals.of(series, day)
        if normal is None:
            return []
        end = min((day + 1) * HOURS_OF_DAY, self._end)
        age_ms = normal.age_seconds * 1000 + self._watched.delay_ms

        def at_least(scan: Scan, *, first: int, step_ms: int) -> list[Moment]:
            minutes = step_ms // MINUTE_MS
            return [
                Moment((first + step + 1) * step_ms + age_ms, at(scan, step, minutes=minutes, unit=normal.unit))
                for step in np.flatnonzero(scan.evidence >= floor).tolist()
            ]

        detector = self._normals.detector
        moments = at_least(
            detector.by_hour(series, normal, first=day * HOURS_OF_DAY, end=end).down,
            first=day * HOURS_OF_DAY,
            step_ms=HOUR_MS,
        )
        by_minute = detector.by_minute(series, normal, first=day * MINUTES_OF_DAY, end=end * MINUTES_OF_HOUR)
        if by_minute is not None:
            moments += at_least(by_minute.down, first=day * MINUTES_OF_DAY, step_ms=MINUTE_MS)
        return sorted(moments, key=lambda moment: (moment.at_ms, -moment.evidence.nats))
