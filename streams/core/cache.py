"""A partition's persons of one funnel in memory: what is known, what must be read, when to look at whom again.

Buckets: a bucket that is *loaded* has a wheel entry for every wake-up of its persons; of one that is not,
`earliest_deadlines` is a lower bound. A bucket that is *complete* has all its persons in memory, so a key that is not
there does not exist. Counts nothing and decides nothing about a person: it keeps packed bytes and what changed.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice, zip_longest
from sys import byteorder
from zlib import crc32

from schemas.times import MINUTE_MS
from streams.core.base import Base, Entry, FirstOrder
from streams.core.header import SILENCE_MS, Link, as_of, chunks_of, link_of, linked_alone, wake, words_of
from streams.core.kept import KeptEvent
from streams.core.lifetimes import Revenue
from streams.core.person import person_field
from streams.core.place import ONLY_PARTITION, Place
from streams.core.plan import INFINITE, Plan
from streams.core.timers import Wheel
from streams.state import CHUNK_SEPARATOR, NO_DEADLINE, PERSON_BUCKETS, Loaded

_BUCKETS_PER_READ = 16
_REMEMBERED = 100_000
"""Persons of whom entries or first orders are remembered."""


class Heavy:
    """What is known in memory of a person with sealed chunks; derived, rebuilt on demand (`streams.core.heavy`)."""

    __slots__ = ("bases", "ends", "ids", "revenues", "times")

    def __init__(self) -> None:
        self.times: dict[int, int] = {}
        """Of sealed events, by hash."""
        self.ids: set[int] = set()
        """Orders and refunds that sealed events name (or have named)."""
        self.ends: list[int] = []
        """Time of the newest event of every chunk, ascending."""
        self.bases: list[Base] = []
        """The pass before chunk 0, 1, ... as far as it was asked for."""
        self.revenues: list[Revenue | None] = []
        """Of the orders of every chunk; None: not asked for yet."""

    def learn(self, events: Iterable[KeptEvent]) -> None:
        """Events are sealed."""
        for event in events:
            self.times[event.event_hash] = event.at
            if event.order or event.refund:
                self.ids.update((event.order, event.refund))


class PersonCache:
    """Packed persons, sealed chunks, buckets, wake-ups and what changed."""

    def __init__(self, plan: Plan, *, max_persons: int) -> None:
        self.plan = plan
        self.max_persons = max_persons
        self.persons: dict[bytes, bytes] = {}
        self.sealed: dict[bytes, list[bytes]] = {}
        """Sealed chunks of the persons that have any."""
        self.heavy: dict[bytes, Heavy] = {}
        self.entries: dict[bytes, list[Entry]] = {}
        """Of journeys under way with several entries, as they were entered; of some: what is not here is walked for."""
        self.first_orders: dict[bytes, FirstOrder] = {}
        """Likewise."""
        self.uncut: dict[bytes, int] = {}
        """Length at which a tail that could not be cut is tried again."""
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
        """Persons whom an event has given a wake-up before that time."""
        self.earliest_deadlines = array("I", [NO_DEADLINE]) * PERSON_BUCKETS
        self.loaded = bytearray(b"\1" * PERSON_BUCKETS)
        self.complete = bytearray(b"\1" * PERSON_BUCKETS)
        self.dirty: dict[bytes, bytes | None] = {}
        """Persons changed since `take_changes`, as they are to be written; None: gone."""
        self.dirty_fields: dict[bytes, bytes | None] = {}
        """Changed sealed chunks."""
        self.erased: set[bytes] = set()
        """Persons of whom nothing that was written before may stay, since `take_changes`."""
        self.changed_deadlines: dict[int, None] = {}
        self.partly: set[bytes] = set()
        """Persons in memory whose sealed chunks are not."""
        self._absent: set[bytes] = set()
        """Persons asked for who are not in the store."""
        self._loose: dict[bytes, bytes] = {}
        """Sealed chunks that arrived before their person was complete."""
        self._linked: dict[bytes, bytes] = {}
        """Of persons in memory that are linked the higher id."""
        self._unloaded = 0
        self._all_complete = True

    def restore(self, earliest_deadlines: bytes, booked_until: int) -> None:
        """Start from stored state: nothing is loaded yet."""
        self.booked_until = booked_until
        self.earliest_deadlines = array("I")
        self.earliest_deadlines.frombytes(earliest_deadlines)
        if byteorder == "big":
            self.earliest_deadlines.byteswap()
        self.loaded = bytearray(PERSON_BUCKETS)
        self.complete = bytearray(PERSON_BUCKETS)
        self._unloaded = PERSON_BUCKETS
        self._all_complete = False

    # --- what must be read

    def is_known(self, key: bytes) -> bool:
        """Whether a person is in memory whole, or does not exist."""
        if key in self.persons:
            return key not in self.partly
        return self._all_complete or key in self._absent or bool(self.complete[crc32(key) % PERSON_BUCKETS])

    def missing(self, keys: Iterable[bytes], place: Place = ONLY_PARTITION) -> list[bytes]:
        """Fields to read before these persons, and those of the partition whom they are linked to, can be counted."""
        if self._all_complete:
            return []
        absent = set(keys)
        lower = absent
        while lower := {self._linked[key] for key in lower & self._linked.keys() if place.holds(self._linked[key])}:
            lower = {person_field(key) for key in lower}
            absent |= lower
        partly = absent & self.partly
        fields = [field for key in partly for field in self._chunk_fields(key)]
        absent.difference_update(self.persons, self._absent)
        complete = self.complete
        return fields + [key for key in absent if not complete[crc32(key) % PERSON_BUCKETS]]

    def due_buckets(self, watermark_ms: int) -> list[int]:
        """Buckets that must be loaded because a deadline in them may have passed."""
        if not self._unloaded:
            return []
        minute = watermark_ms // MINUTE_MS
        due = (
            bucket
            for bucket, earliest in enumerate(self.earliest_deadlines)
            if earliest <= minute and not self.loaded[bucket]
        )
        return list(islice(due, _BUCKETS_PER_READ))

    def due_missing(self, limit: int) -> list[bytes]:
        """Fields to read before the next `limit` wake-ups can be looked at."""
        return self.missing(islice(self.queue, limit))

    def pending(self, watermark_ms: int) -> int:
        """How many wake-ups (or buckets that may hold some) wait."""
        return len(self.queue) + len(self.due_buckets(watermark_ms))

    # --- what was read

    def admit(self, loaded: Loaded) -> None:
        """Take over what was read; what is in memory is never older and stays."""
        for field, packed in loaded.persons.items():
            if CHUNK_SEPARATOR in field:
                if packed is not None:
                    self._loose[field] = packed
            elif packed is None:
                self._absent.add(field)
            elif field not in self.persons:
                self._admit_person(field, as_of(self.plan, packed, self.booked_until))
        for bucket, fields in loaded.buckets.items():
            if not self.loaded[bucket]:
                self._admit_bucket(bucket, fields)
        self._gather_chunks()

    def _admit_person(self, key: bytes, packed: bytes) -> None:
        self.persons[key] = packed
        self._note_link(key, packed)
        if self._chunks(packed):
            self.partly.add(key)

    def _admit_bucket(self, bucket: int, fields: Mapping[bytes, bytes]) -> None:
        self.loaded[bucket] = 1
        self._unloaded -= 1
        is_complete = True
        earliest = NO_DEADLINE
        wakes: list[tuple[bytes, int]] = []
        for field, packed in fields.items():
            if CHUNK_SEPARATOR in field:
                if field.partition(CHUNK_SEPARATOR)[0] not in self.sealed:
                    self._loose[field] = packed
                continue
            newest = self.persons.get(field)
            if newest is None:
                newest = as_of(self.plan, packed, self.booked_until)
                if len(self.persons) < self.max_persons:
                    self._admit_person(field, newest)
                else:
                    is_complete = False
            wake_ms = wake(self.plan, newest)
            if wake_ms < INFINITE:
                wakes.append((field, wake_ms))
                earliest = min(earliest, wake_ms // MINUTE_MS)
        self.wheel.push(wakes)
        self.complete[bucket] = is_complete
        self._set_deadline(bucket, earliest)

    def _gather_chunks(self) -> None:
        for key in list(self.partly) if self._loose else ():
            fields = self._chunk_fields(key)
            if all(field in self._loose for field in fields):
                self.sealed[key] = [self._loose.pop(field) for field in fields]
                self.partly.discard(key)

    def _chunks(self, packed: bytes) -> int:
        return chunks_of(words_of(self.plan, packed)[1])

    def _chunk_fields(self, key: bytes) -> list[bytes]:
        return chunk_fields(key, self._chunks(self.persons[key]))

    # --- what changes

    def put(self, key: bytes, packed: bytes) -> None:
        """Keep a person's new form and see to it that it is looked at in time."""
        before = self.persons.get(key)
        self.persons[key] = packed
        self._forget_pass(key)
        self._note_link(key, packed)
        self.dirty[key] = packed
        wake_ms = wake(self.plan, packed)
        if wake_ms < (INFINITE if before is None else wake(self.plan, before)):
            self.arm(key, wake_ms)

    def put_link(self, key: bytes, link: Link) -> None:
        """Keep of an id its link and nothing else."""
        if key in self.persons:
            for field in self._chunk_fields(key):
                self.dirty_fields[field] = None
            self._forget(key)
        self.persons[key] = self.dirty[key] = linked_alone(self.plan, link)
        self._linked[key] = link.higher
        self.arm(key, link.seen + SILENCE_MS)

    def put_chunks(self, key: bytes, sealed: list[bytes]) -> None:
        """Keep a person's sealed chunks; only those that differ are written."""
        before = self.sealed.pop(key, [])
        fields = chunk_fields(key, max(len(sealed), len(before)))
        for field, chunk, old in zip_longest(fields, sealed, before):
            if chunk != old:
                self.dirty_fields[field] = chunk
        if sealed:
            self.sealed[key] = sealed

    def drop(self, key: bytes) -> None:
        """Delete a person."""
        for field in self._chunk_fields(key):
            self.dirty_fields[field] = None
        self._forget(key)
        self.dirty[key] = None

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
            self.changed_deadlines[bucket] = None

    def take_changes(self) -> tuple[dict[bytes, bytes | None], set[bytes], dict[int, int]]:
        """Changed person fields (None: gone), those erased, and bucket deadlines since the last time; evicts."""
        self.settle_armed()
        persons = self.dirty | self.dirty_fields
        deadlines = {bucket: self.earliest_deadlines[bucket] for bucket in self.changed_deadlines}
        erased, self.erased = self.erased, set()
        self.dirty.clear()
        self.dirty_fields.clear()
        self.changed_deadlines.clear()
        self._evict()
        return persons, erased, deadlines

    def _evict(self) -> None:
        """Leave persons over the limit to the store, those first that came first; only what is written may go."""
        for remembered in (self.entries, self.first_orders):
            if len(remembered) > _REMEMBERED:
                remembered.clear()
        over = len(self.persons) - self.max_persons
        self._absent.clear()
        self._loose.clear()
        if over <= 0:
            return
        for key in list(islice(self.persons, over + self.max_persons // 10)):
            self._forget(key)
            self.partly.discard(key)
            self._all_complete = False
            self.complete[crc32(key) % PERSON_BUCKETS] = 0
        self.persons = dict(self.persons)

    def _note_link(self, key: bytes, packed: bytes) -> None:
        link = link_of(self.plan, packed)
        if link is not None:
            self._linked[key] = link.higher
        else:
            self._linked.pop(key, None)

    def _forget(self, key: bytes) -> None:
        del self.persons[key]
        self._forget_pass(key)
        self._linked.pop(key, None)
        self.sealed.pop(key, None)
        self.heavy.pop(key, None)
        self.uncut.pop(key, None)

    def _forget_pass(self, key: bytes) -> None:
        self.entries.pop(key, None)
        self.first_orders.pop(key, None)


def chunk_fields(key: bytes, count: int) -> list[bytes]:
    """Fields of a person's sealed chunks."""
    return [key + CHUNK_SEPARATOR + b"%d" % number for number in range(count)]
