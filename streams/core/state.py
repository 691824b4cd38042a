"""Persons of one funnel in one partition: the cache, what must be loaded, the general (slow) counting path, wake-ups.

The general path is the definition: unpack, walk, book minus; change the history; walk, book plus, fold, pack. The fast
paths (`streams.core.step`) must leave the same state and the same books.

Buckets: a bucket that is *loaded* has a wheel entry for every wake-up of its persons; of one that is not, `tmin` is a
lower bound. A bucket that is *complete* has all its persons in memory, so a key that is not there does not exist.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from sys import byteorder
from zlib import crc32

from streams.core.book import Books, book
from streams.core.intake import Op
from streams.core.person import (
    EXT_AMOUNT,
    FOR_LIFE,
    HAS_AMOUNT,
    STATUS_MASK,
    Hot,
    Person,
    Single,
    pack_person,
    unpack_person,
    unpack_singles,
)
from streams.core.plan import INFINITE, RESOLVED, STALLED, Plan
from streams.core.timers import Wheel
from streams.core.walk import fold, hot_of, status_of, walk
from streams.store.port import CHUNK_SEPARATOR, NO_DEADLINE, PERSON_BUCKETS, Loaded

MINUTE_MS = 60_000
_BUCKETS_PER_READ = 16


class SlotState:
    """Everything a funnel keeps of a partition's people."""

    def __init__(self, plan: Plan, *, max_persons: int, slow_only: bool) -> None:
        self.plan = plan
        self.slow_only = slow_only or plan.is_wide
        self.max_persons = max_persons
        self.persons: dict[bytes, bytes] = {}
        self.sealed: dict[bytes, list[bytes]] = {}
        """Sealed chunks of the persons that have any."""
        self.sealed_ties: dict[bytes, set[int]] = {}
        self.books = Books()
        self.stats: dict[str, int] = {}
        self.wheel = Wheel()
        self.queue: deque[bytes] = deque()
        """Persons whose second has come and who were not looked at yet."""
        self.tmin = array("I", [NO_DEADLINE]) * PERSON_BUCKETS
        self.loaded = bytearray(b"\1" * PERSON_BUCKETS)
        self.complete = bytearray(b"\1" * PERSON_BUCKETS)
        self.dirty: dict[bytes, None] = {}
        self.dirty_fields: dict[bytes, bytes | None] = {}
        """Changed sealed chunks."""
        self.dirty_tmin: dict[int, None] = {}
        self._absent: set[bytes] = set()
        """Persons asked for who are not in the store."""
        self._loose: dict[bytes, bytes] = {}
        """Sealed chunks that arrived before their person was complete."""
        self._partly: set[bytes] = set()
        """Persons in memory whose sealed chunks are not."""
        self._unloaded = 0
        self._all_complete = True

    # ---- loading

    def restore(self, tmin: bytes) -> None:
        """Start from stored state: nothing is loaded yet."""
        self.tmin = array("I")
        self.tmin.frombytes(tmin)
        if byteorder == "big":
            self.tmin.byteswap()
        self.loaded = bytearray(PERSON_BUCKETS)
        self.complete = bytearray(PERSON_BUCKETS)
        self._unloaded = PERSON_BUCKETS
        self._all_complete = False

    def _is_known(self, key: bytes) -> bool:
        if key in self.persons:
            return key not in self._partly
        return self._all_complete or key in self._absent or bool(self.complete[crc32(key) % PERSON_BUCKETS])

    def chunks_of(self, blob: bytes) -> int:
        """How many sealed chunks belong to a packed person."""
        return int(self.plan.header.unpack_from(blob)[1] & 0xFFFF)

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """Fields to read before these persons can be counted."""
        if self._all_complete:
            return []
        absent = set(keys)
        partly = absent & self._partly
        wanted = [field for key in partly for field in chunk_fields(key, self.chunks_of(self.persons[key]))]
        absent.difference_update(self.persons, self._absent)
        complete = self.complete
        return wanted + [key for key in absent if not complete[crc32(key) % PERSON_BUCKETS]]

    def due_buckets(self, watermark_ms: int) -> list[int]:
        """Buckets that must be loaded because a deadline in them may have passed."""
        if not self._unloaded:
            return []
        minute = watermark_ms // MINUTE_MS
        due = (at for at, first in enumerate(self.tmin) if first <= minute and not self.loaded[at])
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
            self._partly.add(key)

    def _admit_bucket(self, bucket: int, fields: Mapping[bytes, bytes]) -> None:
        self.loaded[bucket] = 1
        self._unloaded -= 1
        is_complete = True
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
        self.complete[bucket] = is_complete

    def _gather_chunks(self) -> None:
        for key in list(self._partly) if self._loose else ():
            fields = chunk_fields(key, self.chunks_of(self.persons[key]))
            if all(field in self._loose for field in fields):
                self.sealed[key] = [self._loose.pop(field) for field in fields]
                self._partly.discard(key)

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
            self.sealed_ties.pop(key, None)
            self._partly.discard(key)
            self._all_complete = False
            self.complete[crc32(key) % PERSON_BUCKETS] = 0
        self.persons = dict(self.persons)

    def take_changes(self) -> tuple[dict[bytes, bytes | None], dict[int, int]]:
        """Changed person fields (None: gone) and bucket deadlines since the last time; evicts."""
        persons: dict[bytes, bytes | None] = {key: self.persons.get(key) for key in self.dirty}
        persons.update(self.dirty_fields)
        tmin = {bucket: self.tmin[bucket] for bucket in self.dirty_tmin}
        self.dirty.clear()
        self.dirty_fields.clear()
        self.dirty_tmin.clear()
        self.evict()
        return persons, tmin

    # ---- the general path

    def slow(self, op: Op) -> None:
        """Count one event that may be anything."""
        key, at, tie, kind, code, horizon, single = op
        plan, stats = self.plan, self.stats
        person = self._person(key, horizon)
        is_new = person is None
        if person is None:
            person = Person()
        before = walk(plan, person.base, person.singles)
        kept = next((one for one in person.singles if one.tie == tie and one.at >= horizon), None)
        if kept is not None:
            stats["duplicates"] = stats.get("duplicates", 0) + 1
            if at >= kept.at:
                return
            person.singles.remove(kept)
        else:
            stats["accepted"] = stats.get("accepted", 0) + 1
            stats["persons"] = stats.get("persons", 0) + is_new
        book(plan, before, person.status, sign=-1, books=self.books)
        person.singles.append(single if single is not None else Single(at, tie, kind, code))
        self._settle(key, person, horizon)

    def _person(self, key: bytes, horizon: int) -> Person | None:
        """The person of a key; None where it is new, or so long gone that it is new again."""
        blob = self.persons.get(key)
        if blob is None:
            return None
        if self.is_forgotten(blob, horizon):
            self.retire(key, blob, horizon + self.plan.keep)
            return None
        return unpack_person(self.plan, blob, self.sealed.get(key, ()))

    def retire(self, key: bytes, blob: bytes, watermark_ms: int) -> None:
        """Forget a person, but not before what was still booked as open has been decided."""
        if self.plan.header.unpack_from(blob)[0] >> 8 & STATUS_MASK != RESOLVED:
            self.refresh(key, blob, watermark_ms)
            blob = self.persons[key]
        self.drop(key, blob)

    def refresh(self, key: bytes, blob: bytes, watermark_ms: int) -> None:
        """Book what the watermark alone has decided about a person, and fold."""
        person = unpack_person(self.plan, blob, self.sealed.get(key, ()))
        before = walk(self.plan, person.base, person.singles)
        book(self.plan, before, person.status, sign=-1, books=self.books)
        self._settle(key, person, watermark_ms - self.plan.keep)

    def _settle(self, key: bytes, person: Person, horizon: int) -> None:
        """Book plus, fold and keep a person whose old contributions were taken out."""
        plan = self.plan
        after = walk(plan, person.base, person.singles)
        person.status = status_of(plan, after, horizon + plan.keep)
        book(plan, after, person.status, sign=1, books=self.books)
        last_at = max((one.at for one in person.singles), default=0)
        orders = person.base.orders_count + after.orders_count
        self._fold(person, horizon)
        self._keep(key, person, hot_of(plan, after, last_at=last_at, orders=orders, horizon=horizon))

    def _fold(self, person: Person, horizon: int) -> None:
        behind = [one for one in person.singles if one.at < horizon]
        if behind or person.base.journey is not None:
            person.base = fold(self.plan, person.base, behind, horizon)
        if behind:
            person.singles = [one for one in person.singles if one.at >= horizon]

    def _keep(self, key: bytes, person: Person, hot: Hot) -> None:
        old = self.persons.get(key)
        old_wake = INFINITE if old is None else self.wake_of(old)
        old_chunks = self.sealed.pop(key, [])
        self.sealed_ties.pop(key, None)
        blob, sealed = pack_person(self.plan, person, hot)
        fields = chunk_fields(key, max(len(sealed), len(old_chunks)))
        for at, field in enumerate(fields):
            now = sealed[at] if at < len(sealed) else None
            if now != (old_chunks[at] if at < len(old_chunks) else None):
                self.dirty_fields[field] = now
        if sealed:
            self.sealed[key] = sealed
        self.persons[key] = blob
        self.dirty[key] = None
        wake = self.wake_of(blob)
        if wake < old_wake:
            self.arm(key, wake)

    def _drop_fields(self, key: bytes, chunks: int) -> None:
        for field in chunk_fields(key, chunks):
            self.dirty_fields[field] = None

    def drop(self, key: bytes, blob: bytes) -> None:
        """Forget a person for good."""
        self._drop_fields(key, self.chunks_of(blob))
        self.sealed.pop(key, None)
        self.sealed_ties.pop(key, None)
        del self.persons[key]
        self.dirty[key] = None

    def is_forgotten(self, blob: bytes, horizon: int) -> bool:
        """Whether a person has nothing at or after the horizon, no journey under way and nothing for life."""
        q1, q2, *_ = self.plan.header.unpack_from(blob)
        if q1 >> 8 & FOR_LIFE or q1 >> 16 >= horizon:
            return False
        return bool(not q1 & 255 or (q2 >> 16) + self.plan.window < horizon)

    # ---- sealed chunks

    def seal(self, key: bytes, blob: bytes, horizon: int) -> bytes:
        """Make a long tail short: fold where much of the person lies behind the horizon, else seal the oldest records.

        The costly fold is taken only when at least a quarter of the events goes: so it is cheap per event.
        """
        plan, chunks = self.plan, self.sealed.get(key, [])
        q1, q2, q3, cold, first, code = plan.header.unpack_from(blob)
        start = plan.header.size + cold
        tail = blob[start:]
        size = plan.record.size
        probe = chunks[len(chunks) // 4] if chunks else tail[: plan.seal * size]
        if max(one.at for one in unpack_singles(plan, probe)) < horizon:
            self.refresh(key, blob, horizon + plan.keep)
            return self.persons[key]
        cut = plan.seal
        while cut * size < len(tail) and tail[cut * size + 8] >= EXT_AMOUNT:
            cut += 1
        chunk = tail[: cut * size]
        self.sealed[key] = [*chunks, chunk]
        if key in self.sealed_ties:
            self.sealed_ties[key].update(one.tie for one in unpack_singles(plan, chunk))
        self.dirty_fields[chunk_fields(key, len(chunks) + 1)[-1]] = chunk
        header = plan.header.pack(q1, q2 & ~0xFFFF | len(chunks) + 1, q3, cold, first, code)
        self.persons[key] = header + blob[plan.header.size : start] + tail[cut * size :]
        self.dirty[key] = None
        return self.persons[key]

    def ties_of(self, key: bytes) -> set[int]:
        """Ties of a person's sealed events."""
        found = self.sealed_ties.get(key)
        if found is None:
            chunks = self.sealed.get(key, ())
            found = self.sealed_ties[key] = {one.tie for chunk in chunks for one in unpack_singles(self.plan, chunk)}
        return found

    def kept_at(self, key: bytes, blob: bytes, tie: bytes) -> int:
        """Time of the event with the packed tie; -1 where the bytes do not tell."""
        size = self.plan.record.size
        start = self.plan.header.size + self.plan.header.unpack_from(blob)[3]
        for packed in (blob[start:], *self.sealed.get(key, ())):
            at = packed.find(tie)
            if at >= 0 and at % size == 0 and packed[at + 8] < EXT_AMOUNT:
                return int.from_bytes(packed[at + 9 : at + 15], "little")
        return -1

    # ---- wake-ups

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

    def arm(self, key: bytes, wake: int) -> None:
        """A person wants to be looked at earlier than was known."""
        bucket = crc32(key) % PERSON_BUCKETS
        if self.loaded[bucket]:
            self.wheel.push(key, wake)
        minute = wake // MINUTE_MS
        if minute < self.tmin[bucket]:
            self.tmin[bucket] = minute
            self.dirty_tmin[bucket] = None

    def collect_due(self, watermark_ms: int) -> None:
        """Queue every person whose second has come."""
        self.queue.extend(self.wheel.due(watermark_ms))

    def fire(self, watermark_ms: int, limit: int) -> None:
        """Look at queued persons, at most `limit` that change; those not in memory stay queued."""
        changed = 0
        waiting: list[bytes] = []
        persons, queue = self.persons, self.queue
        while queue and changed < limit:
            key = queue.popleft()
            blob = persons.get(key)
            if blob is None or key in self._partly:
                if not self._is_known(key):
                    waiting.append(key)
                continue
            wake = self.wake_of(blob)
            if wake < watermark_ms:
                changed += 1
                wake = self._fire_one(key, blob, watermark_ms)
            if wake < INFINITE:
                self.wheel.push(key, wake)
        queue.extendleft(reversed(waiting))

    def _fire_one(self, key: bytes, blob: bytes, watermark_ms: int) -> int:
        """Book what is due for a person; when to look again."""
        if not self.slow_only:
            wake = self._fire_header(key, blob, watermark_ms)
            if wake >= 0:
                return wake
        if self.is_forgotten(blob, watermark_ms - self.plan.keep):
            self.retire(key, blob, watermark_ms)
            return INFINITE
        self.refresh(key, blob, watermark_ms)
        return self.wake_of(self.persons[key])

    def _fire_header(self, key: bytes, blob: bytes, watermark_ms: int) -> int:
        """Book the deadline of the last entry from the header alone; when to look again, -1 where it is not enough."""
        plan, counts = self.plan, self.books.counts
        q1, q2, q3, _, _, code = plan.header.unpack_from(blob)
        status, stage, at = q1 >> 8 & STATUS_MASK, (q1 & 255) - 1, q3 >> 16
        if status == RESOLVED:
            return -1
        here = (at // MINUTE_MS << plan.code_bits | code) << plan.family_bits
        end = (q2 >> 16) + plan.window
        deadline = min(at + plan.abandon[stage], end)
        if watermark_ms <= deadline:
            counts[here | plan.f_stalled[stage]] += 1
            decided, wake = STALLED, deadline
        elif q1 >> 8 & HAS_AMOUNT:
            return -1
        else:
            counts[here | plan.f_abandoned_cohort[stage]] += 1
            there = (deadline // MINUTE_MS << plan.code_bits | code) << plan.family_bits
            counts[there | plan.f_abandoned_period[stage]] += 1
            if status == STALLED:
                counts[here | plan.f_stalled[stage]] -= 1
            decided, wake = RESOLVED, max(q1 >> 16, end) + plan.keep
        q1 = q1 & ~(STATUS_MASK << 8) | decided << 8
        self.persons[key] = plan.quad.pack(q1) + blob[8:]
        self.dirty[key] = None
        return int(wake)

    def pending(self, watermark_ms: int) -> int:
        """How many wake-ups (or buckets that may hold some) wait."""
        return len(self.queue) + len(self.due_buckets(watermark_ms))


def chunk_fields(key: bytes, count: int) -> list[bytes]:
    """Fields of a person's sealed chunks."""
    return [key + CHUNK_SEPARATOR + b"%d" % at for at in range(count)]
