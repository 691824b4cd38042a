"""The collector's price: acknowledged requests per second and CPU, beside a bare ASGI echo, and every client's format
beside our own.

An echo does everything of HTTP and nothing of events. All meet the same kind of load in the same repetition. "Per core"
is a second of the collector's own CPU time: on a small machine the load and the broker need the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.bodies import DIALECTS, WEBHOOKS
from bench.children import cpu_seconds, measured_child, scratch
from bench.table import Figures
from funnelcast.processes.deployment import status_of
from funnelcast.processes.ports import free_port
from schemas.topics import Topics
from streams.admin import ensure_topics

START_SECONDS = 30.0
BATCH = 50
SINGLE_TARGET, BATCH_TARGET = 8_500, 100_000
ECHO_TARGET, FORMAT_TARGET, HALF_LOAD_TARGET_MS = 0.27, 0.7, 50
Load = dict[str, float]


async def measure(kafka: str, space: str, seconds: float, figures: Figures) -> None:
    """One repetition; `space` must not be used by another."""
    await ensure_topics(kafka, Topics(space), partitions=8)
    async with scratch() as directory:
        hooks = directory / "webhooks.yaml"
        hooks.write_text(WEBHOOKS)
        collector = ("funnelcast", "collector", "--open", "--kafka", kafka, "--space", space)
        files = ("--state-dir", str(directory), "--webhooks", str(hooks))
        async with _server(*collector, *files, path="/readyz") as (port, pid):
            single = await _load(port, pid=pid, batch=1, seconds=seconds)
            batch = await _load(port, pid=pid, batch=BATCH, seconds=seconds)
            rate = single["requests_per_second"] / 2
            half = await _load(port, pid=pid, batch=1, seconds=seconds, rate=rate)
            formats = await _formats(port, pid, seconds=seconds / 2)
    async with _server("bench.echo", path="/") as (port, pid):
        ours = await _load(port, pid=pid, batch=1, seconds=seconds)
    async with _server("bench.echo", "--stock", path="/") as (port, pid):
        stock = await _load(port, pid=pid, batch=1, seconds=seconds)
    _note(figures, "single", found=single, target=SINGLE_TARGET)
    _note_echo(figures, "uvicorn's own connection", found=single, bare=stock, target=ECHO_TARGET)
    _note_echo(figures, "the collector's connection", found=single, bare=ours, target=None)
    _note(figures, f"batches of {BATCH}", found=batch, target=BATCH_TARGET)
    figures.add("collector: single, time to answer p99", single["p99_ms"], unit="ms")
    figures.add("collector: single at half load, p99", half["p99_ms"], unit="ms", target=HALF_LOAD_TARGET_MS)
    for name, share in formats.items():
        text = f"collector: {name}, events per core second over native ones"
        figures.add(text, share, unit="x", target=FORMAT_TARGET, is_lower_better=False)


async def _formats(port: int, pid: int, *, seconds: float) -> dict[str, float]:
    """Events per core second of each format over those of our own, measured just before it and in the same batches."""
    found: dict[str, float] = {}
    for name, dialect in DIALECTS.items():
        if name != "native":
            batch = min(BATCH, dialect.most)
            native = await _load(port, pid=pid, batch=batch, seconds=seconds)
            load = await _load(port, pid=pid, batch=batch, seconds=seconds, dialect=name)
            found[name] = _per_core(load) / _per_core(native)
    return found


def _note(figures: Figures, name: str, *, found: Load, target: int) -> None:
    acknowledged = f"collector: {name}, acknowledged"
    figures.add(f"{acknowledged} events", _per_core(found), unit="per s and core", target=target, is_lower_better=False)
    figures.add(f"{acknowledged} requests", found["requests_per_second"], unit="per s", is_lower_better=False)
    figures.add(f"collector: {name}, CPU", 1e6 / _per_core(found), unit="us/event")


def _note_echo(figures: Figures, connection: str, *, found: Load, bare: Load, target: float | None) -> None:
    text = f"collector: single, requests per core second over a bare echo's on {connection}"
    figures.add(text, _per_core(found) / _per_core(bare), unit="x", target=target, is_lower_better=False)


def _per_core(found: Load) -> float:
    return found["events"] / found["cpu_seconds"]


async def _load(
    port: int, *, pid: int, batch: int, seconds: float, dialect: str = "native", rate: float | None = None
) -> Load:
    url = f"http://127.0.0.1:{port}/"
    options = ["--batch", str(batch), "--dialect", dialect]
    await measured_child("bench.load", url, *options, "--seconds", "1")  # warm
    if rate is not None:
        options += ["--rate", str(rate)]
    before = cpu_seconds(pid)
    found = await measured_child("bench.load", url, *options, "--seconds", str(seconds))
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
    from funnelcast.stack.real_kafka import RealKafka

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
