"""An archive that is killed again and again under load, and proven: nothing is lost, nothing is double.

    python -m bench.archive [--events 1000000] [--people N] [--kills 25] [--forget 50] [--seed 1]

Apache Kafka, Valkey, a worker and `funnelcast archive --follow` run at once while the log is written; the archive's
process is killed with -9 at random. Then: plain SQL over the files counts what the worker counted; the first half of
the log is deleted from Kafka, and a recount from archive and Kafka is the live document byte for byte; people are
forgotten, and a recount is the document of a log whose first half never had them. Prints what an event costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from bench.children import scratch, valkey
from bench.log import PARTITIONS, fill
from bench.workload import SPAN_MS, START_MS, records
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.supervise import Supervisor
from funnelcast.stack.real_kafka import RealKafka
from schemas.errors import TryAgainError
from schemas.partition import partition_of
from schemas.record import encode_forget, encode_tick
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.store.address import Client
from streams.store.redis import RedisPartitionStore

SPACE, FUNNEL = "archived", "sales"
END_MS = START_MS + SPAN_MS + 60_000
LONGEST_WAIT_SECONDS = 0.3
"""Between its last word and its end: shorter and longer than a write."""
QUIET_SECONDS = 20.0
"""Without a word of it: nothing is left to be written."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much of everything."""

    events: int
    people: int
    kills: int
    forget: int
    seed: int
    flush_rows: int = 4_000
    most_writes: int = 10
    """Of an archive that is going to be killed."""

    def placed(self) -> Iterator[tuple[int, int, bytes, bytes]]:
        """(partition, offset, key, value) of every event, as `bench.log` writes them."""
        offsets: Counter[int] = Counter()
        for key, value, _ in records(self.events, people=self.people):
            partition = partition_of(key, PARTITIONS)
            yield partition, offsets[partition], key, value
            offsets[partition] += 1

    def ends(self) -> dict[int, int]:
        """By partition: events in it."""
        return dict(Counter(partition for partition, _, _, _ in self.placed()))


@dataclass(slots=True)
class Shown:
    """What a run has shown. Every `is_` must be true."""

    kills: int = 0
    is_counted_once: bool = False
    """Plain SQL over the files counts what the counters do."""
    is_recount_equal: bool = False
    """From archive and Kafka, byte for byte the live document."""
    is_recount_equal_without_forgotten: bool = False
    forgotten_rows: int = 0
    names_left: int = -1
    """Rows that still name a forgotten person."""
    from_archive: int = 0
    bytes_per_event: float = 0.0
    cpu_us_per_event: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        """Whether all of it holds."""
        is_equal = self.is_recount_equal and self.is_recount_equal_without_forgotten
        return self.is_counted_once and is_equal and not self.names_left


class Proof:
    """One run; `run` is called once, with the broker and a Valkey beside it."""

    def __init__(self, kafka: str, load: Load, *, directory: Path) -> None:
        self._kafka, self._load = kafka, load
        self._folder, self._directory = directory / "archive", directory
        self._rng = random.Random(load.seed)
        self._events = Topics(SPACE).events
        self._deployment = Deployment(kafka=kafka, redis="", space=SPACE, funnels=(FUNNEL,), directory=directory)
        self.shown = Shown()

    async def run(self) -> Shown:
        """Start, count, kill, compare."""
        async with valkey(self._kafka) as (stack, client):
            self._deployment = Deployment(
                kafka=self._kafka, redis=stack.redis, space=SPACE, funnels=(FUNNEL,), directory=self._directory
            )
            async with Supervisor(self._directory) as supervisor:
                await self._under_load(supervisor, client)
                await self._counted_once()
                await self._recounted()
                await self._without_forgotten(client)
        return self.shown

    async def _under_load(self, supervisor: Supervisor, client: Client) -> None:
        await ensure_topics(self._kafka, Topics(SPACE), partitions=PARTITIONS, historical=True)
        await supervisor.start(self._deployment.worker(1))
        _say("writing, counting, archiving, killing")
        writing = asyncio.ensure_future(self._write_log())
        try:
            while self.shown.kills < self._load.kills:
                was_at_work = await self._killed()
                self.shown.kills += was_at_work
                if writing.done() and not was_at_work:
                    break
            await writing
        finally:
            writing.cancel()
        await self._archived(self._folder)
        await self._applied(client, {partition: end + 1 for partition, end in self._load.ends().items()})

    async def _write_log(self) -> None:
        await fill(self._kafka, SPACE, events=self._load.events, people=self._load.people)
        await self._send(*((number, None, encode_tick(END_MS)) for number in range(PARTITIONS)))

    async def _killed(self) -> bool:
        """An archive that follows, killed at random in the middle of its writes; False where it had none to do."""
        rows = str(self._load.flush_rows)
        child = await self._start(
            "archive", str(self._folder), "--follow", "--flush-rows", rows, "--flush-seconds", "1"
        )
        assert child.stderr is not None
        was_at_work, said = True, b""
        try:
            for _ in range(self._rng.randint(1, self._load.most_writes)):
                async with asyncio.timeout(QUIET_SECONDS):
                    said = await child.stderr.readline() or said
            await asyncio.sleep(self._rng.uniform(0, LONGEST_WAIT_SECONDS))
        except TimeoutError:
            was_at_work = False
        if child.returncode == TryAgainError.exit_code:
            _say(f"archive: {said.decode().strip()}; again")
            return await self._killed()
        if child.returncode is not None:
            raise RuntimeError(f"the archive ended by itself with {child.returncode}: {said.decode()}")
        child.kill()
        await child.communicate()
        return was_at_work

    async def _counted_once(self) -> None:
        _say("counting the files by SQL")
        self._live = await self._command("report", "--funnel", FUNNEL, "--json")
        counted = json.loads(self._live)["counters"]["total"]["all"][""]
        by_stage = {stage: cell["events"] for stage, cell in counted.items() if "events" in cell}
        by_stage["payment"] = by_stage.pop("repeat_purchase", 0) + by_stage.get("payment", 0)
        by_name: dict[str, int] = dict(
            self._sql("SELECT name, count(DISTINCT id) FROM {} WHERE kind = 'event' GROUP BY name")
        )
        ((rows, places),) = self._sql('SELECT count(*), count(DISTINCT (partition, "offset")) FROM {}')
        self.shown.is_counted_once = by_name == by_stage and rows == places == self._load.events + PARTITIONS
        fresh = self._directory / "measured"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        await self._archived(fresh)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.shown.cpu_us_per_event = cpu / self._load.events * 1e6
        size = sum(path.stat().st_size for path in fresh.glob("day=*/*.parquet"))
        self.shown.bytes_per_event = size / self._load.events

    async def _recounted(self) -> None:
        _say("deleting the first half of the log, counting it again")
        self._kept_from = {partition: end // 2 for partition, end in self._load.ends().items()}
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        await admin.start()
        try:
            await admin.delete_records(
                {TopicPartition(self._events, p): RecordsToDelete(before) for p, before in self._kept_from.items()}
            )
        finally:
            await admin.close()
        outcome = json.loads(await self._command("recount", FUNNEL, "--archive", str(self._folder), "--json"))
        self.shown.from_archive = outcome["from_archive"]
        self.shown.figures["recount_seconds"] = outcome["seconds"]
        again = await self._command("report", "--funnel", FUNNEL, "--json")
        self.shown.is_recount_equal = again == self._live and not outcome["missing"]

    async def _without_forgotten(self, client: Client) -> None:
        _say("forgetting people, counting again without them")
        people = self._rng.sample(sorted({key for _, _, key, _ in self._load.placed()}), self._load.forget)
        await self._send(*((partition_of(key, PARTITIONS), key, encode_forget(END_MS)) for key in people))
        ends = Counter(partition_of(key, PARTITIONS) for key in people)
        await self._applied(client, {p: end + 1 + ends[p] for p, end in self._load.ends().items()})
        self.shown.forgotten_rows = await self._archived(self._folder)
        names = {key.decode().removeprefix("a:") for key in people}
        rows = self._sql("SELECT concat_ws(' ', key, record, properties, anonymous_id) FROM {}")
        self.shown.names_left = sum(not names.isdisjoint(re.findall(r"visitor-\w+-\w+", text)) for (text,) in rows)
        await self._command("recount", FUNNEL, "--archive", str(self._folder), "--json")
        counted = await self._command("report", "--funnel", FUNNEL, "--json")
        without = self._directory / "without.jsonl"
        with without.open("wb") as lines:
            for partition, offset, key, value in self._load.placed():
                if offset >= self._kept_from[partition] or key not in people:
                    lines.write(value + b"\n")
            lines.write(encode_tick(END_MS) + b"\n")
        line = ("replay", "--funnel", FUNNEL, "--events", str(without), "--partitions", str(PARTITIONS), "--json")
        self.shown.is_recount_equal_without_forgotten = counted == await self._command(*line)

    async def _archived(self, folder: Path) -> int:
        """To the end of the log; how many rows lost their names."""
        outcome = json.loads(await self._command("archive", str(folder), "--json"))
        return int(outcome["erased"])

    async def _applied(self, client: Client, ends: dict[int, int]) -> None:
        """Wait for the worker."""
        store = RedisPartitionStore(client, SPACE)
        async with asyncio.timeout(600):
            while True:
                fences = {partition: await store.peek(partition) for partition in ends}
                if all(fence is not None and fence.offset >= ends[number] for number, fence in fences.items()):
                    return
                await asyncio.sleep(0.1)

    async def _send(self, *sent: tuple[int, bytes | None, bytes]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka, enable_idempotence=True)
        await producer.start()
        try:
            for partition, key, value in sent:
                await producer.send_and_wait(self._events, value, key=key, partition=partition, timestamp_ms=END_MS)
        finally:
            await producer.stop()

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "funnelcast", *arguments),
            env=self._deployment.environment() | {"PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _command(self, *arguments: str) -> bytes:
        child = await self._start(*arguments)
        out, said = await child.communicate()
        if child.returncode == TryAgainError.exit_code:
            _say(f"{arguments[0]}: {said.decode().strip()}; again")
            return await self._command(*arguments)
        if child.returncode:
            raise RuntimeError(f"funnelcast {' '.join(arguments)} ended with {child.returncode}: {said.decode()}")
        return out

    def _sql(self, query: str) -> list[Any]:
        return duckdb.connect().execute(query.format(f"read_parquet('{self._folder}/day=*/*.parquet')")).fetchall()


def _say(text: str) -> None:
    print(f"bench.archive: {text}", file=sys.stderr, flush=True)


async def _main(load: Load) -> Shown:
    async with RealKafka(jvm=("-Xmx768m", "-XX:+UseSerialGC")) as kafka, scratch() as directory:
        return await Proof(kafka.bootstrap, load, directory=directory).run()


def main() -> int:
    """Print what was shown; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"events": 1_000_000, "people": 100_000, "kills": 25, "forget": 50, "seed": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    shown = asyncio.run(_main(Load(**vars(parser.parse_args()))))
    for name in Shown.__slots__:
        print(f"{name:<36} {getattr(shown, name)}")
    return 0 if shown.is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
