"""Servers that die, freeze, fill up, or lose their tail: what is stored stays one consistent point of the log."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from schemas.counters import CellGroup
from streams.state import Fence, FunnelWrites, PartitionMeta, Writes
from streams.store import person_log
from streams.store.connection import close, connect, ping, server_warnings, translated
from streams.store.port import StoreRefusedError, StoreUnavailableError
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from tests.support.names import as_compared
from tests.support.valkey import ValkeyServer

FUNNEL_ID = "sales@1"
GROUPS: list[CellGroup] = [(1, minute, dimset) for minute in range(6) for dimset in range(2)]


def everything(n: int) -> Writes:
    """An apply after which every cell and every person holds n."""
    cells = {group: {field: {1: n, 2: -n} for field in range(5)} for group in GROUPS}
    persons: dict[bytes, bytes | None] = {b"u:%d" % person: b"%d" % n for person in range(40)}
    changes = FunnelWrites(cells=cells, persons=persons, earliest_deadlines={n % 128: n}, core_state=b"%d" % n)
    return Writes(meta=PartitionMeta(records=n), funnels={FUNNEL_ID: changes})


async def state(server: ValkeyServer) -> tuple[int, set[int]]:
    """(cursor, every number found in cells, persons and meta)."""
    client = connect(server.url)
    try:
        view = await RedisCounterReader(client, "main").view(0, FUNNEL_ID, grains=[1])
        if view is None:
            return 0, {0}
        numbers = {abs(value) for fields in view.cells.values() for cell in fields.values() for value in cell.values()}
        loaded = await RedisPartitionStore(client, "main").read(0, FUNNEL_ID, persons=[b"u:%d" % n for n in range(40)])
        numbers |= {int(value or b"0") for value in loaded.persons.values()}
        return view.offset, numbers | {view.meta.records}
    finally:
        await close(client)


async def count_up(server: ValkeyServer, applies: int) -> None:
    """Claim and go on from whatever is stored, one event per apply."""
    client = connect(server.url)
    try:
        store = RedisPartitionStore(client, "main")
        claim = await store.claim(0, [FUNNEL_ID])
        for n in range(applies):
            fence = Fence(claim.token, claim.offset + n, claim.seq + n)
            assert await store.apply(0, fence, fence.offset + 1, everything(fence.offset + 1))
    finally:
        await close(client)


async def test_kill_9_loses_nothing(own_server: ValkeyServer) -> None:
    await count_up(own_server, 20)
    own_server.kill()
    own_server.start()
    assert await state(own_server) == (20, {20})


async def test_a_torn_tail_loses_whole_applies_even_at_the_second_restart(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis up to 7.0 leaves an open MULTI in a file torn inside one: the next restart replays half a transaction.
    Absolute values, lists deleted after the parts that replace them, and the cursor written last keep that harmless."""
    monkeypatch.setattr(person_log, "SMALLEST_LOG", 20)  # so that applies fold buckets
    monkeypatch.setattr(person_log, "FOLDED_TOGETHER", 0)
    rng = random.Random(7)
    for cut in [1, 30, 700, *(rng.randrange(1, 9000) for _ in range(5))]:
        await count_up(own_server, 4)
        before, _ = await state(own_server)
        own_server.kill()
        own_server.tear(cut)
        own_server.start()
        offset, numbers = await state(own_server)
        assert before - 12 < offset < before
        assert numbers == {offset}
        await count_up(own_server, 2)
        own_server.kill()
        own_server.start()
        assert await state(own_server) == (offset + 2, {offset + 2})


async def test_the_owner_notices_that_the_server_went_back(own_server: ValkeyServer) -> None:
    client = connect(own_server.url)
    store, reader = RedisPartitionStore(client, "main"), RedisCounterReader(client, "main")
    await store.check_topic("events", "identity")
    await store.check_funnels({FUNNEL_ID: "aa"})
    claim = await store.claim(0, [FUNNEL_ID])
    fence = Fence(claim.token, claim.offset, claim.seq)
    assert await store.apply(0, fence, 1, everything(1))
    assert await store.apply(0, Fence(claim.token, 1, 1), 2, everything(2))
    own_server.kill()
    own_server.tear(10)
    own_server.start()
    assert await store.peek(0) == Fence(claim.token, 1, 1), "what the watchdog sees"
    assert not await store.apply(0, Fence(claim.token, 2, 2), 3, everything(3))
    again = await store.claim(0, [FUNNEL_ID])
    assert (again.offset, again.seq) == (1, 1)
    own_server.kill()
    for path in (own_server.directory / "appendonlydir").iterdir():
        path.unlink()
    own_server.start()
    assert await store.peek(0) is None
    assert not await store.apply(0, Fence(again.token, 1, 1), 2, everything(2)), (
        "an empty server takes nothing unclaimed"
    )
    assert (await store.claim(0, [FUNNEL_ID])).token not in (claim.token, again.token)
    assert (await reader.partitions(), await reader.fingerprints()) == ([0], {FUNNEL_ID: "aa"})
    with pytest.raises(StoreRefusedError):
        await RedisPartitionStore(client, "main").check_topic("events", "another")
    await close(client)


async def test_a_forgotten_name_fences_the_apply_that_waits_with_its_code(own_server: ValkeyServer) -> None:
    client = connect(own_server.url)
    store = RedisPartitionStore(client, "main")
    claim = await store.claim(0, [FUNNEL_ID])
    fence = Fence(claim.token, claim.offset, claim.seq)
    writes = everything(1)
    writes.names = {FUNNEL_ID: await store.register(FUNNEL_ID, as_compared([(1, "google")]), {1: 9})}
    own_server.kill()
    own_server.tear(5)
    own_server.start()
    assert await store.peek(0) == fence, "the cursor alone cannot tell"
    assert await store.register(FUNNEL_ID, as_compared([(1, "bing")]), {1: 9}) == {(1, "bing"): 2}
    assert not await store.apply(0, fence, 1, writes)
    await close(client)


async def test_an_apply_whose_reply_was_lost_counts_once(own_server: ValkeyServer) -> None:
    patient, hasty = connect(own_server.url), connect(own_server.url, timeout_seconds=0.05)
    claim = await RedisPartitionStore(patient, "main").claim(0, [FUNNEL_ID])
    fence = Fence(claim.token, claim.offset, claim.seq)
    store = RedisPartitionStore(hasty, "main")
    await ping(hasty)
    own_server.freeze()
    with pytest.raises(StoreUnavailableError):
        await store.apply(0, fence, 1, everything(1))
    own_server.thaw()
    own_server.wait_for("PING", b"PONG")
    assert await RedisPartitionStore(patient, "main").apply(0, fence, 1, everything(1))
    assert await state(own_server) == (1, {1})
    for client in (patient, hasty):
        await close(client)


async def test_a_server_that_is_away_is_waited_for(own_server: ValkeyServer) -> None:
    client = connect(own_server.url)
    store, reader = RedisPartitionStore(client, "main"), RedisCounterReader(client, "main")
    claim = await store.claim(0, [FUNNEL_ID])
    own_server.kill()
    fence = Fence(claim.token, 0, 0)
    for asked in (
        ping(client),
        store.apply(0, fence, 1, everything(1)),
        store.claim(0, [FUNNEL_ID]),
        store.peek(0),
        store.read(0, FUNNEL_ID, persons=[b"u:1"]),
        store.register(FUNNEL_ID, as_compared([(1, "a")]), {1: 9}),
        reader.partitions(),
        reader.view(0, FUNNEL_ID, grains=[0]),
    ):
        with pytest.raises(StoreUnavailableError):
            await asked
    own_server.start()
    assert await store.apply(0, fence, 1, everything(1)), "scripts are loaded again"
    await close(client)


async def test_a_full_server_takes_nothing_and_is_waited_for(own_server: ValkeyServer) -> None:
    client = connect(own_server.url)
    store = RedisPartitionStore(client, "main")
    claim = await store.claim(0, [FUNNEL_ID])
    own_server.command("CONFIG SET maxmemory 1")
    with pytest.raises(StoreUnavailableError, match="refuses writes"):
        await store.apply(0, Fence(claim.token, 0, 0), 1, everything(1))
    own_server.command("CONFIG SET maxmemory 0")  # a full Redis 7.0 refuses reads within MULTI, too
    assert await state(own_server) == (0, {0})
    assert await store.apply(0, Fence(claim.token, 0, 0), 1, everything(1))
    await close(client)


async def test_a_read_only_replica_is_waited_for(own_server: ValkeyServer) -> None:
    client = connect(own_server.url)
    store = RedisPartitionStore(client, "main")
    claim = await store.claim(0, [FUNNEL_ID])
    own_server.command("REPLICAOF 127.0.0.1 1")
    with pytest.raises(StoreUnavailableError):
        await store.apply(0, Fence(claim.token, 0, 0), 1, everything(1))
    await close(client)


async def test_a_busy_server_is_waited_for(own_server: ValkeyServer) -> None:
    client, other = connect(own_server.url), connect(own_server.url, timeout_seconds=0.2)
    own_server.command("CONFIG SET busy-reply-threshold 20")
    with pytest.raises(StoreUnavailableError), translated():
        await other.execute_command("EVAL", "while true do end", 0)
    store, reader = RedisPartitionStore(client, "main"), RedisCounterReader(client, "main")
    for asked in (
        store.claim(0, [FUNNEL_ID]),
        store.read(0, FUNNEL_ID, buckets=[1]),
        reader.view(0, FUNNEL_ID, grains=[0]),
    ):
        with pytest.raises(StoreUnavailableError, match="BUSY"):
            await asked
    own_server.command("SCRIPT KILL")
    for used in (client, other):
        await close(used)


async def test_a_foreign_key_or_a_wrong_password_is_for_a_human(own_server: ValkeyServer) -> None:
    client = connect(own_server.url)
    store = RedisPartitionStore(client, "main")
    await client.set("fc:{main}:funnels", "not ours")
    with pytest.raises(StoreRefusedError, match="WRONGTYPE"):
        await store.check_funnels({FUNNEL_ID: "aa"})
    stranger = connect(own_server.url.replace("//", "//:wrong@"))
    with pytest.raises(StoreRefusedError, match="password"):
        await ping(stranger)
    for used in (client, stranger):
        await close(used)


async def test_settings_that_lose_counts_are_told(own_server: ValkeyServer, tmp_path: Path) -> None:
    client = connect(own_server.url)
    assert await server_warnings(client) == []
    own_server.command("CONFIG SET maxmemory-policy allkeys-lru")
    own_server.command("CONFIG SET appendonly no")
    evicts, forgets = await server_warnings(client)
    assert "noeviction" in evicts
    assert "appendonly yes" in forgets
    await close(client)
