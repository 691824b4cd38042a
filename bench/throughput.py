"""Events a second and CPU per event: our worker from a log's start to its end, beside a bare reader and stock Faust."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench.children import cpu_seconds, measured_child, valkey
from bench.log import PARTITIONS, FilledLog
from bench.memory import freed_of_persons
from bench.table import Figures
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.supervise import Supervisor
from streams.admin import log_range_of
from streams.store.redis import RedisPartitionStore

POLL_SECONDS = 0.05
STALL_SECONDS = 60.0
FAUST_EVENTS = 40_000


@dataclass(frozen=True, slots=True)
class Run:
    """What one pass over a log cost, from its first applied chunks on."""

    events: int
    seconds: float
    worker_cpu: float
    store_cpu: float
    person_bytes: float
    """Of Redis for one visitor, with the account that it was linked to."""

    @property
    def worker_us(self) -> float:
        """CPU of the worker process, us per event."""
        return self.worker_cpu / self.events * 1e6

    @property
    def store_us(self) -> float:
        """CPU of the store process, us per event."""
        return self.store_cpu / self.events * 1e6


async def run_worker(kafka: str, log: FilledLog, funnel: str = "sales") -> Run:
    """One worker process on an empty store, until everything in the log is applied, what it puts there itself too."""
    async with valkey(kafka) as (stack, client):
        deployment = Deployment(
            kafka=kafka, redis=stack.redis, space=log.space, funnels=(funnel,), directory=stack.directory
        )
        store = RedisPartitionStore(client, log.space)
        store_pid = stack.valkey.pid
        async with Supervisor(stack.directory) as supervisor:
            child = await supervisor.start(deployment.worker(1))
            assert store_pid is not None
            first: tuple[int, float, float, float] | None = None
            deadline, reached, end = time.monotonic() + STALL_SECONDS, 0, await _end(kafka, log)
            while reached < end:
                fences = await asyncio.gather(*(store.peek(number) for number in range(PARTITIONS)))
                offset = sum(fence.offset for fence in fences if fence is not None)
                now = time.monotonic()
                if offset > reached:
                    reached, deadline = offset, now + STALL_SECONDS
                    if first is None:
                        assert child.pid is not None
                        first = (offset, now, cpu_seconds(child.pid), cpu_seconds(store_pid))
                if now > deadline or child.restarts or child.failure:
                    raise RuntimeError(f"the worker stands at {reached} of {end}:\n{child.tail()}")
                if reached >= end:
                    end = await _end(kafka, log)  # forwards of merges
                await asyncio.sleep(POLL_SECONDS)
            assert first is not None
            assert child.pid is not None
            began, started, worker_cpu, store_cpu = first
            return Run(
                events=log.events * (reached - began) // reached,
                seconds=time.monotonic() - started,
                worker_cpu=cpu_seconds(child.pid) - worker_cpu,
                store_cpu=cpu_seconds(store_pid) - store_cpu,
                person_bytes=await freed_of_persons(client, log.space) / log.visitors,
            )


async def _end(kafka: str, log: FilledLog) -> int:
    """How many records the log has by now."""
    ends = [await log_range_of(kafka, log.topic, partition=partition) for partition in range(PARTITIONS)]
    return sum(one.end or 0 for one in ends)


async def measure(kafka: str, logs: list[FilledLog], figures: Figures) -> None:
    """One repetition: both baselines, then the worker at every number of people."""
    middle = logs[len(logs) // 2]
    loop = await measured_child("bench.baselines", "loop", kafka, middle.topic, str(middle.events))
    loop_us = loop["cpu_seconds"] / loop["events"] * 1e6
    figures.add(
        "read loop (aiokafka, orjson)", loop["events"] / loop["seconds"], unit="events/s", is_lower_better=False
    )
    figures.add("read loop, CPU", loop_us, unit="us/event")
    faust_events = min(FAUST_EVENTS, middle.events - 1)
    faust = await measured_child("bench.baselines", "faust", kafka, middle.topic, str(faust_events))
    faust_us = faust["cpu_seconds"] / faust["events"] * 1e6
    figures.add(
        "stock Faust agent, no state", faust["events"] / faust["seconds"], unit="events/s", is_lower_better=False
    )
    figures.add("stock Faust agent, CPU", faust_us, unit="us/event")
    totals = []
    for log in logs:
        run = await run_worker(kafka, log)
        total = run.worker_us + run.store_us
        totals.append(total)
        who = f"worker, {_count(log.people)} people"
        figures.add(who, run.events / run.seconds, unit="events/s", target=60_000, is_lower_better=False)
        figures.add(f"{who}: CPU of the worker", run.worker_us, unit="us/event")
        figures.add(f"{who}: CPU of the store", run.store_us, unit="us/event")
        figures.add(f"{who}: CPU of both", total, unit="us/event")
        figures.add(f"{who}: CPU of both in read loops", total / loop_us, unit="x", target=2.9)
        if log is middle:
            figures.add("worker CPU over the read loop", run.worker_us / loop_us, unit="x")
            figures.add("stock Faust CPU over the worker", faust_us / run.worker_us, unit="x", is_lower_better=False)
    if len(totals) > 1:
        label = f"growth of CPU of both, {_count(logs[0].people)} to {_count(logs[-1].people)} people"
        figures.add(label, (totals[-1] / totals[0] - 1) * 100, unit="%", target=10)


def _count(people: int) -> str:
    return f"{people // 1_000_000} M" if people >= 1_000_000 else f"{people // 1000} k"
