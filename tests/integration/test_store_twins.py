"""Random histories through both stores: every answer of the memory twin is Redis's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.state import Claim, Fence, FunnelWrites, PartitionMeta, Writes
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
groups = st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2))
amounts = st.integers(-(2**63), 2**63 - 1).filter(bool)
cells = st.dictionaries(st.integers(0, 2**40 - 1) | st.integers(0, 3), st.dictionaries(st.integers(1, 600), amounts))
metas = st.builds(PartitionMeta, watermark_ms=st.none() | st.just(10**12), marker=st.none() | st.text(max_size=3))
changes = st.builds(
    FunnelWrites,
    persons=st.dictionaries(persons, st.none() | st.binary(max_size=90), max_size=5),
    earliest_deadlines=st.dictionaries(st.integers(0, 127), st.integers(0, 2**32 - 1), max_size=5),
    cells=st.dictionaries(groups, cells, max_size=4),
    expired=st.lists(groups, max_size=2),
    core_state=st.none() | st.binary(max_size=9),
)
names = st.tuples(st.integers(0, 2), st.sampled_from(["x", "y", "z", "é"]))
writes = st.builds(
    Writes,
    meta=metas,
    funnels=st.dictionaries(funnel_ids, changes, max_size=2),
    names=st.dictionaries(funnel_ids, st.dictionaries(names, st.integers(2, 3), max_size=1), max_size=1),
)
operations = st.one_of(
    st.tuples(st.just("claim"), partitions, st.lists(funnel_ids, unique=True, min_size=1)),
    st.tuples(st.just("apply"), st.integers(0, 2), st.sampled_from([0, 0, 0, 0, -1, 1]), st.integers(0, 3), writes),
    st.tuples(st.just("retry")),
    st.tuples(st.just("read"), partitions, funnel_ids, st.lists(persons)),
    st.tuples(st.just("read_cells"), partitions, funnel_ids, st.dictionaries(groups, st.lists(st.integers(0, 3)))),
    st.tuples(st.just("view"), partitions, funnel_ids, st.none() | st.lists(st.integers(0, 2)), st.integers(0, 4)),
    st.tuples(st.just("register"), funnel_ids, st.lists(names), st.integers(0, 3)),
    st.tuples(st.just("gap"), partitions, st.integers(0, 20)),
    st.tuples(st.just("funnels"), st.dictionaries(funnel_ids, st.sampled_from(["f", "g"]))),
)


@dataclass
class Player:
    """Plays one history on one store; tokens stay inside, since only their being equal is promised."""

    store: PartitionStore
    reader: CounterReader
    owners: list[tuple[int, Fence]] = field(default_factory=list)
    last: tuple[int, Fence, int, Writes] | None = None

    async def play(self, operation: tuple[Any, ...]) -> Any:
        kind, *arguments = operation
        action: Callable[..., Awaitable[Any]] = getattr(self, f"_{kind}")
        try:
            return await action(*arguments)
        except (StoreRefusedError, ValueError) as error:
            return str(error)

    async def _claim(self, partition: int, wanted: list[str]) -> Any:
        claim: Claim = await self.store.claim(partition, wanted)
        self.owners.append((partition, Fence(claim.token, claim.offset, claim.seq)))
        return claim.offset, claim.seq, claim.meta, claim.earliest_deadlines, claim.core_state

    async def _apply(self, back: int, shift: int, events: int, changes: Writes) -> Any:
        if back >= len(self.owners):
            return None
        place = len(self.owners) - 1 - back
        partition, fence = self.owners[place]
        fence = Fence(fence.token, fence.offset + shift, fence.seq)
        self.last = (partition, fence, fence.offset + events, changes)
        applied = await self.store.apply(*self.last)
        if applied:
            self.owners[place] = (partition, Fence(fence.token, fence.offset + events, fence.seq + 1))
        return applied

    async def _retry(self) -> Any:
        return self.last and await self.store.apply(*self.last)

    async def _read(self, partition: int, funnel_id: str, wanted: list[bytes]) -> Any:
        return await self.store.read(partition, funnel_id, buckets=range(128), persons=wanted)

    async def _read_cells(self, partition: int, funnel_id: str, wanted: Any) -> Any:
        return await self.store.read_cells(partition, funnel_id, wanted)

    async def _view(self, partition: int, funnel_id: str, dimsets: list[int] | None, since: int) -> Any:
        bounds = {1: since, 3: 1}
        asked = {"grains": [0, 1, 2, 3], "dimsets": dimsets, "since": bounds, "until": {2: since}}
        view = await self.reader.view(partition, funnel_id, **asked)  # type: ignore[arg-type]
        return view, view and list(view.cells) and sorted(view.cells)

    async def _register(self, funnel_id: str, wanted: list[tuple[int, str]], cap: int) -> Any:
        answer = await self.store.register(funnel_id, wanted, {0: cap, 1: cap, 2: 1})
        return answer, await self.reader.registers(funnel_id)

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
            everything.append((peeked and (peeked.offset, peeked.seq), await self.reader.status(partition)))
            for funnel_id in FUNNEL_IDS:
                everything.append(await self.reader.view(partition, funnel_id, grains=[0, 1, 2, 3]))
                everything.append(await self.store.read(partition, funnel_id, buckets=range(128)))
        return everything


def test_the_twins_answer_alike(valkey_server: ValkeyServer) -> None:
    with asyncio.Runner() as runner:
        client = connect(valkey_server.url)

        async def compare(history: list[tuple[Any, ...]]) -> None:
            space, name = MemorySpace(), f"t{uuid4().hex[:12]}"
            twin = Player(MemoryPartitionStore(space), MemoryCounterReader(space))
            redis = Player(RedisPartitionStore(client, name), RedisCounterReader(client, name))
            for operation in history:
                assert await twin.play(operation) == await redis.play(operation), operation
            assert await twin.summary() == await redis.summary()

        @settings(max_examples=100, deadline=None)
        @given(st.lists(operations, max_size=25))
        def run(history: list[tuple[Any, ...]]) -> None:
            runner.run(compare(history))

        run()
        runner.run(close(client))
