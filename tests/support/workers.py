"""Workers in the test's own process, over any broker and any store; `Running` waits with deadlines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.topics import Topics
from streams.store.port import PartitionStore
from streams.worker.app import Worker
from streams.worker.settings import WorkerSettings
from tests.support.tally import Tally, TallyProcessor, tallies
from tests.support.waiting import LIMIT, until


class Running:
    """A worker that counts records and offsets (`tally`)."""

    def __init__(self, worker: Worker, store: PartitionStore, partitions: int) -> None:
        self.worker = worker
        self.store = store
        self.partitions = partitions
        self.chunks: list[tuple[float, int, int]] = []
        """(monotonic time, partition, records) of every apply."""
        self.processors: dict[int, TallyProcessor] = {}
        self.task: asyncio.Task[int] | None = None

    def new_processor(self, partition: int) -> TallyProcessor:
        """What the worker calls for a partition."""
        processor = TallyProcessor(
            self.worker.store, partition, on_chunk=lambda p, n: self.chunks.append((time.monotonic(), p, n))
        )
        self.processors[partition] = processor
        return processor

    async def counts(self) -> list[Tally]:
        """What the store holds."""
        return await tallies(self.store, self.partitions)

    async def counted(self, records: int) -> list[Tally]:
        """Wait until that many records are counted, check that none is counted twice, return the tallies."""

        async def reached() -> bool:
            assert self.task is not None
            assert not self.task.done(), f"the worker ended with {self.task.result()}: {self.worker.host.failure!r}"
            return sum(one.count for one in await self.counts()) >= records

        await until(reached, what=f"{records} records counted, are {await self.counts()}")
        counts = await self.counts()
        assert all(one.is_exact for one in counts), counts
        assert sum(one.count for one in counts) == records
        return counts

    async def ended(self) -> tuple[int, str]:
        """(exit code, sentence) of a worker that gives up by itself."""
        assert self.task is not None
        code = await asyncio.wait_for(asyncio.shield(self.task), LIMIT)
        return code, str(self.worker.host.failure or self.worker.failure or "")

    async def stop(self) -> int:
        """Ask it to end; exit code."""
        assert self.task is not None
        self.worker.settings.stop.set()
        return await asyncio.wait_for(self.task, LIMIT)

    @property
    def is_ready(self) -> bool:
        """What /readyz says."""
        return self.worker.readiness().is_ready


@asynccontextmanager
async def running(
    kafka: str,
    topics: Topics,
    store: PartitionStore,
    *,
    partitions: int,
    data_dir: Path,
    ready: bool = True,
    **settings: Any,
) -> AsyncIterator[Running]:
    """A tallying worker, ready; stopped at the end whatever happened."""
    chosen = {"session_seconds": 6.0, "health_port": 0, "identity_seconds": 0.5, **settings}
    runs: list[Running] = []
    worker = Worker(
        WorkerSettings(kafka, topics, [], data_dir, **chosen),
        store,
        make_processor=lambda partition: runs[0].new_processor(partition),
        exit_hard=None,
    )
    run = Running(worker, store, partitions)
    runs.append(run)
    run.task = asyncio.create_task(worker.run())
    try:
        if ready:
            await until(lambda: run.is_ready or run.task is None or run.task.done(), what="worker ready")
        yield run
    finally:
        worker.settings.stop.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(run.task, LIMIT)


@asynccontextmanager
async def producing(kafka: str, *, is_idempotent: bool = False) -> AsyncIterator[AIOKafkaProducer]:
    """A producer for test records. Only an idempotent one never writes a batch twice that it has to send again; the
    embedded broker knows none."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=is_idempotent, linger_ms=2)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def fill(producer: AIOKafkaProducer, topic: str, counts: Sequence[int], size: int = 100) -> None:
    """Write counts[p] records to partition p and wait for the acknowledgements."""
    sent = [
        await producer.send(topic, b"x" * size, partition=partition)
        for partition, count in enumerate(counts)
        for _ in range(count)
    ]
    await asyncio.gather(*sent)
