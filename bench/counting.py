"""Counts a stream into a store without Kafka, as workers would: for measurements of what stands there afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.log import PARTITIONS
from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor

CHUNK = 4000


async def count_into(
    store: RedisPartitionStore, funnels: Sequence[Funnel], stream: Iterable[tuple[bytes, bytes, int]], *, persons: int
) -> None:
    """(key, value, received) of every event; `persons` are kept in memory of each partition."""
    lanes = [PartitionProcessor(store, number, funnels, max_persons=persons) for number in range(PARTITIONS)]
    queues: list[list[LogRecord]] = [[] for _ in lanes]
    for lane in lanes:
        await lane.claim()
    for key, value, received_ms in stream:
        number = partition_of(key, PARTITIONS)
        queue, lane = queues[number], lanes[number]
        queue.append(LogRecord(key, value, received_ms, lane.offset + len(queue)))
        if len(queue) == CHUNK:
            await lane.process(queue, lane.offset + len(queue))
            queue.clear()
    for queue, lane in zip(queues, lanes, strict=True):
        await lane.process(queue, lane.offset + len(queue))
