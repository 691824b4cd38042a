"""The promises of `streams.store.port`, checked on memory, Valkey, a cluster, and the Redis of this machine if any."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from funnelcast.processes.ports import free_port
from schemas.counters import CODE_OTHER, KEEP_MS, CellGroup, Grain, cell_field
from schemas.times import HOUR_MS, MINUTE_MS
from streams.state import (
    FIRST_LAYOUT,
    LAYOUT,
    NO_DEADLINE,
    PERSON_BUCKETS,
    Annotation,
    Claim,
    Fence,
    FunnelLayouts,
    FunnelWrites,
    PartitionMeta,
    Writes,
    bucket_of,
)
from streams.store.address import Client
from streams.store.annotations import MemoryAnnotations, RedisAnnotations
from streams.store.connection import close, connect, delete_space, ping, server_warnings
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import AnnotationStore, CounterReader, PartitionStatus, PartitionStore, StoreRefusedError
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from tests.support.first_layout import to_first_layout
from tests.support.names import as_compared
from tests.support.secured_redis import IN_URL, SecuredRedis, documented_users
from tests.support.thorough import cases
from tests.support.valkey import ValkeyServer, debian_redis

FUNNEL_ID = "sales@1"
OTHER_FUNNEL_ID = "checkout@2"
TOTAL: CellGroup = (Grain.TOTAL, 0, 0)


@dataclass
class Subject:
    """One implementation on a fresh space; `store()` gives another worker's store on the same space."""

    store: Callable[[], PartitionStore]
    reader: CounterReader
    store_of: Callable[[int], PartitionStore]
    """A store of a version with this layout."""
    reader_of: Callable[[int], CounterReader]
    annotations: AnnotationStore
    write_first_layout: Callable[[Mapping[bytes, bytes]], Awaitable[None]]
    """Make of partition 0, at offset 1, what a version of the first layout left: these persons, and no layout."""


def _start(directory: Path, kind: str) -> ValkeyServer:
    if kind == "cluster":
        server = ValkeyServer(directory, options=("--cluster-enabled", "yes", "--cluster-port", str(free_port())))
        server.start()
        server.command("CLUSTER ADDSLOTSRANGE 0 16383")
        server.wait_for("CLUSTER INFO", b"cluster_state:ok")
        worker = documented_users()[0].removeprefix("user ")
        server.wait_for(f"ACL SETUSER {worker} +cluster|slots +cluster|nodes", b"OK")
        return server
    server = ValkeyServer(directory, binary=debian_redis())
    server.start()
    return server


@pytest.fixture(scope="session", params=["memory", "valkey", "cluster", "redis", "secured"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    if request.param == "memory":
        yield None
    elif request.param == "valkey":
        yield request.getfixturevalue("valkey_server").url
    elif request.param in ("redis", "secured") and debian_redis() is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is missing: apt-get install redis-server")
        pytest.skip("no redis-server on this machine (Debian: redis-server)")
    elif request.param == "secured":
        secured = SecuredRedis(tmp_path_factory.mktemp("secured"))
        secured.server.start()
        yield secured.url()
        secured.server.kill()
    else:
        server = _start(tmp_path_factory.mktemp(request.param), request.param)
        nodes = f"127.0.0.1:{free_port()},127.0.0.1:{server.port}"  # the first is not there
        cluster = f"redis+cluster://funnelcast-worker:{IN_URL}@{nodes}"
        yield cluster if request.param == "cluster" else server.url
        server.kill()


@pytest.fixture
async def subject(url: str | None) -> AsyncIterator[Subject]:
    if url is None:
        space = MemorySpace()
        yield _in_memory(space)
        return
    client, name = connect(url), f"t{uuid4().hex[:12]}"
    yield _on_server(client, name)
    await close(client)


def _in_memory(space: MemorySpace) -> Subject:
    async def write_first_layout(persons: Mapping[bytes, bytes]) -> None:
        store = MemoryPartitionStore(space, layout=FIRST_LAYOUT)
        claim = await store.claim(0, [FUNNEL_ID])
        assert await store.apply(0, fence_of(claim), 1, counting(1, persons=dict(persons)))

    return Subject(
        store=lambda: MemoryPartitionStore(space),
        reader=MemoryCounterReader(space),
        store_of=lambda layout: MemoryPartitionStore(space, layout=layout),
        reader_of=lambda layout: MemoryCounterReader(space, layout=layout),
        annotations=MemoryAnnotations(space),
        write_first_layout=write_first_layout,
    )


def _on_server(client: Client, name: str) -> Subject:
    async def write_first_layout(persons: Mapping[bytes, bytes]) -> None:
        store = RedisPartitionStore(client, name)
        claim = await store.claim(0, [FUNNEL_ID])
        assert await store.apply(0, fence_of(claim), 1, counting(1, persons=dict(persons)))
        await to_first_layout(client, name, FUNNEL_ID)

    return Subject(
        store=lambda: RedisPartitionStore(client, name),
        reader=RedisCounterReader(client, name),
        store_of=lambda layout: RedisPartitionStore(client, name, layout=layout),
        reader_of=lambda layout: RedisCounterReader(client, name, layout=layout),
        annotations=RedisAnnotations(client, name),
        write_first_layout=write_first_layout,
    )


@pytest.fixture
def store(subject: Subject) -> PartitionStore:
    return subject.store()


@pytest.fixture
def reader(subject: Subject) -> CounterReader:
    return subject.reader


def fence_of(claim: Claim) -> Fence:
    return Fence(token=claim.token, offset=claim.offset, seq=claim.seq)


def counting(events: int, *, persons: dict[bytes, bytes | None] | None = None) -> Writes:
    """An apply that leaves `events` in the whole's total."""
    changes = FunnelWrites(persons=persons or {}, cells={TOTAL: {1: {1: events}}})
    return Writes(meta=PartitionMeta(records=events), funnels={FUNNEL_ID: changes})


async def total(reader: CounterReader, partition: int = 0) -> int:
    view = await reader.view(partition, FUNNEL_ID, grains=[Grain.TOTAL])
    return 0 if view is None else view.cells.get(TOTAL, {}).get(1, {}).get(1, 0)


# Ownership


async def test_a_new_partition_starts_at_nothing(store: PartitionStore) -> None:
    assert await store.peek(3) is None
    claim = await store.claim(3, [FUNNEL_ID])
    assert (claim.offset, claim.seq, claim.meta) == (0, 0, PartitionMeta())
    assert claim.earliest_deadlines == {}
    assert claim.core_state == {}
    assert await store.peek(3) == fence_of(claim)


async def test_an_apply_moves_cursor_and_state_together(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    meta = PartitionMeta(
        watermark_ms=5, marker="end", sessions={"s": 2**60}, stats={FUNNEL_ID: {"accepted": 7}}, records=7
    )
    writes = Writes(
        meta=meta,
        funnels={
            FUNNEL_ID: FunnelWrites(
                persons={b"u:1": b"\x00\xff\xc1", b"u:1\x001": b"more", b"c:\xc3\xa9": b""},
                earliest_deadlines={0: 1, 127: NO_DEADLINE - 1},
                cells={TOTAL: {cell_field(0xFFFF, 0xFFFF, 255): {1: 2**62, 0x7FFF13: -(2**62)}}},
                core_state=b"\x00own",
            )
        },
    )
    assert await store.apply(0, fence_of(claim), 7, writes)
    assert await store.peek(0) == Fence(claim.token, 7, 1)
    assert await reader.status(0) == PartitionStatus(offset=7, meta=meta)
    again = await store.claim(0, [FUNNEL_ID])
    assert (again.offset, again.seq, again.meta, again.core_state) == (7, 1, meta, {FUNNEL_ID: b"\x00own"})
    deadlines = memoryview(again.earliest_deadlines[FUNNEL_ID]).cast("I")
    assert len(deadlines) == PERSON_BUCKETS
    assert [bucket for bucket, minute in enumerate(deadlines) if minute != NO_DEADLINE] == [0, 127]
    assert (deadlines[0], deadlines[127]) == (1, NO_DEADLINE - 1)
    loaded = await store.read(0, FUNNEL_ID, buckets=[bucket_of(b"u:1")], persons=[b"c:\xc3\xa9", b"u:2"])
    assert loaded.buckets == {bucket_of(b"u:1"): {b"u:1": b"\x00\xff\xc1", b"u:1\x001": b"more"}}
    assert loaded.persons == {b"c:\xc3\xa9": b"", b"u:2": None}
    cells = await store.read_cells(0, FUNNEL_ID, {TOTAL: [cell_field(0xFFFF, 0xFFFF, 255), 5], (1, 1, 1): [1]})
    assert cells == {TOTAL: {cell_field(0xFFFF, 0xFFFF, 255): {1: 2**62, 0x7FFF13: -(2**62)}}}


async def test_a_later_claim_fences_the_earlier_owner(subject: Subject) -> None:
    zombie, owner = subject.store(), subject.store()
    old = await zombie.claim(0, [FUNNEL_ID])
    new = await owner.claim(0, [FUNNEL_ID])
    assert old.token != new.token
    assert not await zombie.apply(0, fence_of(old), 5, counting(5))
    assert await owner.apply(0, fence_of(new), 3, counting(3))
    assert not await zombie.apply(0, fence_of(old), 5, counting(5))
    assert await total(subject.reader) == 3


async def test_only_the_stored_cursor_can_be_continued(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    assert await store.apply(0, fence_of(claim), 10, counting(10))
    assert not await store.apply(0, Fence(claim.token, 5, 1), 12, counting(12))
    assert not await store.apply(0, Fence(claim.token, 10, 0), 12, counting(12))
    assert not await store.apply(0, Fence(claim.token, 10, 2), 12, counting(12))
    assert not await store.apply(7, Fence(claim.token, 10, 1), 12, counting(12))
    assert await total(reader) == 10


async def test_the_same_apply_again_is_a_lost_reply(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    assert await store.apply(0, fence_of(claim), 10, counting(10))
    assert await store.apply(0, fence_of(claim), 10, counting(99))
    assert await total(reader) == 10
    assert not await store.apply(0, fence_of(claim), 11, counting(11))
    await store.claim(0, [FUNNEL_ID])
    assert not await store.apply(0, fence_of(claim), 10, counting(10)), "another owner has been here since"


async def test_deadlines_alone_move_only_the_sequence(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    assert await store.apply(0, fence_of(claim), 4, counting(4))
    assert await store.apply(0, Fence(claim.token, 4, 1), 4, counting(5))
    assert await store.apply(0, Fence(claim.token, 4, 1), 4, counting(5)), "its reply was lost"
    assert await store.apply(0, Fence(claim.token, 4, 2), 4, counting(6))
    assert await store.peek(0) == Fence(claim.token, 4, 3)
    assert await total(reader) == 6


async def test_the_cursor_never_goes_back(store: PartitionStore) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    assert await store.apply(0, fence_of(claim), 9, counting(9))
    with pytest.raises(ValueError, match="forward"):
        await store.apply(0, Fence(claim.token, 9, 1), 8, counting(8))


async def test_offsets_beyond_a_double_are_exact(store: PartitionStore) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    assert await store.apply(0, fence_of(claim), 2**53, counting(1))
    assert not await store.apply(0, Fence(claim.token, 2**53 + 1, 1), 2**53 + 2, counting(2))
    assert await store.apply(0, Fence(claim.token, 2**53, 1), 2**53 + 1, counting(2))
    assert (await store.claim(0, [FUNNEL_ID])).offset == 2**53 + 1


async def test_of_many_rivals_one_wins(subject: Subject) -> None:
    stores = [subject.store() for _ in range(8)]
    claims = await asyncio.gather(*(store.claim(0, [FUNNEL_ID]) for store in stores))
    applied = await asyncio.gather(
        *(
            store.apply(0, fence_of(claim), 5, counting(n))
            for n, (store, claim) in enumerate(zip(stores, claims, strict=True))
        )
    )
    assert sum(applied) == 1
    assert await total(subject.reader) == applied.index(True)


async def test_partitions_are_apart(store: PartitionStore, reader: CounterReader) -> None:
    for partition in (0, 5, 11):
        claim = await store.claim(partition, [FUNNEL_ID])
        assert await store.apply(partition, fence_of(claim), partition + 1, counting(partition))
    assert await reader.partitions() == [0, 5, 11]
    assert [await total(reader, partition) for partition in (0, 5, 11)] == [0, 5, 11]


# Funnels


async def test_a_new_funnel_starts_at_the_cursor_and_an_unclaimed_one_takes_nothing(store: PartitionStore) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    foreign = Writes(meta=PartitionMeta(), funnels={OTHER_FUNNEL_ID: FunnelWrites(persons={b"u:1": b"x"})})
    assert not await store.apply(0, fence_of(claim), 4, foreign)
    assert await store.apply(0, fence_of(claim), 4, counting(4))
    both = await store.claim(0, [FUNNEL_ID, OTHER_FUNNEL_ID])
    assert set(both.earliest_deadlines) == {FUNNEL_ID}
    assert await store.apply(0, fence_of(both), 5, foreign)
    assert (await store.read(0, FUNNEL_ID, persons=[b"u:1"])).persons == {b"u:1": None}
    assert (await store.read(0, OTHER_FUNNEL_ID, persons=[b"u:1"])).persons == {b"u:1": b"x"}


async def test_a_funnel_that_missed_events_is_refused(store: PartitionStore) -> None:
    await store.claim(0, [FUNNEL_ID])
    await store.claim(0, [OTHER_FUNNEL_ID])
    claim = await store.claim(0, [OTHER_FUNNEL_ID, FUNNEL_ID])  # nothing went by: no harm
    claim = await store.claim(0, [OTHER_FUNNEL_ID])
    assert await store.apply(0, fence_of(claim), 4, Writes(meta=PartitionMeta()))
    await store.claim(0, [OTHER_FUNNEL_ID])
    with pytest.raises(StoreRefusedError, match=r"sales@1 was not counted .* from offset 0 to 4"):
        await store.claim(0, [FUNNEL_ID, OTHER_FUNNEL_ID])
    assert (await store.peek(0)) is not None
    await store.claim(0, [OTHER_FUNNEL_ID])


# Persons and cells


async def test_persons_are_written_and_deleted(store: PartitionStore) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    people: dict[bytes, bytes | None] = {b"u:%d" % n: b"state %d" % n for n in range(9000)}
    assert await store.apply(0, fence_of(claim), 1, counting(1, persons=people))
    gone = dict.fromkeys(list(people)[::2])
    assert await store.apply(0, Fence(claim.token, 1, 1), 2, counting(2, persons=gone))
    people.update(gone)
    assert (await store.read(0, FUNNEL_ID, persons=list(people))).persons == people
    whole = (await store.read(0, FUNNEL_ID, buckets=range(PERSON_BUCKETS))).buckets
    assert {name: state for bucket in whole.values() for name, state in bucket.items()} == {
        name: state for name, state in people.items() if state is not None
    }
    assert all(bucket_of(name) == number for number, bucket in whole.items() for name in bucket)


async def test_more_of_one_bucket_than_fits_luas_stack(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    people: dict[bytes, bytes | None] = {b"u:1\x00%d" % n: b"%d" % n for n in range(9001)}
    fields = {n: {1: n + 1} for n in range(9001)}
    changes = FunnelWrites(persons=people, cells={TOTAL: fields})
    assert await store.apply(0, fence_of(claim), 1, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: changes}))
    assert (await store.read(0, FUNNEL_ID, buckets=[bucket_of(b"u:1")])).buckets == {bucket_of(b"u:1"): people}
    view = await reader.view(0, FUNNEL_ID, grains=[Grain.TOTAL])
    assert view is not None
    assert view.cells == {TOTAL: fields}
    nothing = FunnelWrites(persons=dict.fromkeys(people), cells={TOTAL: {n: {} for n in fields}})
    assert await store.apply(0, Fence(claim.token, 1, 1), 2, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: nothing}))
    view = await reader.view(0, FUNNEL_ID, grains=[Grain.TOTAL])
    assert view is not None
    assert view.cells == {}
    assert (await store.read(0, FUNNEL_ID, buckets=[bucket_of(b"u:1")])).buckets == {bucket_of(b"u:1"): {}}


async def test_what_the_caller_changes_later_stays_outside(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    writes = counting(3)
    assert await store.apply(0, fence_of(claim), 1, writes)
    writes.funnels[FUNNEL_ID].cells[TOTAL][1][1] = 99
    writes.meta.stats["x"] = {"accepted": 1}
    view = await reader.view(0, FUNNEL_ID, grains=[Grain.TOTAL])
    assert view is not None
    assert view.cells == {TOTAL: {1: {1: 3}}}
    read = await store.read_cells(0, FUNNEL_ID, {TOTAL: [1]})
    assert read == {TOTAL: {1: {1: 3}}}
    read[TOTAL][1][1] = 97
    assert await total(reader) == 3
    assert (await store.claim(0, [FUNNEL_ID])).meta == PartitionMeta(records=3)


async def test_expired_groups_and_emptied_ones_are_gone(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    groups: list[CellGroup] = [(Grain.MINUTE, minute, dimset) for minute in (10, 11) for dimset in (0, 1)]
    filled = FunnelWrites(cells={group: {1: {1: 1}, 2: {1: 2}} for group in groups})
    assert await store.apply(0, fence_of(claim), 1, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: filled}))
    changes = FunnelWrites(cells={groups[3]: {1: {}, 2: {}}, groups[2]: {1: {}}}, expired=[groups[0], (1, 9, 0)])
    assert await store.apply(0, Fence(claim.token, 1, 1), 2, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: changes}))
    view = await reader.view(0, FUNNEL_ID, grains=[Grain.MINUTE])
    assert view is not None
    assert view.cells == {groups[1]: filled.cells[groups[1]], groups[2]: {2: {1: 2}}}
    refilled = FunnelWrites(cells={groups[0]: {7: {1: 1}}})
    assert await store.apply(
        0, Fence(claim.token, 2, 2), 3, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: refilled})
    )
    view = await reader.view(0, FUNNEL_ID, grains=[Grain.MINUTE], dimsets=[0], until={Grain.MINUTE: 10})
    assert view is not None
    assert view.cells == refilled.cells


# Reading


async def test_a_view_holds_what_was_asked_for(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    cells = {
        (grain, bucket, dimset): {1: {1: 1}} for grain in (1, 2, 3) for bucket in range(20, 30) for dimset in (0, 1, 12)
    }
    cells[TOTAL] = {1: {1: 1}}
    assert await store.apply(
        0, fence_of(claim), 1, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: FunnelWrites(cells=cells)})
    )

    async def seen(**asked: object) -> set[CellGroup]:
        view = await reader.view(0, FUNNEL_ID, **asked)  # type: ignore[arg-type]
        assert view is not None
        return set(view.cells)

    assert await seen(grains=list(Grain)) == set(cells)
    assert await seen(grains=[]) == set()
    assert await seen(grains=[1], dimsets=[]) == set()
    assert await seen(grains=[0, 1], dimsets=[1, 12], since={1: 28}) == {(1, b, d) for b in (28, 29) for d in (1, 12)}
    assert await seen(grains=[2, 3], dimsets=[0], since={2: 25, 3: 22}, until={2: 26, 3: 22}) == {
        (2, 25, 0),
        (2, 26, 0),
        (3, 22, 0),
    }


async def test_buckets_past_their_keep_time_are_not_shown(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    watermark_ms = 1_700_000_000_000
    minute, hour = (
        (watermark_ms - KEEP_MS[grain]) // ms for grain, ms in ((Grain.MINUTE, MINUTE_MS), (Grain.HOUR, HOUR_MS))
    )
    cells = {(grain, first + n, 0): {1: {1: 1}} for grain, first in ((1, minute), (2, hour)) for n in (-1, 0, 1)}
    cells[Grain.DAY, 0, 0] = {1: {1: 1}}
    writes = Writes(meta=PartitionMeta(watermark_ms=watermark_ms), funnels={FUNNEL_ID: FunnelWrites(cells=cells)})
    assert await store.apply(0, fence_of(claim), 1, writes)
    view = await reader.view(0, FUNNEL_ID, grains=list(Grain))
    assert view is not None
    assert set(view.cells) == set(cells) - {(1, minute - 1, 0), (2, hour - 1, 0)}


async def test_a_view_of_what_is_not_there(store: PartitionStore, reader: CounterReader) -> None:
    assert await reader.view(0, FUNNEL_ID, grains=[0]) is None
    assert await reader.status(0) is None
    assert await reader.partitions() == []
    assert await reader.fingerprints() == {}
    await store.claim(0, [FUNNEL_ID])
    view = await reader.view(0, "no@9", grains=[0, 1, 2, 3])
    assert view is not None
    assert (view.partition, view.offset, view.meta, view.cells) == (0, 0, PartitionMeta(), {})


async def test_views_never_mix_two_applies(subject: Subject) -> None:
    store = subject.store()
    claim = await store.claim(0, [FUNNEL_ID])
    groups: list[CellGroup] = [(1, minute, dimset) for minute in range(10) for dimset in range(3)]
    done = False

    async def write() -> None:
        nonlocal done
        for n in range(1, 61):
            cells = {group: {field: {1: n} for field in range(5)} for group in groups}
            meta = PartitionMeta(records=n)
            writes = Writes(meta=meta, funnels={FUNNEL_ID: FunnelWrites(cells=cells)})
            assert await store.apply(0, Fence(claim.token, n - 1, n - 1), n, writes)
            await asyncio.sleep(0)
        done = True

    async def look() -> int:
        looks = 0
        while not done:
            view = await subject.reader.view(0, FUNNEL_ID, grains=[1])
            assert view is not None
            values = {cell[1] for fields in view.cells.values() for cell in fields.values()}
            assert values <= {view.offset}
            assert view.meta.records == view.offset
            looks += 1
            await asyncio.sleep(0)
        return looks

    _, looks, _ = await asyncio.gather(write(), look(), look())
    assert looks > 0


# Facts


def of_facts(facts: dict[bytes, bytes | None]) -> Writes:
    return Writes(meta=PartitionMeta(), facts=facts)


async def listed(store: PartitionStore, kind: int, partition: int = 0) -> dict[bytes, bytes]:
    """All facts of a kind; no page is much longer than a thousand."""
    facts: dict[bytes, bytes] = {}
    after: int | None = 0
    while after is not None:
        page = await store.list_facts(partition, kind, after=after)
        assert len(page.facts) <= 2_000
        facts.update(page.facts)
        after = page.next
    return facts


async def test_facts_are_written_read_by_key_and_deleted(store: PartitionStore) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    assert await store.read_facts(0, [b"\x01u:1"]) == {b"\x01u:1": None}
    assert await store.read_facts(9, [b"\x01u:1"]) == {b"\x01u:1": None}, "a partition that does not exist"
    facts: dict[bytes, bytes | None] = {b"\x01u:1": b"\x00\xff", b"\x02u:1": b"", b"\xff": b"kind alone"}
    assert await store.apply(0, fence_of(claim), 1, of_facts(facts))
    assert await store.read_facts(0, [*facts, b"\x01u:2"]) == {**facts, b"\x01u:2": None}
    assert await store.apply(0, Fence(claim.token, 1, 1), 2, of_facts({b"\x01u:1": None, b"\x02u:1": b"new"}))
    assert await store.read_facts(0, list(facts)) == {b"\x01u:1": None, b"\x02u:1": b"new", b"\xff": b"kind alone"}
    assert await store.read_facts(0, []) == {}
    assert await store.read_facts(1, [b"\xff"]) == {b"\xff": None}, "each partition has its own"


async def test_a_fact_is_no_person(store: PartitionStore) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    writes = counting(1, persons={b"u:1": b"person"})
    writes.facts = {b"u:1": b"fact"}
    assert await store.apply(0, fence_of(claim), 1, writes)
    assert (await store.read(0, FUNNEL_ID, persons=[b"u:1"])).persons == {b"u:1": b"person"}
    assert await store.read_facts(0, [b"u:1"]) == {b"u:1": b"fact"}


async def test_all_facts_of_a_kind_are_listed_page_by_page(store: PartitionStore) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    assert await listed(store, 1) == {}
    links = {b"\x01a:%d" % number: b"u:%d" % number for number in range(cases(70_000, few=25_000))}
    spend = {b"\x02google/2025-01-%02d" % day: b"12.50" for day in range(1, 32)}
    fence = fence_of(claim)
    for start in range(0, len(links), 10_000):
        part = dict(list(links.items())[start : start + 10_000])
        assert await store.apply(0, fence, fence.offset + 1, of_facts({**part, **spend}))
        fence = Fence(fence.token, fence.offset + 1, fence.seq + 1)
    assert await listed(store, 1) == links
    assert await listed(store, 2) == spend
    assert await listed(store, 3) == {}
    assert await listed(store, 1, partition=5) == {}
    assert await store.read_facts(0, list(links)[:9_000]) == dict(list(links.items())[:9_000])


async def test_facts_move_with_the_cursor_or_not_at_all(subject: Subject) -> None:
    zombie, owner = subject.store(), subject.store()
    old = await zombie.claim(0, [FUNNEL_ID])
    new = await owner.claim(0, [FUNNEL_ID])
    assert not await zombie.apply(0, fence_of(old), 5, of_facts({b"\x01a": b"zombie"}))
    assert await owner.apply(0, fence_of(new), 3, of_facts({b"\x01a": b"owner"}))
    assert await owner.apply(0, fence_of(new), 3, of_facts({b"\x01a": b"the same apply again"}))
    assert not await owner.apply(0, Fence(new.token, 3, 0), 4, of_facts({b"\x01b": b"another cursor"}))
    assert await owner.read_facts(0, [b"\x01a", b"\x01b"]) == {b"\x01a": b"owner", b"\x01b": None}
    with pytest.raises(ValueError, match="begins with its kind"):
        await owner.apply(0, Fence(new.token, 3, 1), 4, of_facts({b"": b"no kind"}))


# Layouts


async def test_a_state_in_a_newer_layout_is_refused_to_everybody(subject: Subject) -> None:
    newer, older = subject.store_of(LAYOUT + 1), subject.store()
    claim = await newer.claim(0, [FUNNEL_ID])
    assert await newer.apply(0, fence_of(claim), 3, counting(3))
    says = (
        rf"in layout {LAYOUT + 1}, written by a newer version; this one knows layouts up to {LAYOUT}: start the newer"
    )
    with pytest.raises(StoreRefusedError, match=says):
        await older.claim(0, [FUNNEL_ID])
    with pytest.raises(StoreRefusedError, match=says):
        await older.claim(1, [FUNNEL_ID])
    with pytest.raises(StoreRefusedError, match=says):
        await older.accept_gap(0, 9, "an older version must not move it")
    asked = (subject.reader.partitions(), subject.reader.status(0), subject.reader.view(0, FUNNEL_ID, grains=[0]))
    for question in asked:
        with pytest.raises(StoreRefusedError, match=says):
            await question
    assert await newer.peek(0) == Fence(claim.token, 3, 1), "who is refused changes nothing"
    assert await total(subject.reader_of(LAYOUT + 1)) == 3


async def test_a_state_without_a_layout_is_of_the_first(subject: Subject) -> None:
    await subject.write_first_layout({b"u:1": b"first", b"u:2": b"first", b"u:3": b"first"})
    store = subject.store_of(FIRST_LAYOUT + 1)
    claim = await store.claim(0, [FUNNEL_ID])
    assert (claim.offset, claim.layouts) == (1, {FUNNEL_ID: FunnelLayouts.all_of(FIRST_LAYOUT)})
    assert await store.apply(0, fence_of(claim), 2, counting(2, persons={b"u:2": None, b"u:3": b"next"}))
    for reader in (store, subject.store_of(FIRST_LAYOUT + 1)):
        loaded = await reader.read(0, FUNNEL_ID, buckets=range(PERSON_BUCKETS), persons=[b"u:1", b"u:2", b"u:3"])
        assert loaded.persons == {b"u:1": b"first", b"u:2": None, b"u:3": b"next"}
        assert loaded.layouts == {b"u:1": FIRST_LAYOUT}
        assert sum(map(len, loaded.buckets.values())) == 2
    changes = FunnelWrites(persons={b"u:1": b"1"}, core_state=b"own", layouts=FunnelLayouts.all_of(FIRST_LAYOUT + 1))
    assert await store.apply(0, Fence(claim.token, 2, claim.seq + 1), 2, Writes(PartitionMeta(), {FUNNEL_ID: changes}))
    loaded = await subject.store_of(FIRST_LAYOUT + 1).read(0, FUNNEL_ID, persons=[b"u:1", b"u:2", b"u:3"])
    assert (loaded.persons, loaded.layouts) == ({b"u:1": b"1", b"u:2": None, b"u:3": b"next"}, {})


async def test_what_is_written_anew_is_of_the_newest_layout_and_the_rest_keeps_its_own(subject: Subject) -> None:
    first, second, third = (subject.store_of(LAYOUT + n) for n in range(3))
    bucket = bucket_of(b"u:1")
    claim = await first.claim(0, [FUNNEL_ID])
    people: dict[bytes, bytes | None] = {b"u:1": b"1", b"u:1\x000": b"1", b"u:1\x001": b"1", b"u:2": b"1", b"u:3": b"1"}
    assert await first.apply(0, fence_of(claim), 1, counting(1, persons=people))
    claim = await second.claim(0, [FUNNEL_ID])
    assert await second.apply(0, fence_of(claim), 2, counting(2, persons={b"u:1": b"2", b"u:2": None, b"u:4": b"2"}))
    claim = await third.claim(0, [FUNNEL_ID])
    assert claim.layouts == {FUNNEL_ID: FunnelLayouts.all_of(LAYOUT)}
    assert await third.apply(0, fence_of(claim), 3, counting(3, persons={b"u:1\x001": b"3"}))
    for store in (third, subject.store_of(LAYOUT + 2)):
        loaded = await store.read(0, FUNNEL_ID, buckets=[bucket], persons=[*people, b"u:4"])
        assert loaded.buckets == {bucket: {b"u:1": b"2", b"u:1\x000": b"1", b"u:1\x001": b"3"}}
        assert loaded.persons == {
            b"u:1": b"2",
            b"u:1\x000": b"1",
            b"u:1\x001": b"3",
            b"u:2": None,
            b"u:3": b"1",
            b"u:4": b"2",
        }
        assert loaded.layouts == {b"u:1": LAYOUT + 1, b"u:1\x000": LAYOUT, b"u:3": LAYOUT, b"u:4": LAYOUT + 1}


async def test_a_rewritten_bucket_is_told_as_such(subject: Subject) -> None:
    first, second = subject.store(), subject.store_of(LAYOUT + 1)
    claim = await first.claim(0, [FUNNEL_ID])
    changes = FunnelWrites(persons={b"u:1": b"1", b"u:2": b"1"}, core_state=b"own")
    assert await first.apply(0, fence_of(claim), 1, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: changes}))
    claim = await second.claim(0, [FUNNEL_ID, OTHER_FUNNEL_ID])
    assert set(claim.layouts) == {FUNNEL_ID}, "a new funnel is of the newest layout"
    layouts = FunnelLayouts(
        core_state=LAYOUT + 1,
        buckets=bytes(LAYOUT + (bucket == bucket_of(b"u:1")) for bucket in range(PERSON_BUCKETS)),
    )
    changes = FunnelWrites(persons={b"u:1": b"2"}, core_state=b"own 2", layouts=layouts)
    assert await second.apply(0, fence_of(claim), 1, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: changes}))
    assert (await second.read(0, FUNNEL_ID, persons=[b"u:1", b"u:2"])).layouts == {b"u:2": LAYOUT}
    again = await subject.store_of(LAYOUT + 1).claim(0, [FUNNEL_ID, OTHER_FUNNEL_ID])
    assert (again.layouts, again.core_state) == ({FUNNEL_ID: layouts}, {FUNNEL_ID: b"own 2"})
    changes = FunnelWrites(persons={b"u:2": b"2"}, layouts=FunnelLayouts.all_of(LAYOUT + 1))
    assert await second.apply(0, fence_of(again), 1, Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: changes}))
    assert (await second.claim(0, [FUNNEL_ID, OTHER_FUNNEL_ID])).layouts == {}


# Names


async def test_names_get_codes_in_order_up_to_the_cap(store: PartitionStore) -> None:
    names = [(1, "google"), (0, "no budget"), (1, "zöe"), (1, "google"), (1, "x:y")]
    codes = await store.register(FUNNEL_ID, as_compared(names), {0: 10, 1: 2})
    assert codes == {(1, "google"): 2, (0, "no budget"): 2, (1, "zöe"): 3, (1, "x:y"): CODE_OTHER}
    assert await store.register(FUNNEL_ID, as_compared([(1, "x:y")]), {1: 3}) == {(1, "x:y"): 4}
    assert await store.register(FUNNEL_ID, as_compared([(1, "late"), (1, "google")]), {1: 3}) == {
        (1, "late"): CODE_OTHER,
        (1, "google"): 2,
    }
    assert await store.register(FUNNEL_ID, as_compared([]), {}) == {}
    known = {(1, "google"): 2, (0, "no budget"): 2, (1, "zöe"): 3, (1, "x:y"): 4}
    assert await store.registers(FUNNEL_ID) == known
    assert await store.registers(OTHER_FUNNEL_ID) == {}


async def test_a_name_is_known_as_it_was_first_written(store: PartitionStore, reader: CounterReader) -> None:
    written = {(1, "google ads"): "Google Ads", (0, "too: dear"): "Too: dear", (1, "x=y"): "x=y"}
    assert await store.register(FUNNEL_ID, written, {0: 9, 1: 2}) == dict(zip(written, (2, 2, 3), strict=True))
    shouted = {(1, "google ads"): "GOOGLE ADS", (1, "full"): "Full"}
    await store.register(FUNNEL_ID, shouted, {1: 2})
    assert await reader.written_names(FUNNEL_ID) == {(1, 2): "Google Ads", (0, 2): "Too: dear"}
    assert await reader.registers(FUNNEL_ID) == dict(zip(written, (2, 2, 3), strict=True))
    assert await reader.written_names(OTHER_FUNNEL_ID) == {}


async def test_registers_agree_under_concurrency(subject: Subject) -> None:
    names = [(1, f"campaign {n}") for n in range(40)]
    stores = [subject.store() for _ in range(6)]
    asked = [names[n:] + names[:n] for n in range(0, 36, 6)]
    answers = await asyncio.gather(
        *(store.register(FUNNEL_ID, as_compared(some), {1: 30}) for store, some in zip(stores, asked, strict=True))
    )
    known = await subject.reader.registers(FUNNEL_ID)
    assert sorted(known.values()) == list(range(2, 32))
    for answer in answers:
        assert all(code == known.get(name, CODE_OTHER) for name, code in answer.items())


async def test_an_apply_with_a_forgotten_name_is_fenced(store: PartitionStore, reader: CounterReader) -> None:
    claim = await store.claim(0, [FUNNEL_ID])
    codes = await store.register(FUNNEL_ID, as_compared([(1, "google"), (1, "bing")]), {1: 9})
    writes = counting(1)
    for wrong in ({(1, "google"): 2, (1, "ask"): 4}, {(1, "bing"): 2}):
        writes.names = {FUNNEL_ID: wrong}
        assert not await store.apply(0, fence_of(claim), 1, writes)
    assert await total(reader) == 0
    writes.names = {FUNNEL_ID: codes, OTHER_FUNNEL_ID: {}}
    assert await store.apply(0, fence_of(claim), 1, writes)


# Definitions, topics, gaps


async def test_a_space_belongs_to_its_topic(store: PartitionStore) -> None:
    await store.check_topic("funnelcast.main.events", "cluster/topic/8")
    await store.check_topic("funnelcast.main.events", "cluster/topic/8")
    with pytest.raises(StoreRefusedError, match="recreated"):
        await store.check_topic("funnelcast.main.events", "cluster/other/8")


async def test_a_definition_needs_a_new_version(store: PartitionStore, reader: CounterReader) -> None:
    await store.check_funnels({FUNNEL_ID: "aa"})
    await store.check_funnels({FUNNEL_ID: "aa", OTHER_FUNNEL_ID: "bb"})
    await store.check_funnels({})
    with pytest.raises(StoreRefusedError, match="sales@1"):
        await store.check_funnels({"new@1": "cc", FUNNEL_ID: "ab"})
    assert await reader.fingerprints() == {FUNNEL_ID: "aa", OTHER_FUNNEL_ID: "bb"}


async def test_an_accepted_gap_moves_the_cursor_once(subject: Subject) -> None:
    store, reader = subject.store(), subject.reader
    with pytest.raises(StoreRefusedError, match="no state"):
        await store.accept_gap(0, 10, "retention")
    for partition in (0, 1):
        claim = await store.claim(partition, [FUNNEL_ID])
        assert await store.apply(partition, fence_of(claim), 9, counting(9))
    assert await store.accept_gap(0, 100, "retention: ü") == (9, 100)
    assert await store.accept_gap(0, 100, "retention: ü") == (9, 100)
    assert await store.accept_gap(1, 9, "nothing") == (9, 9)
    assert not await store.apply(0, Fence(claim.token, 9, 1), 11, counting(11))
    with pytest.raises(StoreRefusedError, match="twice"):
        await store.accept_gap(0, 99, "back")
    assert await store.accept_gap(1, 20, "more") == (9, 20)
    gaps = await reader.gaps()
    assert [(gap["partition"], gap["old"], gap["new"], gap["reason"]) for gap in gaps] == [
        ("0", "9", "100", "retention: ü"),
        ("1", "9", "20", "more"),
    ]
    assert all(int(gap["at_ms"]) > 1_600_000_000_000 for gap in gaps)
    claim = await store.claim(0, [FUNNEL_ID])
    assert claim.offset == 100
    assert await store.apply(0, fence_of(claim), 101, counting(10))


# Housekeeping


async def test_annotations_are_kept_by_their_id_oldest_first(subject: Subject) -> None:
    later, earlier = Annotation("b", 2, "prices +10 % \N{RIGHTWARDS ARROW} all"), Annotation("c", 1, "x", "shop")
    for each in (Annotation("b", 9, "wrong"), later, earlier):
        await subject.annotations.annotate(each)
    assert await subject.reader.annotations() == [earlier, later]
    assert [await subject.annotations.remove_annotation("b") for _ in range(2)] == [True, False]
    assert await subject.reader.annotations() == [earlier]


async def test_a_space_is_deleted_whole_and_alone(url: str | None) -> None:
    if url is None:
        pytest.skip("a memory space ends with its object")
    client = connect(url)
    mine, other = f"t{uuid4().hex[:8]}", f"t{uuid4().hex[:8]}"
    longer = mine + "-2"
    for space in (mine, other, longer):
        store = RedisPartitionStore(client, space)
        await store.check_funnels({FUNNEL_ID: "aa"})
        claim = await store.claim(1, [FUNNEL_ID])
        assert await store.apply(1, fence_of(claim), 4, counting(4, persons={b"u:1": b"x"}))
        await store.accept_gap(1, 9, "gone")
        await store.register(FUNNEL_ID, as_compared([(1, "google")]), {1: 3})
    assert await delete_space(client, mine) > 6
    assert await delete_space(client, mine) == 0
    reader = RedisCounterReader(client, mine)
    assert (await reader.partitions(), await reader.fingerprints(), await reader.gaps()) == ([], {}, [])
    for space in (other, longer):
        assert await total(RedisCounterReader(client, space), 1) == 4
    await ping(client)
    assert await server_warnings(client) == []
    await close(client)
