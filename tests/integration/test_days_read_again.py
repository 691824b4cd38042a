"""A reader that is kept open reads again what has changed, all of that, and nothing else."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from schemas.counters import CellGroup, Cells, Grain, cell_field
from streams.state import Fence, FunnelWrites, PartitionMeta, Writes
from streams.store.connection import close, connect
from streams.store.keys import PartitionKeys
from streams.store.packing import group_key, pack_field
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from tests.support.valkey import ValkeyServer

SHOP = "shop@1"
DAYS = range(20_000, 20_030)
GRAINS = [Grain.TOTAL, Grain.HOUR, Grain.DAY]


class Counted:
    """A partition with an owner, a reader that stays, and what must be read."""

    def __init__(self, client: Any, space: str) -> None:
        self.client, self.keys = client, PartitionKeys(space, 0)
        self._space, self._reader = space, RedisCounterReader(client, space)
        self._fence = Fence(0, 0, 0)

    async def claim(self) -> None:
        self._store = RedisPartitionStore(self.client, self._space)
        claim = await self._store.claim(0, [SHOP])
        self._fence = Fence(claim.token, claim.offset, claim.seq)

    async def write(self, cells: Cells) -> None:
        token, offset, seq = self._fence.token, self._fence.offset, self._fence.seq
        writes = Writes(meta=PartitionMeta(), funnels={SHOP: FunnelWrites(cells=cells)})
        assert await self._store.apply(0, self._fence, offset + 1, writes)
        self._fence = Fence(token, offset + 1, seq + 1)

    async def write_as_who_knows_no_versions(self, group: CellGroup) -> None:
        """An apply of a version from before there were any: a cell, and the sequence."""
        await self.client.hset(group_key(self.keys.cells(SHOP), group), pack_field(1), b"\x81\x01\x63")
        seq = await self.client.hincrby(self.keys.cursor, "seq", 1)
        self._fence = Fence(self._fence.token, self._fence.offset, seq)

    async def read(self, *, anew: bool = False) -> Cells:
        reader = RedisCounterReader(self.client, self._space) if anew else self._reader
        view = await reader.view(0, SHOP, grains=GRAINS)
        assert view is not None
        return {group: dict(fields) for group, fields in view.cells.items()}


@pytest.fixture
async def counted(valkey_server: ValkeyServer) -> AsyncIterator[Counted]:
    client = connect(valkey_server.url)
    counted = Counted(client, f"t{uuid4().hex[:12]}")
    await counted.claim()
    yield counted
    await close(client)


def cells_of(rng: random.Random) -> Cells:
    groups = [(Grain.DAY, rng.choice(DAYS), dimset) for dimset in (0, 1) for _ in range(2)]
    groups += [(Grain.TOTAL, 0, 0), (Grain.HOUR, rng.randint(0, 9), 0)]
    return {
        group: {cell_field(rng.randint(0, 3), 0, 1): {1: rng.randint(1, 99)} if rng.random() < 0.8 else {}}
        for group in groups
    }


async def test_whatever_was_written_is_read(counted: Counted) -> None:
    rng = random.Random(4)
    for _ in range(150):
        happens = rng.random()
        if happens < 0.05:
            await counted.claim()
        elif happens < 0.1:
            await counted.write_as_who_knows_no_versions((Grain.DAY, rng.choice(DAYS), 0))
        else:
            await counted.write(cells_of(rng))
        if rng.random() < 0.7:
            assert await counted.read() == await counted.read(anew=True)


async def test_a_day_that_has_not_changed_is_not_read_again(counted: Counted) -> None:
    old, today = (Grain.DAY, DAYS[0], 0), (Grain.DAY, DAYS[1], 0)
    await counted.write({old: {1: {1: 7}}, today: {1: {1: 7}}})
    before = await counted.read()
    await counted.client.hset(group_key(counted.keys.cells(SHOP), old), pack_field(1), b"\x81\x01\x08")
    assert await counted.read() == before  # so it was not looked at
    await counted.write({today: {1: {1: 9}}})
    assert await counted.read() == {old: {1: {1: 7}}, today: {1: {1: 9}}}
    await counted.write_as_who_knows_no_versions(today)
    assert await counted.read() == {old: {1: {1: 8}}, today: {1: {1: 0x63}}}
    await counted.write({today: {1: {1: 5}}})
    assert await counted.read() == {old: {1: {1: 8}}, today: {1: {1: 5}}}
