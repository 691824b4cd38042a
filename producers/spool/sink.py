"""The sink that keeps events on disk while Kafka is away: a bounded spool around the Kafka sink.

`put` returns when Kafka has acknowledged, or, while it does not, when the records are synced to the spool. The spool is
drained in order as soon as Kafka is back, and everything new goes behind it until it is empty: then, for one moment,
new requests wait while the rest is drained, and go to Kafka directly from there on. So the order of a partition is the
order in which requests were answered. A crash between Kafka's acknowledgement and the cursor writes records a second
time with the same ids: counting recognises them.

Senders that rely on the log's order across requests (`needs_order`) never wait here: with more than one collector their
next request may overtake what lies on this disk, and an ordered sender's lower number would pass for a retry.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from producers.sink.port import Outgoing, RecordsRefusedError, Sink, SinkUnavailableError
from producers.spool.drain import SpoolDrainer
from producers.spool.files import SpoolFiles
from producers.spool.settings import SpoolSettings, SpoolState
from producers.spool.writer import RETRY_SECONDS, GroupWriter

log = structlog.get_logger("funnelcast.spool")
_FULL_MARGIN_BYTES = 1024 * 1024
_MISMATCH_SECONDS = 60
_SAY_SECONDS = 30
_T = TypeVar("_T")


class OpenSink(Sink, Protocol):
    """A sink with a connection to open and to close."""

    async def __aenter__(self) -> Any:
        """Open."""

    async def __aexit__(self, *_: object) -> None:
        """Close."""


class SpoolSink:
    """`async with SpoolSink(kafka_sink, settings) as sink`. Opens and closes the sink inside."""

    def __init__(self, inner: OpenSink, settings: SpoolSettings, *, now_ms: Callable[[], int] | None = None) -> None:
        self._inner = inner
        self._settings = settings
        self._files = SpoolFiles(settings.directory, now_ms=now_ms, segment_bytes=settings.size_of_segments)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._writer = GroupWriter(
            self._files, self._in_thread, limit_bytes=settings.limit_bytes, on_written=self._spooled
        )
        self._drainer = SpoolDrainer(inner, self._in_thread, on_drained=self._drained)
        self._is_spooling = False
        self._work = asyncio.Event()
        self._gate = asyncio.Event()
        self._gate.set()
        self._is_empty = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._counts: dict[str, int] = {}
        self._mismatch: str | None = None
        self._said: tuple[float, str] = (0.0, "")
        self._is_closed = False
        self._spooled_total = self._drained_total = 0
        self.on_moved: Callable[[str, int], None] = lambda name, count: None
        """Called with records that went to the disk (`spooled_records`) and from there to Kafka (`drained_records`)."""

    async def __aenter__(self) -> SpoolSink:
        await self._in_thread(self._files.open)
        self._counts = {topic: n for topic, n in self._files.partitions.items() if isinstance(n, int) and n > 0}
        await self._inner.__aenter__()
        self._is_empty.set()
        if self._files.records or self._files.bytes:
            self._begin()
        loop = asyncio.get_running_loop()
        loops = (self._keep_draining(), self._keep_remembering(), self._drain_leftovers())
        self._tasks = [loop.create_task(one) for one in loops]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait a little for Kafka to take what lies here; what is left is safe on disk."""
        if self._is_spooling and self._inner.trouble is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_empty.wait(), self._settings.drain_seconds)
        self._is_closed = True
        self._gate.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._inner.__aexit__(None, None, None)
        if self._writer.task is not None:
            await self._writer.task
        await self._in_thread(self._files.close)
        self._thread.shutdown()

    async def abandon(self) -> None:
        """For tests: leave everything as `kill -9` would. Nothing more is drained, closed or logged, and the directory
        is unlocked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._writer.task is not None:
            await asyncio.wait([self._writer.task])
        await self._in_thread(self._files.close)
        self._thread.shutdown()

    # -- the port -------------------------------------------------------------------------------------------------

    def partitions_of(self, topic: str) -> int:
        """As Kafka says, or said when it was last reached, in this run or an earlier one."""
        try:
            count = self._inner.partitions_of(topic)
        except SinkUnavailableError:
            if topic in self._counts:
                return self._counts[topic]
            raise
        if count != self._counts.get(topic):
            self._learn(topic, count)
        return count

    def _learn(self, topic: str, count: int) -> None:
        """Records on disk carry their partitions: under another count they would go to the wrong ones."""
        before = self._counts.get(topic)
        if before is not None and self._is_spooling:
            self._mismatch = (
                f"topic {topic} has {count} partitions, and records for {before} wait in {self._files.directory}: "
                "restore the topic, or move that directory away"
            )
            raise SinkUnavailableError(self._mismatch, _MISMATCH_SECONDS)
        self._counts[topic] = count
        self._mismatch = None

    async def put(self, records: Sequence[Outgoing], *, needs_order: bool = False) -> None:
        """Write all to Kafka, or to the disk while Kafka is away or what came before is still on its way there."""
        if needs_order or not records:
            await self._inner.put(records)
            return
        await self._gate.wait()
        if not self._is_spooling:
            try:
                await self._inner.put(records)
                return
            except RecordsRefusedError:
                raise
            except SinkUnavailableError as error:
                log.debug("put_spooled", error=str(error))
        if self._is_closed:
            raise SinkUnavailableError("shutting down", 1)
        done = self._writer.begin(records)
        self._begin()
        await done

    @property
    def trouble(self) -> str | None:
        """Why nothing can be taken now, or None."""
        outage = self._inner.trouble
        if self._mismatch is not None or (outage is None and not self._is_spooling):
            return self._mismatch
        if any(topic not in self._counts for topic in self._settings.topics):
            return outage
        if self._writer.is_full(min(_FULL_MARGIN_BYTES, self._settings.limit_bytes // 10)):
            return "the spool is full"
        return self._writer.error

    @property
    def outage(self) -> str | None:
        """Why Kafka takes nothing now, or None."""
        return self._inner.trouble

    @property
    def note(self) -> str | None:
        """What a reader of /readyz should know although events are taken."""
        outage = self._inner.trouble
        if outage is not None:
            return f"spooling: {outage}"
        return f"spooling: {self._files.records} records on their way to Kafka" if self._is_spooling else None

    @property
    def pending(self) -> int:
        """Records that are neither on Kafka nor on disk yet."""
        return self._inner.pending + self._writer.queued_records

    def state(self) -> SpoolState:
        """What lies on disk, and what went through it since the start."""
        files = self._files
        return SpoolState(
            self._settings.limit_bytes,
            files.bytes,
            files.records,
            files.oldest_ms,
            self._spooled_total,
            self._drained_total,
            files.quarantined_bytes,
        )

    # -- from the disk to Kafka ----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._is_spooling:
            self._is_spooling = True
            self._is_empty.clear()
            self._work.set()
            log.warning("spooling_began", message=self._inner.trouble or "Kafka did not acknowledge")

    def _spooled(self, count: int) -> None:
        self._spooled_total += count
        self.on_moved("spooled_records", count)

    async def _keep_draining(self) -> None:
        while True:
            await self._work.wait()
            try:
                is_empty = await self._drain_some()
            except (SinkUnavailableError, OSError) as error:
                self._gate.set()
                self._say(str(error))
                await asyncio.sleep(self._settings.poll_seconds)
            except Exception:
                self._gate.set()
                log.exception("spool_drain_failed")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if is_empty:
                    self._end()

    async def _drain_some(self) -> bool:
        """Send one part of what lies here; whether nothing is left."""
        while self._inner.trouble is not None:
            self._gate.set()
            await asyncio.sleep(self._settings.poll_seconds)
        self._check_counts()
        backlog = await self._in_thread(self._files.read)
        if backlog is not None:
            if not backlog.is_all:
                self._gate.set()
            await self._drainer.drain(self._files, backlog)
            if backlog.is_all:
                self._gate.clear()  # requests that come now wait; those that came meanwhile are sent next
            return False
        self._gate.clear()
        if self._writer.task is not None:
            await asyncio.wait([self._writer.task])
            return False
        await self._in_thread(self._files.clear)
        return self._writer.task is None

    def _end(self) -> None:
        self._is_spooling = False
        self._work.clear()
        self._gate.set()
        self._is_empty.set()
        log.info("spool_drained", records=self._drained_total)

    def _check_counts(self) -> None:
        for topic in self._settings.topics:
            if self._inner.partitions_of(topic) != self._counts.get(topic):
                self._learn(topic, self._inner.partitions_of(topic))
        self._mismatch = None

    def _say(self, why: str) -> None:
        """The same reason once in a while."""
        now = time.monotonic()
        if why != self._said[1] or now - self._said[0] > _SAY_SECONDS:
            self._said = (now, why)
            log.warning("spool_waits", message=why)

    def _drained(self, count: int) -> None:
        self._drained_total += count
        self.on_moved("drained_records", count)

    # -- beside ---------------------------------------------------------------------------------------------------

    async def _keep_remembering(self) -> None:
        """The partition counts, for a start while Kafka is away."""
        while True:
            with contextlib.suppress(SinkUnavailableError):
                for topic in self._settings.topics:
                    self.partitions_of(topic)
            if self._counts != self._files.partitions:
                with contextlib.suppress(OSError):
                    await self._in_thread(partial(self._files.remember, dict(self._counts)))
            await asyncio.sleep(self._settings.poll_seconds)

    async def _drain_leftovers(self) -> None:
        for directory in self._settings.leftovers:
            await self._drainer.drain_directory(directory, pause_seconds=self._settings.poll_seconds)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
