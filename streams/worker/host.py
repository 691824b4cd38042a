"""The worker behind the transport: which partitions are ours, their runners, and what ends the process.

Implements `streams.transport.port.BatchHost`. Everything runs on the main loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from streams.core.handover import Held
from streams.state import Fence, PartitionMeta
from streams.store.port import StoreRefusedError, StoreUnavailableError
from streams.transport.cursor import beyond_end
from streams.transport.port import Batch, Placement
from streams.worker.memory import MemoryBound
from streams.worker.metrics import WorkerMetrics
from streams.worker.retrying import RetryingStore
from streams.worker.runner import PartitionRunner, Processor, Surroundings
from streams.worker.turns import Turns

log = structlog.get_logger("funnelcast.worker")

WATCH_SECONDS = 2.0
STALL_WATCHES = 30
"""Watches without a single poll after which the worker counts as stuck."""
BEYOND_WATCHES = 3
"""Watches in a row in which the cursor lies beyond the end of the log."""


class PartitionObserver:
    """Feeds the metrics from one partition's applies."""

    def __init__(self, metrics: WorkerMetrics, partition: int, *, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._watermark = metrics.watermark.labels(str(partition))
        self._pending = metrics.pending.labels(str(partition))
        self._persons = metrics.persons.labels(str(partition))
        self._wake_ups = metrics.wake_ups.labels(str(partition))

    def on_chunk(self, records: int, seconds: float) -> None:
        self._metrics.records.inc(records)
        self._metrics.chunk_seconds.observe(seconds)

    def on_apply(self, meta: PartitionMeta, held: Held) -> None:
        self._metrics.applies.inc()
        self._metrics.last_apply.set(self._clock())
        self._pending.set(meta.pending)
        self._persons.set(held.persons)
        self._wake_ups.set(held.wake_ups)
        if meta.watermark_ms is not None:
            self._watermark.set(meta.watermark_ms / 1000)

    def on_late(self, funnel_id: str, count: int) -> None:
        self._metrics.late.labels(funnel_id.partition("@")[0]).inc(count)


class WorkerHost:
    """See the module. `stop(error)` is called once, with the reason."""

    def __init__(
        self,
        *,
        topic: str,
        store: RetryingStore,
        make_processor: Callable[[int], Processor],
        metrics: WorkerMetrics,
        stop: Callable[[Exception], None],
        memory: MemoryBound | None = None,
    ) -> None:
        self._topic = topic
        self._store = store
        self._make_processor = make_processor
        self._metrics = metrics
        self._stop = stop
        self._turns = Turns()
        self._memory = memory or MemoryBound(persons=0, funnels=0)
        self.placement: Placement | None = None
        self.runners: dict[int, PartitionRunner] = {}
        self.has_joined = False
        self.has_polled = False
        self.failure: Exception | None = None
        self._polls = 0
        self._assigned: frozenset[int] = frozenset()
        self._closing: set[asyncio.Task[None]] = set()
        self._different: dict[int, tuple[Fence | None, Fence]] = {}
        self._beyond: dict[int, int] = {}
        self._seen: dict[int, Fence | None] = {}

    # -- BatchHost ----------------------------------------------------------------------------------------------------

    def on_polled(self) -> None:
        self._polls += 1
        self.has_polled = True

    def on_revoked(self) -> None:
        for runner in self.runners.values():
            runner.suspend()

    def on_joined(self, partitions: frozenset[int]) -> None:
        self.has_joined = True
        self._assigned = partitions
        self._metrics.partitions.set(len(partitions))
        self._metrics.memory_bound.set(self._memory.bytes_of(len(partitions)))
        if (message := self._memory.warning(len(partitions))) is not None:
            log.warning("memory_may_not_suffice", message=message)
        for partition in set(self.runners) - partitions:
            runner = self.runners.pop(partition)
            self._metrics.forget_partition(partition)
            self._store.leave(partition)
            task = asyncio.get_running_loop().create_task(runner.close(2.0))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        log.info("partitions_assigned", partitions=sorted(partitions))

    def on_ready_to_place(self, partitions: frozenset[int]) -> None:
        for partition in sorted(partitions):
            runner = self.runners.get(partition)
            if runner is None:
                runner = self.runners[partition] = self._new_runner(partition)
            runner.start()

    def on_fatal(self, error: Exception) -> None:
        """The first reason counts."""
        if self.failure is None:
            self.failure = error
            self._stop(error)

    def applied(self) -> dict[int, int]:
        return {partition: runner.processor.offset for partition, runner in self.runners.items() if runner.is_placed}

    # -- the worker's own ---------------------------------------------------------------------------------------------

    async def deliver(self, batches: Sequence[Batch]) -> None:
        """What the agent does with the batches of a poll."""
        for batch in batches:
            runner = self.runners.get(batch.partition)
            if runner is not None:
                runner.put(batch)

    def is_placed(self) -> bool:
        """Whether every own partition is read."""
        if not self.has_joined:
            return False
        runners = [self.runners.get(partition) for partition in self._assigned]
        return all(runner is not None and runner.is_placed for runner in runners)

    async def drain(self, seconds: float) -> None:
        """Finish the chunks under way, begin no other ones; cancel what is not done after `seconds`."""
        await asyncio.gather(*(runner.close(seconds) for runner in self.runners.values()), return_exceptions=True)

    async def watch(self) -> None:
        """Every two seconds: is the store where we left it, is the log as long as our cursor says, do polls come in?

        A store that lost its newest writes is noticed by the next apply; a quiet partition has none.
        """
        silent = 0
        while True:
            polls = self._polls
            await asyncio.sleep(WATCH_SECONDS)
            silent = silent + 1 if self.has_joined and self._polls == polls else 0
            if silent >= STALL_WATCHES:
                self.on_fatal(TimeoutError("the consumer stopped polling: restart"))
                return
            try:
                with contextlib.suppress(StoreUnavailableError):  # the next look asks again
                    for runner in list(self.runners.values()):
                        await self._watch_runner(runner)
            except StoreRefusedError as error:  # its login was revoked, for example: a watch must not end unnoticed
                self.on_fatal(error)
                return

    async def _watch_runner(self, runner: PartitionRunner) -> None:
        partition, fence = runner.partition, runner.processor.fence
        end: Any = self.placement.highwater(partition) if self.placement is not None and runner.is_placed else None
        if end is not None:
            self._metrics.lag.labels(str(partition)).set(max(0, end - runner.processor.offset))
        moved = self._seen.get(partition) != fence
        self._seen[partition] = fence
        if fence is None:
            await self._store.peek(partition)  # a chunk is on its way or stuck: does the server answer?
            return
        if moved or not runner.is_placed:
            return  # an apply since the last look has asked the store already
        stored = await self._store.peek(partition)
        if runner.processor.fence != fence:  # it moved while we asked
            self._different.pop(partition, None)
            return
        self._compare(runner, stored, fence=fence)
        self._check_end(runner, end, cursor=fence.offset)

    def _compare(self, runner: PartitionRunner, stored: Fence | None, *, fence: Fence) -> None:
        """Claim again when the same difference is seen twice: then it is no race."""
        if stored == fence:
            self._different.pop(runner.partition, None)
        elif self._different.get(runner.partition) == (stored, fence):
            del self._different[runner.partition]
            log.warning("store_rolled_back", partition=runner.partition, stored=str(stored), expected=str(fence))
            runner.repair()
        else:
            self._different[runner.partition] = (stored, fence)

    def _check_end(self, runner: PartitionRunner, end: int | None, *, cursor: int) -> None:
        """For brokers whose end offsets cannot be asked for: the end as of the last fetch is right."""
        if end is None or cursor <= end:
            self._beyond.pop(runner.partition, None)
            return
        seen = self._beyond[runner.partition] = self._beyond.get(runner.partition, 0) + 1
        if seen >= BEYOND_WATCHES:
            self.on_fatal(beyond_end(self._topic, partition=runner.partition, cursor=cursor, end=end))

    def _new_runner(self, partition: int) -> PartitionRunner:
        if self.placement is None:
            raise RuntimeError("the transport is not connected to the host")
        surroundings = Surroundings(self._topic, self.placement, self._peek, self._metrics, self._turns, self.on_fatal)
        return PartitionRunner(partition, self._make_processor(partition), surroundings=surroundings)

    async def _peek(self, partition: int) -> Fence | None:
        """None when the store is away: claim then, which waits for it."""
        try:
            return await self._store.peek(partition)
        except StoreUnavailableError:
            return None
