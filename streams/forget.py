"""Asks for a person to be forgotten: a record in their partition of the events topic, and the wait until it is applied.

The request is in the log like any event, so a replay forgets at the same place. Writes nothing to the store: only the
worker that owns the partition does.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.kafka import Kafka, KafkaServers, broker_error
from schemas.partition import partition_of
from schemas.record import encode_forget
from schemas.topics import Topics
from streams.store.port import CounterReader
from streams.transport.cursor import topic_missing
from streams.transport.metadata import topic_identity

CONNECT_SECONDS = 30.0
SEND_SECONDS = 30.0
_POLL_SECONDS = 0.1


class ErasureMarker(NamedTuple):
    """Where the record is in the log."""

    partition: int
    offset: int


async def request_erasure(kafka: Kafka, topics: Topics, *, person: bytes, asked_at_ms: int) -> ErasureMarker:
    """Write the record and wait for the acknowledgement of all replicas.

    Raises BrokerUnavailableError, NeedsHumanError where the topic is missing.
    """
    producer = AIOKafkaProducer(**KafkaServers.of(kafka).client_options(), acks="all", request_timeout_ms=10_000)
    try:
        await asyncio.wait_for(producer.start(), CONNECT_SECONDS)
        return await asyncio.wait_for(
            _send(producer, topics.events, person=person, asked_at_ms=asked_at_ms), SEND_SECONDS
        )
    except (KafkaError, OSError, TimeoutError) as error:
        text = f"the record could not be written to Kafka at {kafka}: {error!r}"
        raise await broker_error(kafka, error, text=text) from error
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, topic: str, *, person: bytes, asked_at_ms: int) -> ErasureMarker:
    identity = await topic_identity(producer.client, topic)
    if identity is None:
        raise topic_missing(topic)
    partition = partition_of(person, identity.partitions)
    sent = await producer.send_and_wait(topic, encode_forget(asked_at_ms), key=person, partition=partition)
    return ErasureMarker(partition, sent.offset)


async def is_applied(reader: CounterReader, marker: ErasureMarker, *, seconds: float) -> bool:
    """Whether the worker's cursor passes the record in time. Raises StoreUnavailableError."""
    deadline = time.monotonic() + seconds
    while True:
        status = await reader.status(marker.partition)
        if status is not None and status.offset > marker.offset:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
