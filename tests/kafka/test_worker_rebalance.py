"""How long a busy partition stands still while its group rebalances, on Apache Kafka.

What is bounded is `funnel_worker_rebalance_pause_seconds`: from the moment the worker hears of the rebalance (from then
on it begins no chunk of the partition) until the partition is read again. It includes the chunk under way, the broker's
rounds of JoinGroup and SyncGroup, the look into the store and the seek. It does not include the time until the worker
hears: that is its heartbeat, and the partition is counted meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from funnelcast.stack.real_kafka import RealKafka
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.store.memory import MemoryPartitionStore, MemorySpace
from tests.support.kafka import real_kafka
from tests.support.waiting import until
from tests.support.workers import Running, fill, producing, running

__all__ = ["real_kafka"]
pytestmark = pytest.mark.kafka
PARTITIONS = 8
CHUNK_SECONDS = (0.1, 0.14)
"""Of the first and of the last partition: longer than the broker's rounds take, so that a chunk which is under way when
the rebalance begins is nearly always still under way when it ends; different, so that not all end at once."""
PAUSE_SECONDS = 0.2
TRIES = 4
"""A busy machine adds pauses of its own: the shortest one is nearest to what a rebalance costs."""


class Pauses(NamedTuple):
    """Of partitions that stayed with a worker, so far."""

    partitions: int
    short: int
    """Within PAUSE_SECONDS."""
    seconds: float

    @classmethod
    def of(cls, worker: Running) -> Pauses:
        """As the worker itself reports them."""

        def value(suffix: str, **labels: str) -> float:
            name = f"funnel_worker_rebalance_pause_seconds_{suffix}"
            return worker.worker.metrics.registry.get_sample_value(name, labels) or 0.0

        return cls(int(value("count")), int(value("bucket", le=str(PAUSE_SECONDS))), value("sum"))

    def since(self, before: Pauses) -> Pauses:
        """Those after `before`."""
        return Pauses(self.partitions - before.partitions, self.short - before.short, self.seconds - before.seconds)


@contextlib.asynccontextmanager
async def _steady(kafka: str, topic: str) -> AsyncIterator[None]:
    """Records in every partition, more often than a worker with slow chunks asks for them."""
    over = asyncio.Event()

    async def write() -> None:
        async with producing(kafka, is_idempotent=True) as producer:
            while not over.is_set():
                await fill(producer, topic, [1] * PARTITIONS)
                await asyncio.sleep(0.005)

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        over.set()
        await task


async def _is_busy_with(worker: Running, partitions: int) -> None:
    """Wait until it owns so many partitions and has a chunk of each under way nearly all the time."""

    def is_busy() -> bool:
        for partition, processor in worker.processors.items():
            processor.delay = _chunk_seconds(partition)
        runners = worker.worker.host.runners
        return len(runners) == partitions and all(_is_busy(worker, partition) for partition in runners)

    await until(is_busy, what=f"{partitions} busy partitions")


def _chunk_seconds(partition: int) -> float:
    shortest, longest = CHUNK_SECONDS
    return shortest + (longest - shortest) * partition / (PARTITIONS - 1)


def _is_busy(worker: Running, partition: int) -> bool:
    """The newest five chunks followed each other without a rest worth mentioning."""
    times = [seconds for seconds, number, _records in worker.chunks if number == partition][-6:]
    now, chunk = time.monotonic(), _chunk_seconds(partition)
    return len(times) == 6 and times[-1] - times[0] < 6 * chunk and now - times[-1] < 2 * chunk


async def _paused(worker: Running, before: Pauses) -> Pauses:
    """Wait until the partitions that stay are read again."""
    staying = PARTITIONS // 2
    await until(lambda: Pauses.of(worker).since(before).partitions >= staying, what="kept partitions flow again")
    return Pauses.of(worker).since(before)


async def test_a_busy_partition_that_stays_hardly_pauses_when_another_worker_joins_or_leaves(
    real_kafka: RealKafka, fresh_space: str, tmp_path: Path
) -> None:
    kafka, topics, store = real_kafka.bootstrap, Topics(fresh_space), MemoryPartitionStore(MemorySpace())
    await ensure_topics(kafka, topics, partitions=PARTITIONS)
    joins: list[Pauses] = []
    leaves: list[Pauses] = []

    def start(name: str) -> contextlib.AbstractAsyncContextManager[Running]:
        return running(
            kafka,
            topics,
            store,
            partitions=PARTITIONS,
            data_dir=tmp_path / name,
            fetch_min_bytes=1,
            fetch_max_wait_ms=10,
        )

    async with start("first") as first, _steady(kafka, topics.events):
        while len(joins) < TRIES:
            await _is_busy_with(first, PARTITIONS)
            before = Pauses.of(first)
            async with start("second") as second:
                joins.append(await _paused(first, before))
                await _is_busy_with(second, PARTITIONS // 2)
                await _is_busy_with(first, PARTITIONS // 2)
                before = Pauses.of(first)
                assert await second.stop() == 0
            leaves.append(await _paused(first, before))
            if _has_short(joins) and _has_short(leaves):
                break
        for processor in first.processors.values():
            processor.delay = 0.0
    print(f"\npauses at joins: {joins}, at leaves: {leaves}")
    assert _has_short(joins)
    assert _has_short(leaves)


def _has_short(rebalances: list[Pauses]) -> bool:
    """Whether in one of them every partition that stayed was read again in time."""
    return any(pauses.short == pauses.partitions for pauses in rebalances)
