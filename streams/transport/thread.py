"""The thread in which aiokafka runs under Faust: what Faust does not let one set, and two faults of theirs mended.

A poll that raises leaves aiokafka believing that a poll is under way for ever, and the limit on the time between polls
(`max_poll_interval`) is off from then on. A consumer that has nothing to poll because all partitions wait for the store
would be thrown out of its group by that limit, although it is well: it says that it lives.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faust.transport.drivers import aiokafka as driver

from streams.transport.records import hand_out_plain


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the transport fetches and watches."""

    fetch_min_bytes: int = 65_536
    """A quiet topic must not cost one round trip per record ..."""
    fetch_max_wait_ms: int = 400
    """... and this is the latency it may cost instead."""
    identity_seconds: float = 5.0
    """How often the topic is compared with the one at start while no records come."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """See the module."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        app: Any = self.app
        tuning: Tuning = app.tuning
        consumer._fetch_min_bytes = tuning.fetch_min_bytes
        consumer._fetch_max_wait_ms = tuning.fetch_max_wait_ms
        consumer._partition_assignment_strategy = [StickyPartitionAssignor]
        hand_out_plain(consumer)
        return consumer

    async def getmany(self, active_partitions: Any, timeout: float) -> Any:
        """A copy is polled: the set shrinks during the poll, and an empty set means "all partitions" to aiokafka."""
        return await super().getmany(set(active_partitions), timeout)

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        subscriptions = consumer._fetcher._subscriptions
        polls = subscriptions._fetch_count
        try:
            return await super()._fetch_records(consumer, *args, **kwargs)
        except BaseException:
            subscriptions._fetch_count, subscriptions._last_fetch_ended = polls, time.monotonic()
            raise

    async def say_alive(self) -> None:
        """Count as a poll that brought nothing."""
        consumer: Any = self._ensure_consumer()
        with consumer._fetcher._subscriptions.fetch_context():
            return
