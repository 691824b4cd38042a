"""Ticks: records that carry the time, so that a partition without events reaches its deadlines too.

A tick is in the log like any event, so a replay finds the same deadlines. Ticks only move time forward: a second ticker
does no harm (the later tick counts), and a tick is never ahead of this machine's clock. A space needs one ticker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.errors import BrokerUnavailableError
from schemas.kafka import Kafka, KafkaServers, broker_error
from schemas.record import encode_tick
from schemas.topics import Topics
from streams.defaults import TICK_SECONDS

log = structlog.get_logger("funnelcast.ticker")
START_SECONDS = 30.0
SEND_SECONDS = 10.0


def wall_clock_ms() -> int:
    """Epoch milliseconds of this machine."""
    return time.time_ns() // 1_000_000


async def send_tick(
    producer: AIOKafkaProducer, topic: str, *, tick_ms: int, marker: str | None = None, timestamp_ms: int | None = None
) -> int:
    """Write one tick to every partition and wait until all are acknowledged; returns how many partitions there are.

    Raises BrokerUnavailableError.
    """
    value = encode_tick(tick_ms, marker=marker)
    try:
        partitions = await asyncio.wait_for(producer.partitions_for(topic), SEND_SECONDS)
        sending = [
            producer.send_and_wait(topic, value, partition=p, timestamp_ms=timestamp_ms or tick_ms)
            for p in sorted(partitions)
        ]
        await asyncio.wait_for(asyncio.gather(*sending), SEND_SECONDS)
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailableError(f"ticks could not be written to {topic}: {error!r}") from error
    return len(partitions)


async def run_ticker(
    kafka: Kafka,
    topics: Topics,
    *,
    seconds: float = TICK_SECONDS,
    clock_ms: Callable[[], int] = wall_clock_ms,
    stop: asyncio.Event,
) -> None:
    """Tick until `stop`. Only the start fails without a broker; later it is tried again at the next tick."""
    producer = await _started(kafka)
    try:
        while not stop.is_set():
            try:
                partitions = await send_tick(producer, topics.events, tick_ms=clock_ms())
                log.debug("ticked", partitions=partitions)
            except BrokerUnavailableError as error:
                log.warning("tick_failed", error=str(error))
            try:
                await asyncio.wait_for(stop.wait(), seconds)
            except TimeoutError:
                continue
    finally:
        await producer.stop()


async def _started(kafka: Kafka) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(**KafkaServers.of(kafka).client_options(), acks="all", request_timeout_ms=10_000)
    try:
        await asyncio.wait_for(producer.start(), START_SECONDS)
    except (KafkaError, OSError, TimeoutError) as error:
        await producer.stop()
        raise await broker_error(kafka, error, text=f"no Kafka broker answers at {kafka}: {error}") from error
    return producer
