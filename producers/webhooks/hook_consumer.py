"""Reads the `hooks` topic: at least once, many hooks at a time; commits only offsets behind which every hook is done.

The only module of webhooks that knows aiokafka. A hook that waits for its CRM holds back the commit of its partition,
and, once the window is full, its reading; nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from schemas.errors import TryAgainError
from schemas.kafka import Kafka, KafkaRefusedError, KafkaServers, is_right_missing, right_missing
from schemas.kafka_ending import stop_consumer

log = structlog.get_logger("funnelcast.webhooks")
POLL_MS: Final = 200
DRAIN_SECONDS: Final = 5.0
START_SECONDS: Final = 30.0


class HooksUnavailableError(TryAgainError):
    """No broker answers, or it has no such topic: try again."""


@dataclass(slots=True)
class _PartitionTasks:
    """Hooks of one partition that are under way, in order."""

    tasks: deque[tuple[int, asyncio.Task[None]]] = field(default_factory=deque)

    def done_until(self) -> int | None:
        """The offset behind the hooks at the front that are done, None where there are none."""
        until: int | None = None
        while self.tasks and self.tasks[0][1].done():
            offset, task = self.tasks.popleft()
            task.result()
            until = offset + 1
        return until


class HookConsumer(ConsumerRebalanceListener):
    """`run` until `stop`. `work_on` returns when a hook is done for good."""

    def __init__(
        self,
        *,
        kafka: Kafka,
        topic: str,
        group: str,
        work_on: Callable[[bytes], Awaitable[None]],
        window: int,
        started: Callable[[int], None] = lambda under_way: None,
    ) -> None:
        self._servers = KafkaServers.of(kafka)
        self._consumer = AIOKafkaConsumer(
            **self._servers.client_options(),
            group_id=group,
            client_id="funnelcast-enricher",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._topic = topic
        self._work_on = work_on
        self._window = window
        self._started = started
        self._running: dict[TopicPartition, _PartitionTasks] = {}
        self.is_reading = False

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`, then wait a little for what is under way. Raises HooksUnavailableError or
        KafkaRefusedError at the start, KafkaRefusedError for a right that is missing."""
        self._consumer.subscribe([self._topic], listener=self)
        try:
            await asyncio.wait_for(self._consumer.start(), START_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            await stop_consumer(self._consumer)
            if (refused := self._right_missing(error) or await self._servers.refusal()) is not None:
                raise refused from error
            raise HooksUnavailableError(f"the hooks cannot be read: {error!r}") from error
        try:
            while not stop.is_set():
                await self._read()
                await self._commit()
            await self._drain()
        except KafkaError as error:
            if (refused := self._right_missing(error)) is not None:
                raise refused from error
            raise
        finally:
            self.is_reading = False
            self._cancel(list(self._running))
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(stop_consumer(self._consumer), DRAIN_SECONDS)

    def _right_missing(self, error: Exception) -> KafkaRefusedError | None:
        return right_missing(error, f"topic {self._topic} with its group") if is_right_missing(error) else None

    @property
    def under_way(self) -> int:
        """Hooks that are worked on."""
        return sum(len(partition_tasks.tasks) for partition_tasks in self._running.values())

    async def _read(self) -> None:
        """As many as there is room for. Without room the consumer still polls, so that it keeps its partitions."""
        room = self._window - self.under_way
        if room > 0:
            self._consumer.resume(*self._consumer.paused())
        else:
            self._consumer.pause(*self._consumer.assignment())
        batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=max(room, 1))
        for partition, records in batches.items():
            partition_tasks = self._running.setdefault(partition, _PartitionTasks())
            for record in records:
                task = asyncio.ensure_future(self._work_on(record.value or b""))
                partition_tasks.tasks.append((record.offset, task))
        self._started(self.under_way)

    async def _commit(self) -> None:
        done = {
            partition: until
            for partition, partition_tasks in self._running.items()
            if (until := partition_tasks.done_until()) is not None
        }
        if not done:
            return
        try:
            await self._consumer.commit(done)
        except (KafkaError, IllegalStateError) as error:
            # another consumer has the partition now, or the broker is away: the hooks are processed again, harmlessly
            log.warning("commit_failed", error=repr(error))

    async def _drain(self) -> None:
        """What can be finished soon; the rest is read again."""
        tasks = [task for partition_tasks in self._running.values() for _, task in partition_tasks.tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        await self._commit()

    def _cancel(self, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            partition_tasks = self._running.pop(partition, None)
            for _, task in () if partition_tasks is None else partition_tasks.tasks:
                task.cancel()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """See aiokafka: what is under way belongs to another consumer from now on."""
        self.is_reading = False
        self._cancel(list(revoked))

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """See aiokafka."""
        self.is_reading = True
        log.info("hook_partitions_assigned", partitions=len(assigned))
