"""Count a file through everything: collector, Kafka, workers, Redis, report, in a space that exists for this alone.

Any of the processes may be killed on the way: they are started again, the sender repeats what was not acknowledged, and
the document comes out the same. Composes; counts nothing.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson

from funnelcast.processes.child import Reporter
from funnelcast.processes.deployment import Deployment, events_of
from funnelcast.processes.supervise import Supervisor
from funnelcast.replay.memory import (
    HISTORICAL,
    NOT_FOR_SENDING,
    Progress,
    Refusals,
    ReplayJob,
    document_of,
    no_progress,
    read_lines,
)
from funnelcast.replay.sender import BATCH_LINES, OrderedSender, Refused
from funnelcast.replay.slices import Slices
from funnelcast.stack.embedded import EmbeddedStack
from funnelcast.stack.run_directory import RunDirectory
from producers.access.keys import create_key
from producers.client.collector import Address
from producers.ingest.verdicts import Rejected, Scope, Ticked
from schemas.errors import FunnelcastError, TryAgainError
from schemas.kafka import Kafka
from schemas.topics import Topics
from streams.admin import delete_topics, ensure_topics
from streams.report.document.shapes import CountersDocument
from streams.store.connection import close, connect, delete_space
from streams.store.port import CounterReader, PartitionStatus, StoreUnavailableError
from streams.store.reader import RedisCounterReader

READY_SECONDS = 60.0
STALLED_SECONDS = 120.0
"""Without any progress for this long, a replay gives up."""
POLL_SECONDS = 0.1
TIDY_SECONDS = 20.0
"""How long the removal of a replay's topics and keys waits for a server that is away."""


async def replay_through_stack(
    job: ReplayJob,
    refusals: Refusals,
    *,
    state_dir: Path,
    kafka: Kafka | None,
    redis: str | None,
    progress: Progress = no_progress,
) -> list[CountersDocument]:
    """The counters documents, in the order of the funnels. Raises TryAgainError, NeedsHumanError."""
    with RunDirectory.new(state_dir, "replay") as directory:
        async with EmbeddedStack(directory.path, kafka=kafka, redis=redis) as stack:
            return await count_on(stack, directory.path, job=job, refusals=refusals, progress=progress)


async def count_on(
    stack: EmbeddedStack,
    directory: Path,
    *,
    job: ReplayJob,
    refusals: Refusals,
    report: Reporter | None = None,
    progress: Progress = no_progress,
) -> list[CountersDocument]:
    """The same on a stack that runs; processes, keys and logs live in `directory`."""
    async with (
        Supervisor(directory, report=report) as services,
        fresh_space(stack, directory, job=job, warn=refusals.say) as deployment,
    ):

        def check() -> None:
            stack.check()
            services.check()

        def describe() -> str:
            return f"{stack.describe()}\n{services.describe()}".strip()

        key = _key(deployment)
        url = await _start(services, deployment, job=job)
        client = connect(stack.redis)
        reader = RedisCounterReader(client, deployment.space)

        async def arrived(marker: str) -> None:
            await await_marker(reader, job.partitions, marker=marker, check=check, describe=describe)

        try:
            await _send(job, refusals, url=url, key=key, check=check, arrived=arrived, progress=progress)
            documents = [await _patiently(partial(document_of, reader, job, funnel), check) for funnel in job.funnels]
        finally:
            await close(client)
        await services.stop()  # before the space goes away under them
        return documents


@asynccontextmanager
async def fresh_space(
    stack: EmbeddedStack,
    directory: Path,
    *,
    job: ReplayJob,
    warn: Callable[[str], None],
    tidy_seconds: float = TIDY_SECONDS,
) -> AsyncIterator[Deployment]:
    """Topics and names of a fresh space; on a server that is not ours nothing of it stays.

    What cannot be removed within `tidy_seconds` is told to `warn`, and is no failure: the numbers are there by then.
    """
    space = f"replay-{uuid.uuid4().hex[:12]}"
    topics = Topics(space)
    await ensure_topics(stack.servers, topics, partitions=job.partitions, historical=True)
    try:
        yield Deployment(
            kafka=stack.servers,
            redis=stack.redis,
            space=space,
            funnels=job.references,
            directory=directory,
            watermark_delay_ms=job.watermark_delay_ms,
            keys=directory / "keys.json",
            contact_key=job.contact_key,
            channels=job.channels,
        )
    finally:
        if not stack.is_kafka_embedded:
            problem = await _until_done(partial(delete_topics, stack.servers, topics), tidy_seconds)
            if problem is not None:
                warn(f"the topics of this replay could not be removed; delete {', '.join(topics.all())}: {problem}")
        if not stack.is_redis_embedded:
            problem = await _until_done(partial(_delete_keys, stack.redis, space), tidy_seconds)
            if problem is not None:
                warn(f"the keys of this replay could not be removed; delete those of space {space}: {problem}")


async def _delete_keys(redis: str, space: str) -> None:
    client = connect(redis)
    try:
        await delete_space(client, space)
    finally:
        await close(client)


async def _until_done(work: Callable[[], Awaitable[object]], seconds: float) -> FunnelcastError | None:
    """Try until it is done; the error of the last try where it was not in time, or where a later try cannot help."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await work()
            return None
        except TryAgainError as error:
            if time.monotonic() > deadline:
                return error
        except FunnelcastError as error:
            return error
        await asyncio.sleep(POLL_SECONDS)


def _key(deployment: Deployment) -> str:
    assert deployment.keys is not None  # noqa: S101 - set above
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    return create_key(deployment.keys, source="replay", scope=Scope.HISTORICAL, created_at=created_at)[0]


async def _start(services: Supervisor, deployment: Deployment, *, job: ReplayJob) -> Address:
    """Start collector and workers; returns where events go once the collector takes them."""
    collector = await services.start(deployment.collector())
    for number in range(1, job.workers + 1):
        await services.start(deployment.worker(number))
    await collector.ready(READY_SECONDS)
    return partial(events_of, collector)


async def _send(
    job: ReplayJob,
    refusals: Refusals,
    *,
    url: Address,
    key: str,
    check: Callable[[], None],
    arrived: Callable[[str], Awaitable[None]],
    progress: Progress,
) -> None:
    """Send every line; returns when all that came of it is counted."""
    slices = Slices(job.funnels, watermark_delay_ms=job.watermark_delay_ms, partitions=job.partitions)
    ingest, sent = job.ingest(), 0
    async with httpx.AsyncClient() as client:

        def on_refused(refused: Refused) -> None:
            refusals.add(refused.number, reason=refused.reason, detail=refused.detail)

        sender = OrderedSender(url=url, key=key, client=client, on_refused=on_refused, check=check)

        async def until_arrived(tick_ms: int = 0) -> None:
            marker = uuid.uuid4().hex  # a tick at 0 moves no watermark: it carries the marker alone
            await sender.add(orjson.dumps({"tick": tick_ms, "marker": marker}))
            await sender.flush()
            await arrived(marker)

        for number, line in read_lines(job.events):
            sent += len(line) + 1
            if number % BATCH_LINES == 0:
                progress(sent, job.size)
            verdict = ingest.native(line, sender=HISTORICAL, received_at_ms=None)
            if slices.ends_before(verdict):
                await until_arrived()
            if isinstance(verdict, Rejected) and verdict.reason in NOT_FOR_SENDING:
                refusals.add(number, reason=verdict.reason, detail=verdict.detail)
            else:
                await sender.add(line, number)
        tick_ms = job.final_tick_ms or 0
        if slices.ends_before(Ticked(tick_ms, b"")):
            await until_arrived()
        await until_arrived(tick_ms)


async def await_marker(
    reader: CounterReader,
    partitions: int,
    *,
    marker: str,
    check: Callable[[], None],
    describe: Callable[[], str],
    stalled_seconds: float = STALLED_SECONDS,
) -> None:
    """Wait until every partition has applied the marker, everything due before it and what others have forwarded to it.

    Raises what `check` raises, and TryAgainError when nothing moves for `stalled_seconds`: its text ends with what
    `describe` says of the processes."""
    seen: object = None
    deadline = time.monotonic() + stalled_seconds
    while True:
        check()
        try:
            statuses = [await reader.status(partition) for partition in range(partitions)]
        except StoreUnavailableError:
            statuses = []
        if statuses and _has_arrived(statuses, marker):
            return
        now = [status and (status.offset, status.meta.pending) for status in statuses]
        if now and now != seen:
            seen, deadline = now, time.monotonic() + stalled_seconds
        if time.monotonic() > deadline:
            raise TryAgainError(
                f"the workers have made no progress for {stalled_seconds:.0f} s; (offset, pending) by partition: "
                f"{now}\n{describe()}"
            )
        await asyncio.sleep(POLL_SECONDS)


def _has_arrived(statuses: Sequence[PartitionStatus | None], marker: str) -> bool:
    metas = [status.meta for status in statuses if status is not None]
    under_way = sum(sum(meta.forwards.values()) - meta.forwards_applied for meta in metas)
    is_everywhere = all(meta.marker == marker and not meta.pending for meta in metas)
    return len(metas) == len(statuses) and is_everywhere and not under_way


async def _patiently(ask: Callable[[], Any], check: Callable[[], None]) -> Any:
    """The answer, however often Redis is away before it."""
    deadline = time.monotonic() + STALLED_SECONDS
    while True:
        check()
        try:
            return await ask()
        except StoreUnavailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(POLL_SECONDS)
