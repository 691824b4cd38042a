"""Counting events through the worker's processor, into any store: what a worker does, without Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from schemas.funnel.model import Funnel
from schemas.record import encode_tick
from streams.core.chunk import Record
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import PartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.counting import places_of


def placed(records: Iterable[Record], partitions: int) -> Iterator[tuple[int, LogRecord]]:
    """(partition, record) in the order of writing, as the collector and the ticker write them."""
    offsets = [0] * partitions
    for record in records:
        for partition in places_of(record, partitions):
            yield partition, LogRecord(*record, offsets[partition])
            offsets[partition] += 1


def logs_of(records: Iterable[Record], partitions: int) -> list[list[LogRecord]]:
    """The log of each partition."""
    logs: list[list[LogRecord]] = [[] for _ in range(partitions)]
    for partition, record in placed(records, partitions):
        logs[partition].append(record)
    return logs


def log_records(events: Iterable[dict[str, Any]], partitions: int) -> Iterator[tuple[int, LogRecord]]:
    """(partition, record) of events of users."""
    return placed((_record(event) for event in events), partitions)


def _record(event: dict[str, Any]) -> Record:
    key = None if event["user_id"] is None else f"u:{event['user_id']}".encode()
    return key, json.dumps(event).encode(), event["received_at_ms"]


async def counted_reader(funnel: Funnel, events: list[dict[str, Any]], *, now_ms: int) -> MemoryCounterReader:
    """A store in memory with these events counted at `now_ms`."""
    space = MemorySpace(clock_ms=lambda: now_ms)
    await count_into(MemoryPartitionStore(space), funnel, events, now_ms=now_ms)
    return MemoryCounterReader(space)


async def count_into(
    store: PartitionStore, funnel: Funnel, events: list[dict[str, Any]], *, now_ms: int, partitions: int = 1
) -> None:
    """Count events into a store, and a tick at `now_ms` in every partition."""
    await store.check_funnels({funnel.funnel_id: funnel.fingerprint})
    logs = logs_of([*map(_record, events), (None, encode_tick(now_ms), now_ms)], partitions)
    for partition, log in enumerate(logs):
        processor = PartitionProcessor(store, partition, [funnel], clock_ms=lambda: now_ms)
        await processor.claim()
        await processor.process(log, len(log))
        await processor.book_due()
