"""What a contender costs: CPU of all its processes from /proc, once it is warm and from its very start."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from bench.peers.contender import Contender, ContenderError, JobLog, Running
from bench.peers.job import Cells, differences

POLL_SECONDS = 0.2
WARM_SHARE = 0.25
"""Of the log: what is counted before is not measured, but for `Run.whole_cpu`."""
STALL_SECONDS = 120.0
GRACE_SECONDS = 15.0
"""After the last event is told, what belongs to it may still be on its way."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contender over one log, its numbers right."""

    records: int
    """From the first look that found `WARM_SHARE` of the log counted."""
    seconds: float
    cpu: float
    broker_cpu: float
    """Of the broker meanwhile: what a contender writes into it."""
    whole_cpu: float
    """From the start of its processes."""
    whole_records: int
    memory: int
    """Bytes resident at the end, all processes."""

    @property
    def us(self) -> float:
        """CPU, us per record."""
        return self.cpu / self.records * 1e6

    @property
    def whole_us(self) -> float:
        """The same with the start of its processes, and of their compilers."""
        return self.whole_cpu / self.whole_records * 1e6

    @property
    def broker_us(self) -> float:
        """CPU of the broker, us per record."""
        return self.broker_cpu / self.records * 1e6


def cpu_of(pids: Iterable[int]) -> float:
    """CPU seconds of processes so far with all their children, those that have ended included."""
    total = 0.0
    for process in _trees(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_of(pids: Iterable[int]) -> int:
    """Bytes resident."""
    total = 0
    for process in _trees(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _trees(pids: Iterable[int]) -> list[psutil.Process]:
    try:
        roots = [psutil.Process(pid) for pid in pids]
        return roots + [child for root in roots for child in root.children(recursive=True)]
    except psutil.NoSuchProcess as error:
        raise ContenderError(f"a process of it has ended while it counted: {error}") from None


async def measured(contender: Contender, kafka: str, *, job: JobLog, broker: int) -> Run:
    """Start it, wait until it has counted the log, compare its numbers. Raises ContenderError."""
    async with contender(kafka, job) as running:
        reached, deadline = 0.0, time.monotonic() + STALL_SECONDS
        first: tuple[float, float, float, float] | None = None
        while reached < 1:
            share, now = await running.progress(), time.monotonic()
            if share > reached:
                reached, deadline = share, now + STALL_SECONDS
                if first is None and share >= WARM_SHARE:
                    first = (share, now, cpu_of(running.pids), cpu_of([broker]))
            if now > deadline:
                raise ContenderError(
                    f"it stands at {reached:.1%} of the log for {STALL_SECONDS:.0f} s\n{running.tail()}"
                )
            await asyncio.sleep(POLL_SECONDS)
        ended, cpu, broker_cpu = time.monotonic(), cpu_of(running.pids), cpu_of([broker])
        memory = memory_of(running.pids)
        await _right(running, job.right)
    assert first is not None
    share, began, first_cpu, first_broker = first
    records = round(job.records * (1 - share))
    if not records:
        raise ContenderError("the log was over at the first look: give it more events")
    return Run(
        records=records,
        seconds=ended - began,
        cpu=cpu - first_cpu,
        broker_cpu=broker_cpu - first_broker,
        whole_cpu=cpu,
        whole_records=job.records,
        memory=memory,
    )


async def _right(running: Running, right: Cells) -> None:
    """Its numbers are those of the reference. Raises ContenderError."""
    deadline = time.monotonic() + GRACE_SECONDS
    while wrong := differences(await running.cells(), right):
        if time.monotonic() > deadline:
            raise ContenderError(f"its numbers are wrong: {wrong}")
        await asyncio.sleep(POLL_SECONDS)
        await running.progress()
