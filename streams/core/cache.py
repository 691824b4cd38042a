"""A partition's people of one funnel in memory: what is known, what must be read, who wants to be looked at when.

Buckets: a bucket that is *loaded* has a wheel entry for every wake-up of its persons; of one that is not,
`earliest_deadlines` is a lower bound. A bucket that is *complete* has all its persons in memory, so a key that is not
there does not exist. Counts nothing.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from sys import byteorder
from zlib import crc32

from schemas.times import MINUTE_MS
from streams.core.book import Books
from streams.core.person import FOR_LIFE, STATUS_MASK, Base
from streams.core.plan import INFINITE, RESOLVED, Plan
from streams.core.timers import Wheel
from streams.state import CHUNK_SEPARATOR, NO_DEADLINE, PERSON_BUCKETS, Loaded

_BUCKETS_PER_READ = 16


class Busy:
    """Memory of a person with sealed chunks; derived, rebuilt on demand."""

    __slots__ = ("bases", "ends", "ties")

    def __init__(self, ties: set[int], ends: list[int], bases: list[Base]) -> None:
        self.ties = ties
        """Of sealed events."""
        self.ends = ends
        """Time of the newest event of every chunk, ascending."""
        self.bases = bases
        """The pass before chunk 0, 1, ... as far as it was asked for."""


class PersonCache:
    """Packed persons, sealed chunks, buckets, wake-ups and what changed."""

    def __init__(self, plan: Plan, *, max_persons: int) -> None:
        self.plan = plan
        self.max_persons = max_persons
        self.persons: dict[bytes, bytes] = {}
        self.sealed: dict[bytes, list[bytes]] = {}
        """Sealed chunks of the persons that have any."""
        self.busy: dict[bytes, Busy] = {}
        """What is known in memory of people with sealed chunks (`streams.core.busy`)."""
        self.fired = 0
        """Wake-ups since `raise_tmin`."""
        self.uncut: dict[bytes, int] = {}
        """Length at which a tail that could not be cut is tried again."""
        self.books = Books()
        self.stats: dict[str, int] = {}
        self.wheel = Wheel()
        self.queue: deque[bytes] = deque()
        """Persons whose second has come and who were not looked at yet."""
        self.earliest_deadlines = array("I", [NO_DEADLINE]) * PERSON_BUCKETS
        self.loaded = bytearray(b"\1" * PERSON_BUCKETS)
        self.complete = bytearray(b"\1" * PERSON_BUCKETS)
        self.dirty: dict[bytes, None] = {}
        self.dirty_fields: dict[bytes, bytes | None] = {}
        """Changed sealed chunks."""
        self.changed_deadlines: dict[int, None] = {}
        self._absent: set[bytes] = set()
        """Persons asked for who are not in the store."""
        self._loose: dict[bytes, bytes] = {}
        """Sealed chunks that arrived before their person was complete."""
        self.partly: set[bytes] = set()
        """Persons in memory whose sealed chunks are not."""
        self._unloaded = 0
        self._all_complete = True

    def restore(self, earliest_deadlines: bytes) -> None:
        """Start from stored state: nothing is loaded yet."""
        self.earliest_deadlines = array("I")
        self.earliest_deadlines.frombytes(earliest_deadlines)
        if byteorder == "big":
            self.earliest_deadlines.byteswap()
        self.loaded = bytearray(PERSON_BUCKETS)
        self.complete = bytearray(PERSON_BUCKETS)
        self._unloaded = PERSON_BUCKETS
        self._all_complete = False

    def is_known(self, key: bytes) -> bool:
        if key in self.persons:
            return key not in self.partly
        return self._all_complete or key in self._absent or bool(self.complete[crc32(key) % PERSON_BUCKETS])

    def chunks_of(self, blob: bytes) -> int:
        """How many sealed chunks belong to a packed person."""
        return int(self.plan.header.unpack_from(blob)[1] & 0xFFFF)

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """Fields to read before these persons can be counted."""
        if self._all_complete:
            return []
        absent = set(keys)
        partly = absent & self.partly
        wanted = [field for key in partly for field in chunk_fields(key, self.chunks_of(self.persons[key]))]
        absent.difference_update(self.persons, self._absent)
        complete = self.complete
        return wanted + [key for key in absent if not complete[crc32(key) % PERSON_BUCKETS]]

    def due_buckets(self, watermark_ms: int) -> list[int]:
        """Buckets that must be loaded because a deadline in them may have passed."""
        if not self._unloaded:
            return []
        minute = watermark_ms // MINUTE_MS
        due = (at for at, first in enumerate(self.earliest_deadlines) if first <= minute and not self.loaded[at])
        return list(islice(due, _BUCKETS_PER_READ))

    def due_missing(self, limit: int) -> list[bytes]:
        """Fields to read before the next `limit` wake-ups can be looked at."""
        return self.missing(islice(self.queue, limit))

    def admit(self, loaded: Loaded) -> None:
        """Take over what was read; what is in memory is never older and stays."""
        for field, packed in loaded.persons.items():
            if CHUNK_SEPARATOR in field:
                if packed is not None:
                    self._loose[field] = packed
            elif packed is None:
                self._absent.add(field)
            elif field not in self.persons:
                self._admit_person(field, packed)
        for bucket, fields in loaded.buckets.items():
            if not self.loaded[bucket]:
                self._admit_bucket(bucket, fields)
        self._gather_chunks()

    def _admit_person(self, key: bytes, packed: bytes) -> None:
        self.persons[key] = packed
        if self.chunks_of(packed):
            self.partly.add(key)

    def _admit_bucket(self, bucket: int, fields: Mapping[bytes, bytes]) -> None:
        self.loaded[bucket] = 1
        self._unloaded -= 1
        is_complete = True
        earliest = NO_DEADLINE
        for field, packed in fields.items():
            if CHUNK_SEPARATOR in field:
                if field.partition(CHUNK_SEPARATOR)[0] not in self.sealed:
                    self._loose[field] = packed
                continue
            known = self.persons.get(field, packed)
            if field not in self.persons:
                if len(self.persons) < self.max_persons:
                    self._admit_person(field, packed)
                else:
                    is_complete = False
            wake = self.wake_of(known)
            if wake < INFINITE:
                self.wheel.push(field, wake)
                earliest = min(earliest, wake // MINUTE_MS)
        self.complete[bucket] = is_complete
        self._set_tmin(bucket, earliest)

    def _gather_chunks(self) -> None:
        for key in list(self.partly) if self._loose else ():
            fields = chunk_fields(key, self.chunks_of(self.persons[key]))
            if all(field in self._loose for field in fields):
                self.sealed[key] = [self._loose.pop(field) for field in fields]
                self.partly.discard(key)

    def evict(self) -> None:
        """Forget persons over the limit, those first that came first; only what is written may go."""
        over = len(self.persons) - self.max_persons
        self._absent.clear()
        self._loose.clear()
        if over <= 0:
            return
        for key in list(islice(self.persons, over + self.max_persons // 10)):
            del self.persons[key]
            self.sealed.pop(key, None)
            self.busy.pop(key, None)
            self.uncut.pop(key, None)
            self.partly.discard(key)
            self._all_complete = False
            self.complete[crc32(key) % PERSON_BUCKETS] = 0
        self.persons = dict(self.persons)

    def take_changes(self) -> tuple[dict[bytes, bytes | None], dict[int, int]]:
        """Changed person fields (None: gone) and bucket deadlines since the last time; evicts."""
        persons: dict[bytes, bytes | None] = {key: self.persons.get(key) for key in self.dirty}
        persons.update(self.dirty_fields)
        earliest_deadlines = {bucket: self.earliest_deadlines[bucket] for bucket in self.changed_deadlines}
        self.dirty.clear()
        self.dirty_fields.clear()
        self.changed_deadlines.clear()
        self.evict()
        return persons, earliest_deadlines

    def is_forgotten(self, blob: bytes, horizon: int) -> bool:
        """Whether a person has nothing at or after the horizon, no journey under way and nothing for life."""
        q1, q2, *_ = self.plan.header.unpack_from(blob)
        if q1 >> 8 & FOR_LIFE or q1 >> 16 >= horizon:
            return False
        return bool(not q1 & 255 or (q2 >> 16) + self.plan.window < horizon)

    def wake_of(self, blob: bytes) -> int:
        """The watermark beyond which a packed person has to be looked at."""
        plan = self.plan
        q1, q2, q3, cold, *_ = plan.header.unpack_from(blob)
        status, passed, end = q1 >> 8 & STATUS_MASK, q1 & 255, (q2 >> 16) + plan.window
        if status != RESOLVED:
            return int(min((q3 >> 16) + plan.change[status][passed], end))
        if not passed and q1 >> 8 & FOR_LIFE and len(blob) == plan.header.size + cold and not q2 & 0xFFFF:
            return INFINITE
        return int(max(q1 >> 16, end if passed else 0) + plan.keep)

    def _set_tmin(self, bucket: int, minute: int) -> None:
        if minute != self.earliest_deadlines[bucket]:
            self.earliest_deadlines[bucket] = minute
            self.changed_deadlines[bucket] = None

    def raise_tmin(self) -> None:
        """Write down anew when something is due in the loaded buckets: what fired leaves the old bound behind.

        Looks at the whole wheel, so it is done once per that many wake-ups. Nothing may be queued.
        """
        earliest = [NO_DEADLINE] * PERSON_BUCKETS
        for key, wake in self.wheel.entries():
            bucket, minute = crc32(key) % PERSON_BUCKETS, wake // MINUTE_MS
            if minute < earliest[bucket]:
                earliest[bucket] = minute
        for bucket, minute in enumerate(earliest):
            if self.loaded[bucket]:
                self._set_tmin(bucket, minute)

    def arm(self, key: bytes, wake: int) -> None:
        """A person wants to be looked at earlier than was known."""
        bucket = crc32(key) % PERSON_BUCKETS
        if self.loaded[bucket]:
            self.wheel.push(key, wake)
        minute = wake // MINUTE_MS
        if minute < self.earliest_deadlines[bucket]:
            self.earliest_deadlines[bucket] = minute
            self.changed_deadlines[bucket] = None

    def pending(self, watermark_ms: int) -> int:
        """How many wake-ups (or buckets that may hold some) wait."""
        return len(self.queue) + len(self.due_buckets(watermark_ms))


def chunk_fields(key: bytes, count: int) -> list[bytes]:
    """Fields of a person's sealed chunks."""
    return [key + CHUNK_SEPARATOR + b"%d" % at for at in range(count)]
