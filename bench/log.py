"""The benchmark's topics: a stream of `bench.workload`, written into a fresh space of a broker. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from bench.workload import records, with_merges
from schemas.partition import partition_of
from schemas.topics import Topics
from streams.admin import ensure_topics

PARTITIONS = 8
BATCH_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class FilledLog:
    """A space whose events topic holds a stream."""

    space: str
    people: int
    events: int
    """Of the people; the records of links are not among them."""
    visitors: int
    """So many of the people have an event."""

    @property
    def topic(self) -> str:
        """The events topic."""
        return Topics(self.space).events


async def fill(kafka: str, space: str, *, events: int, people: int, merges: float = 0) -> FilledLog:
    """Create the space's topics and write the benchmark's stream, with a share of events that link two ids."""
    stream = records(events, people=people)
    visitors = await write(kafka, space, stream=with_merges(stream, merges) if merges else stream)
    return FilledLog(space, people, events, visitors)


async def write(kafka: str, space: str, *, stream: Iterable[tuple[bytes, bytes, int]]) -> int:
    """Create the space's topics (8 partitions, times of the events) and write a stream, zstd; how many devices."""
    await ensure_topics(kafka, Topics(space), partitions=PARTITIONS, historical=True)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type="zstd", max_batch_size=BATCH_BYTES, enable_idempotence=True
    )
    await producer.start()
    try:
        return await _write(producer, Topics(space).events, stream=stream)
    finally:
        await producer.stop()


async def _write(producer: AIOKafkaProducer, topic: str, *, stream: Iterable[tuple[bytes, bytes, int]]) -> int:
    """Whole batches: sending record by record would cost more than the benchmark itself."""
    places: dict[bytes, int] = {}
    open_batches = [producer.create_batch() for _ in range(PARTITIONS)]
    for key, value, received_ms in stream:
        partition = places.get(key)
        if partition is None:
            partition = places[key] = partition_of(key, PARTITIONS)
        if open_batches[partition].append(key=key, value=value, timestamp=received_ms) is None:
            await producer.send_batch(open_batches[partition], topic, partition=partition)
            open_batches[partition] = producer.create_batch()
            open_batches[partition].append(key=key, value=value, timestamp=received_ms)
    for partition, batch in enumerate(open_batches):
        if batch.record_count():
            await producer.send_batch(batch, topic, partition=partition)
    await producer.flush()
    return sum(key.startswith(b"a:") for key in places)
