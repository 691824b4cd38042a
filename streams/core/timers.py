"""A wheel of wake-up times: seconds for the hour under way, hours for what is farther off.

An entry says "look at this person at that time or later", never more: a person whose time moved later is looked at too
early and pushed again, one whose time moved earlier is pushed a second time. So entries need no removal.
"""

from __future__ import annotations

from array import array
from heapq import heappop, heappush

HOUR_MS = 3_600_000


class Wheel:
    """Keys by the second at which they want to be looked at."""

    def __init__(self) -> None:
        self._hour = -1
        self._seconds: dict[int, list[bytes]] = {}
        self._second_heap: list[int] = []
        self._hours: dict[int, tuple[list[bytes], array[int]]] = {}
        self._hour_heap: list[int] = []
        self.size = 0

    def push(self, key: bytes, wake_ms: int) -> None:
        """Look at `key` once the watermark is past `wake_ms`."""
        self.size += 1
        hour = wake_ms // HOUR_MS
        if hour <= self._hour:
            self._push_second(key, wake_ms // 1000)
            return
        found = self._hours.get(hour)
        if found is None:
            found = self._hours[hour] = ([], array("q"))
            heappush(self._hour_heap, hour)
        found[0].append(key)
        found[1].append(wake_ms // 1000)

    def _push_second(self, key: bytes, second: int) -> None:
        found = self._seconds.get(second)
        if found is None:
            self._seconds[second] = [key]
            heappush(self._second_heap, second)
        else:
            found.append(key)

    def due(self, watermark_ms: int) -> list[bytes]:
        """Take out every key whose second has come; some may be up to a second early. No key twice."""
        hour, second = watermark_ms // HOUR_MS, watermark_ms // 1000
        while self._hour_heap and self._hour_heap[0] <= hour:
            for key, at in zip(*self._hours.pop(heappop(self._hour_heap)), strict=True):
                self._push_second(key, at)
        self._hour = max(self._hour, hour)
        keys: dict[bytes, None] = {}
        while self._second_heap and self._second_heap[0] <= second:
            taken = self._seconds.pop(heappop(self._second_heap))
            self.size -= len(taken)
            keys.update(dict.fromkeys(taken))
        return list(keys)
