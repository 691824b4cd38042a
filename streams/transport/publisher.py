"""The producer of everything a worker sends out: each record acknowledged before the caller's cursor moves.

One producer, a topic for each kind. Written at least once: a write whose acknowledgement was lost is written again, the
same key, value and headers. Knows nothing of what the records mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from schemas.errors import BrokerUnavailableError
from schemas.kafka import Kafka, KafkaServers, broker_error
from schemas.partition import partition_of
from schemas.topics import Topics
from streams.core.outgoing import Outgoing, OutgoingKind

log = structlog.get_logger("funnelcast.transport")
SEND_SECONDS = 20.0
_BATCH_BYTES = 128 * 1024
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0


def topics_of(topics: Topics) -> dict[OutgoingKind, str]:
    """Where what goes out goes."""
    return {
        OutgoingKind.LATE: topics.late,
        OutgoingKind.JOURNEY: topics.journeys,
        OutgoingKind.FORWARD: topics.events,
    }


class TopicPublisher:
    """Implements `streams.worker.port.Publisher`. Connects at the first record."""

    def __init__(self, kafka: Kafka, topics: Mapping[OutgoingKind, str]) -> None:
        self._servers = KafkaServers.of(kafka)
        self._topics = topics
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Return when all are acknowledged; waits for a broker that is away. Raises KafkaRefusedError."""
        insist = AsyncRetrying(
            retry=retry_if_exception_type(BrokerUnavailableError),
            wait=wait_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
            before_sleep=_report,
        )
        await insist(self._publish, records)

    async def close(self) -> None:
        """Give the connection back."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def _publish(self, records: Sequence[Outgoing]) -> None:
        try:
            producer = await self._started()
            batches = await self._batches(producer, records)
            sending = [_send(producer, place, waiting=waiting) for place, waiting in batches.items()]
            for failure in await asyncio.gather(*sending, return_exceptions=True):
                if failure is not None:
                    raise failure
        except (KafkaError, OSError, TimeoutError) as error:
            raise await broker_error(self._servers, error, text=f"records were not acknowledged: {error!r}") from error

    async def _batches(
        self, producer: AIOKafkaProducer, records: Sequence[Outgoing]
    ) -> dict[tuple[str, int], list[BatchBuilder]]:
        """By topic and partition: whole batches, because each record sent by itself costs ten times as much."""
        batches: dict[tuple[str, int], list[BatchBuilder]] = {}
        counts = {topic: len(await producer.partitions_for(topic)) for topic in self._topics_of(records)}
        for record in records:
            topic = self._topics[record.kind]
            of_place = batches.setdefault((topic, partition_of(record.key, counts[topic])), [])
            if not of_place or not _add(of_place[-1], record):
                of_place.append(producer.create_batch())
                _add(of_place[-1], record)  # the first record of a batch always finds room
        for of_place in batches.values():
            for batch in of_place:
                batch.close()  # it waits for nothing more
        return batches

    def _topics_of(self, records: Sequence[Outgoing]) -> set[str]:
        return {self._topics[kind] for kind in {record.kind for record in records}}

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._servers.client_options(),
                    acks="all",
                    compression_type="zstd",
                    max_batch_size=_BATCH_BYTES,
                    request_timeout_ms=15_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer


async def _send(producer: AIOKafkaProducer, place: tuple[str, int], *, waiting: Sequence[BatchBuilder]) -> None:
    """One batch after the other: none may be written before the one ahead of it. A receiver of forwards takes a number
    below the highest that it knows for a repetition."""
    topic, partition = place
    for batch in waiting:
        acknowledged = await producer.send_batch(batch, topic, partition=partition)
        await asyncio.wait_for(acknowledged, SEND_SECONDS)


def _add(batch: BatchBuilder, record: Outgoing) -> bool:
    """False where there is no room for it."""
    added = batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return added is not None


def _report(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    log.warning("publishing_waits", records=len(state.args[0]), error=str(error))
