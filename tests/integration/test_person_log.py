"""Persons as lists of changes over packed parts: folded at any point, by any owner, they read as a dictionary does."""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import uuid4

import pytest

from streams.state import LAYOUT, PERSON_BUCKETS, Fence, FunnelWrites, PartitionMeta, Writes, bucket_of
from streams.store import person_log
from streams.store.address import Client
from streams.store.connection import close, connect
from streams.store.keys import PartitionKeys
from streams.store.redis import RedisPartitionStore
from tests.support.thorough import cases
from tests.support.valkey import ValkeyServer

FUNNEL_ID = "sales@1"
PEOPLE = [b"u:%d" % n for n in range(300)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets are folded and split after a few persons."""
    monkeypatch.setattr(person_log, "SMALLEST_LOG", 200)
    monkeypatch.setattr(person_log, "PART_BYTES", 150)
    monkeypatch.setattr(person_log, "FOLDED_TOGETHER", 0)


class History:
    """Random applies through changing owners, and what must stand there then."""

    def __init__(self, client: Client, rng: Random) -> None:
        self.client, self.rng, self.space = client, rng, f"p{uuid4().hex[:12]}"
        self.people: dict[bytes, bytes] = {}
        self.fence = Fence(0, 0, 0)
        self.owner = RedisPartitionStore(client, self.space)

    async def claim(self) -> None:
        self.owner = RedisPartitionStore(self.client, self.space) if self.rng.random() < 0.7 else self.owner
        claim = await self.owner.claim(0, [FUNNEL_ID])
        assert claim.offset == self.fence.offset
        self.fence = Fence(claim.token, claim.offset, claim.seq)

    async def apply(self) -> None:
        erased = set(self.rng.sample(sorted(self.people), min(2, len(self.people)))) if self.rng.random() < 0.1 else ()
        changes: dict[bytes, bytes | None] = dict.fromkeys(erased)
        for person in self.rng.sample(PEOPLE, self.rng.choice((1, 5, 80))):
            name = person if self.rng.random() < 0.9 else person + b"\0%d" % self.rng.randrange(3)
            gone = name in erased or self.rng.random() < 0.15
            changes[name] = None if gone else self.rng.randbytes(self.rng.randrange(5, 60))
        writes = Writes(PartitionMeta(), {FUNNEL_ID: FunnelWrites(persons=changes, erased=set(erased))})
        assert await self.owner.apply(0, self.fence, self.fence.offset + 1, writes)
        if self.rng.random() < 0.1:  # the answer was lost
            assert await self.owner.apply(0, self.fence, self.fence.offset + 1, writes)
        if self.rng.random() < 0.1:  # a writer that is no owner any more
            stale = Fence(self.fence.token + 1, self.fence.offset, self.fence.seq)
            assert not await self.owner.apply(0, stale, stale.offset + 1, writes)
        self.fence = Fence(self.fence.token, self.fence.offset + 1, self.fence.seq + 1)
        self.people.update((name, packed) for name, packed in changes.items() if packed is not None)
        for name, packed in changes.items():
            if packed is None:
                self.people.pop(name, None)
        if erased:
            stored = await everything_stored(self.client, self.space, {bucket_of(name) for name in erased})
            assert not [name for name in erased if name + b"\xc4" in stored], "not even the name stays"

    async def check(self) -> None:
        for store in (self.owner, RedisPartitionStore(self.client, self.space)):
            buckets = self.rng.sample(range(PERSON_BUCKETS), 9)
            asked = [*self.rng.sample(PEOPLE, 40), b"u:7\x000"]
            loaded = await store.read(0, FUNNEL_ID, buckets=buckets, persons=asked)
            assert loaded.persons == {name: self.people.get(name) for name in asked}
            assert loaded.buckets == {
                bucket: {name: packed for name, packed in self.people.items() if bucket_of(name) == bucket}
                for bucket in buckets
            }


async def everything_stored(client: Client, space: str, buckets: set[int]) -> bytes:
    """All bytes of these buckets."""
    keys = PartitionKeys(space, 0)
    stored: list[Any] = []
    for bucket in buckets:
        stored += await client.hvals(keys.persons(FUNNEL_ID, bucket=bucket, layout=LAYOUT))
        stored += await client.lrange(keys.person_log(FUNNEL_ID, bucket=bucket, layout=LAYOUT), 0, -1)
    return b"".join(stored)


async def test_whoever_reads_sees_what_was_written(valkey_server: ValkeyServer) -> None:
    client = connect(valkey_server.url)
    folded = 0
    for seed in range(cases(40, few=6)):
        history = History(client, Random(seed))
        await history.claim()
        for _ in range(60):
            await history.apply()
            if history.rng.random() < 0.1:
                await history.claim()
            if history.rng.random() < 0.5:
                await history.check()
        await history.claim()
        await history.check()
        keys = PartitionKeys(history.space, 0)
        folded += await client.hlen(keys.persons(FUNNEL_ID, bucket=bucket_of(b"u:1"), layout=LAYOUT))
    assert folded > 24, "buckets were folded, and split into parts"
    await close(client)


async def test_a_list_stays_in_proportion_to_its_bucket(valkey_server: ValkeyServer) -> None:
    client = connect(valkey_server.url)
    history = History(client, Random(1))
    await history.claim()
    for _ in range(200):
        await history.apply()
    keys, lists, parts = PartitionKeys(history.space, 0), 0, 0
    for bucket in range(PERSON_BUCKETS):
        entries = await client.lrange(keys.person_log(FUNNEL_ID, bucket=bucket, layout=LAYOUT), 0, -1)
        lists += sum(map(len, entries))
        parts += int(await client.hget(keys.persons(FUNNEL_ID, bucket=bucket, layout=LAYOUT), "b") or 0)
    assert lists < 2 * parts
    await close(client)
