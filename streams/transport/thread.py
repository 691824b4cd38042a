"""The thread in which aiokafka runs under Faust: settings that Faust does not offer, and faults of theirs fixed.

After a poll that raised, aiokafka believes permanently that a poll is under way: the limit on the time between polls
(`max_poll_interval`) is off from then on. A consumer that has nothing to poll because all partitions wait for the store
would be removed from its group by that limit, although it is healthy: it reports that it is alive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from schemas.errors import BrokerUnavailableError
from streams.transport.members import watch_members
from streams.transport.metadata import reports_end_offsets
from streams.transport.port import LogRange
from streams.transport.records import hand_out_plain

VERIFY_TRIES, VERIFY_PAUSE_SECONDS = 10, 0.1


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the transport fetches and watches."""

    fetch_min_bytes: int
    fetch_max_wait_ms: int
    identity_seconds: float
    """How often the topic is compared with that of the start while no records come."""
    leaves_group: bool = True
    """Whether LeaveGroup is sent, at the end and for members that died. Not to the embedded broker: see
    `ConsumerThread.on_start`."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """See the module."""

    _watching: asyncio.Task[None] | None = None

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        app: Any = self.app
        tuning: Tuning = app.tuning
        consumer._fetch_min_bytes = tuning.fetch_min_bytes
        consumer._fetch_max_wait_ms = tuning.fetch_max_wait_ms
        consumer._partition_assignment_strategy = [StickyPartitionAssignor]
        hand_out_plain(consumer)
        return consumer

    async def on_start(self) -> None:
        """As Faust does, without LeaveGroup where the broker has a fault in it.

        The embedded broker keeps the leader of a group that left while the group was forming, and waits for its
        SyncGroup from then on: no restart helps. Such a worker lets its session end instead.
        """
        await super().on_start()
        app: Any = self.app
        consumer: Any = self._ensure_consumer()
        if app.tuning.leaves_group:
            self._watching = asyncio.create_task(watch_members(consumer, app.members), name="members")
            return

        async def forget_membership() -> None:
            consumer._coordinator.reset_generation()

        consumer._coordinator._maybe_leave_group = forget_membership

    def close(self) -> None:
        """Nothing: `on_thread_stop` closes the consumer.

        Faust calls this where a rebalance ends during a stop. Its own way closes aiokafka on the loop of the app, which
        is not the consumer's: the group is not left, and now and then the process never ends.
        """

    async def getmany(self, active_partitions: Any, timeout: float) -> Any:
        """Poll a copy: the set shrinks during the poll, and an empty set means "all partitions" to aiokafka."""
        return await super().getmany(set(active_partitions), timeout)

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        subscriptions = consumer._fetcher._subscriptions
        polls = subscriptions._fetch_count
        try:
            records = await super()._fetch_records(consumer, *args, **kwargs)
        except BaseException:
            subscriptions._fetch_count, subscriptions._last_fetch_ended = polls, time.monotonic()
            raise
        if records:
            await self._insist_on_topic()
        return records

    async def verify_topic(self) -> None:
        """Is it still the topic of the start? See `TopicWatch.verify`."""
        app: Any = self.app
        await app.watch.verify()

    async def _insist_on_topic(self) -> None:
        """Asked after a fetch and before its records are handed over: those of a recreated topic have the same offsets,
        and aiokafka's own metadata carry no topic id. Here, because the main loop is busy with counting."""
        for attempt in range(VERIFY_TRIES):
            try:
                await self.verify_topic()
                return
            except BrokerUnavailableError:
                if attempt == VERIFY_TRIES - 1:
                    raise
                await asyncio.sleep(VERIFY_PAUSE_SECONDS)

    async def on_thread_stop(self) -> None:
        """Give the watch's connection back, then as Faust does."""
        app: Any = self.app
        if self._watching is not None:
            self._watching.cancel()
        await app.watch.close()
        await super().on_thread_stop()
        app.members.close()

    async def say_alive(self) -> None:
        """Count as a poll that brought nothing."""
        consumer: Any = self._ensure_consumer()
        with consumer._fetcher._subscriptions.fetch_context():
            return

    async def log_range(self, tp: TP) -> LogRange:
        """First and next offset of the log. Raises KafkaError, OSError."""
        consumer = self._ensure_consumer()
        first = await consumer.beginning_offsets([tp])
        last = await consumer.end_offsets([tp])
        end = next(iter(last.values())) if reports_end_offsets(consumer._client) else None
        return LogRange(next(iter(first.values())), end)

    async def position_at(self, tp: TP, offset: int) -> None:
        """Read the partition from there on. Raises KafkaError, IllegalStateError, OSError."""
        await self._seek_wait(self._ensure_consumer(), {tp: offset})

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Show the group's lag. Raises KafkaError, IllegalStateError, OSError, ValueError."""
        theirs = {driver.ensure_aiokafka_TP(tp): (offset, "") for tp, offset in offsets.items()}
        await self._ensure_consumer().commit(theirs)
