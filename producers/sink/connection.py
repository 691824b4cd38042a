"""The sink's connection to Kafka: its settings, an idempotent producer that is ready, and how to leave one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.errors import KafkaError, UnknownError

from producers.sink import idempotence
from schemas.kafka import Kafka, KafkaServers

STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """Bounds and habits of the sink."""

    bootstrap: Kafka
    topics: tuple[str, ...]
    linger_ms: float
    ack_seconds: float
    is_idempotent: bool
    batch_bytes: int = 262_144
    pending_records: int = 100_000
    pending_bytes: int = 64 * 1024 * 1024
    request_timeout_ms: int = 20_000
    connect_seconds: float = 10.0
    client_id: str = "funnelcast-collector"


async def connect(settings: SinkSettings, new_producer: Callable[..., Any]) -> tuple[Any, dict[str, int]]:
    """(a started producer, partitions by topic). Raises whatever keeps it from that."""
    try:
        with idempotence.unlogged_refusal():
            return await _started(settings, new_producer)
    except UnknownError:
        if not settings.is_idempotent or not idempotence.install():
            raise
        return await _started(settings, new_producer)


async def _started(settings: SinkSettings, new_producer: Callable[..., Any]) -> tuple[Any, dict[str, int]]:
    producer = new_producer(
        **KafkaServers.of(settings.bootstrap).client_options(),
        client_id=settings.client_id,
        acks="all",
        enable_idempotence=settings.is_idempotent,
        compression_type="zstd",
        linger_ms=0,
        max_batch_size=settings.batch_bytes,
        request_timeout_ms=settings.request_timeout_ms,
        retry_backoff_ms=100,
    )
    try:
        async with asyncio.timeout(settings.connect_seconds):
            await producer.start()
            return producer, await _count_partitions(producer, settings.topics)
    except BaseException:
        await stop(producer)
        raise


async def _count_partitions(producer: Any, topics: Sequence[str]) -> dict[str, int]:
    """From the list of all topics: to ask for one by name would create it where brokers do so by themselves."""
    cluster = await producer.client.fetch_all_metadata()
    counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
    missing = [topic for topic, count in counts.items() if not count]
    if missing:
        raise KafkaError(
            f"there is no topic {' and no '.join(missing)}, or this user may not see it; run `funnelcast topics create`"
        )
    for topic in topics:
        await producer.partitions_for(topic)  # from now on its leaders are known
    return counts


def is_finished(producer: Any) -> bool:
    """Whether its sending task has ended, so that it will never send again."""
    task = getattr(getattr(producer, "_sender", None), "sender_task", None)
    return task is not None and task.done()


async def stop(producer: Any) -> None:
    """Leave without waiting for a broker that is away."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), STOP_SECONDS)
