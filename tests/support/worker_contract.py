"""What transport and runners promise on any broker: every record once, or a loud end.

A test module of a tier imports everything from here and gives two fixtures: `broker` (host:port) and `session_seconds`.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import Topics
from streams.admin import delete_topics, ensure_topics
from streams.state import Fence, Writes
from streams.store.memory import MemoryPartitionStore, MemorySpace
from streams.store.port import StoreUnavailableError
from streams.transport.metadata import connect, topic_identity
from tests.support.metrics import value_of
from tests.support.tally import FUNNEL_ID
from tests.support.waiting import LIMIT, until
from tests.support.workers import fill, producing, running

PARTITIONS = 3


@pytest.fixture
def topics(fresh_space: str) -> Topics:
    return Topics(fresh_space)


@pytest.fixture
def start(broker: str, session_seconds: float, topics: Topics, tmp_path: Path) -> Callable[..., Any]:
    """`running` with this test's broker, topics and directory."""

    def make(store: MemoryPartitionStore, **settings: Any) -> Any:
        chosen = {"session_seconds": session_seconds, **settings}
        return running(broker, topics, store, partitions=PARTITIONS, data_dir=tmp_path / "worker", **chosen)

    return make


@pytest.fixture
async def send(broker: str, topics: Topics) -> Any:
    """Writes records to the partitions of the events topic, which exists."""
    await ensure_topics(broker, topics, partitions=PARTITIONS)
    async with producing(broker) as producer:

        async def write(*counts: int) -> None:
            await fill(producer, topics.events, counts)

        yield write


Send = Callable[..., Awaitable[None]]
Start = Callable[..., Any]


async def test_every_record_counts_once_and_a_restart_goes_on_from_the_cursor(send: Send, start: Start) -> None:
    store = MemoryPartitionStore(MemorySpace())
    await send(500, 300, 0)
    async with start(store) as worker:
        await worker.counted(800)
        await send(20, 0, 5)
        await worker.counted(825)
        assert await worker.stop() == 0
    await send(10, 10, 10)
    async with start(store) as worker:
        await worker.counted(855)


async def test_a_fenced_worker_claims_again_and_stays_exact(send: Send, start: Start) -> None:
    store = MemoryPartitionStore(MemorySpace())
    async with start(store) as worker:
        await send(100, 100, 100)
        await worker.counted(300)
        await store.claim(1, [FUNNEL_ID])
        await send(50, 50, 50)
        await worker.counted(450)
        assert value_of(worker.worker.metrics.fenced) == 1


class _Moody(MemoryPartitionStore):
    """Away while `away` is set, as seen from the worker."""

    def __init__(self, space: MemorySpace) -> None:
        super().__init__(space)
        self.away = False

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        if self.away:
            raise StoreUnavailableError("away")
        return await super().apply(partition, fence, next_offset, writes)


async def test_a_store_that_is_away_is_waited_for_and_reported(send: Send, start: Start) -> None:
    store = _Moody(MemorySpace())
    async with start(store) as worker:
        await send(100, 100, 0)
        await worker.counted(200)
        store.away = True
        await send(100, 100, 0)
        await until(lambda: value_of(worker.worker.metrics.store_up) == 0, what="store_up is 0")
        assert not worker.is_ready
        store.away = False
        await worker.counted(400)
        assert worker.is_ready


async def test_a_worker_that_waits_long_for_the_store_keeps_its_place_in_the_group(send: Send, start: Start) -> None:
    store = _Moody(MemorySpace())
    async with start(store, max_poll_seconds=2.0, fetch_min_bytes=1, fetch_max_wait_ms=20) as worker:
        await send(10, 10, 10)
        await worker.counted(30)
        store.away = True
        began, rounds = time.monotonic(), 0

        async def outlasts_a_poll() -> bool:
            nonlocal rounds
            await send(1, 1, 1)
            rounds += 1
            return bool(time.monotonic() - began > 2 * worker.worker.settings.max_poll_seconds)

        await until(outlasts_a_poll, what="an outage longer than a poll may take")
        store.away = False
        await worker.counted(30 + 3 * rounds)
        assert value_of(worker.worker.metrics.claims) == PARTITIONS
        assert value_of(worker.worker.metrics.kept) == 0


async def test_a_worker_stops_in_time_while_the_store_is_away(send: Send, start: Start) -> None:
    store = _Moody(MemorySpace())
    async with start(store) as worker:
        await send(10, 10, 10)
        await worker.counted(30)
        store.away = True
        await send(10, 10, 10)
        await until(lambda: value_of(worker.worker.metrics.store_up) == 0, what="store_up is 0")
        assert await worker.stop() == 0
    store.away = False
    async with start(store) as worker:
        await worker.counted(60)


async def test_a_quiet_partition_is_repaired_after_the_store_lost_its_tail(send: Send, start: Start) -> None:
    space = MemorySpace()
    store = MemoryPartitionStore(space)
    async with start(store) as worker:
        await send(100, 100, 100)
        await worker.counted(300)
        saved = copy.deepcopy(space.partitions)
        await send(40, 0, 40)
        await worker.counted(380)
        space.partitions.clear()
        space.partitions.update(saved)
        await until(lambda: value_of(worker.worker.metrics.repairs) == 2, what="two partitions repaired")
        await worker.counted(380)


async def test_a_partition_that_stands_still_does_not_hold_the_others_and_loses_nothing(
    send: Send, start: Start
) -> None:
    store = MemoryPartitionStore(MemorySpace())
    async with start(store, fetch_min_bytes=1, fetch_max_wait_ms=20) as worker:
        worker.processors[0].gate.clear()
        for _ in range(12):
            await send(30, 30, 0)
        await until(lambda: sum(n for _, p, n in worker.chunks if p == 1) == 360, what="the fast partition is done")
        assert not any(number == 0 for _, number, _ in worker.chunks)
        worker.processors[0].gate.set()
        await worker.counted(720)


async def test_a_recreated_topic_ends_the_worker_with_a_sentence(
    send: Send, start: Start, broker: str, topics: Topics
) -> None:
    store = MemoryPartitionStore(MemorySpace())
    async with start(store) as worker:
        await send(10, 10, 10)
        before = await worker.counted(30)
        await delete_topics(broker, topics)
        await ensure_topics(broker, topics, partitions=PARTITIONS)
        await send(50, 50, 50)
        code, sentence = await worker.ended()
        assert code == 70
        assert "--space" in sentence
        assert await worker.counts() == before
    async with start(store, ready=False) as worker:
        code, sentence = await worker.ended()
        assert code == 70
        assert "recreated" in sentence or "other topic" in sentence or topics.events in sentence
        assert await worker.counts() == before


async def test_a_cursor_beyond_the_end_of_the_log_ends_the_worker(send: Send, start: Start) -> None:
    store = MemoryPartitionStore(MemorySpace())
    await send(10, 10, 10)
    async with start(store) as worker:
        await worker.counted(30)
    await store.accept_gap(1, 500, "test")
    async with start(store, ready=False) as worker:
        code, sentence = await worker.ended()
    assert code == 70
    assert "beyond the end of the log" in sentence


async def test_a_missing_topic_is_a_matter_for_a_human(start: Start) -> None:
    async with start(MemoryPartitionStore(MemorySpace()), ready=False, start_seconds=2.0) as worker:
        code, sentence = await worker.ended()
    assert code == 70
    assert "funnelcast topics create" in sentence


async def test_without_a_broker_the_start_ends_with_try_again(topics: Topics, tmp_path: Path) -> None:
    store = MemoryPartitionStore(MemorySpace())
    async with running(
        "127.0.0.1:9", topics, store, partitions=1, data_dir=tmp_path, ready=False, start_seconds=1.0
    ) as worker:
        code, sentence = await worker.ended()
    assert code == 75
    assert "127.0.0.1:9" in sentence


async def test_topics_are_created_once_and_checked_afterwards(broker: str, topics: Topics) -> None:
    created = await ensure_topics(broker, topics, partitions=PARTITIONS)
    assert [one.created for one in created] == [True] * 5
    again = await ensure_topics(broker, topics, partitions=PARTITIONS)
    assert [(one.created, one.problems) for one in again] == [(False, ())] * 5
    other = await ensure_topics(broker, topics, partitions=PARTITIONS + 1)
    assert "fixed for the life of a space" in other[0].problems[0]
    client = await connect(broker, timeout=LIMIT)
    try:
        identity = await topic_identity(client, topics.events)
        missing = await topic_identity(client, "no-such-topic")
    finally:
        await client.close()
    assert identity is not None
    assert identity.partitions == PARTITIONS
    assert missing is None


async def test_a_rebalance_that_ends_during_a_stop_leaves_the_closing_to_the_consumers_own_thread(
    send: Send, start: Start
) -> None:
    async with start(MemoryPartitionStore(MemorySpace())) as worker:
        await send(10, 10, 10)
        await worker.counted(30)
        consumer = worker.worker._app.consumer
        kafka: Any = consumer._thread._consumer
        consumer.close()  # as Faust does on the app's loop
        assert not kafka._closed
        assert await worker.stop() == 0
        assert kafka._closed


async def test_the_health_port_answers(send: Send, start: Start) -> None:
    async with start(MemoryPartitionStore(MemorySpace())) as worker:
        port = worker.worker.health.port
        assert await _get(port, "/readyz") == 200
        assert await _get(port, "/healthz") == 200
        assert await _get(port, "/metrics") == 200
        assert await _get(port, "/other") == 404


async def _get(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.read(), LIMIT)
    writer.close()
    return int(head.split()[1])
