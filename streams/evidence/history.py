"""Counters of a funnel as arrays over time: entries, how many went on within an age, revenue. Pure.

A cohort is judged at an age: the share that went on within it. The age is an edge of the duration histogram, so that it
is read from counters; a bucket counts once it ended that long ago, and then it changes no more but for late events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
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


_Key = tuple[Place, int]
"""Of whom and what: `_ENTRIES`, `_REVENUE`, or the edge within which they went on and not within the one before
(`EDGES`: without end)."""


class History:
    """Buckets of one grain, as they are added. `currency` is the code of the funnel's.

    Who looks again and again settles what changes no more: that takes a tenth of the memory, and is not built again.
    """

    def __init__(self, *, currency: int) -> None:
        self._currency = currency
        self._recent: dict[_Key, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        """By bucket, from `settled_end` on."""
        self._settled: dict[_Key, Floats] = {}
        """Of all buckets before `settled_end`."""
        self._places: set[Place] = set()
        self._whats: dict[int, int | None] = {}
        """What a family code counts here; None: nothing."""
        self._arrays: dict[_Key, Floats] = {}
        """What was asked for, over all buckets; of an edge all that went on within it."""
        self._first, self._end = 0, 0
        self.settled_end = 0

    @property
    def places(self) -> list[Place]:
        """Of which anything is known."""
        return sorted(self._places)

    @property
    def span(self) -> tuple[int, int]:
        """[first, end) of the buckets that were added."""
        return self._first, self._end

    def add(self, bucket: int, dimset: int, *, fields: Mapping[int, Cell]) -> None:
        """Add the cells of a bucket that is not settled; those of several partitions add up."""
        if bucket < self.settled_end:
            raise ValueError(f"bucket {bucket} is settled")
        self._first = min(self._first, bucket) if self._end else bucket
        self._end = max(self._end, bucket + 1)
        self._arrays.clear()
        for name, cell in fields.items():
            value, _, stage = split_field(name)
            place = Place(dimset, value, stage)
            self._places.add(place)
            for code, amount in cell.items():
                what = self._whats[code] if code in self._whats else self._what(code)
                if what is not None:
                    self._recent[place, what][bucket] += amount

    def _what(self, code: int) -> int | None:
        base, sub = code & 0xFF, code >> 8
        what = None
        if base == Family.ENTRIES:
            what = _ENTRIES
        elif base == Family.DURATIONS:
            what = sub & 0x1F
        elif base == Family.REVENUE and sub == self._currency:
            what = _REVENUE
        self._whats[code] = what
        return what

    def forget(self, first: int) -> None:
        """Forget the buckets from `first` on, none of which is settled: they are added anew."""
        self._arrays.clear()
        for amounts in self._recent.values():
            for bucket in range(first, self._end):
                amounts.pop(bucket, None)

    def settle(self, end: int) -> None:
        """Nothing before `end` changes any more."""
        end = min(end, self._end)
        if end <= max(self.settled_end, self._first):
            return
        for key, amounts in self._recent.items():
            self._settled[key] = self._own(key)[: end - self._first].copy()
            self._recent[key] = defaultdict(int, {bucket: each for bucket, each in amounts.items() if bucket >= end})
        self.settled_end = end

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
        own = self._own((place, what))
        return own if what <= 0 else own + self._cut(place, what - 1, self._first, self._end)

    def _own(self, key: _Key) -> Floats:
        values = np.zeros(self._end - self._first)
        settled, recent = self._settled.get(key), self._recent.get(key)
        if settled is not None:
            values[: settled.size] = settled
        if recent:
            buckets = np.fromiter(recent.keys(), dtype=np.int64, count=len(recent))
            values[buckets - self._first] = np.fromiter(recent.values(), dtype=np.float64, count=len(recent))
        return values
