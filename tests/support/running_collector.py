"""A collector as a process of its own, and what it wrote."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from funnelcast.processes.ports import free_port
from schemas.topics import Topics

DEADLINE = 60.0
PARTITIONS = 4


@dataclass
class RunningCollector:
    """A collector process and its log."""

    process: subprocess.Popen[str]
    url: str
    kafka: str
    topics: Topics
    log: Path
    command: list[str] = field(default_factory=list)

    async def post(self, body: Any, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.post(f"{self.url}/v1/events", json=body, timeout=DEADLINE, **options)

    async def status(self, path: str) -> int:
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(self.url + path)).status_code
            except httpx.TransportError:
                return 0

    async def until_status(self, path: str, status: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while await self.status(path) != status:
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def records(self, topic: str, count: int) -> list[Any]:
        """The first `count` records of a topic, by partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            found: list[Any] = []
            async with asyncio.timeout(DEADLINE):
                while len(found) < count:
                    for some in (await consumer.getmany(timeout_ms=200)).values():
                        found += some
            return sorted(found, key=lambda one: (one.partition, one.offset))
        finally:
            await consumer.stop()

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it again on the same port and directory."""
        with self.log.open("a") as file:
            self.process = subprocess.Popen(self.command, stderr=file, text=True, env=_environment())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def start(kafka: str, space: str, directory: Path, *flags: str) -> RunningCollector:
    port, log = free_port(), directory / "collector.log"
    command = [sys.executable, "-m", "funnelcast", "collector", "--port", str(port), "--kafka", kafka, "--space", space]
    command += ["--state-dir", str(directory), *flags]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, text=True, env=_environment())
    return RunningCollector(process, f"http://127.0.0.1:{port}", kafka, Topics(space), log, command)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FUNNELCAST_")}
