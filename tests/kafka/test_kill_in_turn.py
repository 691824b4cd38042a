"""Collector and broker killed with -9 in turn under load: every event that got a 200 is counted exactly once."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from funnelcast.realkafka import RealKafka
from schemas.funnel import load_funnel
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.report.document import build_document
from streams.store.connection import connect
from streams.store.reader import RedisCounterReader
from tests.support.kafka import own_kafka
from tests.support.retrying import RetryingClients, until
from tests.support.running_collector import PARTITIONS, RunningCollector, start
from tests.support.valkey import ValkeyServer

__all__ = ["own_kafka"]
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]
STEP = 60
SECONDS = 120.0
DEFINITION = """
name: kills
version: 1
conversion_window: 30d
stages:
  - {name: click, on: [click]}
  - {name: lead, on: [lead]}
"""


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path)
    server.start()
    yield server
    server.kill()


@contextmanager
def worker(kafka: RealKafka, valkey: ValkeyServer, topics: Topics, definition: Path) -> Iterator[Path]:
    """A worker process on this space; its log."""
    log = definition.with_name("worker.log")
    command = [sys.executable, "-m", "funnelcast", "worker", "--health-port", "0", "--kafka", kafka.bootstrap]
    command += ["--redis", valkey.url, "--space", topics.space, "--funnels", str(definition)]
    command += ["--state-dir", str(definition.parent / "worker")]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield log
    finally:
        process.kill()
        process.wait()


class Story:
    """What happens to the two, and that clients go on through it."""

    def __init__(self, collector: RunningCollector, kafka: RealKafka, clients: RetryingClients) -> None:
        self._collector, self._kafka, self._clients = collector, kafka, clients

    async def more(self) -> None:
        """Wait until some more requests were answered with 200."""
        wanted = len(self._clients.acknowledged) + STEP
        await until(lambda: len(self._clients.acknowledged) >= wanted, SECONDS)

    async def broker_dies(self) -> None:
        self._kafka.kill()
        await self._kafka.gone()

    async def broker_returns(self) -> None:
        await self._kafka.start()

    async def collector_dies(self) -> None:
        self._collector.kill()
        self._collector.start()

    async def drained(self) -> None:
        async with asyncio.timeout(SECONDS):
            while await _readiness(self._collector) != (200, ""):  # noqa: ASYNC110 - a process is asked
                await asyncio.sleep(0.1)


async def _readiness(collector: RunningCollector) -> tuple[int, str]:
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{collector.url}/readyz")
    except httpx.TransportError:
        return 0, "no answer"
    return answer.status_code, answer.json()["reason"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_event_that_got_a_200_is_counted_exactly_once(
    seed: int, own_kafka: RealKafka, valkey: ValkeyServer, fresh_space: str, tmp_path: Path
) -> None:
    topics, definition = Topics(fresh_space), tmp_path / "kills.yaml"
    definition.write_text(DEFINITION)
    await ensure_topics(own_kafka.bootstrap, topics, partitions=PARTITIONS)
    collector = start(own_kafka.bootstrap, fresh_space, tmp_path, "--open", "--ack-timeout", "1.5")
    clients = RetryingClients(f"{collector.url}/v1/events", senders=6, pace=0.005)
    story = Story(collector, own_kafka, clients)
    with worker(own_kafka, valkey, topics, definition):
        try:
            await collector.until_status("/readyz", 200)
            sending = asyncio.create_task(clients.run())
            await story.more()
            await _kills(story, random.Random(seed))
            clients.is_over = True
            await asyncio.wait_for(sending, SECONDS)
            await story.drained()
            await _counted(valkey, fresh_space, definition, clients.acknowledged)
            assert clients.retries
        finally:
            assert await asyncio.to_thread(collector.stop) == 0


async def _kills(story: Story, rng: random.Random) -> None:
    """The two in turn, each also while the other is away or has just come back."""
    await story.collector_dies()
    await story.more()
    for _ in range(2):
        await story.broker_dies()
        await story.more()
        await story.collector_dies()
        await story.more()
        await story.broker_returns()
        await asyncio.sleep(rng.random())  # into the draining
        await story.collector_dies()
        if rng.random() < 0.5:
            await story.drained()
        await story.more()


async def _counted(valkey: ValkeyServer, space: str, definition: Path, acknowledged: list[str]) -> None:
    """The report in the end, and that it stays there."""
    funnel = load_funnel(str(definition))
    client = connect(valkey.url)
    try:
        reader = RedisCounterReader(client, space)
        document: dict[str, Any] = {}

        async with asyncio.timeout(SECONDS):
            while _events(document) < len(acknowledged):
                await asyncio.sleep(0.2)
                document = await build_document(reader, funnel)
        await asyncio.sleep(2)
        document = await build_document(reader, funnel)
        assert _events(document) == len(acknowledged) == len(set(acknowledged))
        assert document["input"]["accepted"] == len(acknowledged)
    finally:
        await client.aclose()


def _events(document: dict[str, Any]) -> int:
    cell = document.get("counters", {}).get("total", {}).get("all", {}).get("", {})
    return int(cell.get("click", {}).get("events", 0))
