"""Windows and cohorts, cut from the buckets of a funnel. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.counters import Cell, Cells, Grain, add_fields
from schemas.times import HOUR_MS, MINUTE_MS
from streams.report.document.sums import over_all_buckets

MINUTES_NEEDED = 125
HOURS_NEEDED = 194
"""Buckets back from the newest reception: enough for an hour of minutes, or a day of hours, that ended as long ago."""
COHORT_MINUTES = {"5m": 5, "1h": 60}
"""Ages of the cohorts that are an hour of minutes."""
COHORT_HOURS = {"1d": 24, "7d": 168}
"""Ages of those that are a day of hours."""
WINDOW_MINUTES = {"5m": 5, "1h": 60}
WINDOW_HOURS = {"24h": 24, "7d": 168}


def windows_of(buckets: Cells, newest_ms: int) -> dict[str, dict[int, Cell]]:
    """Sums over the buckets of each window; the newest, unfinished bucket is its last."""
    minute, hour = newest_ms // MINUTE_MS, newest_ms // HOUR_MS
    windows = {
        name: sum_buckets(buckets, Grain.MINUTE, first=minute - minutes + 1, last=minute)
        for name, minutes in WINDOW_MINUTES.items()
    }
    return windows | {
        name: sum_buckets(buckets, Grain.HOUR, first=hour - hours + 1, last=hour)
        for name, hours in WINDOW_HOURS.items()
    }


def cohorts_of(buckets: Cells, watermark_ms: int) -> dict[str, dict[int, Cell]]:
    """Sums over the newest buckets that ended at least an age before the watermark: 60 minutes, or 24 hours."""
    cohorts = {}
    for age, minutes in COHORT_MINUTES.items():
        last = watermark_ms // MINUTE_MS - minutes - 1
        cohorts[age] = sum_buckets(buckets, Grain.MINUTE, first=last - 59, last=last)
    for age, hours in COHORT_HOURS.items():
        last = watermark_ms // HOUR_MS - hours - 1
        cohorts[age] = sum_buckets(buckets, Grain.HOUR, first=last - 23, last=last)
    return cohorts


def value_windows_of(hours: Cells, newest_ms: int, *, dimsets: Iterable[int]) -> dict[str, Cells]:
    """Of each window that consists of hours, the cells of dimension values, as totals."""
    newest, wanted = newest_ms // HOUR_MS, set(dimsets)
    return {
        name: over_all_buckets(
            {
                (grain, bucket, dimset): fields
                for (grain, bucket, dimset), fields in hours.items()
                if dimset in wanted and newest - length < bucket <= newest
            }
        )
        for name, length in WINDOW_HOURS.items()
    }


def sum_buckets(buckets: Cells, grain: Grain, *, first: int, last: int) -> dict[int, Cell]:
    """Cells of the whole, summed over the buckets [first, last]."""
    summed: dict[int, Cell] = {}
    for bucket in range(first, last + 1):
        add_fields(summed, buckets.get((grain, bucket, 0), {}))
    return summed
