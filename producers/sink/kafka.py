"""The Kafka sink: bounded group commit on an idempotent producer. With its
neighbours `connection`, `batch_producer` and `idempotence` the only module that writes with aiokafka.

Records of concurrent requests that go to one partition travel in one batch (4 us a record; sent one by one 12). An
idempotent producer never fails in an outage, it waits: so what waits is bounded here, in number, bytes and time, and
the request gets `SinkUnavailableError`. A partition has one batch in flight; a request whose batch failed or whose time
is up gets nothing more written, so no hole is left inside it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
)
from tenacity import AsyncRetrying, RetryCallState, wait_exponential

from producers.sink.batch_producer import BatchProducer
from producers.sink.connection import STOP_SECONDS, SinkSettings, connect, is_finished, stop
from producers.sink.port import Outgoing, RecordsRefusedError, SinkUnavailableError
from producers.sink.queues import PartitionQueue, PartitionQueues, Parts, PendingPut
from schemas.kafka import KafkaRefusedError, KafkaServers

log = structlog.get_logger("funnelcast.sink")
_SWEEP_SECONDS = 0.25
_PAUSES = wait_exponential(multiplier=0.1, max=2.0)
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)


class KafkaSink:
    """`async with KafkaSink(settings) as sink`. Connects in the background and keeps trying; `trouble` says what is
    wrong meanwhile.
    """

    def __init__(
        self,
        settings: SinkSettings,
        *,
        new_producer: Callable[..., Any] = BatchProducer,
        on_refused: Callable[[KafkaRefusedError], None] = lambda error: None,
    ) -> None:
        self._settings = settings
        self._new_producer = new_producer
        self._on_refused = on_refused
        self._producer: Any = None
        self._partitions: dict[str, int] = {}
        self._queues = PartitionQueues()
        self._puts: deque[PendingPut] = deque()
        self._pending = 0
        self._pending_bytes = 0
        self._flush_handle: asyncio.TimerHandle | None = None
        self._flushed = 0.0
        self._in_flight: Counter[object] = Counter()
        """Batches that each broker has not answered."""
        self._flushing: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._broken = asyncio.Event()
        self._is_closing = False
        self._why_not = "not connected to Kafka yet"
        self.reconnects = 0

    async def __aenter__(self) -> KafkaSink:
        self._loop = asyncio.get_running_loop()
        self._tasks = [self._loop.create_task(self._stay_connected()), self._loop.create_task(self._sweep())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def pending(self) -> int:
        """Records that are not acknowledged yet."""
        return self._pending

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now, or None."""
        if self._is_closing:
            return "shutting down"
        if self._producer is None:
            return self._why_not
        return "Kafka does not acknowledge" if self._stalled(self._queues.values(), self._loop.time()) else None

    @property
    def outage(self) -> str | None:
        """As `trouble`: what Kafka does not take is refused, nothing is kept for later."""
        return self.trouble

    @property
    def note(self) -> str | None:
        """None: all that a reader of /readyz must know is `trouble`."""
        return None

    def partitions_of(self, topic: str) -> int:
        """Number of partitions, read when connecting: it is fixed for the life of a space."""
        if self._producer is None:
            raise SinkUnavailableError(self._why_not, 5)
        return self._partitions[topic]

    async def put(self, records: Sequence[Outgoing], *, needs_order: bool = False) -> None:
        """Write all and wait for the acknowledgement of the last."""
        if not records:
            return
        now, size = self._loop.time(), sum([len(one.value) + 64 for one in records])
        self._check_room(len(records), size)
        by_queue = self._queues.of(records)
        if self._stalled(by_queue, now):
            raise SinkUnavailableError("Kafka does not acknowledge", 5)
        pending_put = PendingPut(len(records), size, now, self._loop.create_future())
        self._puts.append(pending_put)
        self._pending += len(records)
        self._pending_bytes += size
        for queue, some in by_queue.items():
            queue.waiting.append((pending_put, some))
        self._schedule()
        try:
            await pending_put.done
        finally:
            pending_put.is_abandoned = True
            self._pending -= len(records)
            self._pending_bytes -= size

    def _check_room(self, count: int, size: int) -> None:
        if self._is_closing:
            raise SinkUnavailableError("shutting down", 1)
        if self._producer is None:
            raise SinkUnavailableError(self._why_not, 5)
        is_alone = self._pending == 0
        if not is_alone and (
            self._pending + count > self._settings.pending_records
            or self._pending_bytes + size > self._settings.pending_bytes
        ):
            raise SinkUnavailableError("too much is waiting for Kafka", 1)

    def _stalled(self, queues: Iterable[PartitionQueue], now: float) -> bool:
        """Whether one of the queues has waited for an acknowledgement longer than any request may."""
        oldest = now - self._settings.ack_seconds
        return any([one.in_flight_since is not None and one.in_flight_since < oldest for one in queues])

    # -- batches --------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """A flush at once, or when the last one is `linger_ms` ago."""
        if self._flush_handle is None:
            pause = self._flushed + self._settings.linger_ms / 1000 - self._loop.time()
            self._flush_handle = self._loop.call_later(max(0.0, pause), self._start_flush)

    def _start_flush(self) -> None:
        self._flush_handle = None
        if self._producer is None:
            return
        task = self._loop.create_task(self._flush(self._producer))
        self._flushing.add(task)
        task.add_done_callback(self._flushing.discard)

    async def _flush(self, producer: Any) -> None:
        """Send what waits for brokers that are free: one with a request in flight would let these batches wait, small
        as they are now, and each costs as much as ten records."""
        busy = {node for node, batches in self._in_flight.items() if batches}
        for queue in list(self._queues.values()):
            if queue.waiting and queue.in_flight_since is None:
                node = producer.node_of(queue.topic, queue.partition)
                if node not in busy:
                    await self._send(producer, queue, node)

    async def _send(self, producer: Any, queue: PartitionQueue, node: object) -> None:
        parts: Parts = []
        try:
            batch = producer.create_batch(queue.expected_bytes())
            queue.fill(batch, parts)
            batch.close()
            if not parts:
                return
            queue.in_flight_since = self._flushed = self._loop.time()
            future = await producer.send_batch(batch, queue.topic, partition=queue.partition)
        except Exception as error:  # noqa: BLE001 - whatever it is, the records of the batch are answered
            self._on_failure(queue, parts, error)
            return
        in_flight = self._in_flight
        in_flight[node] += 1

        def on_done(done: asyncio.Future[Any]) -> None:
            in_flight[node] -= 1
            self._on_done(producer, queue, parts, done)

        future.add_done_callback(on_done)

    def _on_done(self, producer: Any, queue: PartitionQueue, parts: Parts, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            self._on_failure(queue, parts, ProducerClosed())
            return
        error = done.exception()
        if error is not None:
            self._on_failure(queue, parts, error)
            return
        queue.in_flight_since = None
        for pending_put, count in parts:
            pending_put.unacknowledged -= count
            if pending_put.unacknowledged == 0 and not pending_put.done.done():
                pending_put.done.set_result(None)
        if self._pending:
            self._schedule()

    def _on_failure(self, queue: PartitionQueue, parts: Parts, error: BaseException) -> None:
        queue.in_flight_since = None
        log.warning("batch_failed", topic=queue.topic, partition=queue.partition, error=repr(error))
        kind = RecordsRefusedError if isinstance(error, _REFUSALS) else SinkUnavailableError
        for pending_put, _ in parts:
            pending_put.fail(kind(f"Kafka refused the batch: {type(error).__name__}", 2))
        # an idempotent producer cannot go on after a batch that failed: its sequence number stays missing
        if self._settings.is_idempotent or isinstance(error, ProducerClosed) or is_finished(self._producer):
            self._broken.set()
        if self._pending:
            self._schedule()

    # -- time and connection --------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Give up requests whose time is over."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            oldest = self._loop.time() - self._settings.ack_seconds
            while self._puts and (self._puts[0].is_abandoned or self._puts[0].created_at < oldest):
                pending_put = self._puts.popleft()
                if not pending_put.is_abandoned:
                    pending_put.fail(SinkUnavailableError("Kafka did not acknowledge in time", 2))

    async def _stay_connected(self) -> None:
        while not self._is_closing:
            self._broken.clear()
            # a cancellation that comes while a producer is left may be lost: closing ends the tries by itself
            tries = AsyncRetrying(
                wait=_PAUSES, before_sleep=self._say_why_not, stop=lambda _: self._is_closing, reraise=True
            )
            self._producer, self._partitions = await tries(self._connected)
            log.info("kafka_connected", partitions=self._partitions)
            self._schedule()
            await self._broken.wait()
            self.reconnects += 1
            await self._drop_producer()

    async def _connected(self) -> tuple[Any, dict[str, int]]:
        """A producer that is ready. A broker that refuses this client is not waited for before the first connection;
        later what is written waits (on disk, behind a spool) until the login is right again."""
        try:
            return await connect(self._settings, self._new_producer)
        except (KafkaError, OSError, TimeoutError) as error:
            servers = KafkaServers.of(self._settings.bootstrap)
            refused = await servers.refusal()
            if refused is None and isinstance(error, KafkaConnectionError):
                raise SinkUnavailableError(await servers.silence(), 2) from error
            if refused is None:
                raise
            if not self._partitions:
                self._on_refused(refused)
            raise refused from error

    def _say_why_not(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        self._why_not = f"no connection to Kafka: {error}"
        log.warning("kafka_not_connected", error=repr(error))

    async def _drop_producer(self) -> None:
        """Fail what waits, so that nothing of it is written behind a later retry, and leave the old producer."""
        producer, self._producer = self._producer, None
        self._why_not = "connecting to Kafka again"
        for pending_put in self._puts:
            pending_put.fail(SinkUnavailableError("the connection to Kafka was lost", 2))
        await stop(producer)
        self._in_flight = Counter()
        for queue in self._queues.values():
            queue.waiting.clear()
            queue.in_flight_since = None

    async def close(self, seconds: float = STOP_SECONDS) -> None:
        """Take nothing more, wait for what is under way (at most `seconds`), leave Kafka."""
        self._is_closing = True
        waiting = [pending_put.done for pending_put in self._puts if not pending_put.is_abandoned]
        if waiting and self._producer is not None:
            await asyncio.wait(waiting, timeout=seconds)
        for pending_put in self._puts:
            if not pending_put.is_abandoned:
                pending_put.fail(SinkUnavailableError("shutting down", 1))
        for task in (*self._tasks, *self._flushing):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._flushing, return_exceptions=True)
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        if self._producer is not None:
            await stop(self._producer)
            self._producer = None
