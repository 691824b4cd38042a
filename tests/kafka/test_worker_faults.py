"""Worker processes on Apache Kafka: rebalances measured; faults that would make numbers wrong refused loudly."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from funnelcast.stack.real_kafka import RealKafka
from schemas.topics import Topics
from streams.admin import delete_topics, ensure_topics
from streams.store.connection import connect
from streams.store.redis import RedisPartitionStore
from tests.support.command import run_command
from tests.support.kafka import own_kafka, real_kafka
from tests.support.tally import FUNNEL_ID, Tally, tallies
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until
from tests.support.workers import fill, producing

__all__ = ["own_kafka", "real_kafka"]
pytestmark = pytest.mark.kafka
PARTITIONS = 8
SURVIVOR_PAUSE_SECONDS = 0.2
TAKEOVER_SECONDS = 2.0


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


class Process:
    """One worker process."""

    def __init__(self, name: str, directory: Path, arguments: list[str]) -> None:
        self.journal = directory / f"{name}.journal"
        self.journal.touch()
        self.log = directory / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.tally_worker", "--journal", str(self.journal), *arguments],
                stdout=log,
                stderr=log,
            )

    def applies(self) -> list[tuple[float, int, int]]:
        """(monotonic seconds, partition, records) of every apply so far."""
        lines = self.journal.read_text().splitlines()
        return [(float(a), int(b), int(c)) for a, b, c in (line.split() for line in lines if line.count(" ") == 2)]

    def partitions(self, since: float) -> set[int]:
        """Partitions it applied to since then."""
        return {partition for at, partition, _ in self.applies() if at >= since}

    def send(self, number: signal.Signals) -> float:
        """Send a signal; when."""
        self._process.send_signal(number)
        return time.monotonic()

    async def code(self) -> int:
        """Exit code, waited for."""
        await until(lambda: self._process.poll() is not None, what=f"the end of {self.log}")
        assert self._process.returncode is not None
        return self._process.returncode

    def said(self) -> str:
        """Its log."""
        return self.log.read_text()

    def end(self) -> None:
        """Make sure it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()


class Site:
    """A space on a broker, its store, its workers, a steady stream of records."""

    def __init__(self, kafka: RealKafka, valkey: ValkeyServer, space: str, directory: Path) -> None:
        self.kafka = kafka
        self.topics = Topics(space)
        self.partitions = PARTITIONS
        self.client = connect(valkey.url)
        self.store = RedisPartitionStore(self.client, space)
        self.sent = 0
        self._directory = directory
        self._arguments = ["--kafka", kafka.bootstrap, "--redis", valkey.url, "--space", space]
        self._workers: list[Process] = []

    async def create(self, partitions: int = PARTITIONS) -> None:
        """The topics."""
        self.partitions = partitions
        await ensure_topics(self.kafka.bootstrap, self.topics, partitions=partitions)

    def worker(self, *arguments: str) -> Process:
        """Start a worker."""
        worker = Process(f"w{len(self._workers)}", self._directory, [*self._arguments, *arguments])
        self._workers.append(worker)
        return worker

    async def command(self, *arguments: str) -> tuple[int, bytes, str]:
        """`funnelcast ARGUMENTS` in this space."""
        env = {
            "FUNNELCAST_KAFKA": self.kafka.bootstrap,
            "FUNNELCAST_REDIS": self._arguments[3],
            "FUNNELCAST_SPACE": self._arguments[5],
        }
        return await asyncio.to_thread(run_command, *arguments, state_dir=self._directory, env=env)

    async def send(self, producer: AIOKafkaProducer, each: int) -> None:
        """Write `each` records to every partition."""
        await fill(producer, self.topics.events, [each] * self.partitions)
        self.sent += each * self.partitions

    @contextlib.asynccontextmanager
    async def steady(self, pause: float = 0.02) -> AsyncIterator[None]:
        """One record per partition every `pause` seconds until the block ends."""
        over = asyncio.Event()

        async def run() -> None:
            async with producing(self.kafka.bootstrap, is_idempotent=True) as producer:
                while not over.is_set():
                    await self.send(producer, 1)
                    await asyncio.sleep(pause)

        task = asyncio.create_task(run())
        try:
            yield
        finally:
            over.set()
            await task

    async def counts(self) -> list[Tally]:
        """What the store holds."""
        return await tallies(self.store, self.partitions)

    async def exact(self) -> None:
        """Wait until all that was sent is counted, once."""

        async def reached() -> bool:
            return sum(tally.count for tally in await self.counts()) >= self.sent

        await until(reached, what=f"{self.sent} counted")
        counts = await self.counts()
        assert all(tally.is_exact for tally in counts), counts
        assert sum(tally.count for tally in counts) == self.sent

    async def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.end()
        await self.client.aclose()


@pytest.fixture
async def site(real_kafka: RealKafka, valkey: ValkeyServer, fresh_space: str, tmp_path: Path) -> AsyncIterator[Site]:
    space = Site(real_kafka, valkey, fresh_space, tmp_path)
    try:
        yield space
    finally:
        await space.close()


@contextlib.asynccontextmanager
async def admin(kafka: RealKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


def longest_pause(worker: Process, partitions: set[int], since: float) -> float:
    """Longest time between two applies of one of these partitions."""
    times: dict[int, list[float]] = {partition: [] for partition in partitions}
    for seconds, partition, _ in worker.applies():
        if seconds >= since and partition in times:
            times[partition].append(seconds)
    return max(after - before for applies in times.values() for before, after in itertools.pairwise(applies))


async def _owns(worker: Process, count: int) -> None:
    await until(
        lambda: len(worker.partitions(time.monotonic() - 0.5)) == count,
        what=f"{worker.log} works on {count} partitions",
    )


class Rebalance(NamedTuple):
    """What a join and a leave of a second worker cost, in seconds."""

    join_pause: float
    leave_pause: float
    takeover: float


async def _join_and_leave(site: Site, first: Process) -> Rebalance:
    """A second worker comes, and goes by SIGTERM, under a steady stream of records."""
    await _owns(first, PARTITIONS)
    began = time.monotonic()
    second = site.worker()
    await _owns(second, PARTITIONS // 2)
    await _owns(first, PARTITIONS // 2)
    stayed, moved = first.partitions(time.monotonic() - 0.3), second.partitions(began)
    # The start of the second process takes the processor from the first one: only the rebalance is measured.
    joined = longest_pause(first, stayed, min(at for at, _, _ in second.applies()) - 1.0)
    left_at = second.send(signal.SIGTERM)
    await _owns(first, PARTITIONS)
    assert await second.code() == 0
    since = [(seconds, number) for seconds, number, _ in first.applies() if seconds > left_at]
    takeover = max(min(seconds for seconds, number in since if number == partition) for partition in moved) - left_at
    return Rebalance(joined, longest_pause(first, stayed, left_at - 0.2), takeover)


async def test_a_rebalance_hardly_stops_the_survivor_and_sigterm_hands_over_at_once(site: Site) -> None:
    await site.create()
    first = site.worker()
    tries: list[Rebalance] = []
    async with site.steady():
        while len(tries) < 3:  # a busy machine adds its own pauses: the least is nearest to what a rebalance costs
            tries.append(await _join_and_leave(site, first))
            if max(tries[-1].join_pause, tries[-1].leave_pause) <= SURVIVOR_PAUSE_SECONDS:
                break
    await site.exact()
    best = Rebalance(*(min(values) for values in zip(*tries, strict=True)))
    print(
        f"\nsurvivor's pause: {best.join_pause:.3f} s at a join, {best.leave_pause:.3f} s at a leave; "
        f"takeover after SIGTERM: {best.takeover:.3f} s (tries: {len(tries)})"
    )
    assert best.join_pause <= SURVIVOR_PAUSE_SECONDS
    assert best.leave_pause <= SURVIVOR_PAUSE_SECONDS
    assert best.takeover <= TAKEOVER_SECONDS


async def test_kafka_shows_how_far_the_counting_is(site: Site) -> None:
    await site.create(2)
    site.worker()
    async with producing(site.kafka.bootstrap, is_idempotent=True) as producer:
        await site.send(producer, 50)
        await site.exact()
    async with admin(site.kafka) as client:

        async def committed() -> bool:
            offsets = await client.list_consumer_group_offsets(site.topics.group)
            return [offset.offset for _, offset in sorted(offsets.items())] == [50, 50]

        await until(committed, what="the applied cursors committed for lag displays")


async def test_a_killed_worker_is_replaced_and_a_frozen_one_is_fenced(site: Site) -> None:
    await site.create()
    first, second = site.worker(), site.worker()
    async with site.steady():
        await _owns(first, PARTITIONS // 2)
        await _owns(second, PARTITIONS // 2)
        second.send(signal.SIGKILL)
        await _owns(first, PARTITIONS)
        third = site.worker()
        await _owns(third, PARTITIONS // 2)
        first.send(signal.SIGSTOP)
        await _owns(third, PARTITIONS)
        first.send(signal.SIGCONT)
        await _owns(first, PARTITIONS // 2)
    await site.exact()
    first.send(signal.SIGTERM)
    assert await first.code() == 0


async def test_on_one_machine_nobody_waits_for_the_session_of_a_killed_worker(site: Site, tmp_path: Path) -> None:
    await site.create()
    shared = ("--data-dir", str(tmp_path / "shared"), "--session", "600")
    first, second = site.worker(*shared), site.worker(*shared)
    async with site.steady():
        await _owns(first, PARTITIONS // 2)
        await _owns(second, PARTITIONS // 2)
        second.send(signal.SIGKILL)
        await _owns(first, PARTITIONS)
        first.send(signal.SIGKILL)
        successor = site.worker(*shared)
        await _owns(successor, PARTITIONS)
    await site.exact()
    for worker in (first, successor):
        assert "dead_member_taken_out" in worker.said()
    successor.send(signal.SIGTERM)
    assert await successor.code() == 0
    assert list((tmp_path / "shared" / "members").rglob("*.member")) == []


async def test_records_deleted_below_the_cursor_are_refused_and_accepted_only_by_a_human(site: Site) -> None:
    await site.create(2)
    async with producing(site.kafka.bootstrap, is_idempotent=True) as producer:
        await site.send(producer, 50)
        worker = site.worker()
        await site.exact()
        worker.send(signal.SIGTERM)
        await worker.code()
        before = await site.counts()
        await site.send(producer, 100)
    async with admin(site.kafka) as client:
        await client.delete_records({TopicPartition(site.topics.events, 0): RecordsToDelete(120)})
    worker = site.worker()
    assert await worker.code() == 70
    said = worker.said()
    assert "70 records were deleted before they were counted" in said
    assert "funnelcast gaps accept --partition 0 --offset 120" in said
    assert (await site.counts())[0] == before[0]
    code, _, refused = await site.command("gaps", "accept", "--partition", "0", "--offset", "119", "--reason", "typo")
    assert code == 70
    assert "the log holds offsets 120 to 150" in refused
    code, _, refused = await site.command("gaps", "accept", "--partition", "0", "--offset", "151", "--reason", "typo")
    assert code == 70
    code, _, refused = await site.command("gaps", "accept", "--partition", "0", "--offset", "120", "--reason", "disk")
    assert code == 0, refused
    code, listed, _ = await site.command("gaps", "list", "--json")
    assert code == 0
    (gap,) = json.loads(listed)
    assert "disk" in gap.values()
    worker = site.worker()

    async def done() -> bool:
        return [tally.offset for tally in await site.counts()] == [150, 150]

    await until(done, what="the rest is counted")
    assert [tally.count for tally in await site.counts()] == [80, 150]


async def test_a_log_start_that_overtakes_a_running_worker_is_refused(site: Site) -> None:
    await site.create(1)
    worker = site.worker()
    async with producing(site.kafka.bootstrap, is_idempotent=True) as producer:
        await site.send(producer, 50)
        await site.exact()
        worker.send(signal.SIGSTOP)
        await site.send(producer, 200_000)
        async with admin(site.kafka) as client:
            await client.delete_records({TopicPartition(site.topics.events, 0): RecordsToDelete(180_000)})
        worker.send(signal.SIGCONT)
    assert await worker.code() == 70
    assert "records were deleted before they were counted" in worker.said()
    (tally,) = await site.counts()
    assert tally.is_exact
    assert tally.offset < 180_000


async def test_a_cursor_beyond_the_end_is_refused(site: Site) -> None:
    await site.create(1)
    async with producing(site.kafka.bootstrap, is_idempotent=True) as producer:
        await site.send(producer, 10)
    await site.store.claim(0, [FUNNEL_ID])
    await site.store.accept_gap(0, 400, "test")
    worker = site.worker()
    assert await worker.code() == 70
    assert "beyond the end of the log at 10" in worker.said()
    assert "new space" in worker.said()
    assert "gaps accept" not in worker.said()
    fence = await site.store.peek(0)
    assert fence is not None
    assert fence.offset == 400


async def test_a_recreated_topic_is_refused_by_a_running_and_by_a_new_worker(site: Site) -> None:
    await site.create(2)
    worker = site.worker()
    async with producing(site.kafka.bootstrap, is_idempotent=True) as producer:
        await site.send(producer, 50)
        await site.exact()
    before = await site.counts()
    await delete_topics(site.kafka.bootstrap, site.topics)
    await site.create(2)
    async with producing(site.kafka.bootstrap, is_idempotent=True) as producer:
        await site.send(producer, 500)
    assert await worker.code() == 70
    assert "--space" in worker.said()
    assert await site.counts() == before
    again = site.worker()
    assert await again.code() == 70
    assert "identity" in again.said()
    assert await site.counts() == before


async def test_partitions_that_were_added_are_refused(site: Site) -> None:
    await site.create(2)
    worker = site.worker()
    async with producing(site.kafka.bootstrap, is_idempotent=True) as producer:
        await site.send(producer, 50)
        await site.exact()
    before = await site.counts()
    async with admin(site.kafka) as client:
        await client.create_partitions({site.topics.events: NewPartitions(4)})
    assert await worker.code() == 70
    assert "has 4 partitions, the counters were made with 2" in worker.said()
    again = site.worker()
    assert await again.code() == 70
    assert await site.counts() == before


async def test_a_session_time_the_broker_refuses_ends_the_start(site: Site) -> None:
    await site.create(1)
    worker = site.worker("--session", "2", "--start", "4")
    assert await worker.code() == 75
    assert "group.min.session.timeout.ms" in worker.said()


async def test_a_broker_killed_and_restarted_under_load_costs_no_record(
    own_kafka: RealKafka, valkey: ValkeyServer, fresh_space: str, tmp_path: Path
) -> None:
    site = Site(own_kafka, valkey, fresh_space, tmp_path)
    try:
        await site.create(4)
        workers = [site.worker(), site.worker()]
        over = asyncio.Event()

        async def stream() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=own_kafka.bootstrap, enable_idempotence=True, linger_ms=2)
            await producer.start()
            while not over.is_set():
                await site.send(producer, 5)
                await asyncio.sleep(0.02)
            await producer.stop()

        task = asyncio.create_task(stream())
        for worker in workers:
            await _owns(worker, 2)
        for _ in range(2):
            await own_kafka.restart(signal.SIGKILL)
            for worker in workers:
                await _owns(worker, 2)
        over.set()
        await task
        await site.exact()
        for worker in workers:
            worker.send(signal.SIGTERM)
            assert await worker.code() == 0
    finally:
        await site.close()
