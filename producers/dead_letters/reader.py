"""Reads the topic of dead letters from a broker, once, up to where it ended at the start. Commits and joins nothing.

Knows aiokafka's consumer; what a dead letter means is `producers.dead_letters.replay`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from producers.dead_letters.replay import StoredDeadLetter, decode_dead_letter
from schemas.errors import BrokerUnavailableError, UsageError
from schemas.kafka import Kafka, KafkaServers, broker_error
from schemas.kafka_ending import stop_consumer

_FETCH_MS: Final = 500
_REQUEST_MS: Final = 15_000
_QUIET_FETCHES: Final = 60
"""So often in a row nothing may come before the broker is held for silent."""


class NoSuchDeadLetterError(UsageError):
    """There is no such topic, partition or dead letter."""


class DeadLetterReader:
    """`async with DeadLetterReader(kafka, topic) as reader`."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka = KafkaServers.of(kafka)
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            **self._kafka.client_options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=_REQUEST_MS,
            fetch_max_wait_ms=_FETCH_MS // 2,
        )

    async def __aenter__(self) -> DeadLetterReader:
        try:
            await self._consumer.start()
            self._partitions = sorted((await self._cluster()).partitions_for_topic(self._topic) or ())
        except (KafkaError, OSError, TimeoutError) as error:
            await stop_consumer(self._consumer)
            raise await broker_error(self._kafka, error, text=f"Kafka at {self._kafka}: {error!r}") from error
        if not self._partitions:
            await stop_consumer(self._consumer)
            raise NoSuchDeadLetterError(f"there is no topic {self._topic}; is the --space right?")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_consumer(self._consumer)

    async def _cluster(self) -> Any:
        """From the list of all topics: to ask for one by name would create it where brokers do so by themselves."""
        return await self._consumer._client.fetch_all_metadata()

    async def read(
        self, start: Mapping[int, int] | None = None, *, partition: int | None = None
    ) -> AsyncIterator[list[StoredDeadLetter]]:
        """Every dead letter from `start` (offsets by partition; default: the oldest) in batches, each in the order of
        its partition. Records that are no dead letters are left out. Raises BrokerUnavailableError."""
        partitions = [TopicPartition(self._topic, tp) for tp in self._partitions if partition in (None, tp)]
        self._consumer.assign(partitions)
        ends: dict[TopicPartition, int] = {}
        next_offsets: dict[TopicPartition, int] = {}
        await self._seek(partitions, start or {})
        quiet = 0
        while len(ends) < len(partitions) or any(next_offsets.get(tp, 0) < ends[tp] for tp in partitions):
            batches = await self._fetch()
            for tp in partitions:
                end = self._consumer.highwater(tp)
                if end is not None:
                    ends.setdefault(tp, end)
                next_offsets[tp] = max(next_offsets.get(tp, 0), await self._consumer.position(tp))
            for tp, records in batches.items():
                decoded = (
                    decode_dead_letter(r.partition, r.offset, value=r.value) for r in records if r.offset < ends[tp]
                )
                yield [dead_letter for dead_letter in decoded if dead_letter is not None]
            quiet = 0 if batches else quiet + 1
            if quiet > _QUIET_FETCHES:
                raise BrokerUnavailableError(f"Kafka at {self._kafka} does not deliver topic {self._topic}")

    async def _seek(self, partitions: list[TopicPartition], start: Mapping[int, int]) -> None:
        try:
            oldest = await self._consumer.beginning_offsets(partitions)
        except (KafkaError, OSError, TimeoutError) as error:
            raise await broker_error(self._kafka, error, text=f"Kafka at {self._kafka}: {error!r}") from error
        for tp in partitions:
            self._consumer.seek(tp, max(oldest[tp], start.get(tp.partition, 0)))

    async def _fetch(self) -> dict[TopicPartition, list[Any]]:
        try:
            batches: dict[TopicPartition, list[Any]] = await self._consumer.getmany(timeout_ms=_FETCH_MS)
        except (KafkaError, OSError, TimeoutError) as error:
            raise await broker_error(self._kafka, error, text=f"Kafka at {self._kafka}: {error!r}") from error
        return batches

    async def get(self, partition: int, offset: int) -> StoredDeadLetter:
        """A single dead letter. Raises NoSuchDeadLetterError, BrokerUnavailableError."""
        if partition not in self._partitions:
            raise NoSuchDeadLetterError(f"the topic has partitions {self._partitions[0]} to {self._partitions[-1]}")
        async for dead_letters in self.read({partition: offset}, partition=partition):
            if dead_letters and dead_letters[0].offset == offset:
                return dead_letters[0]
            break
        raise NoSuchDeadLetterError(
            f"there is no dead letter {partition}:{offset}; it may have been removed by retention"
        )
