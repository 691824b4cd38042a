"""What the store costs: server CPU and Python CPU of an apply, bytes per person and per cell, the price of reads.

`python -m bench.store_apply [--persons 1250 25000 250000] [--binary redis-server]`: persons of one partition. Starts a
server of its own with default settings. Server CPU is the main thread's (INFO cpu), so other load on the machine
changes it little; the longest apply is wall time inside the server and does feel other load.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from schemas.counters import CellGroup, Cells, cell_field
from streams.state import PERSON_BUCKETS, Fence, FunnelWrites, PartitionMeta, Writes
from streams.store.address import Client
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from tests.support.valkey import ValkeyServer

FUNNEL_ID = "sales@1"
CHANGED_PERSONS, CHANGED_CELLS, GROUPS = 2_000, 400, 30
APPLIES = 60


class Bench:
    """One partition on one fresh server."""

    def __init__(self, client: Client, people: int) -> None:
        self.client, self.people = client, people
        self.store, self.reader = RedisPartitionStore(client, "bench"), RedisCounterReader(client, "bench")
        self.rng = random.Random(people)
        self.keys = [b"u:%028x" % self.rng.getrandbits(112) for _ in range(people)]
        self.fence = Fence(0, 0, 0)
        self.numbers: dict[str, float] = {}

    async def run(self) -> dict[str, float]:
        """Every figure, by name."""
        claim = await self.store.claim(0, [FUNNEL_ID])
        self.fence = Fence(claim.token, claim.offset, claim.seq)
        await self._fill()
        await self._steady()
        await self._persons_alone()
        await self._reads()
        await self._cells()
        return self.numbers

    async def _fill(self) -> None:
        await self._apply(self._writes([], 0))
        before = await self._memory()
        for start in range(0, self.people, CHANGED_PERSONS):
            await self._apply(self._writes(self.keys[start : start + CHANGED_PERSONS], 0))
        self.numbers["bytes/person"] = (await self._memory() - before) / self.people

    async def _steady(self) -> None:
        count = min(CHANGED_PERSONS, self.people)
        jobs = [self._writes(self.rng.sample(self.keys, count), CHANGED_CELLS) for _ in range(APPLIES)]
        for job in jobs[:10]:
            await self._apply(job)
        server, python, longest = await self._measured(jobs[10:], self._apply)
        self.numbers["apply server ms"] = server
        self.numbers["apply longest ms"] = longest
        self.numbers["apply python ms"] = python

    async def _persons_alone(self) -> None:
        count = min(CHANGED_PERSONS, self.people)
        jobs = [self._writes(self.rng.sample(self.keys, count), 0) for _ in range(20)]
        server, _, _ = await self._measured(jobs, self._apply)
        self.numbers["server us/person"] = server * 1000 / count

    async def _reads(self) -> None:
        samples = [self.rng.sample(self.keys, min(1000, self.people)) for _ in range(20)]
        server, python, _ = await self._measured(samples, lambda keys: self.store.read(0, FUNNEL_ID, persons=keys))
        self.numbers["read 1,000 persons server ms"] = server
        self.numbers["read 1,000 persons python ms"] = python
        buckets = [[bucket] for bucket in range(0, PERSON_BUCKETS, 8)]
        server, python, _ = await self._measured(buckets, lambda some: self.store.read(0, FUNNEL_ID, buckets=some))
        self.numbers["load a bucket server ms"] = server
        self.numbers["load a bucket python ms"] = python

    async def _cells(self) -> None:
        before, total = await self._memory(), 0
        for minute in range(10_000, 10_120):
            cells: Cells = {
                (1, minute, dimset): {
                    cell_field(value, 0, stage): self._cell() for value in range(50) for stage in range(6)
                }
                for dimset in (1, 2)
            }
            total += sum(map(len, cells.values()))
            await self._apply(Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: FunnelWrites(cells=cells)}))
        self.numbers["bytes/cell"] = (await self._memory() - before) / total
        views = [{"since": {1: 10_060}, "until": {1: 10_119}}] * 10
        server, python, _ = await self._measured(
            views, lambda bounds: self.reader.view(0, FUNNEL_ID, grains=[1], dimsets=[1], **bounds)
        )
        self.numbers["view of 18,000 cells server ms"] = server
        self.numbers["view of 18,000 cells python ms"] = python

    async def _measured(self, jobs: list[Any], job: Callable[[Any], Awaitable[Any]]) -> tuple[float, float, float]:
        """(server CPU, Python CPU, longest apply inside the server), milliseconds per job."""
        await self.client.execute_command("CONFIG", "RESETSTAT")
        await self.client.execute_command("CONFIG", "SET", "slowlog-log-slower-than", 500)
        await self.client.execute_command("SLOWLOG", "RESET")
        server, python = await self._server_cpu(), time.process_time()
        for argument in jobs:
            await job(argument)
        python = time.process_time() - python
        server = await self._server_cpu() - server
        slow = await self.client.slowlog_get(128)
        longest = max((int(entry["duration"]) for entry in slow), default=0) / 1000
        return server / len(jobs) * 1000, python / len(jobs) * 1000, longest

    async def _apply(self, writes: Writes) -> None:
        fence = self.fence
        assert await self.store.apply(0, fence, fence.offset + 1, writes)
        self.fence = Fence(fence.token, fence.offset + 1, fence.seq + 1)

    def _writes(self, persons: list[bytes], cells: int) -> Writes:
        states: dict[bytes, bytes | None] = {key: self.rng.randbytes(self.rng.randrange(75, 91)) for key in persons}
        changed: Cells = {}
        for _ in range(cells):
            n = self.rng.randrange(GROUPS)
            group: CellGroup = (n % 4, 1000 + n // 12 if n % 4 else 0, n % 3)
            changed.setdefault(group, {})[cell_field(self.rng.randrange(20), 0, self.rng.randrange(6))] = self._cell()
        return Writes(meta=PartitionMeta(), funnels={FUNNEL_ID: FunnelWrites(persons=states, cells=changed)})

    def _cell(self) -> dict[int, int]:
        return {code: self.rng.randrange(1, 5000) for code in (1, 2, 3, 6, 8)}

    async def _memory(self) -> int:
        memory = await self.client.info("memory")
        return int(memory["used_memory"]) - int(memory["mem_clients_normal"])

    async def _server_cpu(self) -> float:
        cpu = await self.client.info("cpu")
        return float(cpu["used_cpu_user_main_thread"]) + float(cpu["used_cpu_sys_main_thread"])


async def measure(people: int, binary: str | None) -> dict[str, float]:
    """One run on a fresh server."""
    with tempfile.TemporaryDirectory() as directory:
        server = ValkeyServer(Path(directory), binary=binary)
        server.start()
        client = connect(server.url)
        try:
            return await Bench(client, people).run()
        finally:
            await close(client)
            server.kill()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, nargs="+", default=[1_250, 25_000, 250_000])
    parser.add_argument("--binary", default=None)
    arguments = parser.parse_args()
    columns = [asyncio.run(measure(people, arguments.binary)) for people in arguments.persons]
    print(f"{'persons in the partition':32}" + "".join(f"{people:>12,}" for people in arguments.persons))
    for name in columns[0]:
        print(f"{name:32}" + "".join(f"{column[name]:12.2f}" for column in columns))


if __name__ == "__main__":
    main()
