"""The general counting path of one funnel in one partition, and the definition of what is right.

Unpack, walk, book minus; change the history; walk, book plus, fold, pack. The fast paths (`streams.core.step`,
`streams.core.inorder`, `streams.core.busy`, `streams.core.deadlines`) must leave the same state and the same books.
"""

from __future__ import annotations

from streams.core.book import book
from streams.core.busy import count_late, is_foldable, seal
from streams.core.cache import PersonCache, chunk_fields
from streams.core.chunk import Op
from streams.core.forget import is_nameless, without_ids
from streams.core.person import STATUS_MASK, Hot, Person, Single, pack_person, unpack_person, unpack_singles
from streams.core.plan import INFINITE, RESOLVED
from streams.core.walk import fold, hot_of, status_of, walk


class FunnelState(PersonCache):
    """A partition's people of one funnel and how an event that may be anything is counted."""

    def slow(self, op: Op) -> None:
        """Count one event that may be anything."""
        key, at, tie, kind, code, horizon, single = op
        plan, stats = self.plan, self.stats
        if key in self.sealed and plan.has_fast_paths and count_late(self, op):
            return
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

    def forget(self, key: bytes, name: bytes, horizon: int) -> None:
        """Keep a person under a name that says nothing: no later event finds the old one, no number changes."""
        person = self._person(key, horizon)
        if person is None:
            return
        before = walk(self.plan, person.base, person.singles)
        book(self.plan, before, person.status, sign=-1, books=self.books)
        self.drop(key, self.persons[key])
        self._settle(name, without_ids(person), horizon)
        self.stats["forgotten"] = self.stats.get("forgotten", 0) + 1

    def shorten(self, key: bytes, blob: bytes, horizon: int) -> bytes:
        """Make a long tail short: fold where much of the person lies behind the horizon, else seal. The new form.

        A tail of one instant cannot be cut: it is tried again when it is twice as long.
        """
        if len(blob) < self.uncut.get(key, 0):
            return blob
        if key not in self.sealed:
            self._fold_or_seal(key, blob, horizon)
        elif is_foldable(self, key, horizon):
            self.refresh(key, blob, horizon + self.plan.keep)
        else:
            seal(self, key, blob)
        if len(self.persons[key]) >= len(blob):
            self.uncut[key] = 2 * len(blob)
        return self.persons[key]

    def _fold_or_seal(self, key: bytes, blob: bytes, horizon: int) -> None:
        start = self.plan.header.size + self.plan.header.unpack_from(blob)[3]
        singles = sorted(unpack_singles(self.plan, blob[start:]))
        if singles[self.plan.seal // 2].at < horizon:
            self.refresh(key, blob, horizon + self.plan.keep)
        else:
            seal(self, key, blob)

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
        self.busy.pop(key, None)
        blob, sealed = pack_person(self.plan, person, hot, may_go=is_nameless(key))
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
        self.busy.pop(key, None)
        self.uncut.pop(key, None)
        del self.persons[key]
        self.dirty[key] = None
