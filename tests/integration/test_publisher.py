"""What a worker sends out, on the embedded broker: acknowledged, in the topic of its kind, and waited for."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer
from structlog.testing import capture_logs

from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.core.outgoing import OutgoingKind, late_event
from streams.transport.publisher import TopicPublisher
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT, until

RECORDS = [late_event("sales@1", key=b"a:v", value=b"event %d" % number, age_ms=number) for number in range(3)]


async def test_what_is_published_is_in_the_topic_of_its_kind(embedded_stack: StackAddresses, fresh_space: str) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(embedded_stack.kafka, topics, partitions=2)
    publisher = TopicPublisher(embedded_stack.kafka, {OutgoingKind.LATE: topics.late})
    try:
        await publisher.publish(RECORDS)
    finally:
        await publisher.close()
    consumer = AIOKafkaConsumer(topics.late, bootstrap_servers=embedded_stack.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        read = [await asyncio.wait_for(consumer.getone(), LIMIT) for _ in RECORDS]
    finally:
        await consumer.stop()
    assert [(record.key, record.value, tuple(record.headers)) for record in read] == [
        (record.key, record.value, record.headers) for record in RECORDS
    ]


async def test_a_broker_that_is_away_is_waited_for() -> None:
    publisher = TopicPublisher("127.0.0.1:9", {OutgoingKind.LATE: "late"})
    with capture_logs() as logs:
        publishing = asyncio.create_task(publisher.publish(RECORDS))
        await until(lambda: len(logs) >= 2, what="two tries")
        assert not publishing.done()
        publishing.cancel()
        await asyncio.wait({publishing}, timeout=LIMIT)
    assert publishing.cancelled()
    assert {(entry["event"], entry["records"]) for entry in logs} == {("publishing_waits", len(RECORDS))}
    assert "Kafka at 127.0.0.1:9 does not answer" in logs[0]["error"]
