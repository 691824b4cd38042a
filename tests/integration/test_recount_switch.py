"""The switch of a recount on Valkey: whoever dies, and wherever, a claim brings it to its end, forward or back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from schemas.funnel.definition import definition_text
from schemas.funnel.load import parse_funnel
from schemas.record import EventRecord, encode_event
from streams.report.document.counters import build_document, canonical_json
from streams.store.address import Client
from streams.store.connection import close, connect
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.port import StoreUnavailableError
from streams.store.reader import RedisCounterReader
from streams.store.recounts import Decision, Recounts, Switch
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import FencedError, LogRecord, PartitionProcessor
from tests.support.valkey import ValkeyServer

OLD = parse_funnel("""
name: shop
version: 1
conversion_window: 7d
stages: [{name: click, on: [click]}, {name: lead, on: [lead]}]
dimensions: [{name: channel, attribution: first}]
""")
NEW = parse_funnel("""
name: shop
version: 2
conversion_window: 7d
stages: [{name: view, on: [view]}, {name: click, on: [click]}, {name: lead, on: [lead]}]
dimensions: [{name: channel, attribution: first}]
""")
T0 = 1_750_000_000_000
SWITCH = Switch("shop", NEW.funnel_id, definition_text(NEW), NEW.fingerprint)


def _log(start: int, end: int) -> list[LogRecord]:
    records = []
    for offset in range(start, end):
        at = T0 + offset * 60_000
        event = EventRecord(
            id=f"e{offset}",
            name=("view", "click", "lead")[offset % 3],
            occurred_at_ms=at,
            received_at_ms=at,
            source="web",
            user_id=f"p{offset // 3}",
            properties={"channel": f"c{offset % 5}"},
        )
        records.append(LogRecord(f"u:p{offset // 3}".encode(), encode_event(event), at, offset))
    return records


@pytest.fixture
async def client(valkey_server: ValkeyServer) -> AsyncIterator[Client]:
    client = connect(valkey_server.url)
    yield client
    await close(client)


class _Beside:
    """A worker that knows the old definition, and a recount of the new one that stands where the worker stands."""

    def __init__(self, client: Client, space: str) -> None:
        self.client, self.space = client, space
        self.worker = PartitionProcessor(RedisPartitionStore(client, space), 0, [OLD])
        shadow = RedisPartitionStore(client, space, shadow=NEW.funnel_id)
        self.counting = PartitionProcessor(shadow, 0, [NEW])
        self.recounts = Recounts(client, space)
        self.reader = RedisCounterReader(client, space)

    async def start(self) -> str:
        await self.worker.claim()
        await self.worker.process(_log(0, 300), 300)
        await self.counting.claim()
        await self.counting.process(_log(0, 300), 300)
        recount = await self.recounts.begin(NEW.funnel_id)
        assert recount is not None
        assert await self.recounts.begin(NEW.funnel_id) is None, "one recount at a time"
        assert (await self.recounts.hold(recount, 0) or (0,))[0] == 300
        with pytest.raises(FencedError):
            await self.worker.process(_log(300, 400), 400)
        with pytest.raises(StoreUnavailableError, match="held by a recount"):
            await self.worker.claim()
        return recount

    async def die(self, recount: str) -> None:
        """Nobody renews the lease any more."""
        await self.client.unlink(SpaceKeys(self.space).lease(recount))

    async def goes_on_as(self, number: int, stages: int) -> None:
        """The worker claims, counts on, and has the numbers of a state that was counted so from the start."""
        funnel = (OLD, NEW)[number]
        await self.worker.claim()
        assert self.worker.engine.funnel_ids == (funnel.funnel_id,)
        await self.worker.process(_log(300, 400), 400)
        alone = PartitionProcessor(RedisPartitionStore(self.client, f"{self.space}-alone"), 0, [funnel])
        await alone.claim()
        await alone.process(_log(0, 400), 400)
        document = await build_document(self.reader, funnel)
        expected = await build_document(RedisCounterReader(self.client, f"{self.space}-alone"), funnel)
        assert canonical_json(document) == canonical_json(expected)
        assert len(document["counters"]["total"]["all"][""]) == stages
        keys: list[bytes] = [key async for key in self.client.scan_iter(f"fc:*{self.space}*shadow*")]
        assert number == 0 or not [key for key in keys if b"/0/" in key], "what was adopted is not in the shadow"


async def test_one_that_died_before_its_decision_changes_nothing(client: Client, fresh_space: str) -> None:
    """The worker waits for the lease, goes on, and the dead one cannot decide any more."""
    beside = _Beside(client, fresh_space)
    recount = await beside.start()
    await beside.die(recount)
    await beside.goes_on_as(0, 2)
    assert not await beside.recounts.decide(recount, SWITCH, decision=Decision({}))
    assert await beside.reader.switched() == {}


async def test_one_that_died_after_its_decision_is_switched_to_by_the_claim(client: Client, fresh_space: str) -> None:
    """The claim of a worker that has never heard of the new definition puts it in its place."""
    beside = _Beside(client, fresh_space)
    recount = await beside.start()
    assert await beside.recounts.decide(recount, SWITCH, decision=Decision({0: 0}))
    await beside.die(recount)
    await beside.goes_on_as(1, 3)


async def test_the_next_recount_ends_what_is_left(client: Client, fresh_space: str) -> None:
    """Before and after the decision; the same twice is the same."""
    beside = _Beside(client, fresh_space)
    recount = await beside.start()
    assert await beside.recounts.decide(recount, SWITCH, decision=Decision({0: 0}))
    await beside.die(recount)
    await beside.recounts.sweep([0])
    await beside.recounts.sweep([0])
    assert await client.hexists(PartitionKeys(fresh_space, 0).cursor, "held") == 0
    await beside.goes_on_as(1, 3)
    following = await beside.recounts.begin(NEW.funnel_id)
    assert following is not None
    await beside.die(following)
    await beside.recounts.sweep([0])
    assert not [key async for key in client.scan_iter(f"fc:*{fresh_space}*shadow*")]
