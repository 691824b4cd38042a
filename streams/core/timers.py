"""A wheel of wake-up times: hours for what is farther off, the hour under way in order, seconds for what comes into it.

An entry says "look at this person at that time or later", never more: a person whose time moved later is looked at too
early and pushed again, one whose time moved earlier is pushed a second time. So entries need no removal. No entry is
given out before its millisecond: looking again at once would never end where persons have to be read first.

When its hour comes, what waits for it is sorted once; what is due is then a piece of that. Nothing is pushed again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import TypeAlias

from schemas.times import HOUR_MS

_Slot: TypeAlias = tuple[list[bytes], "array[int]"]
"""Keys and wake-ups of one second or hour."""


class Wheel:
    """Keys by the time at which they must be looked at."""

    def __init__(self) -> None:
        self._hour = -1
        self._sorted: _Slot = ([], array("q"))
        """Of the hour under way what was known when it began, by time."""
        self._taken = 0
        """So many of them were given out."""
        self._seconds: dict[int, _Slot] = {}
        self._second_heap: list[int] = []
        self._hours: dict[int, _Slot] = {}
        self._hour_heap: list[int] = []
        self.size = 0
        """Entries."""

    def entries(self) -> Iterator[tuple[bytes, int]]:
        """Every (key, wake-up)."""
        keys, wakes = self._sorted
        yield from zip(keys[self._taken :], wakes[self._taken :], strict=True)
        for slots in (self._seconds, self._hours):
            for keys, wakes in slots.values():
                yield from zip(keys, wakes, strict=True)

    def push(self, entries: Iterable[tuple[bytes, int]]) -> None:
        """Look at each key once the watermark is past its wake-up."""
        this_hour, hours, seconds = self._hour, self._hours, self._seconds
        for key, wake in entries:
            number = wake // HOUR_MS
            if number > this_hour:
                slot = hours.get(number) or self._slot(hours, self._hour_heap, number)
            else:
                number = wake // 1000
                slot = seconds.get(number) or self._slot(seconds, self._second_heap, number)
            slot[0].append(key)
            slot[1].append(wake)
            self.size += 1

    def due(self, watermark_ms: int) -> list[bytes]:
        """Take out every key whose time the watermark has passed; no key twice."""
        hour, second = watermark_ms // HOUR_MS, watermark_ms // 1000
        keys = dict.fromkeys(self._due_of_hour(watermark_ms))
        while self._hour_heap and self._hour_heap[0] <= hour:
            is_under_way = self._hour_heap[0] == hour
            slot = self._take(self._hours, self._hour_heap)
            if is_under_way:
                self._begin(slot)
                keys.update(dict.fromkeys(self._due_of_hour(watermark_ms)))
            else:
                keys.update(dict.fromkeys(slot[0]))
        self._hour = max(self._hour, hour)
        while self._second_heap and self._second_heap[0] < second:
            keys.update(dict.fromkeys(self._take(self._seconds, self._second_heap)[0]))
        if self._second_heap and self._second_heap[0] == second:
            entries = list(zip(*self._take(self._seconds, self._second_heap), strict=True))
            keys.update(dict.fromkeys([key for key, wake in entries if wake < watermark_ms]))
            self.push([entry for entry in entries if entry[1] >= watermark_ms])
        return list(keys)

    def _begin(self, slot: _Slot) -> None:
        """The hour of a slot begins; all of the hour before it was given out."""
        keys, wakes = slot[0], slot[1].tolist()
        order = sorted(range(len(keys)), key=wakes.__getitem__)
        self._sorted = ([keys[index] for index in order], array("q", [wakes[index] for index in order]))
        self._taken = 0
        self.size += len(keys)

    def _due_of_hour(self, watermark_ms: int) -> list[bytes]:
        """Take out what is due of the hour under way."""
        keys, wakes = self._sorted
        start, self._taken = self._taken, bisect_left(wakes, watermark_ms, self._taken)
        self.size -= self._taken - start
        return keys[start : self._taken]

    @staticmethod
    def _slot(slots: dict[int, _Slot], heap: list[int], number: int) -> _Slot:
        """A new slot."""
        heappush(heap, number)
        slot = slots[number] = ([], array("q"))
        return slot

    def _take(self, slots: dict[int, _Slot], heap: list[int]) -> _Slot:
        slot = slots.pop(heappop(heap))
        self.size -= len(slot[0])
        return slot
