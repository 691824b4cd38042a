"""Heavy persons, who have many kept events: sealed chunks, and a pass that starts in the middle.

A tail that grows long is cut: its oldest events become a chunk, a field of its own that is written once. Chunks follow
each other in time, strictly. So the result of the pass before a chunk is a base like any other, and an event that comes
late re-runs the pass from its chunk on, not from the beginning (`streams.core.sweep`). An event costs what happened
since, not what the person has in all.
"""

from __future__ import annotations

from bisect import bisect_left

from streams.core.base import Base, unpack_base
from streams.core.cache import PersonCache
from streams.core.header import (
    base_of,
    status_of,
    tail_of,
    with_chunks,
    words_of,
)
from streams.core.history import checkpoint
from streams.core.kept import EXT_AMOUNT, KIND_BYTE, pack_events, split, unpack_events
from streams.core.person import Person
from streams.core.plan import Plan
from streams.core.sealed import Heavy
from streams.core.state import FunnelState

_AT_BYTES = slice(9, 15)
"""Where a record of the tail has its time (`streams.core.kept`)."""


def heavy_of(cache: PersonCache, key: bytes) -> Heavy:
    """What is known of a person with sealed chunks."""
    heavy = cache.heavy.get(key)
    if heavy is None:
        heavy = cache.heavy[key] = Heavy()
        for chunk in cache.sealed.get(key, ()):
            events = unpack_events(cache.plan, chunk)
            heavy.learn(events)
            heavy.ends.append(max(event.at for event in events))
            heavy.revenues.append(None)
    return heavy


def may_be_full(state: FunnelState, key: bytes, packed: bytes, more: int = 0) -> bool:
    """Whether a person of many events, and some more, may have as many as it can: then they must be counted exactly."""
    most = len(heavy_of(state.cache, key).times) + len(packed) // state.plan.record.size + more
    return most >= state.max_events


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


def kept_time(cache: PersonCache, key: bytes, packed: bytes, hash_bytes: bytes) -> int:
    """Time of the kept event with the packed hash; -1 where the bytes do not tell."""
    record = _record_in(cache.plan, tail_of(cache.plan, packed), hash_bytes)
    if record:
        return int.from_bytes(record[_AT_BYTES], "little")
    return heavy_of(cache, key).times.get(int.from_bytes(hash_bytes, "little"), -1) if key in cache.sealed else -1


def kept_event(cache: PersonCache, key: bytes, packed: bytes, hash_bytes: bytes) -> tuple[int, int] | None:
    """(time, kind) of the kept event with the packed hash, (-1, -1) for none; None where the bytes do not tell."""
    plan, heavy = cache.plan, heavy_of(cache, key)
    at = heavy.times.get(int.from_bytes(hash_bytes, "little"))
    if at is not None:
        records = cache.sealed[key][bisect_left(heavy.ends, at)]
    elif hash_bytes in packed:
        records = tail_of(plan, packed)
    else:
        return -1, -1
    record = _record_in(plan, records, hash_bytes)
    return (int.from_bytes(record[_AT_BYTES], "little"), record[KIND_BYTE]) if record else None


def _record_in(plan: Plan, records: bytes, hash_bytes: bytes) -> bytes:
    """The record of the event with the packed hash; empty where there is none."""
    size = plan.record.size
    index = records.find(hash_bytes)
    # Elsewhere the bytes are part of a number or of an extension, which follows its event.
    if index >= 0 and index % size == 0 and records[index + KIND_BYTE] < EXT_AMOUNT:
        return bytes(records[index : index + size])
    return b""


def may_be_known(cache: PersonCache, key: bytes, packed: bytes, number: int) -> bool:
    """Whether an order or refund id stands anywhere in the person (rarely: something that looks like it)."""
    little = number.to_bytes(8, "little")
    if key not in cache.sealed:
        return little in packed or number.to_bytes(8, "big") in packed  # records, and the base in msgpack
    base = base_before(cache, key, packed, 0)
    is_sealed = number in heavy_of(cache, key).ids or base.orders.get(number) is not None
    return is_sealed or number in base.refunds or number in base.withdrawn or little in tail_of(cache.plan, packed)


def seal(cache: PersonCache, key: bytes, packed: bytes) -> None:
    """Cut a long tail."""
    plan, heavy = cache.plan, heavy_of(cache, key)
    events = sorted(unpack_events(plan, tail_of(plan, packed)))
    size = max(1, min(plan.seal, (len(events) - 1) // 2))
    parts, unsealed = split(size, events)
    for part in parts:
        heavy.learn(part)
        heavy.ends.append(part[-1].at)
        heavy.revenues.append(None)
    sealed = cache.sealed.get(key, []) + [pack_events(plan, part) for part in parts]
    cache.put_chunks(key, sealed)
    head = packed[: plan.header.size] + base_of(plan, packed)
    cache.put(key, with_chunks(plan, head, len(sealed)) + pack_events(plan, unsealed))


def is_foldable(cache: PersonCache, key: bytes, horizon: int) -> bool:
    """Whether a good part of a heavy person lies behind the horizon: only then a fold is cheap per event."""
    ends = heavy_of(cache, key).ends
    return bool(ends) and ends[len(ends) // 4] < horizon
