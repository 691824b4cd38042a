"""The collector's price: acknowledged requests per second and CPU, beside a bare ASGI echo on the same server.

The echo does everything of HTTP and nothing of events; both meet the same load in the same repetition. "Per core" is a
second of the collector's own CPU time: on a small machine the load and the broker need the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.children import cpu_seconds, measured_child, scratch
from bench.table import Figures
from funnelcast.ports import free_port
from funnelcast.services import status_of
from schemas.topics import Topics
from streams.admin import ensure_topics

START_SECONDS = 30.0
BATCH = 50
SINGLE_TARGET, BATCH_TARGET = 6_000, 60_000


async def measure(kafka: str, space: str, seconds: float, figures: Figures) -> None:
    """One repetition; `space` must not be used by another."""
    await ensure_topics(kafka, Topics(space), partitions=8)
    async with scratch() as directory:
        collector = ("funnelcast", "collector", "--open", "--kafka", kafka, "--space", space)
        async with _server(*collector, "--state-dir", str(directory), path="/readyz") as (port, pid):
            single, batch = await _load(port, pid, 1, seconds), await _load(port, pid, BATCH, seconds)
    async with _server("bench.echo", path="/") as (port, pid):
        bare, bare_batch = await _load(port, pid, 1, seconds), await _load(port, pid, BATCH, seconds)
    _note(figures, "single", single, bare, SINGLE_TARGET)
    _note(figures, f"batches of {BATCH}", batch, bare_batch, BATCH_TARGET)
    figures.add("collector: single, time to answer p99", single["p99_ms"], "ms")


def _note(figures: Figures, name: str, ours: dict[str, float], bare: dict[str, float], target: int) -> None:
    per_core = ours["events"] / ours["cpu_seconds"]
    figures.add(
        f"collector: {name}, acknowledged events", per_core, "per s and core", target=target, is_lower_better=False
    )
    figures.add(
        f"collector: {name}, acknowledged requests", ours["requests_per_second"], "per s", is_lower_better=False
    )
    us, bare_us = (one["cpu_seconds"] * 1e6 / one["requests"] for one in (ours, bare))
    figures.add(f"collector: {name}, CPU", us * ours["requests"] / ours["events"], "us/event")
    figures.add(f"collector: {name}, CPU of a request over a bare echo's", us / bare_us, "x")


async def _load(port: int, pid: int, batch: int, seconds: float) -> dict[str, float]:
    url, size = f"http://127.0.0.1:{port}/v1/events", str(batch)
    await measured_child("bench.load", url, "--batch", size, "--seconds", "1")  # warm
    before = cpu_seconds(pid)
    found = await measured_child("bench.load", url, "--batch", size, "--seconds", str(seconds))
    if found["errors"]:
        raise RuntimeError(f"{found['errors']:.0f} of {found['requests']:.0f} requests were not answered with 200")
    return found | {"cpu_seconds": cpu_seconds(pid) - before}


@asynccontextmanager
async def _server(module: str, *arguments: str, path: str) -> AsyncIterator[tuple[int, int]]:
    """A server of ours on a free port: (port, pid)."""
    port = free_port()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, "--port", str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while await status_of(port, path) != 200:
            if child.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{module} did not come up")
            await asyncio.sleep(0.1)
        yield port, child.pid
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


async def _alone(options: argparse.Namespace) -> None:
    from funnelcast.realkafka import RealKafka

    figures = Figures()
    async with RealKafka() as kafka:
        for number in range(1, options.repeat + 1):
            await measure(kafka.bootstrap, f"collector{number}", options.seconds, figures)
    print(figures.text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.collector", description=__doc__)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    asyncio.run(_alone(parser.parse_args()))
