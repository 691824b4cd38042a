"""A collector and its broker taken away in turn while clients keep sending, a worker beside them, and its counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from schemas.funnel.load import load_funnel
from schemas.topics import Topics
from streams.report.document.counters import build_document
from streams.store.connection import connect
from streams.store.reader import RedisCounterReader
from tests.support.command import start_command
from tests.support.retrying import RetryingClients
from tests.support.running_collector import RunningCollector
from tests.support.waiting import LIMIT, until

STEP = 60
DEFINITION = """
name: kills
version: 1
conversion_window: 30d
stages:
  - {name: click, on: [click]}
  - {name: lead, on: [lead]}
"""


@contextmanager
def worker(kafka: str, redis: str, topics: Topics, directory: Path) -> Iterator[Path]:
    """A worker process on this space; the definition that it counts."""
    definition = directory / "kills.yaml"
    definition.write_text(DEFINITION)
    arguments = ["worker", "--health-port", "0", "--kafka", kafka, "--redis", redis, "--space", topics.space]
    arguments += ["--funnels", str(definition)]
    process = start_command(*arguments, state_dir=directory / "worker", log=directory / "worker.log")
    try:
        yield definition
    finally:
        process.kill()
        process.wait()


@dataclass
class Kills:
    """What happens to the two, and that clients go on through it."""

    collector: RunningCollector
    clients: RetryingClients
    broker_leaves: Callable[[], Awaitable[None]]
    broker_returns: Callable[[], Awaitable[None]]

    async def more(self) -> None:
        """Wait until some more requests were answered with 200."""
        wanted = len(self.clients.acknowledged) + STEP
        await until(lambda: len(self.clients.acknowledged) >= wanted, what=f"{wanted} answers of 200")

    def collector_dies(self) -> None:
        """Kill -9, and start it again."""
        self.collector.kill()
        self.collector.start()

    async def in_turn(self, rng: Random, rounds: int) -> None:
        """The two in turn, each also while the other is away or has just come back."""
        self.collector_dies()
        await self.more()
        for _ in range(rounds):
            await self.broker_leaves()
            await self.more()
            self.collector_dies()
            await self.more()
            await self.broker_returns()
            await asyncio.sleep(rng.random())  # into the draining
            self.collector_dies()
            if rng.random() < 0.5:
                await self.drained()
            await self.more()

    async def drained(self) -> None:
        """Wait until nothing is on disk any more."""
        await self.collector.until_drained()

    async def run(self, rng: Random, rounds: int) -> list[str]:
        """The whole story; ids of all that was answered with 200."""
        await self.collector.until_status("/readyz", 200)
        sending = asyncio.create_task(self.clients.run())
        await self.more()
        await self.in_turn(rng, rounds)
        self.clients.is_over = True
        await asyncio.wait_for(sending, LIMIT)
        await self.drained()
        return self.clients.acknowledged


async def counted_once(redis: str, collector: RunningCollector, definition: Path, acknowledged: list[str]) -> None:
    """The report once the worker has read the log to its end."""
    funnel, ends = load_funnel(str(definition)), await collector.end_offsets(collector.topics.events)
    client = connect(redis)
    try:
        reader = RedisCounterReader(client, collector.topics.space)

        async def is_read() -> bool:
            statuses = {partition: await reader.status(partition) for partition in ends}
            return all((status.offset if status else 0) >= ends[p] for p, status in statuses.items())

        await until(is_read, every=0.2, what="the worker has read the log")
        document: dict[str, Any] = {**await build_document(reader, funnel)}
        assert _events(document) == len(acknowledged) == len(set(acknowledged))
        assert document["input"]["accepted"] == len(acknowledged)
    finally:
        await client.aclose()


def _events(document: dict[str, Any]) -> int:
    cell = document.get("counters", {}).get("total", {}).get("all", {}).get("", {})
    return int(cell.get("click", {}).get("events", 0))
