"""People with many kept events: sealed chunks, and a pass that starts in the middle.

A tail that grows long is cut: its oldest events become a chunk, a field of its own that is written once. Chunks follow
each other in time, strictly: so the result of the pass before a chunk is a base like any other, and an event that comes
late re-runs the pass from its chunk on, not from the beginning. An event costs what happened since, whoever it is.
"""

from __future__ import annotations

from bisect import bisect_left

from streams.core.book import book
from streams.core.cache import Busy, PersonCache, chunk_fields
from streams.core.chunk import Op
from streams.core.person import (
    EXT_AMOUNT,
    FOR_LIFE,
    STATUS_MASK,
    Base,
    Person,
    Single,
    pack_header,
    pack_single,
    split,
    unpack_base,
    unpack_singles,
)
from streams.core.walk import checkpoint, hot_of, status_of, walk


def busy_of(state: PersonCache, key: bytes) -> Busy:
    """What is known of a person with sealed chunks."""
    found = state.busy.get(key)
    if found is None:
        chunks = [unpack_singles(state.plan, chunk) for chunk in state.sealed.get(key, ())]
        ties = {one.tie for chunk in chunks for one in chunk}
        found = state.busy[key] = Busy(ties, [max(one.at for one in chunk) for chunk in chunks], [])
    return found


def base_before(state: PersonCache, key: bytes, blob: bytes, chunk: int) -> Base:
    """The pass before a chunk (or, with the number of chunks, before the tail)."""
    bases = busy_of(state, key).bases
    if not bases:
        start = state.plan.header.size
        bases.append(unpack_base(blob[start : start + state.plan.header.unpack_from(blob)[3]]))
    sealed = state.sealed.get(key, ())
    while len(bases) <= chunk:
        bases.append(checkpoint(state.plan, bases[-1], unpack_singles(state.plan, sealed[len(bases) - 1])))
    return bases[chunk]


def recent(state: PersonCache, key: bytes, blob: bytes, chunk: int | None = None) -> Person:
    """The person as of a chunk (default: the tail): the pass before it, and the events from there on."""
    sealed = state.sealed.get(key, [])
    first = len(sealed) if chunk is None else chunk
    plan = state.plan
    q1, _, _, cold, _, _ = plan.header.unpack_from(blob)
    person = Person()
    person.status = q1 >> 8 & STATUS_MASK
    person.base = base_before(state, key, blob, first)
    for one in sealed[first:]:
        person.singles += unpack_singles(plan, one)
    person.singles += unpack_singles(plan, blob[plan.header.size + cold :])
    return person


def kept_at(state: PersonCache, key: bytes, blob: bytes, tie: bytes) -> int:
    """Time of the event with the packed tie; -1 where the bytes do not tell."""
    size = state.plan.record.size
    start = state.plan.header.size + state.plan.header.unpack_from(blob)[3]
    for packed in (blob[start:], *state.sealed.get(key, ())):
        at = packed.find(tie)
        if at >= 0 and at % size == 0 and packed[at + 8] < EXT_AMOUNT:
            return int.from_bytes(packed[at + 9 : at + 15], "little")
    return -1


def seal(state: PersonCache, key: bytes, blob: bytes) -> bytes:
    """Cut a long tail. The person's new packed form."""
    plan = state.plan
    start = plan.header.size + plan.header.unpack_from(blob)[3]
    singles = sorted(unpack_singles(plan, blob[start:]))
    parts, rest = split(max(1, min(plan.seal, (len(singles) - 1) // 2)), singles)
    return _keep(state, key, blob, len(state.sealed.get(key, ())), parts, rest)


def is_foldable(state: PersonCache, key: bytes, horizon: int) -> bool:
    """Whether a good part of a busy person lies behind the horizon: only then a fold is cheap per event."""
    ends = busy_of(state, key).ends
    return bool(ends) and ends[len(ends) // 4] < horizon


def count_late(state: PersonCache, op: Op) -> bool:
    """Count an event of a busy person, re-running the pass from its chunk on; False: go the whole way."""
    key, at, tie, kind, code, horizon, single = op
    plan, stats = state.plan, state.stats
    blob = state.persons[key]
    if state.is_forgotten(blob, horizon):
        return False
    packed = tie.to_bytes(8, "little")
    kept = -1
    if packed in blob or tie in busy_of(state, key).ties:
        kept = kept_at(state, key, blob, packed)
        if kept < horizon:
            return False
        if at >= kept:
            stats["duplicates"] += 1
            return True
    chunk = bisect_left(busy_of(state, key).ends, at)
    person = recent(state, key, blob, chunk)
    book(plan, walk(plan, person.base, person.singles), person.status, sign=-1, books=state.books)
    if kept >= 0:
        stats["duplicates"] += 1
        person.singles.remove(next(one for one in person.singles if one.tie == tie and one.at == kept))
    else:
        stats["accepted"] += 1
    person.singles.append(single if single is not None else Single(at, tie, kind, code))
    after = walk(plan, person.base, person.singles)
    person.status = status_of(plan, after, horizon + plan.keep)
    book(plan, after, person.status, sign=1, books=state.books)
    singles = sorted(person.singles)
    orders = person.base.orders_count + after.orders_count
    hot = hot_of(plan, after, last_at=singles[-1].at, orders=orders, horizon=horizon)
    flags = person.status | hot.flags
    flags |= FOR_LIFE * (person.is_for_life or state.plan.header.unpack_from(blob)[0] >> 8 & FOR_LIFE > 0)
    cold = plan.header.unpack_from(blob)[3]
    header = pack_header(plan, hot, flags, chunks=chunk, cold=cold)
    parts, rest = split(plan.seal, singles)
    _keep(state, key, header + blob[plan.header.size :], chunk, parts, rest)
    wake = state.wake_of(state.persons[key])
    if wake < state.wake_of(blob):
        state.arm(key, wake)
    return True


def _keep(
    state: PersonCache, key: bytes, blob: bytes, first: int, parts: list[list[Single]], rest: list[Single]
) -> bytes:
    """Write chunks from `first` on and the tail; header and cold are those of `blob`."""
    plan, busy, old = state.plan, busy_of(state, key), state.sealed.get(key, [])
    sealed = old[:first] + [b"".join([pack_single(plan, one) for one in part]) for part in parts]
    for at, field in enumerate(chunk_fields(key, max(len(sealed), len(old)))):
        now = sealed[at] if at < len(sealed) else None
        if now != (old[at] if at < len(old) else None):
            state.dirty_fields[field] = now
    busy.ties.update(one.tie for part in parts for one in part)
    busy.ends[first:] = [part[-1].at for part in parts]
    del busy.bases[first + 1 :]
    if sealed:
        state.sealed[key] = sealed
    else:
        state.sealed.pop(key, None)
    q1, q2, q3, cold, head, code = plan.header.unpack_from(blob)
    packed = plan.header.pack(q1, q2 & ~0xFFFF | len(sealed), q3, cold, head, code)
    start = plan.header.size
    tail = b"".join([pack_single(plan, one) for one in rest])
    state.persons[key] = packed + blob[start : start + cold] + tail
    state.dirty[key] = None
    return state.persons[key]
