"""A made-up next layout: old state is claimed, counted on and rewritten bucket by bucket, and the numbers stay equal.

The earlier version is today's core over a store that keeps every person, chunk and core state backwards; the next
version turns them round when it reads them (docs/decisions/layout-version.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, cast
from uuid import uuid4

import pytest

from schemas.record import encode_tick
from streams.core.upgrades import UPGRADES, Upgrade
from streams.report.document.counters import build_document, canonical_json
from streams.state import LAYOUT, PERSON_BUCKETS, Claim, Fence, FunnelWrites, Loaded, Writes
from streams.store import person_log
from streams.store.connection import close, connect
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import CounterReader, PartitionStore, StoreRefusedError, StoreUnavailableError
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from streams.worker import partition as processing
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.first_layout import to_first_layout
from tests.support.processing import log_records
from tests.support.shop import SHOP, shop_events
from tests.support.valkey import ValkeyServer

NOW = 1_735_725_600_000
NEXT = LAYOUT + 1
PEOPLE = 100
DAY_MS = 86_400_000


def backwards(packed: bytes) -> bytes:
    return packed[::-1]


TURNED = {
    **UPGRADES,
    LAYOUT: Upgrade(
        person=lambda _, packed: backwards(packed), chunk=lambda _, packed: backwards(packed), core_state=backwards
    ),
}


class _Wrapped:
    """Another store; what is not overridden is its."""

    def __init__(self, store: PartitionStore) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class EarlierVersion(_Wrapped):
    """What a worker of the earlier version stores."""

    async def claim(self, partition: int, funnel_ids: list[str]) -> Claim:
        claim = await self.store.claim(partition, funnel_ids)
        return replace(claim, core_state={name: backwards(state) for name, state in claim.core_state.items()})

    async def read(self, partition: int, funnel_id: str, **wanted: Any) -> Loaded:
        loaded = await self.store.read(partition, funnel_id, **wanted)
        assert loaded.layouts == {}
        return Loaded(
            buckets={bucket: _turned(fields) for bucket, fields in loaded.buckets.items()},
            persons=_turned(loaded.persons),
        )

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        return await self.store.apply(
            partition,
            fence,
            next_offset,
            replace(writes, funnels={name: _turned_writes(changes) for name, changes in writes.funnels.items()}),
        )


def _turned(fields: Mapping[bytes, bytes | None]) -> dict[bytes, Any]:
    return {name: None if packed is None else backwards(packed) for name, packed in fields.items()}


def _turned_writes(changes: FunnelWrites) -> FunnelWrites:
    core_state = None if changes.core_state is None else backwards(changes.core_state)
    return replace(changes, persons=_turned(changes.persons), core_state=core_state)


class Dying(_Wrapped):
    """A store whose connection breaks now and then, before a write or before its answer."""

    def __init__(self, store: PartitionStore, rng: Random) -> None:
        super().__init__(store)
        self.rng = rng

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        chance = self.rng.random()
        if chance < 0.05:
            raise StoreUnavailableError("the connection broke before the write")
        applied = await self.store.apply(partition, fence, next_offset, writes)
        if chance < 0.1:
            raise StoreUnavailableError("the connection broke before the answer")
        return applied


@dataclass
class Space:
    """One space as versions with different layouts see it."""

    store: Callable[[int], PartitionStore]
    reader: Callable[[int], CounterReader]


@pytest.fixture(params=["memory", "valkey"])
async def space(request: pytest.FixtureRequest) -> AsyncIterator[Space]:
    if request.param == "memory":
        memory = MemorySpace(clock_ms=lambda: 0)
        yield Space(
            lambda layout: MemoryPartitionStore(memory, layout=layout),
            lambda layout: MemoryCounterReader(memory, layout=layout),
        )
        return
    client, name = connect(request.getfixturevalue("valkey_server").url), f"t{uuid4().hex[:12]}"
    yield Space(
        lambda layout: RedisPartitionStore(client, name, layout=layout),
        lambda layout: RedisCounterReader(client, name, layout=layout),
    )
    await close(client)


def history() -> list[LogRecord]:
    """The shop, in which one person sees 150 advertisements, then ticks of nine days."""
    events = shop_events(NOW, PEOPLE)
    events += [
        {**events[0], "id": f"again-{n}", "occurred_at_ms": NOW - n, "received_at_ms": NOW, "user_id": "busy"}
        for n in range(150)
    ]
    log = [record for _, record in log_records(sorted(events, key=lambda event: int(event["received_at_ms"])), 1)]
    for day in range(9):
        at_ms = NOW + day * DAY_MS
        log.append(LogRecord(None, encode_tick(at_ms), at_ms, len(log)))
    return log


def worker(store: object, *, layout: int, max_persons: int = 1_000) -> PartitionProcessor:
    """A worker of partition 0."""
    upgrades = TURNED if layout == NEXT else UPGRADES
    store_ = cast(PartitionStore, store)
    return PartitionProcessor(store_, 0, [SHOP], max_persons=max_persons, upgrades=upgrades, clock_ms=lambda: 0)


async def count(processor: PartitionProcessor, log: list[LogRecord], until: int, *, at_once: int) -> None:
    """Count on from the cursor."""
    while processor.offset < until:
        end = min(until, processor.offset + at_once)
        await processor.process(log[processor.offset : end], end)


async def document(reader: CounterReader) -> bytes:
    return canonical_json(await build_document(reader, SHOP))


async def expected(log: list[LogRecord]) -> bytes:
    """The document of one version that counts everything."""
    memory = MemorySpace(clock_ms=lambda: 0)
    processor = worker(MemoryPartitionStore(memory), layout=LAYOUT)
    await processor.claim()
    await count(processor, log, len(log), at_once=len(log))
    return await document(MemoryCounterReader(memory))


async def old_state(space: Space, log: list[LogRecord], until: int) -> None:
    """What the earlier version leaves behind."""
    processor = worker(EarlierVersion(space.store(LAYOUT)), layout=LAYOUT)
    await processor.claim()
    await count(processor, log, until, at_once=50)


async def layouts_of(store: PartitionStore) -> dict[int, int]:
    """By layout, how many person fields are stored in it."""
    loaded = await store.read(0, SHOP.funnel_id, buckets=range(PERSON_BUCKETS))
    fields: Iterable[bytes] = [name for bucket in loaded.buckets.values() for name in bucket]
    counts: dict[int, int] = {}
    for name in fields:
        layout = loaded.layouts.get(name, NEXT)
        counts[layout] = counts.get(layout, 0) + 1
    return counts


async def test_an_old_state_is_counted_on_and_rewritten_while_running(space: Space) -> None:
    log = history()
    await old_state(space, log, 200)
    store = space.store(NEXT)
    processor = worker(store, layout=NEXT)
    await processor.claim()
    before = await layouts_of(store)
    assert set(before) == {LAYOUT}
    await count(processor, log, 260, at_once=10)
    half_way = await layouts_of(store)
    assert set(half_way) == {LAYOUT, NEXT}
    assert half_way[LAYOUT] < before[LAYOUT]
    await count(processor, log, len(log), at_once=20)
    while await processor.rewrite_bucket():
        pass
    assert LAYOUT not in await layouts_of(store)
    assert (await space.store(NEXT).claim(0, [SHOP.funnel_id])).layouts == {}
    assert await document(space.reader(NEXT)) == await expected(log)


@pytest.mark.parametrize("seed", range(3))
async def test_workers_that_die_at_any_write_of_the_rewriting_change_no_number(
    space: Space, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "FIELDS_PER_APPLY", 2)
    rng, log = Random(seed), history()
    await old_state(space, log, rng.randint(50, 300))
    store = Dying(space.store(NEXT), rng)
    while True:
        processor = worker(store, layout=NEXT, max_persons=rng.choice([1, 20, 1_000]))
        try:
            await processor.claim()
            await count(processor, log, len(log), at_once=rng.randint(5, 60))
            while await processor.rewrite_bucket():
                pass
            break
        except StoreUnavailableError:
            continue
    assert LAYOUT not in await layouts_of(space.store(NEXT))
    assert await document(space.reader(NEXT)) == await expected(log)


class DyingAt(_Wrapped):
    """A store whose connection breaks once: after a given write."""

    def __init__(self, store: PartitionStore, writes: int) -> None:
        super().__init__(store)
        self.writes_left = writes

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        applied = await self.store.apply(partition, fence, next_offset, writes)
        self.writes_left -= 1
        if self.writes_left == 0:
            raise StoreUnavailableError("the connection broke before the answer")
        return applied


@pytest.mark.parametrize("writes", range(1, 7))
async def test_a_worker_that_dies_after_its_first_writes_is_continued(space: Space, writes: int) -> None:
    log = history()
    await old_state(space, log, 100)
    dying = worker(DyingAt(space.store(NEXT), writes), layout=NEXT)
    await dying.claim()
    with pytest.raises(StoreUnavailableError):
        await count(dying, log, len(log), at_once=10)
    heir = worker(space.store(NEXT), layout=NEXT)
    await heir.claim()
    await count(heir, log, len(log), at_once=100)
    assert await document(space.reader(NEXT)) == await expected(log)


async def test_the_earlier_version_refuses_what_the_next_one_has_claimed(space: Space) -> None:
    log = history()
    await old_state(space, log, 150)
    zombie = worker(EarlierVersion(space.store(LAYOUT)), layout=LAYOUT)
    await zombie.claim()
    processor = worker(space.store(NEXT), layout=NEXT)
    await processor.claim()
    with pytest.raises(processing.FencedError):
        await count(zombie, log, 200, at_once=100)
    with pytest.raises(StoreRefusedError, match=f"layout {NEXT}, written by a newer version"):
        await zombie.claim()
    with pytest.raises(StoreRefusedError, match=f"layout {NEXT}, written by a newer version"):
        await space.reader(LAYOUT).status(0)
    await count(processor, log, len(log), at_once=100)
    assert await document(space.reader(NEXT)) == await expected(log)


async def test_persons_of_the_first_layout_become_lists_and_parts_while_they_are_counted(
    valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_log, "SMALLEST_LOG", 50)
    monkeypatch.setattr(person_log, "FOLDED_TOGETHER", 0)
    monkeypatch.setattr(person_log, "PART_BYTES", 200)
    client, name, log = connect(valkey_server.url), f"t{uuid4().hex[:12]}", history()
    before = worker(RedisPartitionStore(client, name), layout=LAYOUT)
    await before.claim()
    await count(before, log, 200, at_once=50)
    await to_first_layout(client, name, SHOP.funnel_id)
    reader = RedisCounterReader(client, name)
    for at_once in (7, 40, 90):  # each a new owner, with its own cache
        owner = worker(RedisPartitionStore(client, name), layout=LAYOUT, max_persons=at_once)
        await owner.claim()
        await count(owner, log, min(len(log), owner.offset + 60), at_once=at_once)
        if at_once == 7:
            assert set(await layouts_of(RedisPartitionStore(client, name))) == {1, NEXT}
    await count(owner, log, len(log), at_once=50)
    while await owner.rewrite_bucket():
        pass
    assert not [key async for key in client.scan_iter(f"fc:{{{name}/*:j:*")]
    assert (await RedisPartitionStore(client, name).claim(0, [SHOP.funnel_id])).layouts == {}
    assert await document(reader) == await expected(log)
    await close(client)


def test_every_layout_has_the_upgrade_that_leads_to_the_next() -> None:
    assert list(UPGRADES) == list(range(1, LAYOUT))
