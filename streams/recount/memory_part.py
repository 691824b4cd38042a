"""Partitions counted in memory and poured into the shadow: the first part of a recount, in one process or several."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from streams.core.engine import RECORDS_PER_CHUNK
from streams.recount.counting import Partitions
from streams.recount.history import History
from streams.recount.job import RecountJob
from streams.recount.processes import PartProcess
from streams.recount.shadow import MemoryShadow, pour
from streams.store.connection import close, connect
from streams.store.redis import RedisPartitionStore
from streams.transport.log_reader import LogReader

_PROCESSES = 4
_RECORDS_OF_A_PROCESS = 100_000
"""A process takes half a second to start: that must be worth it."""


class MemoryPart(Partitions):
    """Partitions counted in memory, and poured into the shadow at the end."""

    def __init__(
        self, store: RedisPartitionStore, job: RecountJob, *, history: History, partitions: Sequence[int], total: int
    ) -> None:
        self._shadow = MemoryShadow(store)
        self._into = store
        self._history_of = history
        self._funnel_id = job.funnel.funnel_id
        super().__init__(
            self._shadow,
            job.funnel,
            history=history,
            partitions=partitions,
            total=total,
            watermark_delay_ms=job.watermark_delay_ms,
            max_person_events=job.max_person_events,
            chunk_persons=RECORDS_PER_CHUNK,  # no server waits for the write, and what changes twice is written once
        )

    async def pour(self) -> int:
        """Write what was counted; how many records came from the archive."""
        await self.finish()
        await pour(self._shadow.space, self._into, funnel_id=self._funnel_id)
        return self._history_of.from_archive


@dataclass(frozen=True)
class Serving:
    """How a process of a recount opens its partitions."""

    job: RecountJob
    total: int

    @asynccontextmanager
    async def __call__(self, partitions: Sequence[int]) -> AsyncIterator[MemoryPart]:
        async with AsyncExitStack() as stack:
            client = connect(self.job.redis)
            stack.push_async_callback(close, client)
            log = await stack.enter_async_context(LogReader(self.job.kafka, self.job.events))
            store = RedisPartitionStore(client, self.job.space, shadow=self.job.funnel.funnel_id)
            history = History(log, self.job.opened_archive())
            yield MemoryPart(store, self.job, history=history, partitions=partitions, total=self.total)


@asynccontextmanager
async def memory_parts(job: RecountJob, partitions: Sequence[int], *, records: int) -> AsyncIterator[list[Any]]:
    """In this process, or in as many as are worth it for so many records (or as the job says)."""
    serving = Serving(job, len(partitions))
    useful = min(_PROCESSES, os.cpu_count() or 1, records // _RECORDS_OF_A_PROCESS)
    number = max(1, min(job.processes or useful, len(partitions)))
    if number == 1:
        async with serving(partitions) as part:
            yield [part]
        return
    processes = [PartProcess(serving, partitions[index::number]) for index in range(number)]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            process.close()


async def call(part: Any, name: str) -> Any:
    """Of a part here or in another process."""
    return await (part.call(name) if isinstance(part, PartProcess) else getattr(part, name)())
