"""Counts a stream into a store without Kafka, as workers would: for measurements of what stands there afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.log import PARTITIONS
from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor

POLL = 10_000
"""Records that a worker which lags takes at once."""


def parted(stream: Iterable[tuple[bytes, bytes, int]]) -> list[list[LogRecord]]:
    """(key, value, received) of every event as records by partition: a producer's work, not to be measured."""
    logs: list[list[LogRecord]] = [[] for _ in range(PARTITIONS)]
    for key, value, received_ms in stream:
        log = logs[partition_of(key, PARTITIONS)]
        log.append(LogRecord(key, value, received_ms, len(log)))
    return logs


async def count_into(
    store: RedisPartitionStore, funnels: Sequence[Funnel], *, logs: Sequence[Sequence[LogRecord]], persons: int
) -> None:
    """Count logs, each a partition's, from their beginning; `persons` are kept in memory of each partition."""
    lanes = [PartitionProcessor(store, number, funnels, max_persons=persons) for number in range(len(logs))]
    for lane in lanes:
        await lane.claim()
    for start in range(0, max(map(len, logs)), POLL):
        for lane, log in zip(lanes, logs, strict=True):
            if records := log[start : start + POLL]:
                await lane.process(records, start + len(records))
