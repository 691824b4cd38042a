"""The worker process: Faust reads the log, one runner per partition counts it into the store, exactly once.

Composes transport, runners, metrics and health from what it is given (a store, funnels, addresses) and reads no
environment.
Ends with 0 (asked to stop), 2 (the health port is taken), 70 (a human must decide), 75 (broker or store away at start)
or 1 (a bug: start again).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from schemas.kafka import is_right_missing, right_missing
from streams.core.place import Place
from streams.store.port import PartitionStore, StoreRefusedError, StoreUnavailableError
from streams.transport.app import (
    EMBEDDED_SESSION_SECONDS,
    KAFKA_SESSION_SECONDS,
    StreamApp,
    StreamSettings,
    build_stream,
    not_joined,
    start_stream,
)
from streams.transport.metadata import TopicIdentity
from streams.transport.publisher import TopicPublisher, topics_of
from streams.transport.thread import Tuning
from streams.web.app import EXPOSITION, Readiness, web_app
from streams.web.server import WebServer
from streams.worker.host import PartitionObserver, WorkerHost
from streams.worker.memory import MemoryBound
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import PartitionProcessor
from streams.worker.process import EXIT_BUG, EXIT_OK, exit_code, tune_garbage_collection, unless_set
from streams.worker.retrying import RetryingStore
from streams.worker.runner import Processor
from streams.worker.settings import WorkerSettings
from streams.worker.start import bind_space, find_topic

log = structlog.get_logger("funnelcast.worker")

HARD_EXIT_SECONDS = 5.0
"""A stop may hang, or a chunk take longer: the process then ends without it, and its chunk is counted again."""
DRAIN_SECONDS = 1.0
STOP_SECONDS = 1.0
StoreWarnings = Callable[[], Awaitable[list[str]]]
"""Asks the store's server what is wrong with its settings."""


class Worker:
    """One worker; `run` is called once."""

    def __init__(
        self,
        settings: WorkerSettings,
        store: PartitionStore,
        *,
        make_processor: Callable[[int], Processor] | None = None,
        store_warnings: StoreWarnings | None = None,
        exit_hard: Callable[[int], None] | None = os._exit,
    ) -> None:
        self.settings = settings
        self.metrics = WorkerMetrics()
        self.store = RetryingStore(store, self._on_store)
        self.publisher = TopicPublisher(settings.kafka, topics_of(settings.topics))
        self.host = WorkerHost(
            topic=settings.topics.events,
            store=self.store,
            make_processor=make_processor or self._new_processor,
            metrics=self.metrics,
            stop=self._on_failure,
            memory=MemoryBound(persons=settings.max_persons, funnels=len(settings.funnels)),
        )
        pages = web_app(metrics=self._render_metrics, ready=self._readyz, alive=self._healthz)
        self.health = WebServer(pages, host=settings.health_host)
        self._store_up: bool | None = None
        self._store_trouble: str | None = None
        self._store_warnings = store_warnings
        self._usual_session_seconds = KAFKA_SESSION_SECONDS
        self._leaves_group = True
        self._over = asyncio.Event()
        self._code: int | None = None
        self.failure: Exception | None = None
        """Why it ended by itself."""
        self._exit_hard = exit_hard
        self._hard_exit: threading.Timer | None = None
        self._app: StreamApp | None = None
        self._partitions = 1
        self._tasks: list[asyncio.Task[Any]] = []

    async def run(self) -> int:
        """Count until asked to stop; returns the exit code."""
        self._spawn(self._wait_for_stop())
        try:
            if self.settings.health_port is not None:
                await self.health.start(self.settings.health_port)
                log.info("listening", url=f"http://{self.health.host}:{self.health.port}")
            await self._serve()
        except Exception as error:  # noqa: BLE001 - the edge of the process: it names the error and its exit code
            self._fail(error)
        finally:
            await self._leave()
        return EXIT_OK if self._code is None else self._code

    # -- start --------------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        deadline = time.monotonic() + self.settings.start_seconds
        identity = await unless_set(self._over, self._identity(deadline))
        if identity is None:
            return
        self._partitions = identity.partitions
        settings, trouble = self.settings, lambda: self._store_trouble
        await unless_set(
            self._over, bind_space(self.store, settings, identity=identity, deadline=deadline, trouble=trouble)
        )
        if self._over.is_set():
            return
        self._app = self._new_app(identity)
        consumer: Any = self._app.consumer
        self.host.placement = consumer
        await unless_set(self._over, self._start_app(self._app, deadline))
        await unless_set(self._over, self._joined(deadline))
        self._spawn(self.host.watch())
        self._spawn(tune_garbage_collection(self.host))
        await self._over.wait()

    def _new_app(self, identity: TopicIdentity) -> StreamApp:
        chosen = self.settings
        tuning = Tuning(
            fetch_min_bytes=chosen.fetch_min_bytes,
            fetch_max_wait_ms=chosen.fetch_max_wait_ms,
            identity_seconds=chosen.identity_seconds,
            leaves_group=self._leaves_group,
        )
        stream = StreamSettings(
            kafka=chosen.kafka,
            topics=chosen.topics,
            data_dir=chosen.data_dir,
            session_seconds=chosen.session_seconds or self._usual_session_seconds,
            max_poll_seconds=chosen.max_poll_seconds,
            tuning=tuning,
        )
        return build_stream(stream, self.host, identity=identity, deliver=self.host.deliver)

    async def _identity(self, deadline: float) -> TopicIdentity:
        """Which topic this is; waits for broker and topic, within bounds."""
        identity, is_embedded = await find_topic(self.settings, deadline)
        if is_embedded:
            self._usual_session_seconds = EMBEDDED_SESSION_SECONDS
            self._leaves_group = False
        return identity

    async def _start_app(self, app: StreamApp, deadline: float) -> None:
        self._spawn(self._watch_app(app))
        await start_stream(app, max(1.0, deadline - time.monotonic()))

    async def _joined(self, deadline: float) -> None:
        """A member whose request is refused (a session time below the broker's minimum) would wait permanently."""
        while not (self.host.has_joined and self.host.has_polled):
            if time.monotonic() > deadline:
                raise not_joined(self.settings.topics.group, "the consumer started and heard nothing")
            await asyncio.sleep(0.02)

    async def _watch_app(self, app: StreamApp) -> None:
        """A crash of Faust ends the process; the text of a bug goes to the log."""
        await app.wait_until_stopped()
        if not self._over.is_set():
            reason = app.crash_reason
            if reason is not None and is_right_missing(reason):
                reason = right_missing(reason, f"topic {self.settings.topics.events}")
            self._fail(reason if isinstance(reason, Exception) else RuntimeError(f"the stream stopped: {reason!r}"))

    # -- end ----------------------------------------------------------------------------------------------------------

    async def _wait_for_stop(self) -> None:
        await self.settings.stop.wait()
        self._over.set()

    def _on_failure(self, error: Exception) -> None:
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Remember the code, log why, make sure that the process ends."""
        if self._code is not None:
            return
        self._code, self.failure = exit_code(error), error
        if self._code == EXIT_BUG:
            log.error("worker_failed", error=repr(error), exc_info=error, exit_code=self._code)
        else:
            log.error("worker_stopped", message=str(error), exit_code=self._code)
        self._arm()
        self._over.set()

    def _arm(self) -> None:
        """From now on the process ends in time, whatever hangs: Faust's consumer thread and the main loop may wait for
        each other."""
        if self._exit_hard is not None and self._hard_exit is None:
            code = EXIT_OK if self._code is None else self._code
            self._hard_exit = threading.Timer(HARD_EXIT_SECONDS, self._exit_hard, (code,))
            self._hard_exit.daemon = True
            self._hard_exit.start()

    async def _leave(self) -> None:
        """Finish the chunks under way, leave the group, close; bounded, whatever hangs."""
        self._arm()
        self._over.set()
        await self.host.drain(DRAIN_SECONDS)
        if self._app is not None:
            stopping = asyncio.ensure_future(self._app.stop())
            await asyncio.wait({stopping}, timeout=STOP_SECONDS)
        for closing in (self.publisher.close(), self.health.stop()):
            await asyncio.wait({asyncio.ensure_future(closing)}, timeout=STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        if self._hard_exit is not None:
            self._hard_exit.cancel()

    # -- parts --------------------------------------------------------------------------------------------------------

    def _new_processor(self, partition: int) -> PartitionProcessor:
        return PartitionProcessor(
            self.store,
            Place(partition, self._partitions),
            self.settings.funnels,
            watermark_delay_ms=self.settings.watermark_delay_ms,
            max_persons=self.settings.max_persons,
            max_person_events=self.settings.max_person_events,
            publisher=self.publisher,
            observer=PartitionObserver(self.metrics, partition, clock=time.time),
        )

    def _on_store(self, trouble: str | None) -> None:
        up, self._store_trouble = trouble is None, trouble
        if up is self._store_up:
            return
        self._store_up = up
        self.metrics.store_up.set(1 if up else 0)
        if up:
            log.info("store_up")
            if self._store_warnings is not None:
                self._spawn(self._warn(self._store_warnings))
        else:
            log.error("store_down", message=f"{trouble}; counting waits, nothing is lost")

    async def _warn(self, store_warnings: StoreWarnings) -> None:
        """Settings of the server under which counts could be lost; they may have changed with its restart."""
        with contextlib.suppress(StoreUnavailableError, StoreRefusedError):
            for message in await store_warnings():
                log.warning("store_settings", message=message)

    async def _healthz(self) -> bool:
        return self.host.failure is None

    async def _readyz(self) -> Readiness:
        return self.readiness()

    async def _render_metrics(self, accept: str) -> tuple[str, bytes]:
        return EXPOSITION, self.metrics.render()

    def readiness(self) -> Readiness:
        """What /readyz says."""
        joined, placed, up = self.host.has_joined, self.host.is_placed(), bool(self._store_up)
        reasons = {
            "the worker is stopping": self._over.is_set(),
            "it has not joined its group yet": not joined,
            "not all of its partitions are claimed yet": not placed,
            self._store_trouble or "Redis does not answer": not up,
        }
        reason = next((text for text, holds in reasons.items() if holds), "")
        partitions = sorted(self.host.runners)
        details = {"joined": joined, "placed": placed, "store_up": up, "partitions": partitions}
        return Readiness(not reason, reason, details)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self._tasks.append(asyncio.ensure_future(work))


async def run_worker(
    settings: WorkerSettings, store: PartitionStore, *, store_warnings: StoreWarnings | None = None
) -> int:
    """Run one worker to its end; returns the exit code."""
    return await Worker(settings, store, store_warnings=store_warnings).run()
