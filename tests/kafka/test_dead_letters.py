"""The topic of dead letters on Apache Kafka: read once to its end, also where retention has eaten the beginning."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from funnelcast.stack.real_kafka import RealKafka
from producers.dead_letters.reader import DeadLetterReader, NoSuchDeadLetterError
from producers.dead_letters.record import DeadLetter
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.kafka import real_kafka
from tests.support.workers import producing

__all__ = ["real_kafka"]
pytestmark = pytest.mark.kafka


def dead_letter(number: int) -> bytes:
    return msgspec.json.encode(
        DeadLetter(
            reason="missing_id",
            detail="",
            source="web",
            route="/v1/events",
            received_at_ms=number,
            size=2,
            payload="{}",
        )
    )


async def places(log: DeadLetterReader, **options: Any) -> list[tuple[int, int]]:
    return sorted([(one.partition, one.offset) async for some in log.read(**options) for one in some])


async def test_letters_are_read_to_the_end_and_from_where_the_log_begins(
    real_kafka: RealKafka, fresh_space: str
) -> None:
    topic = Topics(fresh_space).rejected
    await ensure_topics(real_kafka.bootstrap, Topics(fresh_space), partitions=4)
    async with DeadLetterReader(real_kafka.bootstrap, topic) as log:
        assert await places(log) == []
    async with producing(real_kafka.bootstrap) as producer:
        for number in range(30):
            await producer.send_and_wait(topic, dead_letter(number), partition=number % 2)
        await producer.send_and_wait(topic, b"no dead letter", partition=3)
    async with DeadLetterReader(real_kafka.bootstrap, topic) as log:
        assert await places(log) == [(partition, offset) for partition in (0, 1) for offset in range(15)]
        assert await places(log, start={0: 10, 1: 15}) == [(0, offset) for offset in range(10, 15)]
        assert (await log.get(1, 3)).dead_letter.received_at_ms == 7
    admin = AIOKafkaAdminClient(bootstrap_servers=real_kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=12)})
    finally:
        await admin.close()
    async with DeadLetterReader(real_kafka.bootstrap, topic) as log:
        assert await places(log, start={1: 15}) == [(0, 12), (0, 13), (0, 14)]
        with pytest.raises(NoSuchDeadLetterError, match="retention"):
            await log.get(0, 3)
        with pytest.raises(NoSuchDeadLetterError, match="no dead letter"):
            await log.get(3, 0)
        with pytest.raises(NoSuchDeadLetterError, match="partitions 0 to 3"):
            await log.get(9, 0)
