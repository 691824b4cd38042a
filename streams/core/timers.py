"""A wheel of wake-up times: seconds for the hour under way, hours for what is farther off.

An entry says "look at this person at that time or later", never more: a person whose time moved later is looked at too
early and pushed again, one whose time moved earlier is pushed a second time. So entries need no removal. No entry is
given out before its millisecond: looking again at once would never end where persons have to be read first.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TypeAlias

from schemas.times import HOUR_MS

_Slot: TypeAlias = tuple[list[bytes], "array[int]"]
"""Keys and wake-ups of one second or hour."""


class Wheel:
    """Keys by the time at which they must be looked at."""

    def __init__(self) -> None:
        self._hour = -1
        self._seconds: dict[int, _Slot] = {}
        self._second_heap: list[int] = []
        self._hours: dict[int, _Slot] = {}
        self._hour_heap: list[int] = []
        self.size = 0
        """Entries."""

    def entries(self) -> Iterator[tuple[bytes, int]]:
        """Every (key, wake-up)."""
        for slots in (self._seconds, self._hours):
            for keys, wakes in slots.values():
                yield from zip(keys, wakes, strict=True)

    def push(self, key: bytes, wake_ms: int) -> None:
        """Look at `key` once the watermark is past `wake_ms`."""
        number = wake_ms // HOUR_MS
        if number > self._hour:
            slots, heap = self._hours, self._hour_heap
        else:
            slots, heap, number = self._seconds, self._second_heap, wake_ms // 1000
        slot = slots.get(number)
        if slot is None:
            slot = slots[number] = ([], array("q"))
            heappush(heap, number)
        self.size += 1
        slot[0].append(key)
        slot[1].append(wake_ms)

    def due(self, watermark_ms: int) -> list[bytes]:
        """Take out every key whose time the watermark has passed; no key twice."""
        hour, second = watermark_ms // HOUR_MS, watermark_ms // 1000
        self._hour = max(self._hour, hour)
        keys: dict[bytes, int] = {}
        while self._hour_heap and self._hour_heap[0] <= hour:
            self._pass(self._take(self._hours, self._hour_heap), watermark_ms, keys)
        while self._second_heap and self._second_heap[0] < second:
            keys.update(zip(*self._take(self._seconds, self._second_heap), strict=True))
        if self._second_heap and self._second_heap[0] == second:
            self._pass(self._take(self._seconds, self._second_heap), watermark_ms, keys)
        return list(keys)

    def _pass(self, slot: _Slot, watermark_ms: int, due: dict[bytes, int]) -> None:
        """Put what is due of a slot into `due`, and what is not back into the wheel."""
        if max(slot[1]) < watermark_ms:
            due.update(zip(*slot, strict=True))
            return
        for key, wake in zip(*slot, strict=True):
            if wake < watermark_ms:
                due[key] = wake
            else:
                self.push(key, wake)

    def _take(self, slots: dict[int, _Slot], heap: list[int]) -> _Slot:
        slot = slots.pop(heappop(heap))
        self.size -= len(slot[0])
        return slot
