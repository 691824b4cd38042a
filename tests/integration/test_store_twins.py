"""Random histories through both stores: every answer of the memory twin is Redis's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.state import LAYOUT, Claim, Fence, FunnelLayouts, FunnelWrites, PartitionMeta, Writes, bucket_of
from streams.store import person_log
from streams.store.connection import close, connect
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import CounterReader, PartitionStore, StoreRefusedError
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from tests.support.valkey import ValkeyServer

FUNNEL_IDS = ["a@1", "a@2", "b@1"]
partitions = st.integers(0, 1)
funnel_ids = st.sampled_from(FUNNEL_IDS)
persons = st.sampled_from([b"u:%d" % n for n in range(6)] + [b"u:1\x00%d" % n for n in range(3)])
BUCKETS = sorted({bucket_of(b"u:%d" % n) for n in range(6)} | {0})
groups = st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2))
amounts = st.integers(-(2**63), 2**63 - 1).filter(bool)
cells = st.dictionaries(st.integers(0, 2**40 - 1) | st.integers(0, 3), st.dictionaries(st.integers(1, 600), amounts))
metas = st.builds(PartitionMeta, watermark_ms=st.none() | st.just(10**12), marker=st.none() | st.text(max_size=3))
changes = st.builds(
    FunnelWrites,
    erased=st.sets(persons, max_size=1),
    persons=st.dictionaries(persons, st.none() | st.binary(max_size=90), max_size=5),
    earliest_deadlines=st.dictionaries(st.integers(0, 127), st.integers(0, 2**32 - 1), max_size=5),
    cells=st.dictionaries(groups, cells, max_size=4),
    expired=st.lists(groups, max_size=2),
    core_state=st.none() | st.binary(max_size=9),
)
names = st.tuples(st.integers(0, 2), st.sampled_from(["x", "y", "z", "é"]))
facts = st.tuples(st.integers(1, 2), st.integers(0, 5)).map(bytes)
writes = st.builds(
    Writes,
    meta=metas,
    facts=st.dictionaries(facts, st.none() | st.binary(max_size=9), max_size=3),
    funnels=st.dictionaries(funnel_ids, changes, max_size=2),
    names=st.dictionaries(funnel_ids, st.dictionaries(names, st.integers(2, 3), max_size=1), max_size=1),
)
operations = st.one_of(
    st.tuples(st.just("claim"), partitions, st.lists(funnel_ids, unique=True, min_size=1)),
    st.tuples(st.just("apply"), st.integers(0, 2), st.sampled_from([0, 0, 0, 0, -1, 1]), st.integers(0, 3), writes),
    st.tuples(st.just("retry")),
    st.tuples(st.just("upgrade")),
    st.tuples(st.just("rewrite"), st.integers(0, 1), funnel_ids, persons),
    st.tuples(st.just("read"), partitions, funnel_ids, st.lists(persons)),
    st.tuples(st.just("read_cells"), partitions, funnel_ids, st.dictionaries(groups, st.lists(st.integers(0, 3)))),
    st.tuples(st.just("facts"), partitions, st.lists(facts)),
    st.tuples(st.just("view"), partitions, funnel_ids, st.none() | st.lists(st.integers(0, 2)), st.integers(0, 4)),
    st.tuples(st.just("register"), funnel_ids, st.lists(names), st.integers(0, 3)),
    st.tuples(st.just("gap"), partitions, st.integers(0, 20)),
    st.tuples(st.just("funnels"), st.dictionaries(funnel_ids, st.sampled_from(["f", "g"]))),
)
UPGRADE = [("upgrade",), ("claim", 0, FUNNEL_IDS), ("claim", 1, FUNNEL_IDS)]
"""The next version comes, and takes everything."""
EVERYBODY = Writes(meta=PartitionMeta(), funnels={"a@1": FunnelWrites(persons={b"u:1": b"1", b"u:1\x000": b"2"})})


@dataclass
class Player:
    """Plays one history on one store; tokens stay inside, since only their being equal is promised."""

    versions: list[tuple[PartitionStore, CounterReader]]
    """By layout; `upgrade` starts the next one."""
    owners: list[tuple[PartitionStore, int, Fence]] = field(default_factory=list)
    last: tuple[PartitionStore, int, Fence, int, Writes] | None = None
    layouts: dict[tuple[int, str], FunnelLayouts] = field(default_factory=dict)
    """By partition and funnel, as claimed and rewritten."""
    claimed: set[tuple[PartitionStore, int, str]] = field(default_factory=set)
    is_upgraded: bool = False

    @property
    def store(self) -> PartitionStore:
        return self.versions[0][0]

    @property
    def reader(self) -> CounterReader:
        return self.versions[0][1]

    async def play(self, operation: tuple[Any, ...]) -> Any:
        kind, *arguments = operation
        action: Callable[..., Awaitable[Any]] = getattr(self, f"_{kind}")
        try:
            return await action(*arguments)
        except (StoreRefusedError, ValueError) as error:
            return str(error)

    async def _claim(self, partition: int, wanted: list[str]) -> Any:
        claim: Claim = await self.store.claim(partition, wanted)
        self.owners.append((self.store, partition, Fence(claim.token, claim.offset, claim.seq)))
        self.claimed |= {(self.store, partition, funnel_id) for funnel_id in wanted}
        self.layouts.update({(partition, funnel_id): layouts for funnel_id, layouts in claim.layouts.items()})
        return claim.offset, claim.seq, claim.meta, claim.earliest_deadlines, claim.core_state, claim.layouts

    async def _upgrade(self) -> None:
        self.is_upgraded = True
        if len(self.versions) > 1:
            del self.versions[0]
            self.layouts.clear()

    async def _apply(self, back: int, shift: int, events: int, changes: Writes) -> Any:
        if back >= len(self.owners):
            return None
        place = len(self.owners) - 1 - back
        store, partition, fence = self.owners[place]
        if self.is_upgraded:  # a claim says in which layout persons lie: who has not claimed a funnel cannot write it
            known = {name: each for name, each in changes.funnels.items() if (store, partition, name) in self.claimed}
            changes = replace(changes, funnels=known)
        fence = Fence(fence.token, fence.offset + shift, fence.seq)
        self.last = (store, partition, fence, fence.offset + events, changes)
        applied = await store.apply(partition, fence, fence.offset + events, changes)
        if applied:
            self.owners[place] = (store, partition, Fence(fence.token, fence.offset + events, fence.seq + 1))
        return applied

    async def _rewrite(self, back: int, funnel_id: str, person: bytes) -> Any:
        """As an owner rewrites the bucket of a person."""
        if back >= len(self.owners):
            return None
        store, partition, _ = self.owners[len(self.owners) - 1 - back]
        layouts = self.layouts.get((partition, funnel_id))
        if layouts is None or store is not self.store:
            return None
        bucket, newest = bucket_of(person), LAYOUT + 3 - len(self.versions)
        loaded = await store.read(partition, funnel_id, buckets=[bucket])
        after = replace(layouts, buckets=layouts.buckets[:bucket] + bytes([newest]) + layouts.buckets[bucket + 1 :])
        persons: dict[bytes, bytes | None] = {name: loaded.buckets[bucket][name] + b"!" for name in loaded.layouts}
        changes = FunnelWrites(persons=persons, layouts=after)
        applied = await self._apply(back, 0, 0, Writes(meta=PartitionMeta(), funnels={funnel_id: changes}))
        if applied:
            self.layouts[partition, funnel_id] = after
        return applied

    async def _retry(self) -> Any:
        if self.last is None:
            return None
        store, partition, fence, next_offset, changes = self.last
        return await store.apply(partition, fence, next_offset, changes)

    async def _read(self, partition: int, funnel_id: str, wanted: list[bytes]) -> Any:
        return await self.store.read(partition, funnel_id, buckets=BUCKETS, persons=wanted)

    async def _read_cells(self, partition: int, funnel_id: str, wanted: Any) -> Any:
        return await self.store.read_cells(partition, funnel_id, wanted)

    async def _facts(self, partition: int, wanted: list[bytes]) -> Any:
        return await self.store.read_facts(partition, wanted), await self.store.list_facts(partition, 1)

    async def _view(self, partition: int, funnel_id: str, dimsets: list[int] | None, since: int) -> Any:
        bounds = {1: since, 3: 1}
        asked = {"grains": [0, 1, 2, 3], "dimsets": dimsets, "since": bounds, "until": {2: since}}
        view = await self.reader.view(partition, funnel_id, **asked)  # type: ignore[arg-type]
        return view, view and list(view.cells) and sorted(view.cells)

    async def _register(self, funnel_id: str, wanted: list[tuple[int, str]], cap: int) -> Any:
        written = {name: name[1].title() for name in wanted}
        answer = await self.store.register(funnel_id, written, {0: cap, 1: cap, 2: 1})
        return answer, await self.reader.registers(funnel_id), await self.reader.written_names(funnel_id)

    async def _gap(self, partition: int, offset: int) -> Any:
        moved = await self.store.accept_gap(partition, offset, "because")
        return moved, [{**gap, "at_ms": ""} for gap in await self.reader.gaps()]

    async def _funnels(self, fingerprints: dict[str, str]) -> Any:
        await self.store.check_funnels(fingerprints)
        return await self.reader.fingerprints()

    async def summary(self) -> Any:
        """Everything a reader and a new owner see."""
        everything: list[Any] = []
        for partition in range(2):
            peeked = await self.store.peek(partition)
            everything += [await self.store.list_facts(partition, kind) for kind in (1, 2)]
            everything.append((peeked and (peeked.offset, peeked.seq), await self.reader.status(partition)))
            for funnel_id in FUNNEL_IDS:
                everything.append(await self.reader.view(partition, funnel_id, grains=[0, 1, 2, 3]))
                everything.append(await self.store.read(partition, funnel_id, buckets=range(128)))
        return everything


def test_the_twins_answer_alike(valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # Three histories of four fold buckets all the time, and split them into many parts.
    monkeypatch.setattr(person_log, "SMALLEST_LOG", 100)
    monkeypatch.setattr(person_log, "FOLDED_TOGETHER", 0)
    monkeypatch.setattr(person_log, "PART_BYTES", 60)
    with asyncio.Runner() as runner:
        client = connect(valkey_server.url)

        async def compare(history: list[tuple[Any, ...]]) -> None:
            space, name = MemorySpace(), f"t{uuid4().hex[:12]}"
            twin = Player(
                [
                    (MemoryPartitionStore(space, layout=layout), MemoryCounterReader(space, layout=layout))
                    for layout in (LAYOUT, LAYOUT + 1, LAYOUT + 2)
                ]
            )
            redis = Player(
                [
                    (RedisPartitionStore(client, name, layout=layout), RedisCounterReader(client, name, layout=layout))
                    for layout in (LAYOUT, LAYOUT + 1, LAYOUT + 2)
                ]
            )
            for operation in history:
                assert await twin.play(operation) == await redis.play(operation), operation
            assert await twin.summary() == await redis.summary()

        @settings(max_examples=100, deadline=None)
        @example([("claim", 0, FUNNEL_IDS), ("apply", 0, 0, 1, EVERYBODY)], True, [("apply", 1, 0, 1, EVERYBODY)])
        @example([("claim", 0, FUNNEL_IDS), ("apply", 0, 0, 1, EVERYBODY)], True, [("rewrite", 1, "a@1", b"u:1")])
        @given(st.lists(operations, max_size=20), st.booleans(), st.lists(operations, max_size=12))
        def run(first: list[tuple[Any, ...]], is_upgraded: bool, second: list[tuple[Any, ...]]) -> None:
            runner.run(compare([*first, *(UPGRADE if is_upgraded else ()), *second]))

        run()
        runner.run(close(client))
