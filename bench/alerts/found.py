"""What each method finds of labelled windows at one rate of false alarms: the table of NAB's volumes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from bench.alerts.histories import WEEK_HOURS, Floats
from bench.alerts.volumes import METHODS, Volume, evidence_of_falls
from streams.defaults import THRESHOLD_NATS

ONE_INCIDENT_HOURS = 12
"""An alarm so soon after a moment of another one belongs to it."""
RATES = (0.1, 0.25, 1.0)
"""False alarms a week of one series."""
_TRIED = 400


@dataclass(frozen=True, slots=True)
class Found:
    """One method at one threshold, which is the same for all series."""

    method: str
    threshold: float
    false_alarms_a_week: float
    """Of one series: those that begin outside of every window."""
    found: int
    """Windows in which an alarm begins."""
    windows: int
    hours: float
    """Median delay from the start of the window; NAB's label is in its middle. This and the next: not a number where
    nothing was found."""
    buckets: float
    events: float
    hours_after_label: float
    """Negative before it."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """A series with what a method says of it, 0 where evidence knows nothing yet."""

    volume: Volume
    statistic: Floats
    judged: slice


def rows(volumes: Sequence[Volume]) -> list[Found]:
    """Ours at its default, then every method at each rate. All judge the moments at which ours knows enough."""
    said = {name: [method(volume) for volume in volumes] for name, method in METHODS.items()}
    falls = [evidence_of_falls(volume) for volume in volumes]
    known = [~np.isnan(statistic) for statistic in said["evidence"]]

    def watched(statistics: Sequence[Floats]) -> list[_Watched]:
        parts = zip(volumes, statistics, known, strict=True)
        return [_Watched(volume, np.where(is_known, said, 0.0), _span(is_known)) for volume, said, is_known in parts]

    table = [
        _found("evidence", watched(said["evidence"]), threshold=THRESHOLD_NATS),
        _found("evidence of falls", watched(falls), threshold=THRESHOLD_NATS),
    ]
    for rate in RATES:
        for name, statistics in said.items():
            series = watched(statistics)
            table.append(_found(name, series, threshold=_threshold(series, rate)))
    return table


def _span(is_known: np.ndarray) -> slice:
    steps = np.flatnonzero(is_known)
    return slice(int(steps[0]), int(steps[-1]) + 1) if steps.size else slice(0, 0)


def _alarms(series: _Watched, threshold: float) -> list[int]:
    """Steps at which one begins."""
    steps = np.flatnonzero(series.statistic >= threshold)
    is_new = np.diff(steps, prepend=-(10**9)) > ONE_INCIDENT_HOURS * series.volume.per_hour
    return [int(step) for step in steps[is_new]]


def _windows(series: _Watched) -> Iterator[tuple[int, int, int]]:
    """First step, last step and first label of those that were watched from beginning to end."""
    for first, last in series.volume.windows:
        if series.judged.start <= first and last < series.judged.stop:
            yield first, last, next(label for label in series.volume.labels if first <= label <= last)


def _false(series: _Watched, threshold: float) -> int:
    windows = series.volume.windows
    alarms = _alarms(series, threshold)
    return sum(not any(first <= step <= last for first, last in windows) for step in alarms)


def _a_week(watched: Sequence[_Watched], threshold: float) -> float:
    hours: float = sum((each.judged.stop - each.judged.start) / each.volume.per_hour for each in watched)
    return sum(_false(each, threshold) for each in watched) * WEEK_HOURS / hours


def _threshold(watched: Sequence[_Watched], rate: float) -> float:
    """How far it can be lowered from above with no more false alarms a week. Not the lowest with so few: a method that
    never stops to speak has one alarm."""
    values = np.concatenate([each.statistic[each.judged] for each in watched])
    levels: list[float] = np.quantile(values[values > 0], 1 - np.geomspace(1e-6, 0.5, _TRIED)).tolist()
    allowed = list(takewhile(lambda level: _a_week(watched, level) <= rate, levels))
    return allowed[-1] if allowed else math.inf


def _found(method: str, watched: Sequence[_Watched], *, threshold: float) -> Found:
    delays: list[tuple[float, float, float, float]] = []
    count = 0
    for series in watched:
        per_hour, alarms = series.volume.per_hour, _alarms(series, threshold)
        for first, last, label in _windows(series):
            count += 1
            known = next((step + 1 for step in alarms if first <= step <= last), None)
            if known is not None:
                events = float(series.volume.counts[first:known].sum())
                delays.append(((known - first) / per_hour, known - first, events, (known - label) / per_hour))
    medians = np.median(np.array(delays), axis=0) if delays else np.full(4, np.nan)
    return Found(method, threshold, _a_week(watched, threshold), len(delays), count, *(float(m) for m in medians))


def text(table: Sequence[Found]) -> str:
    """As a Markdown table."""
    heads = (
        "False alarms a week",
        "Method",
        "Threshold",
        "Found",
        "Delay in hours",
        "in buckets",
        "in events",
        "after label",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [
        f"| {row.false_alarms_a_week:.2f} | {row.method} | {row.threshold:,.1f} | {row.found} of {row.windows} "
        f"| {row.hours:,.1f} | {row.buckets:,.0f} | {row.events:,.0f} | {row.hours_after_label:,.1f} |"
        for row in table
    ]
    return "\n".join(lines)
