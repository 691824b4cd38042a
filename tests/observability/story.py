"""What happens: a week is learned, a month is quiet, three things go wrong. Real processes count, Prometheus looks on.

Event time runs ahead of the clock: a step of events is sent, counted, turned into evidence, scraped and evaluated
before the next one, so that the rules see every step of it as they would at its own time.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from funnelcast.processes.deployment import Deployment
from funnelcast.processes.ports import free_port
from funnelcast.processes.supervise import Supervisor
from funnelcast.replay.sender import OrderedSender, Refused
from funnelcast.replay.stack import await_marker
from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from tests.observability.history import SHOPS, Times, definition, events, line
from tests.support.http import plain_client
from tests.support.prometheus import (
    Hurry,
    Prometheus,
    Receiver,
    answered,
    running_alertmanager,
    running_prometheus,
)
from tests.support.stack import StackAddresses
from tests.support.waiting import wait_until

PARTITIONS = 2
QUIET_STEP_MS, STEP_MS, LAST_STEP_MS = 2 * DAY_MS, 15 * MINUTE_MS, HOUR_MS
CLOSE_MS = 2 * HOUR_MS
"""So long after the incident began the steps become longer."""
HURRY = Hurry(scrape="2s", without=frozenset({"FunnelWatermarkStale"}))
"""Event time is not that of the clock here, and this alert compares the two."""
READY_SECONDS, STEP_SECONDS = 60.0, 120.0


@dataclass
class Story:
    """What is asked of it afterwards."""

    times: Times
    prometheus: Prometheus
    receiver: Receiver
    alertmanager_url: str
    exporter_url: str
    directory: Path
    quiet_pages: list[dict[str, Any]] = field(default_factory=list)
    """Of the month in which nothing happened."""
    first_seen: dict[str, int] = field(default_factory=dict)
    """By alert (`key`): the event time of the first step after which it fired."""

    def funnel(self, shop: str) -> Path:
        """Its definition."""
        return self.directory / f"{shop}.yaml"

    def events(self, shop: str) -> Path:
        """Its events, as a file."""
        return self.directory / f"{shop}.jsonl"


def key(labels: dict[str, str]) -> str:
    """What an alert is about."""
    value = f"{labels['dimension']}={labels['value']}" if labels.get("dimension") else ""
    return "|".join((labels["alertname"], labels.get("funnel", ""), labels.get("stage", ""), value))


@dataclass
class Installation:
    """The running processes of one space."""

    deployment: Deployment
    key: str
    collector_port: int
    collector_health_port: int
    worker_port: int
    exporter_port: int

    @property
    def targets(self) -> dict[str, list[str]]:
        """For Prometheus."""
        ports = {"collector": self.collector_health_port, "worker": self.worker_port, "exporter": self.exporter_port}
        return {job: [f"127.0.0.1:{port}"] for job, port in ports.items()}

    async def feed(self, told: Iterable[dict[str, Any]], tick_ms: int) -> None:
        """Send events and the time after them; returns when all of it is counted."""
        refused: list[Refused] = []
        marker = uuid.uuid4().hex
        async with plain_client() as client:
            url = f"http://127.0.0.1:{self.collector_port}/v1/events"
            sender = OrderedSender(url=url, key=self.key, client=client, on_refused=refused.append)
            for event in told:
                await sender.add(line(event))
            await sender.add(json.dumps({"tick": tick_ms, "marker": marker}).encode())
            await sender.flush()
        assert not refused
        store = connect(self.deployment.redis)
        try:
            reader = RedisCounterReader(store, self.deployment.space)
            await await_marker(reader, PARTITIONS, marker=marker, check=lambda: None, describe=str)
        finally:
            await close(store)


@contextmanager
def installation(stack: StackAddresses, directory: Path, runner: asyncio.Runner) -> Iterator[Installation]:
    """A space of its own: collector, worker and exporter, started as a user would."""
    space = f"o{uuid.uuid4().hex[:10]}"
    funnels = tuple(str(directory / f"{shop}.yaml") for shop in SHOPS)
    for shop, path in zip(SHOPS, funnels, strict=True):
        Path(path).write_text(definition(shop))
    keys = directory / "keys.json"
    write_key, _ = create_key(keys, source="shops", scope=Scope.HISTORICAL, created_at="2025-01-01T00:00:00+00:00")
    deployment = Deployment(stack.kafka, stack.redis, space, funnels, directory, keys=keys)
    installed = Installation(deployment, write_key, free_port(), free_port(), free_port(), free_port())
    services = AsyncExitStack()
    try:
        runner.run(_start(services, installed, directory))
        yield installed
    finally:
        runner.run(services.aclose())


async def _start(services: AsyncExitStack, installed: Installation, directory: Path) -> None:
    supervisor = await services.enter_async_context(Supervisor(directory))
    deployment = installed.deployment
    await ensure_topics(deployment.kafka, Topics(deployment.space), partitions=PARTITIONS, historical=True)
    collector, exporter = deployment.collector(installed.collector_port), deployment.exporter(installed.exporter_port)
    specs = [
        replace(collector, argv=(*collector.argv, "--health-port", str(installed.collector_health_port))),
        replace(exporter, argv=(*exporter.argv, "--evidence-every", "1")),
        deployment.worker(1, installed.worker_port),
    ]
    for child in [await supervisor.start(spec) for spec in specs]:
        await child.ready(READY_SECONDS)


@contextmanager
def told(stack: StackAddresses, directory: Path, now_ms: int) -> Iterator[Story]:
    """The whole story; its servers stay until the end of the block."""
    times = Times.before(now_ms)
    every = {shop: list(events(shop, times)) for shop in SHOPS}
    for shop in SHOPS:
        (directory / f"{shop}.jsonl").write_bytes(b"\n".join(map(line, every[shop])) + b"\n")
    log = Log(sorted((event for shop in SHOPS for event in every[shop]), key=lambda event: event["occurred_at_ms"]))
    with (
        asyncio.Runner() as runner,
        installation(stack, directory, runner) as installed,
        Receiver().listening() as receiver,
        running_alertmanager(directory, receiver.url) as alertmanager,
    ):
        runner.run(installed.feed(log.until(times.quiet_ms), times.quiet_ms))
        with running_prometheus(directory, installed.targets, hurry=HURRY, alertmanager=alertmanager) as prometheus:
            exporter = f"http://127.0.0.1:{installed.exporter_port}"
            story = Story(times, prometheus, receiver, f"http://{alertmanager}", exporter, directory)
            for at_ms in range(times.quiet_ms + QUIET_STEP_MS, times.incident_ms + 1, QUIET_STEP_MS):
                _step(runner, installed, story, log.until(at_ms), at_ms)
            story.quiet_pages = receiver.pages()
            for at_ms in _steps(times):
                _step(runner, installed, story, log.until(at_ms), at_ms)
            yield story


def _steps(times: Times) -> list[int]:
    """Moments after the incident at which somebody looks."""
    close = times.incident_ms + CLOSE_MS
    return [
        *range(times.incident_ms + STEP_MS, close + 1, STEP_MS),
        *range(close + LAST_STEP_MS, times.end_ms + 1, LAST_STEP_MS),
    ]


class Log:
    """Events that are taken in their order."""

    def __init__(self, told: Sequence[dict[str, Any]]) -> None:
        self._told, self._taken = told, 0

    def until(self, at_ms: int) -> Sequence[dict[str, Any]]:
        """Those that were not taken yet and occurred before a time."""
        first, self._taken = self._taken, bisect_left(self._told, at_ms, key=lambda event: event["occurred_at_ms"])
        return self._told[first : self._taken]


def _step(
    runner: asyncio.Runner, installed: Installation, story: Story, told: Sequence[dict[str, Any]], at_ms: int
) -> None:
    """Send, and wait until the rules have been evaluated on the evidence of it."""
    runner.run(installed.feed(told, at_ms))
    prometheus = story.prometheus
    watermark = (at_ms - installed.deployment.watermark_delay_ms) / 1000

    def is_seen() -> bool:
        seen = prometheus.number("min(funnel_evidence_watermark_timestamp_seconds)")
        return seen is not None and seen >= watermark

    answered(is_seen, f"evidence of {watermark}", STEP_SECONDS)
    seen_at = prometheus.get("query", query="time()")["result"][0]
    wait_until(lambda: prometheus.evaluated_since(float(seen_at)), limit=STEP_SECONDS, what="the rules")
    for alert in prometheus.firing():
        story.first_seen.setdefault(key(alert["labels"]), at_ms)
