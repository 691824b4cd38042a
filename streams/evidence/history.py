"""Counters of a funnel as arrays over time: entries, how many went on within an age, revenue. Pure.

A cohort is judged at an age: the share that went on within it. The age is an edge of the duration histogram, so that it
is read from counters; a bucket counts once it ended that long ago, and then it changes no more but for late events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from schemas.counters import DURATION_EDGES_SECONDS, Cell, Family, split_field
from streams.evidence.likelihood import Floats

EDGES = len(DURATION_EDGES_SECONDS)
_ENTRIES, _REVENUE = -1, -2


class Place(NamedTuple):
    """Whose numbers: a stage of the whole (dimension set 0) or of one value."""

    dimset: int
    value: int
    stage: int


def _amounts() -> dict[int, int]:
    return defaultdict(int)


@dataclass(slots=True)
class _Track:
    entries: dict[int, int] = field(default_factory=_amounts)
    within: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(_amounts))
    """By edge: how many went on within it and not within the one before; the last is without end."""
    revenue: dict[int, int] = field(default_factory=_amounts)


class History:
    """Buckets of one grain, as they are added. `currency` is the code of the funnel's."""

    def __init__(self, *, currency: int) -> None:
        self._currency = currency
        self._tracks: dict[Place, _Track] = defaultdict(_Track)
        self._arrays: dict[tuple[Place, int], Floats] = {}
        """What was asked for, over all buckets; the number is an edge, `_ENTRIES` or `_REVENUE`."""
        self._first, self._end = 0, 0

    @property
    def places(self) -> list[Place]:
        """Of which anything is known."""
        return sorted(self._tracks)

    @property
    def span(self) -> tuple[int, int]:
        """[first, end) of the buckets that were added."""
        return self._first, self._end

    def add(self, bucket: int, dimset: int, *, fields: Mapping[int, Cell]) -> None:
        """Add the cells of a bucket; those of several partitions add up."""
        self._first = min(self._first, bucket) if self._end else bucket
        self._end = max(self._end, bucket + 1)
        self._arrays.clear()
        for name, cell in fields.items():
            value, _, stage = split_field(name)
            track = self._tracks[Place(dimset, value, stage)]
            for code, amount in cell.items():
                base = code & 0xFF
                if base == Family.ENTRIES:
                    track.entries[bucket] += amount
                elif base == Family.DURATIONS:
                    track.within[code >> 8 & 0x1F][bucket] += amount
                elif base == Family.REVENUE and code >> 8 == self._currency:
                    track.revenue[bucket] += amount

    def entries(self, place: Place, first: int, end: int) -> Floats:
        """By bucket of [first, end)."""
        return self._cut(place, _ENTRIES, first, end)

    def revenue(self, place: Place, first: int, end: int) -> Floats:
        """In minor units of the funnel's currency."""
        return self._cut(place, _REVENUE, first, end)

    def went_on(self, place: Place, edge: int, first: int, end: int) -> Floats:
        """How many of a bucket's entries had gone on when they were as old as the edge (`EDGES`: ever)."""
        return self._cut(place, edge, first, end)

    def _cut(self, place: Place, what: int, first: int, end: int) -> Floats:
        whole = self._arrays.get((place, what))
        if whole is None:
            whole = self._arrays[place, what] = self._whole(place, what)
        if self._first <= first and end <= self._end:
            return whole[first - self._first : end - self._first]
        values = np.zeros(max(0, end - first))
        low, high = max(first, self._first), min(end, self._end)
        if low < high:
            values[low - first : high - first] = whole[low - self._first : high - self._first]
        return values

    def _whole(self, place: Place, what: int) -> Floats:
        track = self._tracks.get(place, _Track())
        if what == _ENTRIES:
            return self._array(track.entries)
        if what == _REVENUE:
            return self._array(track.revenue)
        total = self._array(track.within.get(what, {}))
        return total if what == 0 else total + self._cut(place, what - 1, self._first, self._end)

    def _array(self, amounts: Mapping[int, int]) -> Floats:
        values = np.zeros(self._end - self._first)
        if amounts:
            buckets = np.fromiter(amounts.keys(), dtype=np.int64, count=len(amounts))
            values[buckets - self._first] = np.fromiter(amounts.values(), dtype=np.float64, count=len(amounts))
        return values
