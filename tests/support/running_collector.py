"""A collector as a process of its own, and what it wrote."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from funnelcast.processes.ports import free_port
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.command import start_command
from tests.support.http import plain_client
from tests.support.waiting import LIMIT, until

PARTITIONS = 4


@dataclass
class RunningCollector:
    """A collector process and its log."""

    process: subprocess.Popen[bytes]
    url: str
    kafka: str
    topics: Topics
    log: Path
    arguments: list[str] = field(default_factory=list)
    health_url: str = ""
    """Where metrics are."""

    async def until_listening(self) -> None:
        """Wait until it has told where, if the system chose."""

        def said() -> dict[str, str]:
            assert self.process.poll() is None, self.log.read_text()
            lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
            urls = {line["event"]: line["url"] for line in lines if "url" in line}
            return urls if urls.keys() >= {"listening", "health_listening"} else {}

        urls = await until(said, every=0.02, what="it listens")
        self.url, self.health_url = urls["listening"], urls["health_listening"]

    async def post(self, body: Any, **options: Any) -> httpx.Response:
        async with plain_client() as client:
            return await client.post(f"{self.url}/v1/events", json=body, timeout=LIMIT, **options)

    async def status(self, path: str) -> int:
        async with plain_client() as client:
            try:
                return (await client.get(self.url + path)).status_code
            except httpx.TransportError:
                return 0

    async def until_status(self, path: str, status: int) -> None:
        """Wait until it answers so. Fails when the process ends."""

        async def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return await self.status(path) == status

        await until(answers, every=0.05, what=f"{path} answers {status}")

    async def until_gone(self) -> None:
        """Wait until nobody listens any more."""

        async def is_gone() -> bool:
            return await self.status("/healthz") == 0

        await until(is_gone, every=0.05, what="nobody listens")

    async def readiness(self) -> tuple[int, str]:
        """(status, reason) of `/readyz`."""
        async with plain_client() as client:
            try:
                answer = await client.get(f"{self.url}/readyz")
            except httpx.TransportError:
                return 0, "no answer"
        return answer.status_code, answer.json()["reason"]

    async def until_drained(self) -> None:
        """Wait until it is ready and nothing is on disk any more."""

        async def is_drained() -> bool:
            return await self.readiness() == (200, "")

        await until(is_drained, every=0.1, what="nothing is on disk")

    async def everything(self, topic: str) -> list[Any]:
        """All records of a topic up to its present end, by partition."""
        return await self.records(topic, sum((await self.end_offsets(topic)).values()), links=True)

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """The next offset of each partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka)
        await consumer.start()
        try:
            ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
        finally:
            await consumer.stop()
        return {place.partition: end for place, end in ends.items()}

    async def records(self, topic: str, count: int, *, links: bool = False) -> list[Any]:
        """The first `count` records of a topic, by partition; without `links` those that events claim are left out."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            records: list[Any] = []
            async with asyncio.timeout(LIMIT):
                while len(records) < count:
                    for some in (await consumer.getmany(timeout_ms=200)).values():
                        records += [one for one in some if links or b'"link":' not in (one.value or b"")]
            return sorted(records, key=lambda one: (one.partition, one.offset))
        finally:
            await consumer.stop()

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it again on the same port and directory."""
        self.process = start_command(*self.arguments, state_dir=self.log.parent, log=self.log)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)


def start(kafka: str, space: str, directory: Path, *flags: str) -> RunningCollector:
    """A collector process, ready or not, on ports where it can be started again; whoever starts it ends it."""
    return _started(kafka, space, directory, *flags, ports=(free_port(), free_port()))


def _started(kafka: str, space: str, directory: Path, *flags: str, ports: tuple[int, int]) -> RunningCollector:
    (port, health_port), log = ports, directory / "collector.log"
    arguments = ["collector", "--port", str(port), "--health-port", str(health_port), "--kafka", kafka]
    arguments += ["--space", space, *flags]
    process = start_command(*arguments, state_dir=directory, log=log)
    own, health = (f"http://127.0.0.1:{number}" for number in (port, health_port))
    return RunningCollector(process, own, kafka, Topics(space), log, arguments, health)


@asynccontextmanager
async def running_collector(
    kafka: str, space: str, directory: Path, *flags: str, historical: bool = False
) -> AsyncIterator[RunningCollector]:
    """A collector that is ready, with topics of its own; killed at the end if it still runs. The system chooses its
    ports: nobody else can have them."""
    await ensure_topics(kafka, Topics(space), partitions=PARTITIONS, historical=historical)
    running = _started(kafka, space, directory, *flags, ports=(0, 0))
    try:
        await running.until_listening()
        await running.until_status("/readyz", 200)
        yield running
    finally:
        running.kill()
