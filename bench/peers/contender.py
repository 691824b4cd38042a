"""What every contender is to the run: processes that count a log and tell how far they are. Measures nothing itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.children import scratch
from bench.peers.job import Cells
from funnelcast.processes import leash

TAIL_BYTES = 3000
PARTITIONS = 8
LEADER_SECONDS = 30.0


class ContenderError(Exception):
    """A contender that cannot be built, has ended or stands still; the text says why."""


@dataclass(frozen=True, slots=True)
class JobLog:
    """A log of the job, and what is right for it."""

    space: str
    topic: str
    records: int
    distinct: int
    people: int
    right: Cells


class Running(Protocol):
    """A contender at work."""

    @property
    def pids(self) -> list[int]:
        """Its processes; their children count as theirs."""

    async def progress(self) -> float:
        """Share of the log that is counted and told: 1 at the end. Raises ContenderError when a process has ended."""

    async def cells(self) -> Cells:
        """What is counted so far."""

    def tail(self) -> str:
        """The end of what it printed."""


Contender = Callable[[str, JobLog], AbstractAsyncContextManager[Running]]
"""Called with the broker's address and a log; started from nothing, and nothing of it is left afterwards."""


class Program:
    """A peer in a process of its own, which tells absolute counts of cells in a compacted topic.

    Keys end in `stage|channel`; what stands before is the peer's own (a partition). Values are JSON arrays: events,
    entries, advanced.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, log: Path, *, job: JobLog, results: AIOKafkaConsumer
    ) -> None:
        self._process, self._log, self._job, self._results = process, log, job, results
        self._counts: dict[bytes, tuple[int, int, int]] = {}

    @property
    def pids(self) -> list[int]:
        """The one process."""
        return [self._process.pid]

    async def progress(self) -> float:
        """By the events that are told."""
        for batch in (await self._results.getmany(timeout_ms=50)).values():
            self._counts |= {record.key or b"": tuple(json.loads(record.value or b"")) for record in batch}
        if self._process.returncode is not None:
            raise ContenderError(f"it ended with exit code {self._process.returncode}:\n{self.tail()}")
        return sum(events for events, _, _ in self._counts.values()) / self._job.distinct

    def tail(self) -> str:
        """Both of its outputs."""
        return self._log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")

    async def cells(self) -> Cells:
        """The sum over partitions, where the peer has counts of each."""
        cells: Cells = {}
        for key, counts in self._counts.items():
            stage, channel = key.decode().split("|")[-2:]
            events, entries, advanced = cells.get((stage, channel), (0, 0, 0))
            cells[stage, channel] = (events + counts[0], entries + counts[1], advanced + counts[2])
        return cells


def program(name: str, command: Callable[[], list[str]], *last: str, logs: Sequence[str] = ()) -> Contender:
    """A peer started as `command` with the arguments KAFKA TOPIC RESULTS DIRECTORY, and `last`.

    `command` is called in another thread and may raise ContenderError. `logs`: of a peer that would otherwise make the
    topics behind its tables when it starts, and take the partitions that have a leader at once for all of them; each
    begins with the topic of the results.
    """

    @asynccontextmanager
    async def running(kafka: str, job: JobLog) -> AsyncIterator[Running]:
        results = f"{name}-{os.urandom(4).hex()}-counts"
        await _compacted(kafka, {results: 1} | {results + log: PARTITIONS for log in logs})
        async with scratch() as directory, _consumer(kafka, results) as consumer:
            argv = [*await asyncio.to_thread(command), kafka, job.topic, results, str(directory), *last]
            log = directory / "output.log"
            with log.open("wb") as file:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", str(leash.__file__), str(os.getpid()), *argv),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    cwd=directory,
                    start_new_session=True,
                )
            try:
                yield Program(process, log, job=job, results=consumer)
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    return running


async def _compacted(kafka: str, topics: Mapping[str, int]) -> None:
    """Create topics, by their partitions; returns when every partition has a leader."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        new = [NewTopic(name, many, 1, topic_configs={"cleanup.policy": "compact"}) for name, many in topics.items()]
        await admin.create_topics(new)
        async with asyncio.timeout(LEADER_SECONDS):
            while await _led(admin, list(topics)) != topics:  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def _led(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, int]:
    """How many partitions of each topic have a leader."""
    return {
        one["topic"]: sum(each["error_code"] == 0 for each in one["partitions"])
        for one in await admin.describe_topics(topics)
    }


@asynccontextmanager
async def _consumer(kafka: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed")
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        yield consumer
    finally:
        await consumer.stop()
