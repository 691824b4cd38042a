"""Reads the topic of told journeys from where a reader stopped, all partitions, without a group: one reader, one inbox.

Knows aiokafka's consumer and nothing of what a record means.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import UsageError
from schemas.kafka import Kafka, KafkaServers, broker_error
from schemas.kafka_ending import stop_consumer

_POLL_MS: Final = 300
_MOST_RECORDS: Final = 500


class NoJourneysTopicError(UsageError):
    """The space has no such topic."""


class Batch(NamedTuple):
    """Records of one partition."""

    partition: int
    next_offset: int
    values: list[bytes | None]


class JourneysReader:
    """`async with JourneysReader(kafka, topic, offsets=..., from_beginning=...) as reader`."""

    def __init__(self, kafka: Kafka, topic: str, *, offsets: Mapping[int, int], from_beginning: bool) -> None:
        self._servers = KafkaServers.of(kafka)
        self._topic = topic
        self._offsets = offsets
        self._from_beginning = from_beginning
        self._consumer = AIOKafkaConsumer(
            **self._servers.client_options(),
            client_id="funnelcast-journeys",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def __aenter__(self) -> JourneysReader:
        try:
            await self._consumer.start()
            partitions = (await self._cluster()).partitions_for_topic(self._topic)
            if not partitions:
                raise NoJourneysTopicError(f"there is no topic {self._topic}; run: funnelcast topics create")
            await self._seek([TopicPartition(self._topic, number) for number in sorted(partitions)])
        except (KafkaError, OSError, TimeoutError) as error:
            await stop_consumer(self._consumer)
            raise await broker_error(self._servers, error, text=f"the journeys cannot be read: {error!r}") from error
        except BaseException:
            await stop_consumer(self._consumer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_consumer(self._consumer)

    async def _cluster(self) -> Any:
        """From the list of all topics: to ask for one by name would create it where brokers do so by themselves."""
        return await self._consumer._client.fetch_all_metadata()  # noqa: SLF001

    async def _seek(self, partitions: list[TopicPartition]) -> None:
        self._consumer.assign(partitions)
        unknown = [each for each in partitions if each.partition not in self._offsets]
        if unknown:
            if self._from_beginning:
                await self._consumer.seek_to_beginning(*unknown)
            else:
                await self._consumer.seek_to_end(*unknown)
        for each in partitions:
            if each.partition in self._offsets:
                self._consumer.seek(each, self._offsets[each.partition])

    async def ends(self) -> dict[int, int]:
        """By partition: the offset behind its last record as of now."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        return {each.partition: end for each, end in ends.items()}

    async def read(self) -> list[Batch]:
        """What has come; nothing after a short while. Raises BrokerUnavailableError."""
        try:
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
        except (KafkaError, OSError) as error:
            raise await broker_error(self._servers, error, text=f"the journeys cannot be read: {error!r}") from error
        return [
            Batch(partition.partition, records[-1].offset + 1, [record.value for record in records])
            for partition, records in batches.items()
            if records
        ]
