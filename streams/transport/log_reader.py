"""Reads stretches of a topic's log by offsets, each partition at its own pace. Commits and joins nothing.

For who counts or copies the log beside the workers. Records are those of `streams.transport.records`: `key`, `value`,
`timestamp`, `offset`.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.errors import BrokerUnavailableError, TryAgainError
from schemas.kafka import Kafka, KafkaServers, broker_error
from schemas.kafka_ending import stop_consumer
from streams.transport.cursor import topic_missing
from streams.transport.metadata import TopicIdentity, reports_end_offsets, topic_identity
from streams.transport.records import hand_out_plain

_FETCH_MS: Final = 500
_REQUEST_MS: Final = 15_000
_SILENT_SECONDS: Final = 30.0
"""Records that must be there and do not come for so long: the broker is held for silent."""
_RECORDS: Final = 2_000


class LogReader:
    """`async with LogReader(kafka, topic) as log`."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka = KafkaServers.of(kafka)
        self._topic = topic
        self._consumer: Any = AIOKafkaConsumer(
            **self._kafka.client_options(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=_REQUEST_MS,
            fetch_max_wait_ms=_FETCH_MS // 2,
        )
        hand_out_plain(self._consumer)
        self._positions: dict[int, int] = {}
        self._assigned: list[TopicPartition] = []
        self.identity = TopicIdentity("", "", 0)

    async def __aenter__(self) -> LogReader:
        try:
            await self._consumer.start()
            identity = await topic_identity(self._consumer._client, self._topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await stop_consumer(self._consumer)
            raise await self._broken(error) from error
        except BaseException:
            await stop_consumer(self._consumer)
            raise
        if identity is None:
            await stop_consumer(self._consumer)
            raise topic_missing(self._topic)
        self.identity = identity
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_consumer(self._consumer)

    async def assign(self, partitions: list[int]) -> dict[int, int]:
        """Which partitions are read from now on; the first offset that each has."""
        self._assigned = [self._place(partition) for partition in partitions]
        self._consumer.assign(self._assigned)
        try:
            starts = await self._consumer.beginning_offsets(self._assigned)
        except (KafkaError, OSError, TimeoutError) as error:
            raise await self._broken(error) from error
        for place, start in starts.items():
            self._seek(place.partition, start)
        return {place.partition: start for place, start in starts.items()}

    async def ends(self) -> dict[int, int]:
        """By partition that is read: the offset behind its newest record."""
        try:
            ends = await self._consumer.end_offsets(self._assigned)
        except (KafkaError, OSError, TimeoutError) as error:
            raise await self._broken(error) from error
        if not reports_end_offsets(self._consumer._client):
            for place, end in ends.items():
                self._seek(place.partition, end)
            while any(records for records, _ in (await self.news()).values()):
                continue
            return dict(self._positions)
        return {place.partition: end for place, end in ends.items()}

    async def read(self, partition: int, *, start: int, end: int) -> tuple[list[Any], int]:
        """Records from `start` on and the next offset, at most `end`; offsets may have holes. There must be records."""
        place, deadline = self._place(partition), time.monotonic() + _SILENT_SECONDS
        if self._positions[partition] != start:
            self._seek(partition, start)
        while True:
            records, position = await self._fetch(place, end - start)
            if position > start:
                self._positions[partition] = min(position, end)
                if position > end:
                    records = [record for record in records if record.offset < end]
                    self._seek(partition, end)
                return records, min(position, end)
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(f"Kafka at {self._kafka} does not deliver topic {self._topic}")

    async def news(self) -> dict[int, tuple[list[Any], int]]:
        """What there is, waiting a moment for it: by partition records and the next offset."""
        try:
            batches = await self._consumer.getmany(timeout_ms=_FETCH_MS)
            newest = {
                place.partition: (records, await self._consumer.position(place)) for place, records in batches.items()
            }
        except (KafkaError, OSError, TimeoutError) as error:
            raise await self._broken(error) from error
        self._positions |= {partition: position for partition, (_, position) in newest.items()}
        return newest

    def start_at(self, partition: int, offset: int) -> None:
        """Where the next `news` begins."""
        self._seek(partition, offset)

    def position(self, partition: int) -> int:
        """The next offset to be read."""
        return self._positions[partition]

    async def _fetch(self, place: TopicPartition, records: int) -> tuple[list[Any], int]:
        try:
            batches = await self._consumer.getmany(place, timeout_ms=_FETCH_MS, max_records=min(records, _RECORDS))
            return batches.get(place, []), await self._consumer.position(place)
        except OffsetOutOfRangeError as error:
            raise TryAgainError(
                f"{self._topic} partition {place.partition}: records were removed by retention while they were read: "
                "start again"
            ) from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise await self._broken(error) from error

    def _seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(self._place(partition), offset)
        self._positions[partition] = offset

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    async def _broken(self, error: BaseException) -> Exception:
        return await broker_error(self._kafka, error, text=f"Kafka at {self._kafka}: {error!r}")
