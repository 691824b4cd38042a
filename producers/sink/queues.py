"""What waits for Kafka: the requests, and their records in one queue for each partition. Sends nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from producers.sink.batch_producer import WORTH_COMPRESSING, Batch
from producers.sink.port import Outgoing, SinkUnavailableError


class PendingPut:
    """One `put` that waits: how many of its records are not acknowledged yet, and since when."""

    __slots__ = ("created_at", "done", "is_abandoned", "size", "unacknowledged")

    def __init__(self, count: int, size: int, created_at: float, done: asyncio.Future[None]) -> None:
        self.unacknowledged = count
        self.size = size
        self.created_at = created_at
        self.done = done
        self.is_abandoned = False

    def fail(self, error: SinkUnavailableError) -> None:
        self.is_abandoned = True
        if not self.done.done():
            self.done.set_exception(error)


Parts = list[tuple[PendingPut, int]]


class PartitionQueue:
    """What waits for one partition, in order."""

    __slots__ = ("in_flight_since", "partition", "topic", "waiting")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.waiting: deque[tuple[PendingPut, list[Outgoing]]] = deque()
        self.in_flight_since: float | None = None

    def expected_bytes(self) -> int:
        """About what the next batch will hold; exact only as long as it is small."""
        size = 0
        for _, records in self.waiting:
            for record in records:
                size += len(record.value)
                if size >= WORTH_COMPRESSING:
                    return size
        return size

    def fill(self, batch: Batch, parts: Parts) -> None:
        """Put what waits into a batch, whole or up to its size; requests that were given up are left out. `parts`
        receives whose records are in it."""
        while self.waiting:
            pending_put, records = self.waiting[0]
            if pending_put.is_abandoned:
                self.waiting.popleft()
                continue
            parts.append((pending_put, 0))
            taken = batch.append_all(records)
            parts[-1] = (pending_put, taken)
            if taken < len(records):
                self.waiting[0] = (pending_put, records[taken:])
                break
            self.waiting.popleft()


class PartitionQueues(dict[tuple[str, int], PartitionQueue]):
    """All queues, by topic and partition; they are made as records come."""

    def of(self, records: Sequence[Outgoing]) -> dict[PartitionQueue, list[Outgoing]]:
        """The records of each queue, in order."""
        by_queue: dict[PartitionQueue, list[Outgoing]] = {}
        for record in records:
            queue = self.get((record.topic, record.partition))
            if queue is None:
                queue = self[record.topic, record.partition] = PartitionQueue(record.topic, record.partition)
            if queue in by_queue:
                by_queue[queue].append(record)
            else:
                by_queue[queue] = [record]
        return by_queue
