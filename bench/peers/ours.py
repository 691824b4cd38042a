"""Our worker and its Valkey at the job: the processes that `funnelcast worker` means, and what `report` tells."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.children import valkey
from bench.log import PARTITIONS
from bench.peers.contender import ContenderError, JobLog, Running
from bench.peers.job import Cells
from funnelcast.processes.child import Child
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.supervise import Supervisor
from streams.store.redis import RedisPartitionStore

FUNNEL = Path(__file__).with_name("funnel.yaml").resolve()


class Worker:
    """One worker on an empty store."""

    def __init__(self, job: JobLog, store: RedisPartitionStore, *, worker: Child, server: Child, redis: str) -> None:
        self._job, self._store, self._worker, self._server, self._redis = job, store, worker, server, redis

    @property
    def pids(self) -> list[int]:
        """Worker and Valkey."""
        return [pid for pid in (self._worker.pid, self._server.pid) if pid is not None]

    async def progress(self) -> float:
        """By the records that are applied."""
        if self._worker.restarts or self._worker.failure:
            raise ContenderError(f"the worker has ended:\n{self._worker.tail()}")
        fences = await asyncio.gather(*(self._store.peek(number) for number in range(PARTITIONS)))
        return sum(fence.offset for fence in fences if fence is not None) / self._job.records

    def tail(self) -> str:
        """The worker's log."""
        return self._worker.tail()

    async def cells(self) -> Cells:
        """As `funnelcast report` has them."""
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "funnelcast", "report", "--json", "--grain", "total", "--dim", "channel"),
            *("--funnel", str(FUNNEL), "--space", self._job.space, "--redis", self._redis),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await child.communicate()
        if child.returncode != 0:
            raise ContenderError(f"report failed:\n{err.decode()[-2000:]}")
        return cells_of(json.loads(out))


@asynccontextmanager
async def ours(kafka: str, job: JobLog) -> AsyncIterator[Running]:
    """A contender (`bench.peers.contender`)."""
    async with valkey(kafka) as (stack, client), Supervisor(stack.directory) as supervisor:
        deployment = Deployment(
            kafka=kafka, redis=stack.redis, space=job.space, funnels=(str(FUNNEL),), directory=stack.directory
        )
        worker = await supervisor.start(deployment.worker(1))
        yield Worker(job, RedisPartitionStore(client, job.space), worker=worker, server=stack.valkey, redis=stack.redis)


def cells_of(document: Any) -> Cells:
    """The job's cells of a counters document."""
    (dimsets,) = document["counters"]["total"].values()
    return {
        (stage, dimset.removeprefix("channel=")): (
            counts.get("events", 0),
            counts.get("entries", 0),
            counts.get("advanced.cohort", 0),
        )
        for dimset, stages in dimsets.items()
        if dimset.startswith("channel=")
        for stage, counts in stages.items()
    }
