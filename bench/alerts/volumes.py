"""Labelled volumes of the Numenta Anomaly Benchmark, and what each method says of them, bucket by bucket.

Of NAB's 58 series those are used that count what people do, as the entries of a stage do: mentions of ten companies,
taxi passengers of a city, requests to a load balancer. The others are temperatures, loads, speeds and prices, or made
up. A window of NAB says that something is unusual, not in which direction, so every method looks both ways here.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import numpy as np

from bench.alerts.histories import WEEK_HOURS, Floats
from schemas.counters import Family, cell_field
from streams.evidence.detector import COUNT_WINDOW_HOURS, HOURS_OF_DAY, MINUTES_OF_HOUR, Detector, Series
from streams.evidence.history import History, Place
from streams.evidence.reference import CountReference
from streams.evidence.scan import HOUR_WINDOWS, MINUTE_WINDOWS, Scans, scan_count
from streams.evidence.watched import hour_of_week

DATA = Path(__file__).parent / "nab" / "volumes.json.xz"
_SERIES = Series("entries", Place(0, 0, 0))
_HOUR_SECONDS = 3600
_MAD_BUCKETS = 28


@dataclass(frozen=True, slots=True)
class Volume:
    """One series, from its first whole hour on. Moments are numbers of steps."""

    name: str
    first_hour: int
    """Since 1970, by the clock of the file."""
    per_hour: int
    """Steps an hour."""
    counts: Floats
    windows: tuple[tuple[int, int], ...]
    """First and last step."""
    labels: tuple[int, ...]
    """What the windows lie around, in order; sometimes two in one."""

    @property
    def hourly(self) -> Floats:
        """Of whole hours."""
        hours = self.counts.size // self.per_hour
        return np.asarray(self.counts[: hours * self.per_hour].reshape(hours, self.per_hour).sum(axis=1))


def load() -> list[Volume]:
    """All of them."""
    return [_volume(name, series) for name, series in json.loads(lzma.decompress(DATA.read_bytes())).items()]


class _Stored(TypedDict):
    """As the file has it."""

    first: str
    step_seconds: int
    counts: list[int]
    windows: list[tuple[str, str]]
    labels: list[str]


def _volume(name: str, series: _Stored) -> Volume:
    first, length = _seconds(series["first"]), series["step_seconds"]
    start = -(-first // _HOUR_SECONDS) * _HOUR_SECONDS
    skipped = -(-(start - first) // length)

    def step(moment: str) -> int:
        return (_seconds(moment) - first) // length - skipped

    return Volume(
        name=Path(name).stem.removeprefix("Twitter_volume_"),
        first_hour=start // _HOUR_SECONDS,
        per_hour=_HOUR_SECONDS // length,
        counts=np.array(series["counts"][skipped:], dtype=np.float64),
        windows=tuple((step(begin), step(end)) for begin, end in series["windows"]),
        labels=tuple(step(label) for label in series["labels"]),
    )


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())


def evidence(volume: Volume) -> Floats:
    """Ours, as the exporter makes it: what is normal is learned anew every day. Not a number where nothing is known."""
    return _evidence(volume, ways=_both)


def evidence_of_falls(volume: Volume) -> Floats:
    """The part of it that calls somebody."""
    return _evidence(volume, ways=lambda scans: scans.down.evidence)


def _both(scans: Scans) -> Floats:
    return np.maximum(scans.down.evidence, scans.up.evidence)


def _evidence(volume: Volume, *, ways: Callable[[Scans], Floats]) -> Floats:
    hours = History(currency=0)
    for hour, count in enumerate(volume.hourly):
        hours.add(volume.first_hour + hour, 0, fields={cell_field(0, 0, 0): {int(Family.ENTRIES): int(count)}})
    detector = Detector(hours, None, hour_of_week=hour_of_week("UTC"), first_hour=volume.first_hour)
    statistic = np.full(volume.counts.size, np.nan)
    end_hour = volume.first_hour + volume.hourly.size
    for day in range(volume.first_hour // HOURS_OF_DAY, -(-end_hour // HOURS_OF_DAY)):
        normal = detector.normal(_SERIES, day)
        if normal is not None and normal.count is not None:
            first, end = ((hour - volume.first_hour) * volume.per_hour for hour in (day * 24, day * 24 + 24))
            end = min(end, volume.counts.size)
            statistic[first:end] = ways(_of_day(volume, normal.count, first=first, end=end))[first - end :]
    return statistic


def _of_day(volume: Volume, normal: CountReference, *, first: int, end: int) -> Scans:
    """Of the steps before it that its windows need, and its own."""
    per_hour = volume.per_hour
    of_minutes = {minutes * per_hour // MINUTES_OF_HOUR for minutes in MINUTE_WINDOWS}
    of_hours = {hours * per_hour for hours in HOUR_WINDOWS if hours <= COUNT_WINDOW_HOURS}
    windows = sorted(window for window in of_minutes | of_hours if window)
    start = max(0, first - COUNT_WINDOW_HOURS * per_hour)
    weekly = hour_of_week("UTC")
    hours = np.array([weekly(volume.first_hour + step // per_hour) for step in range(start, end)])
    return scan_count(volume.counts[start:end], hours, reference=normal, steps_per_hour=per_hour, windows=windows)


def last_week(volume: Volume) -> Floats:
    """The z of two Poisson counts: the last hour beside the same hour a week ago."""
    recent = _rolling(volume.counts, volume.per_hour)
    week = WEEK_HOURS * volume.per_hour
    statistic = np.full(volume.counts.size, np.nan)
    then, now = recent[:-week], recent[week:]
    statistic[week:] = np.abs(now - then) / np.sqrt(np.maximum(now + then, 1.0))
    return statistic


def mad(volume: Volume) -> Floats:
    """Each whole hour beside median and MAD of the last 28."""
    hourly = volume.hourly
    windows = np.lib.stride_tricks.sliding_window_view(hourly, _MAD_BUCKETS)[:-1]
    median = np.median(windows, axis=1)
    spread = 1.4826 * np.median(np.abs(windows - median[:, None]), axis=1)
    z = np.abs(hourly[_MAD_BUCKETS:] - median) / np.maximum(spread, 1.0)
    statistic = np.full(volume.counts.size, np.nan)
    statistic[_MAD_BUCKETS * volume.per_hour :] = 0.0
    ends = (np.arange(_MAD_BUCKETS, hourly.size) + 1) * volume.per_hour - 1
    statistic[ends] = z
    return statistic


def _rolling(amounts: Floats, window: int) -> Floats:
    total = np.cumsum(amounts)
    total[window:] = total[window:] - total[:-window]
    return total


METHODS: dict[str, Callable[[Volume], Floats]] = {"evidence": evidence, "last week z": last_week, "MAD of hours": mad}
