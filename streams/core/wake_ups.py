"""When a partition must look at whom again: wake-ups of persons, and what the store has of them by bucket.

A bucket that is *loaded* has an entry in the wheel for every wake-up of its persons. Of one that is not,
`earliest_deadlines` is a lower bound: once the watermark passes it, the bucket must be read. Knows keys and times only.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from itertools import islice
from sys import byteorder
from zlib import crc32

from schemas.times import MINUTE_MS
from streams.core.timers import Wheel
from streams.state import NO_DEADLINE, PERSON_BUCKETS

_BUCKETS_PER_READ = 16


class WakeUps:
    """The wheel, what waits to be put into it, and what came out of it."""

    def __init__(self) -> None:
        self.wheel = Wheel()
        self.queue: deque[bytes] = deque()
        """Persons whose second has come and who were not looked at yet."""
        self.fired = 0
        """Wake-ups since `renew_deadlines`."""
        self.booked_until = 0
        """What time alone has decided before it is booked, of everybody: it is not written with the persons."""
        self.armed: dict[bytes, int] = {}
        """Wake-ups that are earlier than was known, by person, since `due`."""
        self.overdue: dict[bytes, None] = {}
        """Persons whom an event has given a wake-up before `booked_until`."""
        self.earliest_deadlines = array("I", [NO_DEADLINE]) * PERSON_BUCKETS
        self.loaded = bytearray(b"\1" * PERSON_BUCKETS)
        self._unloaded = 0
        self._changed_deadlines: dict[int, None] = {}

    def restore(self, earliest_deadlines: bytes, booked_until: int) -> None:
        """Start from stored state: nothing is loaded yet."""
        self.booked_until = booked_until
        self.earliest_deadlines = array("I")
        self.earliest_deadlines.frombytes(earliest_deadlines)
        if byteorder == "big":
            self.earliest_deadlines.byteswap()
        self.loaded = bytearray(PERSON_BUCKETS)
        self._unloaded = PERSON_BUCKETS

    def load(self, bucket: int, wakes: Sequence[tuple[bytes, int]]) -> None:
        """A bucket was read; these are all the wake-ups of its persons."""
        self.loaded[bucket] = 1
        self._unloaded -= 1
        self.wheel.push(wakes)
        self._set_deadline(bucket, min((wake_ms // MINUTE_MS for _, wake_ms in wakes), default=NO_DEADLINE))

    def due_buckets(self, watermark_ms: int) -> list[int]:
        """Buckets that must be read because a deadline in them may have passed."""
        if not self._unloaded:
            return []
        minute = watermark_ms // MINUTE_MS
        due = (
            bucket
            for bucket, earliest in enumerate(self.earliest_deadlines)
            if earliest <= minute and not self.loaded[bucket]
        )
        return list(islice(due, _BUCKETS_PER_READ))

    def pending(self, watermark_ms: int) -> int:
        """How many wake-ups (or buckets that may hold some) wait."""
        return len(self.queue) + len(self.due_buckets(watermark_ms))

    def arm(self, key: bytes, wake_ms: int) -> None:
        """A person must be looked at earlier than was known."""
        known = self.armed.get(key)
        if known is None or wake_ms < known:
            self.armed[key] = wake_ms

    def due(self, watermark_ms: int) -> list[bytes]:
        """Take out the persons whose wake-up the watermark has passed."""
        self.settle_armed()
        return self.wheel.due(watermark_ms)

    def settle_armed(self) -> None:
        """Put what was armed into the wheel, all at once, and note what is due earlier than the buckets say."""
        armed = self.armed
        if not armed:
            return
        soonest = min(armed.values())
        if soonest < self.booked_until:
            self.overdue.update((key, None) for key, wake_ms in armed.items() if wake_ms < self.booked_until)
        if self._unloaded or soonest // MINUTE_MS < max(self.earliest_deadlines):
            self._note_armed()
        self.wheel.push(armed.items())
        armed.clear()

    def _note_armed(self) -> None:
        """Note when something is due in the buckets of what was armed; of those not loaded that is all there is."""
        earliest, loaded = self.earliest_deadlines, self.loaded
        for key, wake_ms in list(self.armed.items()):
            bucket, minute = crc32(key) % PERSON_BUCKETS, wake_ms // MINUTE_MS
            if minute < earliest[bucket]:
                self._set_deadline(bucket, minute)
            if not loaded[bucket]:
                del self.armed[key]

    def renew_deadlines(self) -> None:
        """Write down anew when something is due in the loaded buckets: what fired leaves the old bound behind.

        Looks at the whole wheel, so it is done once per that many wake-ups. Nothing may be queued.
        """
        earliest = [NO_DEADLINE] * PERSON_BUCKETS
        for key, wake_ms in self.wheel.entries():
            bucket, minute = crc32(key) % PERSON_BUCKETS, wake_ms // MINUTE_MS
            if minute < earliest[bucket]:
                earliest[bucket] = minute
        for bucket, minute in enumerate(earliest):
            if self.loaded[bucket]:
                self._set_deadline(bucket, minute)
        self.fired = 0

    def _set_deadline(self, bucket: int, minute: int) -> None:
        if minute != self.earliest_deadlines[bucket]:
            self.earliest_deadlines[bucket] = minute
            self._changed_deadlines[bucket] = None

    def take_changes(self) -> dict[int, int]:
        """Earliest deadlines that have changed since the last time, by bucket."""
        self.settle_armed()
        changed = {bucket: self.earliest_deadlines[bucket] for bucket in self._changed_deadlines}
        self._changed_deadlines.clear()
        return changed
