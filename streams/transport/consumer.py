"""The Faust consumer that hands over whole batches and leaves every offset to the worker.

Faust's own consumer makes four tasks per record, commits past unprocessed messages, sleeps a second after a rebalance
and crashes on a failed commit. Here: one message per poll; positions come only from `place`; a Kafka commit is a lag
display, bounded and without consequences; whatever would skip records ends the process.

The overridden names are private parts of faust-streaming 0.15.3, which is pinned; `tests/integration` holds a contract
test for each call site.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar, cast

import structlog
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.types import TP
from mode import Service

from schemas.errors import BrokerUnavailableError, NeedsHumanError
from streams.transport.chain import Chain, Fit
from streams.transport.cursor import find_problem, gap_below
from streams.transport.offset_free import OffsetFreeConsumer
from streams.transport.port import Batch, BatchHost, LogRange
from streams.transport.schema import as_message
from streams.transport.thread import ConsumerThread

log = structlog.get_logger("funnelcast.transport")
T = TypeVar("T")

IDLE_SECONDS = 0.02
"""Pause while no partition is read. Faust's own is a second, added to every rebalance of a surviving worker."""
HELD_POLL_SECONDS = 0.1
ALIVE_SECONDS = 1.0
COMMIT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
"""How long a seek or an offset query may take before the worker tries again."""


class BatchConsumer(OffsetFreeConsumer):
    """See the module. Implements `streams.transport.port.Placement`."""

    _thread: ConsumerThread

    def on_init(self) -> None:
        """Called by Service.__init__ and at a restart."""
        super().on_init()
        self._chains: dict[int, Chain] = {}
        self._placement_ids = itertools.count(1)
        self._committed: dict[int, int] = {}
        self._has_refused = False
        self._alive_at = 0.0

    @property
    def _app(self) -> Any:
        return self.app

    @property
    def _host(self) -> BatchHost:
        host: BatchHost = self._app.host
        return host

    @property
    def _topic(self) -> str:
        topic: str = self._app.events_topic
        return topic

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _in_thread(self, work: Coroutine[Any, Any, T], seconds: float = ANSWER_SECONDS) -> T:
        """Run on the consumer's loop. Not through Faust's method queue: a poll and a commit may keep it busy."""
        future = asyncio.run_coroutine_threadsafe(work, self._thread.thread_loop)
        return await asyncio.wait_for(asyncio.wrap_future(future), seconds)

    # -- rebalances ---------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """A rebalance starts: every partition is revoked, also those that will stay."""
        self._host.on_revoked()
        self._chains.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The group has decided; Faust calls `perform_seek` a moment later."""
        self._host.on_joined(frozenset(tp.partition for tp in assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """The one place where Faust positions partitions. Positioning needs the store, which may be away for long, and
        after a slow return from here Faust owns its partitions and never reads them. So all stay paused, and the worker
        places each partition when it can."""
        assigned = self.assignment()
        self.pause_partitions(assigned)
        self._host.on_ready_to_place(frozenset(tp.partition for tp in assigned))

    # -- Placement ----------------------------------------------------------------------------------------------------

    def assigned(self) -> frozenset[int]:
        """Partitions that belong to this worker now."""
        return frozenset(tp.partition for tp in self.assignment())

    async def log_range(self, partition: int) -> LogRange:
        """First and next offset of the log."""
        try:
            return await self._in_thread(self._thread.log_range(TP(self._topic, partition)))
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(f"no offsets of partition {partition} from Kafka: {error!r}") from error

    async def place(self, partition: int, offset: int) -> int:
        """Begin a placement: read the partition from `offset` on."""
        placement_id = next(self._placement_ids)
        self._chains[partition] = Chain(placement_id, offset)
        await self._seek_to(partition, offset)
        self.resume_partitions({TP(self._topic, partition)})
        return placement_id

    async def _seek_to(self, partition: int, offset: int) -> None:
        tp = TP(self._topic, partition)
        try:
            await self._in_thread(self._thread.position_at(tp, offset))
        except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(f"partition {partition} cannot be positioned now: {error!r}") from error

    def hold(self, partition: int) -> None:
        """Stop fetching for a partition."""
        self.pause_partitions({TP(self._topic, partition)})

    def release(self, partition: int) -> None:
        """Fetch again; not for a partition that was taken away in the meantime."""
        if partition in self._chains:
            self.resume_partitions({TP(self._topic, partition)})

    def highwater(self, partition: Any) -> Any:
        """End of the log as of the last fetch (also asked by Faust, with a TP)."""
        tp = partition if isinstance(partition, tuple) else TP(self._topic, partition)
        try:
            return super().highwater(TP(*tp))
        except (IllegalStateError, AssertionError):
            return None

    # -- batches ------------------------------------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """One message per poll, with a batch of every partition that has records."""
        before = {partition: chain.placement_id for partition, chain in self._chains.items()}
        records, _active = await self._wait_next_records(timeout)
        self._host.on_polled()
        if not records or self.should_stop or not self.flow_active:
            return  # fetched while flow was closed: the next placement starts from the cursor again
        generation = self.app.consumer_generation_id
        batches: list[Batch] = []
        for their_tp, fetched in records.items():
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return  # a rebalance: every chain starts anew
            batch = await self._chained(their_tp.partition, fetched, placement_before=before.get(their_tp.partition))
            if batch is not None:
                batches.append(batch)
        if batches:
            tp = TP(self._topic, batches[0].partition)
            yield tp, as_message(tp, batches, generation)

    async def _chained(self, partition: int, fetched: list[Any], *, placement_before: int | None) -> Batch | None:
        """The next link, or None: not placed yet, or the fetch does not continue the chain and is asked for again."""
        chain = self._chains.get(partition)
        if chain is None or not fetched:
            return None
        first = fetched[0].offset
        fit = chain.fit(first, placement_before=placement_before)
        if fit is Fit.ELSEWHERE:
            log.warning("position_repaired", partition=partition, expected=chain.next, fetched=first)
        if fit in (Fit.ELSEWHERE, Fit.OTHER_PLACEMENT):
            await self._rewind(partition, chain)
            return None
        if fit is Fit.HOLE and not await self._accept_hole(partition, chain, first=first):
            return None
        batch = Batch(partition, chain.placement_id, chain.next, fetched[-1].offset + 1, fetched)
        chain.next = batch.next
        return batch

    async def _rewind(self, partition: int, chain: Chain) -> None:
        try:
            await self._seek_to(partition, chain.next)
        except BrokerUnavailableError as error:
            # The chain stays where it is; the next fetch does not continue it and leads here again.
            log.info("rewind_failed", partition=partition, error=str(error))

    async def _accept_hole(self, partition: int, chain: Chain, *, first: int) -> bool:
        """The broker was asked twice and has nothing in between. Lost records lie below the start of the log; anything
        else is a marker of a transaction."""
        start = (await self.log_range(partition)).start
        if start > chain.next:
            self._refuse(gap_below(self._topic, partition=partition, cursor=chain.next, start=start))
            return False
        log.info("offsets_without_records", partition=partition, after=chain.next, until=first)
        return True

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:
        if self._has_refused:
            await asyncio.sleep(IDLE_SECONDS)
            return {}, set()
        if not self.flow_active:
            await self.wait(cast(Any, self.can_resume_flow))
        active = self._get_active_partitions()
        if not active:
            await self._idle()
            return {}, set()
        # A partition released during a poll is not part of it: poll shortly while any is held.
        seconds = min(timeout, HELD_POLL_SECONDS) if self._paused_partitions else timeout
        try:
            return await self._getmany(active, seconds), active
        except (NeedsHumanError, BrokerUnavailableError, NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            await self._answer(error)
            return {}, set()

    async def _answer(self, error: Exception) -> None:
        """What a poll that failed leads to; nothing of it was handed over."""
        if isinstance(error, NeedsHumanError):
            self._refuse(error)
        elif isinstance(error, BrokerUnavailableError):
            log.debug("topic_unknown", error=str(error))
            for partition, chain in list(self._chains.items()):
                await self._rewind(partition, chain)  # what was fetched is asked for again
        elif isinstance(error, OffsetOutOfRangeError):
            await self._out_of_range(error)
        else:  # aiokafka asked Kafka for a commit before the partition was placed: a race, nothing is lost
            await asyncio.sleep(IDLE_SECONDS)

    async def _idle(self) -> None:
        """No partition is read: none is ours, or all wait for the store."""
        if time.monotonic() - self._alive_at > ALIVE_SECONDS:
            self._alive_at = time.monotonic()
            try:
                await self._in_thread(self._thread.say_alive())
            except (KafkaError, TimeoutError) as error:
                log.debug("not_alive", error=repr(error))
        await asyncio.sleep(IDLE_SECONDS)

    async def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """The broker refused a position. If it is the chain's, records are lost; else it is of an earlier placement."""
        refused = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        partitions = [tp.partition for tp in refused] or list(self._chains)
        for partition in partitions:
            chain = self._chains.get(partition)
            if chain is None:
                continue
            try:
                problem = await find_problem(self.log_range, self._topic, partition=partition, cursor=chain.next)
            except BrokerUnavailableError:
                problem = None
            if problem:
                self._refuse(problem)
                return
            await self._rewind(partition, chain)
        await asyncio.sleep(IDLE_SECONDS)

    def _refuse(self, error: Exception) -> None:
        """Hand over nothing more and let the host end the process. Nothing is raised: after a crashed consumer Faust's
        stop may hang."""
        self._has_refused = True
        self._host.on_fatal(error)

    # -- commits: a lag display ---------------------------------------------------------------------------------------

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Write the applied cursors to Kafka. May fail, may be late, is never read back."""
        offsets = {p: offset for p, offset in self._host.applied().items() if self._committed.get(p) != offset}
        mine = self.assigned() if offsets else frozenset()
        wanted = {TP(self._topic, p): offset for p, offset in offsets.items() if p in mine}
        if not wanted:
            return False
        try:
            await self._in_thread(self._thread.commit_offsets(wanted), COMMIT_SECONDS)
        except (KafkaError, IllegalStateError, OSError, TimeoutError, ValueError) as error:
            log.debug("commit_failed", error=repr(error))
            return False
        self._committed.update({tp.partition: offset for tp, offset in wanted.items()})
        return True

    # -- is it still the same topic? ----------------------------------------------------------------------------------

    @Service.task
    async def _watch_identity(self) -> None:
        """For a topic without records: with records, every poll checks it."""
        while not self.should_stop:
            await self.sleep(self._app.tuning.identity_seconds)
            try:
                await self._in_thread(self._thread.verify_topic())
            except NeedsHumanError as error:
                self._refuse(error)
                return
            except (BrokerUnavailableError, TimeoutError) as error:
                log.debug("topic_unknown", error=str(error))
