"""The record that forgets a person, on a real broker: where the person's events are, under their key."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from funnelcast.stack.real_kafka import RealKafka
from schemas.partition import partition_of
from schemas.record import decode_any
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.forget import ErasureMarker, request_erasure
from tests.support.kafka import real_kafka

__all__ = ["real_kafka"]
pytestmark = pytest.mark.kafka
PARTITIONS = 4


async def test_it_stands_behind_the_persons_events(real_kafka: RealKafka, fresh_space: str) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(real_kafka.bootstrap, topics, partitions=PARTITIONS)
    place = partition_of(b"u:4711", PARTITIONS)
    for offset in range(2):
        marker = await request_erasure(real_kafka.bootstrap, topics, person=b"u:4711", asked_at_ms=7)
        assert marker == ErasureMarker(place, offset)
    consumer = AIOKafkaConsumer(bootstrap_servers=real_kafka.bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topics.events, place)])
        consumer.seek(TopicPartition(topics.events, place), 0)
        record = await consumer.getone()
    finally:
        await consumer.stop()
    assert (record.key, decode_any(record.value or b"")) == (b"u:4711", {"forget": 7})
