"""Windows and cohorts, cut from the buckets of a funnel. Pure."""

from __future__ import annotations

from schemas.counters import Cell, Cells, Grain, add_fields
from schemas.times import HOUR_MS, MINUTE_MS

MINUTES_NEEDED = 125
HOURS_NEEDED = 50
"""Buckets back from the newest reception: enough for an hour of minutes, or a day of hours, that ended as long ago."""
COHORT_MINUTES = {"5m": 5, "1h": 60}
"""Ages of the cohorts that are an hour of minutes."""


def windows_of(buckets: Cells, newest_ms: int) -> dict[str, dict[int, Cell]]:
    """Sums over the buckets of each window; the newest, unfinished bucket is its last."""
    minute, hour = newest_ms // MINUTE_MS, newest_ms // HOUR_MS
    return {
        "5m": sum_buckets(buckets, Grain.MINUTE, first=minute - 4, last=minute),
        "1h": sum_buckets(buckets, Grain.MINUTE, first=minute - 59, last=minute),
        "24h": sum_buckets(buckets, Grain.HOUR, first=hour - 23, last=hour),
    }


def cohorts_of(buckets: Cells, watermark_ms: int) -> dict[str, dict[int, Cell]]:
    """Sums over the newest buckets that ended at least an age before the watermark: 60 minutes, for 1d 24 hours."""
    cohorts = {}
    for age, minutes in COHORT_MINUTES.items():
        last = watermark_ms // MINUTE_MS - minutes - 1
        cohorts[age] = sum_buckets(buckets, Grain.MINUTE, first=last - 59, last=last)
    last = watermark_ms // HOUR_MS - 24 - 1
    cohorts["1d"] = sum_buckets(buckets, Grain.HOUR, first=last - 23, last=last)
    return cohorts


def sum_buckets(buckets: Cells, grain: Grain, *, first: int, last: int) -> dict[int, Cell]:
    """Cells of the whole, summed over the buckets [first, last]."""
    summed: dict[int, Cell] = {}
    for bucket in range(first, last + 1):
        add_fields(summed, buckets.get((grain, bucket, 0), {}))
    return summed
