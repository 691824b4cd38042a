"""The producer of the late topic: every record acknowledged before the caller's cursor moves.

Written at least once: a write whose acknowledgement was lost is written again. A reader tells copies apart by the event
id and the header `funnel`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.errors import BrokerUnavailableError

log = structlog.get_logger("late")
SEND_SECONDS = 20.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 5.0


class LateTopic:
    """Implements `streams.worker.partition.LateSink`. Connects at the first late record."""

    def __init__(self, kafka: str, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def publish(self, late: Sequence[tuple[str, bytes, bytes, int]]) -> None:
        """Return when all are acknowledged; waits for a broker that is away."""
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                await self._publish(late)
            except BrokerUnavailableError as error:
                log.warning("late_waits", records=len(late), error=str(error))
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
            else:
                return

    async def close(self) -> None:
        """Give the connection back."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def _publish(self, late: Sequence[tuple[str, bytes, bytes, int]]) -> None:
        try:
            producer = await self._started()
            sent = [
                await producer.send(
                    self._topic,
                    value,
                    key=key,
                    headers=[("funnel", funnel_id.encode()), ("age_ms", str(age_ms).encode())],
                )
                for funnel_id, key, value, age_ms in late
            ]
            await asyncio.wait_for(asyncio.gather(*sent), SEND_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(f"late records not acknowledged: {error!r}") from error

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._kafka.split(","),
                    acks="all",
                    compression_type="zstd",
                    linger_ms=5,
                    request_timeout_ms=15_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer
