"""Heavy persons, who have many kept events: sealed chunks, and a pass that starts in the middle.

A tail that grows long is cut: its oldest events become a chunk, a field of its own that is written once. Chunks follow
each other in time, strictly. So the result of the pass before a chunk is a base like any other, and an event that comes
late re-runs the pass from its chunk on, not from the beginning. An event costs what happened since, not what the person
has in all.
"""

from __future__ import annotations

from bisect import bisect_left

from streams.core.cache import Heavy, PersonCache
from streams.core.chunk import Op
from streams.core.contributions import add_contributions
from streams.core.header import (
    CHANGES,
    FOR_LIFE,
    base_of,
    flags_of,
    is_forgotten,
    pack_header,
    status_of,
    tail_of,
    with_chunks,
    words_of,
)
from streams.core.history import checkpoint, decide, header_of, replay, statuses_of
from streams.core.journeys import History
from streams.core.person import (
    EXT_AMOUNT,
    Base,
    KeptEvent,
    Person,
    pack_events,
    split,
    unpack_base,
    unpack_events,
)
from streams.core.plan import ORDER, Plan
from streams.core.state import FunnelState

_AT_BYTES = slice(9, 15)
"""Where a record of the tail has its time (`streams.core.person`)."""
_KIND_BYTE = 8


def heavy_of(cache: PersonCache, key: bytes) -> Heavy:
    """What is known of a person with sealed chunks."""
    heavy = cache.heavy.get(key)
    if heavy is None:
        chunks = [unpack_events(cache.plan, chunk) for chunk in cache.sealed.get(key, ())]
        hashes = {event.event_hash for chunk in chunks for event in chunk}
        heavy = cache.heavy[key] = Heavy(hashes, [max(event.at for event in chunk) for chunk in chunks], [])
    return heavy


def base_before(cache: PersonCache, key: bytes, packed: bytes, chunk: int) -> Base:
    """The pass before a chunk (or, with the number of chunks, before the tail)."""
    bases = heavy_of(cache, key).bases
    if not bases:
        bases.append(unpack_base(base_of(cache.plan, packed)))
    sealed = cache.sealed.get(key, ())
    while len(bases) <= chunk:
        bases.append(checkpoint(cache.plan, bases[-1], unpack_events(cache.plan, sealed[len(bases) - 1])))
    return bases[chunk]


def person_since(cache: PersonCache, key: bytes, packed: bytes, chunk: int | None = None) -> Person:
    """The person as of a chunk (default: the tail): the pass before it, and the events from there on."""
    sealed = cache.sealed.get(key, [])
    first = len(sealed) if chunk is None else chunk
    person = Person()
    person.status = status_of(words_of(cache.plan, packed)[0])
    person.base = base_before(cache, key, packed, first)
    for records in sealed[first:]:
        person.events += unpack_events(cache.plan, records)
    person.events += unpack_events(cache.plan, tail_of(cache.plan, packed))
    return person


def kept_time(cache: PersonCache, key: bytes, packed: bytes, event_hash: bytes) -> int:
    """Time of the kept event with the packed hash; -1 where the bytes do not tell."""
    record = _kept_record(cache, key, packed, event_hash)
    return int.from_bytes(record[_AT_BYTES], "little") if record else -1


def _kept_record(cache: PersonCache, key: bytes, packed: bytes, event_hash: bytes) -> bytes:
    """The record of the kept event with the packed hash; empty where the bytes do not tell."""
    size = cache.plan.record.size
    for records in (tail_of(cache.plan, packed), *cache.sealed.get(key, ())):
        index = records.find(event_hash)
        if index >= 0 and index % size == 0 and records[index + _KIND_BYTE] < EXT_AMOUNT:
            return bytes(records[index : index + size])
    return b""


def may_be_known(cache: PersonCache, key: bytes, packed: bytes, number: int) -> bool:
    """Whether an order or refund id stands anywhere in the person (rarely: something that looks like it)."""
    little, big = number.to_bytes(8, "little"), number.to_bytes(8, "big")  # records, and the base in msgpack
    return big in packed or any(little in records for records in (packed, *cache.sealed.get(key, ())))


def seal(cache: PersonCache, key: bytes, packed: bytes) -> None:
    """Cut a long tail."""
    plan = cache.plan
    events = sorted(unpack_events(plan, tail_of(plan, packed)))
    size = max(1, min(plan.seal, (len(events) - 1) // 2))
    head = packed[: plan.header.size] + base_of(plan, packed)
    _keep(cache, key, head, len(cache.sealed.get(key, ())), *split(size, events))


def is_foldable(cache: PersonCache, key: bytes, horizon: int) -> bool:
    """Whether a good part of a heavy person lies behind the horizon: only then a fold is cheap per event."""
    ends = heavy_of(cache, key).ends
    return bool(ends) and ends[len(ends) // 4] < horizon


def count_heavy(state: FunnelState, op: Op) -> bool:
    """Count an event of a heavy person, re-running the pass from its chunk on.

    False means "nothing was done, take the general path".
    """
    key, at, event_hash, _, _, horizon, whole = op
    cache = state.cache
    packed = cache.persons[key]
    if is_forgotten(state.plan, packed, horizon):
        return False  # the key begins anew, which takes a fold
    if flags_of(words_of(state.plan, packed)[0]) & CHANGES:
        return False  # an event in an older chunk may be withdrawn by a newer one
    ids = () if whole is None else (whole.order, whole.refund)
    if any(number and may_be_known(cache, key, packed, number) for number in ids):
        return False  # an order or refund of which another event may lie in an older chunk
    kept_at = -1
    hash_bytes = event_hash.to_bytes(8, "little")
    if hash_bytes in packed or event_hash in heavy_of(cache, key).event_hashes:
        kept_at = kept_time(cache, key, packed, hash_bytes)
        if kept_at < horizon:
            return False  # other bytes that look like the hash, or a kept event behind the horizon: new again
        if at >= kept_at:
            state.count_stat("duplicates")
            return True  # of copies the earliest counts, and it is kept already
        if _kept_record(cache, key, packed, hash_bytes)[_KIND_BYTE] >= ORDER:
            return False  # the earlier copy may leave an order or refund that has events in older chunks
    state.count_stat("accepted" if kept_at < 0 else "duplicates")
    _recount(state, op, packed, kept_at)
    return True


def _recount(state: FunnelState, op: Op, packed: bytes, kept_at: int) -> None:
    """Take out what the history since the event's chunk contributes, change it, and add it anew."""
    key, at, event_hash, kind, code, horizon, whole = op
    plan, cache, contributions = state.plan, state.cache, state.contributions
    chunk = bisect_left(heavy_of(cache, key).ends, at)
    person = person_since(cache, key, packed, chunk)
    before = replay(plan, person.base, person.events)
    add_contributions(plan, before, statuses_of(plan, person, before), sign=-1, into=contributions)
    if kept_at >= 0:
        person.events = [event for event in person.events if (event.event_hash, event.at) != (event_hash, kept_at)]
    person.events.append(whole if whole is not None else KeptEvent(at, event_hash, kind, code))
    after = replay(plan, person.base, person.events)
    decide(plan, person, after, horizon + plan.keep)
    add_contributions(plan, after, statuses_of(plan, person, after), sign=1, into=contributions)
    head = _header(plan, packed, person, after, chunk=chunk, horizon=horizon) + base_of(plan, packed)
    _keep(cache, key, head, chunk, *split(plan.seal, sorted(person.events)))


def _header(plan: Plan, packed: bytes, person: Person, after: History, *, chunk: int, horizon: int) -> bytes:
    """Header bytes of a person as of a chunk, whose history has changed since `packed`."""
    words = words_of(plan, packed)
    last_at = max(event.at for event in person.events)
    orders = person.base.orders_count + after.orders_count
    header = header_of(plan, after, last_at=last_at, orders=orders, horizon=horizon)
    is_for_life = person.is_for_life or bool(flags_of(words[0]) & FOR_LIFE)  # orders may lie before the chunk
    flags = person.status | FOR_LIFE * is_for_life
    return pack_header(plan, header, flags=flags, chunks=chunk, base_bytes=words[3])


def _keep(
    cache: PersonCache, key: bytes, head: bytes, first: int, parts: list[list[KeptEvent]], tail: list[KeptEvent]
) -> None:
    """Write chunks from `first` on and the tail behind `head`, which is header and base."""
    plan, heavy = cache.plan, heavy_of(cache, key)
    sealed = cache.sealed.get(key, [])[:first] + [pack_events(plan, part) for part in parts]
    heavy.event_hashes.update(event.event_hash for part in parts for event in part)
    heavy.ends[first:] = [part[-1].at for part in parts]
    del heavy.bases[first + 1 :]
    cache.put_chunks(key, sealed)
    cache.put(key, with_chunks(plan, head, len(sealed)) + pack_events(plan, tail))
