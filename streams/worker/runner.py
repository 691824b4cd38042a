"""One partition's way from the log to the store: a bounded queue and one task. Knows neither Faust nor Redis.

Runners work side by side, so that a partition which waits for the store does not stop the others. A runner decides
where its partition starts: it takes the cursor from the store, compares it with the log, and only then lets records
come. Laws: a batch is processed if and only if it continues the cursor; whatever is unclear is answered by a new claim
and a new placement; nothing is skipped.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from schemas.errors import BrokerUnavailableError, NeedsHumanError
from streams.state import Fence
from streams.transport.cursor import find_problem
from streams.transport.port import Batch, LogRange, Placement
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import FencedError
from streams.worker.turns import Turns

log = structlog.get_logger("funnelcast.worker")

HOLD_AT, RELEASE_AT = 2, 1
"""Waiting batches at which fetching stops, and at which it goes on; a few more may be on their way."""
MERGE_RECORDS = 2_000
"""Small batches that wait together are applied together up to about this many records."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
END_SECONDS = 2.0
"""How long a task that was told to stop may finish its chunk before it is cancelled."""
CALM_APPLIES = 20
"""Batches in a row after which a runner that was fenced starts with the first pause again."""


class Processor(Protocol):
    """What a runner drives: one partition's counting (`streams.worker.partition`)."""

    @property
    def offset(self) -> int:
        """Next offset to read."""

    @property
    def fence(self) -> Fence | None:
        """Where the store stands if all is well; None while a chunk is on its way or the state is unknown."""

    async def claim(self) -> None:
        """Take the partition and load its state, dropping what was known."""

    async def warm(self) -> None:
        """Read what the first chunk would have to wait for."""

    async def process(self, records: Sequence[Any], next_offset: int, *, proceed: Callable[[], bool]) -> None:
        """Apply records that continue the cursor; stops between chunks when `proceed` says no. Raises FencedError."""

    async def book_due(self) -> None:
        """Count deadlines that have passed and are not counted. Raises FencedError."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all runners of a worker share."""

    topic: str
    placement: Placement
    peek: Callable[[int], Awaitable[Fence | None]]
    """Where the store stands; None when it does not answer."""
    metrics: WorkerMetrics
    turns: Turns
    on_fatal: Callable[[Exception], None]
    """Gets what only a human can decide, and bugs."""


class PartitionRunner:
    """See the module."""

    def __init__(self, partition: int, processor: Processor, *, surroundings: Surroundings) -> None:
        self.partition = partition
        self.processor = processor
        self._topic = surroundings.topic
        self._placement = surroundings.placement
        self._peek = surroundings.peek
        self._metrics = surroundings.metrics
        self._turns = surroundings.turns
        self._on_fatal = surroundings.on_fatal
        self._queue: deque[Batch] = deque()
        self._filled = asyncio.Event()
        self._placement_id = 0
        self._is_held = False
        self._lives = itertools.count(1)
        self._life: int | None = None
        """A number from `start` to `suspend`. A task works only while its own number stands here: a task of an earlier
        life ends by itself, even if the partition was started again before the task looked."""
        self._suspended_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._troubles = 0
        self._calm = 0
        self.is_placed = False

    # -- what the host calls ------------------------------------------------------------------------------------------

    def put(self, batch: Batch) -> None:
        """Take a batch at once; a full queue stops fetching, it refuses nothing."""
        if self._life is None or batch.placement_id != self._placement_id:
            return  # of an earlier placement: its records come again
        self._metrics.batches.inc()
        self._queue.append(batch)
        self._filled.set()
        if len(self._queue) >= HOLD_AT and not self._is_held:
            self._is_held = True
            self._placement.hold(self.partition)

    def start(self) -> None:
        """The partition is ours and paused: place it and go on."""
        self._begin_life(afresh=False)

    def suspend(self) -> None:
        """The partition may be going away: finish the chunk under way, begin no other one."""
        if self._life is not None and self._suspended_at is None:
            self._suspended_at = time.monotonic()
        self._end_life()

    async def close(self, seconds: float) -> None:
        """End; what is still under way after `seconds` is cancelled (the store applies it whole or not at all)."""
        self._end_life()
        await _end(self._task, seconds)

    def repair(self) -> None:
        """The store is not where this worker left it: drop everything known and claim again."""
        if self._life is None:
            return
        self._metrics.repairs.inc()
        if self._task is not None:
            self._task.cancel()  # nothing it still does could be applied: the store is elsewhere
        self._begin_life(afresh=True)

    # -- its life -----------------------------------------------------------------------------------------------------

    def _begin_life(self, *, afresh: bool) -> None:
        self._end_life()
        life = self._life = next(self._lives)
        self._task = asyncio.create_task(
            self._live(life, self._task, afresh=afresh), name=f"partition {self.partition}"
        )

    def _end_life(self) -> None:
        self._life = None
        self.is_placed = False
        self._queue.clear()
        self._filled.set()

    async def _live(self, life: int, previous: asyncio.Task[None] | None, *, afresh: bool) -> None:
        await _end(previous, END_SECONDS)
        try:
            while self._life == life:
                try:
                    await self._take(life, afresh=afresh)
                    await self._work(life)
                except (FencedError, BrokerUnavailableError) as problem:
                    afresh = isinstance(problem, FencedError)
                    if self._life == life:
                        await self._recover(problem)
        except asyncio.CancelledError:
            raise
        except NeedsHumanError as error:
            self._on_fatal(error)
        except Exception as error:
            log.exception("partition_failed", partition=self.partition)
            self._on_fatal(error)

    async def _recover(self, problem: Exception) -> None:
        self.is_placed = False
        self._placement_id = 0
        self._queue.clear()
        if isinstance(problem, FencedError):
            self._metrics.fenced.inc()
        self._troubles += 1
        self._calm = 0
        # The count outlives one call, and a suspension ends the pause: this is no loop for the retry library.
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (self._troubles - 1), LONGEST_PAUSE_SECONDS)
        log.info("partition_retaken", partition=self.partition, why=str(problem) or type(problem).__name__)
        # Two workers that each believe to own a partition must not take it from each other in step.
        self._filled.clear()
        try:
            await asyncio.wait_for(self._filled.wait(), random.uniform(longest / 2, longest))
        except TimeoutError:
            return

    async def _take(self, life: int, *, afresh: bool) -> None:
        """Own the partition: keep what is loaded if the store is exactly where we left it, claim otherwise."""
        fence = None if afresh else self.processor.fence
        if fence is not None and await self._peek(self.partition) == fence:
            # It was read up to here a moment ago: no need to ask the broker where the log begins and ends.
            self._metrics.kept.inc()
        else:
            await self.processor.claim()
            self._metrics.claims.inc()
            async with self._turns.turn(await self._lag()):
                if self._life == life:
                    await self.processor.warm()
        if self._life == life:
            await self.processor.book_due()
            await self._place(life, self.processor.offset)

    async def _lag(self) -> int:
        """Records that wait behind the cursor. Raises LogGapError where the cursor lies outside the log."""
        lag = 0

        async def ask(partition: int) -> LogRange:
            nonlocal lag
            log_range = await self._placement.log_range(partition)
            lag = max(0, (log_range.end or 0) - self.processor.offset)
            return log_range

        problem = await find_problem(ask, self._topic, partition=self.partition, cursor=self.processor.offset)
        if problem is not None:
            raise problem
        return lag

    async def _place(self, life: int, cursor: int) -> None:
        if self._life != life:
            return
        self._queue.clear()
        self._is_held = False
        self._placement.hold(self.partition)  # nothing of the new placement may arrive before its id is known
        self._placement_id = 0  # and nothing of the old one is wanted any more
        placement_id = await self._placement.place(self.partition, cursor)
        if self._life != life:
            return  # taken away meanwhile: the next life places it
        self._placement_id = placement_id
        self.is_placed = True
        if self._suspended_at is not None:
            self._metrics.rebalance_pause_seconds.observe(time.monotonic() - self._suspended_at)
            self._suspended_at = None
        log.debug("partition_placed", partition=self.partition, offset=cursor)

    async def _work(self, life: int) -> None:
        while self._life == life:
            if not self._queue:
                self._filled.clear()
                await self._filled.wait()
                continue
            records, next_offset = self._next_batch()
            if self._is_held and len(self._queue) <= RELEASE_AT:
                self._is_held = False
                self._placement.release(self.partition)
            await self.processor.process(records, next_offset, proceed=lambda: self._life == life)
            self._calm += 1
            if self._calm >= CALM_APPLIES:
                self._troubles = 0

    def _next_batch(self) -> tuple[Sequence[Any], int]:
        """The oldest batch, joined with small ones that continue it."""
        batch = self._queue.popleft()
        if batch.prev != self.processor.offset:
            self._metrics.chain_breaks.inc()
            raise BrokerUnavailableError(f"batch at {batch.prev} does not continue the cursor {self.processor.offset}")
        records, next_offset = batch.records, batch.next
        while self._queue and self._queue[0].prev == next_offset and self._queue[0].placement_id == batch.placement_id:
            if len(records) + len(self._queue[0].records) > MERGE_RECORDS:
                break
            following = self._queue.popleft()
            records = [*records, *following.records]
            next_offset = following.next
        return records, next_offset


async def _end(task: asyncio.Task[None] | None, seconds: float) -> None:
    """Wait for a task that was told to stop; cancel it when it does not."""
    if task is None or task is asyncio.current_task():
        return
    done, _pending = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
