"""A partition's persons of one funnel in memory: what is known of whom, what must be read first, and what changed.

A bucket that is *complete* has all its persons in memory, so a key that is not there does not exist. Counts nothing and
decides nothing about a person: it keeps packed bytes. When to look at whom again is in `wake_ups`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice, zip_longest
from zlib import crc32

from streams.core.base import Entry, FirstOrder
from streams.core.header import SILENCE_MS, Link, as_of, chunks_of, link_of, linked_alone, wake, words_of
from streams.core.person import person_field
from streams.core.place import ONLY_PARTITION, Place
from streams.core.plan import INFINITE, Plan
from streams.core.sealed import Heavy, chunk_fields
from streams.core.wake_ups import WakeUps
from streams.state import CHUNK_SEPARATOR, PERSON_BUCKETS, Loaded

_REMEMBERED = 100_000
"""Persons of whom entries or first orders are remembered."""


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
        self.wake_ups = WakeUps()
        self.complete = bytearray(b"\1" * PERSON_BUCKETS)
        self.dirty: dict[bytes, bytes | None] = {}
        """Persons changed since `take_changes`, as they are to be written; None: gone."""
        self.dirty_fields: dict[bytes, bytes | None] = {}
        """Changed sealed chunks."""
        self.erased: set[bytes] = set()
        """Persons of whom nothing that was written before may stay, since `take_changes`."""
        self.partly: set[bytes] = set()
        """Persons in memory whose sealed chunks are not."""
        self._absent: set[bytes] = set()
        """Persons asked for who are not in the store."""
        self._loose: dict[bytes, bytes] = {}
        """Sealed chunks that arrived before their person was complete."""
        self._linked: dict[bytes, bytes] = {}
        """Of persons in memory that are linked the higher id."""
        self._all_complete = True

    def restore(self, earliest_deadlines: bytes, booked_until: int) -> None:
        """Start from stored state: nothing is loaded yet."""
        self.wake_ups.restore(earliest_deadlines, booked_until)
        self.complete = bytearray(PERSON_BUCKETS)
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

    def due_missing(self, limit: int) -> list[bytes]:
        """Fields to read before the next `limit` wake-ups can be looked at."""
        return self.missing(islice(self.wake_ups.queue, limit))

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
                self._admit_person(field, as_of(self.plan, packed, self.wake_ups.booked_until))
        for bucket, fields in loaded.buckets.items():
            if not self.wake_ups.loaded[bucket]:
                self._admit_bucket(bucket, fields)
        self._gather_chunks()

    def _admit_person(self, key: bytes, packed: bytes) -> None:
        self.persons[key] = packed
        self._note_link(key, packed)
        if self._chunks(packed):
            self.partly.add(key)

    def _admit_bucket(self, bucket: int, fields: Mapping[bytes, bytes]) -> None:
        is_complete = True
        wakes: list[tuple[bytes, int]] = []
        for field, packed in fields.items():
            if CHUNK_SEPARATOR in field:
                if field.partition(CHUNK_SEPARATOR)[0] not in self.sealed:
                    self._loose[field] = packed
                continue
            newest = self.persons.get(field)
            if newest is None:
                newest = as_of(self.plan, packed, self.wake_ups.booked_until)
                if len(self.persons) < self.max_persons:
                    self._admit_person(field, newest)
                else:
                    is_complete = False
            wake_ms = wake(self.plan, newest)
            if wake_ms < INFINITE:
                wakes.append((field, wake_ms))
        self.wake_ups.load(bucket, wakes)
        self.complete[bucket] = is_complete

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
            self.wake_ups.arm(key, wake_ms)

    def put_link(self, key: bytes, link: Link) -> None:
        """Keep of an id its link and nothing else."""
        if key in self.persons:
            for field in self._chunk_fields(key):
                self.dirty_fields[field] = None
            self._forget(key)
        self.persons[key] = self.dirty[key] = linked_alone(self.plan, link)
        self._linked[key] = link.higher
        self.wake_ups.arm(key, link.seen + SILENCE_MS)

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

    def take_changes(self) -> tuple[dict[bytes, bytes | None], set[bytes], dict[int, int]]:
        """Changed person fields (None: gone), those erased, and bucket deadlines since the last time; evicts."""
        persons = self.dirty | self.dirty_fields
        deadlines = self.wake_ups.take_changes()
        erased, self.erased = self.erased, set()
        self.dirty.clear()
        self.dirty_fields.clear()
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
