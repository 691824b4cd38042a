"""Real processes, killed and stopped at random while events flow; then the counters are compared with two others: an
oracle that reads the definitions over the whole history, and the core in memory over the undisturbed log.

Composes; counts nothing itself.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson

from funnelcast.chaos.events import ID_NAMES, START_MS, ChaosEvent, arrivals, make_events
from funnelcast.chaos.faults import BROKER_KINDS, KINDS, Broker, Disturber
from funnelcast.chaos.oracle import JOURNEYS_STAGES, expected
from funnelcast.chaos.published import judged, read_changes
from funnelcast.chaos.verdict import (
    DEFINITIONS,
    PARTITIONS,
    WATERMARK_DELAY_MS,
    Verdict,
    differences_from_memory,
    judge,
)
from funnelcast.processes.deployment import Deployment, events_of
from funnelcast.processes.supervise import Supervisor
from funnelcast.replay.sender import OrderedSender, Refused
from funnelcast.replay.stack import await_marker
from funnelcast.stack.embedded import EmbeddedStack
from funnelcast.stack.run_directory import RunDirectory
from producers.access.keys import create_key
from producers.client.collector import Address
from producers.ingest.verdicts import Scope
from schemas.errors import NeedsHumanError
from schemas.funnel.load import load_funnel
from schemas.ids import person_key
from schemas.partition import partition_of
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.report.document.counters import build_document
from streams.report.document.shapes import CountersDocument
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader

WORKERS = 3
FINAL_TICK_MS = START_MS + 30 * 86_400_000
"""Past every deadline of the events: nothing is open at the end."""
READY_SECONDS = 60.0
LINES_PER_BATCH = 100
_MOST_AHEAD_MS = 3 * 3_600_000
"""So far a partition's events may be ahead of another's. Of two claims of an id the first in its log counts, and two
partitions may bring them: in another order, and far apart, they mean something else than the oracle reads."""


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """What a run does. Equal plans send equal events and draw equal faults; when they strike, the machine decides."""

    seconds: float
    seed: int
    faults: int
    events: int

    def kinds(self, *, with_broker: bool, with_valkey: bool) -> list[str]:
        """One kind a fault, every kind before any comes again, in an order drawn by the seed."""
        chooser = random.Random(self.seed)
        known = [*KINDS, *(BROKER_KINDS if with_broker else ())]
        known = [kind for kind in known if with_valkey or not kind.startswith("valkey")]
        drawn: list[str] = []
        while len(drawn) < self.faults:
            chooser.shuffle(known)
            drawn += known
        return drawn[: self.faults]


class ChaosRun:
    """One run in a directory and a space of its own."""

    def __init__(
        self,
        plan: ChaosPlan,
        *,
        stack: EmbeddedStack,
        services: Supervisor,
        broker: Broker | None,
        say: Callable[[str], None],
    ) -> None:
        self._plan, self._stack, self._services, self._broker, self._say = plan, stack, services, broker, say
        self._flowing = [asyncio.Event() for _ in range(PARTITIONS)]
        for is_flowing in self._flowing:
            is_flowing.set()
        self._disturber = Disturber(
            stack=stack, services=services, broker=broker, flowing=self._flowing, seed=plan.seed + 2, say=say
        )
        self._space = f"chaos-{uuid.uuid4().hex[:10]}"
        self._began = 0.0
        self._retries = 0
        self._reached_ms = [0] * PARTITIONS
        """Until when the events of each partition are acknowledged."""
        self._has_advanced = asyncio.Condition()

    async def run(self) -> Verdict:
        """Send, disturb, drain, judge."""
        self._say(f"drawing {self._plan.events} events")
        events, lines, lanes = await asyncio.to_thread(_draw, self._plan)
        url, key = await self._start()
        self._began = time.monotonic()
        feeding = [asyncio.create_task(self._feed(number, lane, url=url, key=key)) for number, lane in enumerate(lanes)]
        await self._disturber.run(
            self._plan.kinds(with_broker=self._broker is not None, with_valkey=self._stack.is_redis_embedded),
            began=self._began,
            seconds=self._plan.seconds,
            while_running=feeding,
        )
        await asyncio.gather(*feeding)
        await self._end(url, key)
        sent_after = time.monotonic() - self._began
        self._say(f"all {len(lines)} records acknowledged after {sent_after:.1f} s; waiting for the workers")
        verdict = Verdict(
            events=len(events), records=len(lines), faults=self._disturber.faults, silences=self._disturber.silences
        )
        documents = await self._documents(verdict)
        verdict.seconds = round(time.monotonic() - self._began, 1)
        verdict.drained_seconds = round(verdict.seconds - sent_after, 1)
        verdict.retries = self._retries
        verdict.restarts = {**self._services.restarts(), **self._stack.restarts()}
        judge(verdict, events, documents=documents)
        records = await read_changes(self._stack.kafka, Topics(self._space).journeys)
        verdict.take(judged(records, expected(events, JOURNEYS_STAGES).outcomes))
        self._say("comparing with the core in memory over the undisturbed log")
        log = self._services.directory / "events.jsonl"
        verdict.differences += await differences_from_memory(log, lines, documents=documents, tick_ms=FINAL_TICK_MS)
        verdict.exact = not verdict.differences
        if not verdict.exact:
            (self._services.directory / "journeys.jsonl").write_bytes(b"\n".join(map(orjson.dumps, records)))
        return verdict

    # -- the system -------------------------------------------------------------------------------------------------

    async def _start(self) -> tuple[Address, str]:
        await ensure_topics(self._stack.kafka, Topics(self._space), partitions=PARTITIONS, historical=True)
        keys = self._services.directory / "keys.json"
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        key, _ = create_key(keys, source="chaos", scope=Scope.HISTORICAL, created_at=created_at)
        deployment = Deployment(
            kafka=self._stack.kafka,
            redis=self._stack.redis,
            space=self._space,
            funnels=DEFINITIONS,
            directory=self._services.directory,
            watermark_delay_ms=WATERMARK_DELAY_MS,
            keys=keys,
        )
        collector = await self._services.start(deployment.collector())
        for number in range(1, WORKERS + 1):
            await self._services.start(deployment.worker(number))
        await self._services.ready(READY_SECONDS)
        self._say(f"collector and {WORKERS} workers are ready; logs in {self._services.directory / 'logs'}")
        return partial(events_of, collector), key

    def _check(self) -> None:
        self._stack.check()
        self._services.check()

    # -- the events -------------------------------------------------------------------------------------------------

    async def _feed(self, partition: int, lines: Sequence[bytes], *, url: Address, key: str) -> None:
        """Send one partition's lines in order over the time of the run, as a client that repeats what is not
        acknowledged and numbers nothing: a repeated batch is a batch of duplicates."""
        begun = time.monotonic()
        async with httpx.AsyncClient() as client:
            sender = OrderedSender(
                url=url,
                key=key,
                client=client,
                on_refused=_refused,
                check=self._check,
                session=None,
                batch_lines=LINES_PER_BATCH,
            )
            for number, line in enumerate(lines):
                if number % LINES_PER_BATCH == 0:
                    await self._flowing[partition].wait()
                    due = begun + self._plan.seconds * number / len(lines)
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    await self._advance(partition, orjson.loads(line)["received_at_ms"])
                await sender.add(line)
            await sender.flush()
            self._retries += sender.retries
        await self._advance(partition, FINAL_TICK_MS, is_last=True)

    async def _advance(self, partition: int, at_ms: int, *, is_last: bool = False) -> None:
        """All before that time is acknowledged; wait until the other partitions are near."""
        async with self._has_advanced:
            self._reached_ms[partition] = at_ms
            self._has_advanced.notify_all()
            if not is_last:
                await self._has_advanced.wait_for(lambda: at_ms - min(self._reached_ms) <= _MOST_AHEAD_MS)

    async def _end(self, url: Address, key: str) -> None:
        """When all that was forwarded has arrived, move the watermark past every deadline."""
        for tick_ms in (0, FINAL_TICK_MS):  # a tick at 0 moves no watermark: it carries the marker alone
            marker = uuid.uuid4().hex
            async with httpx.AsyncClient() as client:
                sender = OrderedSender(url=url, key=key, client=client, on_refused=_refused, check=self._check)
                await sender.add(orjson.dumps({"tick": tick_ms, "marker": marker}))
                await sender.flush()
            async with self._reader() as reader:
                await await_marker(
                    reader, PARTITIONS, marker=marker, check=self._check, describe=self._services.describe
                )

    # -- the judgement ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[RedisCounterReader]:
        client = connect(self._stack.redis)
        try:
            yield RedisCounterReader(client, self._space)
        finally:
            await close(client)

    async def _documents(self, verdict: Verdict) -> list[CountersDocument]:
        async with self._reader() as reader:
            statuses = [await reader.status(partition) for partition in range(PARTITIONS)]
            metas = [status.meta for status in statuses if status is not None]
            verdict.forwards = sum(meta.forwards_applied for meta in metas)
            return [await build_document(reader, load_funnel(definition)) for definition in DEFINITIONS]


def _draw(plan: ChaosPlan) -> tuple[list[ChaosEvent], list[bytes], list[list[bytes]]]:
    """(events, their lines in log order, the same by partition)."""
    events = make_events(plan.seed, plan.events)
    natives = [event.native(received_at) for received_at, event in arrivals(plan.seed, events)]
    lines = [orjson.dumps(native) for native in natives]
    return events, lines, _lanes(natives, lines)


def _lanes(events: Sequence[dict[str, Any]], lines: Sequence[bytes]) -> list[list[bytes]]:
    """The lines of each partition, in log order."""
    lanes: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for event, line in zip(events, lines, strict=True):
        key = person_key(*(event.get(ID_NAMES[space]) for space in "uca"))
        assert key is not None  # noqa: S101 - every event has a person
        lanes[partition_of(key, PARTITIONS)].append(line)
    return lanes


def _refused(refused: Refused) -> None:
    raise NeedsHumanError(f"the collector refused an event of the run: {refused.reason}: {refused.detail}")


async def run_chaos(
    plan: ChaosPlan, *, state_dir: Path, kafka: str | None, real_kafka: bool, say: Callable[[str], None]
) -> Verdict:
    """A run from nothing; its directory is kept unless the verdict is exact. Raises TryAgainError, NeedsHumanError."""
    with RunDirectory.new(state_dir, "chaos") as directory:
        async with AsyncExitStack() as cleanup:
            broker: Broker | None = None
            if real_kafka:
                from funnelcast.stack.real_kafka import RealKafka

                started = await cleanup.enter_async_context(RealKafka(directory.path / "kafka"))
                broker, kafka = started, started.bootstrap
            stack = await cleanup.enter_async_context(EmbeddedStack(directory.path, kafka=kafka, report=say))
            services = await cleanup.enter_async_context(Supervisor(directory.path, report=say))
            verdict = await ChaosRun(plan, stack=stack, services=services, broker=broker, say=say).run()
        directory.is_kept = not verdict.exact
    if not verdict.exact:
        say(f"logs and events are kept in {directory.path}")
    return verdict
