"""The rounds of the soak. Each prints a line of what it measured, and raises Failure at the first thing that fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import orjson

from funnelcast.chaos.events import START_MS, arrivals, make_events
from funnelcast.processes.child import Child
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.supervise import Supervisor
from funnelcast.stack.embedded import EmbeddedStack
from funnelcast.stack.real_kafka import RealKafka
from schemas.errors import FunnelcastError
from schemas.kafka import Kafka
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.command import run_command
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until

EVENTS = 200
AT_ONCE = 2
"""Replays: on a machine with two cores more of them measure its patience."""
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
"""How long a worker may take to end: what supervisors give it."""
FUNNEL = "sales"
PARTITIONS = 4


class Failure(Exception):  # noqa: N818 - what the soak looks for
    """Something did not start or stop; the text says what and where its log is."""


def _say(what: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    print(f"{what}: {len(ordered)} without a failure; median {ordered[len(ordered) // 2]:.1f} s, "
          f"longest {ordered[-1]:.1f} s", flush=True)  # fmt: skip


def _progress(what: str, number: int, of: int) -> None:
    if number % 10 == 0 or number == of:
        print(f"{what}: {number} of {of}", flush=True)


def _home(directory: Path) -> None:
    directory.mkdir()


def _write_events(file: Path) -> None:
    lines = [orjson.dumps(event.native(at)) for at, event in arrivals(1, make_events(1, EVENTS))]
    file.write_bytes(b"\n".join(lines))


async def starts_of_a_stack(count: int, directory: Path) -> None:
    """`funnelcast replay --through stack`: each starts broker, store, collector and worker, and counts what memory
    counts."""
    if not count:
        return
    _home(directory)
    events = directory / "events.jsonl"
    _write_events(events)
    line = ("replay", "--funnel", FUNNEL, "--events", str(events), "--watermark", str(START_MS), "--json")
    code, wanted, error = await asyncio.to_thread(run_command, *line, state_dir=directory)
    if code:
        raise Failure(f"replay through memory: {error}")
    numbers, seconds = iter(range(1, count + 1)), list[float]()

    async def replays() -> None:
        for number in numbers:
            home, began = directory / f"replay-{number}", time.monotonic()
            code, document, error = await asyncio.to_thread(run_command, *line, "--through", "stack", state_dir=home)
            if code or document != wanted:
                raise Failure(f"start {number} of {count}: exit code {code}, in {home}:\n{error}")
            seconds.append(time.monotonic() - began)
            _progress("starts", len(seconds), count)

    await asyncio.gather(*(replays() for _ in range(AT_ONCE)))
    _say("starts of a whole stack", seconds)


async def restarts_of_two(count: int, directory: Path) -> None:
    """Both workers of a space are asked to stop at one moment and started again: they find their group."""
    if not count:
        return
    _home(directory)
    seconds = list[float]()
    async with EmbeddedStack(directory) as stack:
        deployment = await _deployment(stack.servers, stack.redis, directory)
        for number in range(1, count + 1):
            async with Supervisor(directory / f"round-{number}") as workers:
                began = time.monotonic()
                await _two_ready(workers, deployment, what=f"double restart {number} of {count}")
                seconds.append(time.monotonic() - began)
                await _stopped(list(workers.children.values()), what=f"double restart {number} of {count}")
            _progress("double restarts", number, count)
    _say("double restarts of two workers", seconds)


async def stops_in_a_rebalance(count: int, directory: Path, *, seed: int) -> None:
    """On Apache Kafka a worker joins or leaves, and at a random moment of the rebalance another one gets SIGTERM."""
    if not count:
        return
    _home(directory)
    rng, seconds, heard = Random(seed), list[float](), 0
    valkey = ValkeyServer(directory)
    valkey.start()
    try:
        async with RealKafka(directory / "kafka") as kafka, Supervisor(directory) as workers:
            deployment = await _deployment(kafka.bootstrap, valkey.url, directory)
            staying, leaving = await _two_ready(workers, deployment, what="the first two workers")
            for number in range(1, count + 1):
                what = f"stop {number} of {count}"
                joining = await workers.start(deployment.worker(number + 2))
                heard += await _rebalance_begins(leaving, joining)
                await _pass(rng.uniform(0.0, 0.4))  # the group settles within this
                seconds.append(await _stopped([leaving], what=what))
                await _ready(joining, what)
                staying, leaving = (joining, staying) if rng.random() < 0.5 else (staying, joining)
                _progress("stops", number, count)
    finally:
        valkey.kill()
    _say(f"SIGTERMs during a rebalance on Apache Kafka ({heard} of them had heard of it)", seconds)


async def _deployment(kafka: Kafka, redis: str, directory: Path) -> Deployment:
    topics = Topics("soak")
    await ensure_topics(kafka, topics, partitions=PARTITIONS)
    return Deployment(kafka=kafka, redis=redis, space="soak", funnels=(FUNNEL,), directory=directory)


async def _two_ready(workers: Supervisor, deployment: Deployment, *, what: str) -> tuple[Child, Child]:
    pair = [await workers.start(deployment.worker(number)) for number in (1, 2)]
    for child in pair:
        await _ready(child, what)
    return pair[0], pair[1]


async def _ready(child: Child, what: str) -> None:
    try:
        await child.ready(READY_SECONDS)
    except FunnelcastError as error:
        raise Failure(f"{what}: {error}") from None


async def _stopped(children: Sequence[Child], *, what: str) -> float:
    """SIGTERM to all at one moment; the seconds until the last has ended."""
    began = time.monotonic()
    for child in children:
        child.ask_to_stop()
    for child in children:
        try:
            await child.gone(STOP_SECONDS)
        except FunnelcastError as error:
            raise Failure(f"{what}: {error}; its log {child.log} ends:\n{child.tail()}") from None
    taken = time.monotonic() - began
    for child in children:
        await child.stop()
    return taken


async def _rebalance_begins(child: Child, joining: Child) -> bool:
    """Wait until a worker stops counting because another one joins; False where it was over before it was seen."""
    is_ready, is_joined = child.probe(), joining.probe()
    assert is_ready is not None
    assert is_joined is not None

    async def has_begun() -> str | None:
        return "heard" if not await is_ready() else "over" if await is_joined() else None

    return bool(await until(has_begun, limit=READY_SECONDS, what="a rebalance") == "heard")


async def _pass(seconds: float) -> None:
    """Let a moment pass in which nothing can be waited for."""
    with_nothing = asyncio.Event()
    try:
        await asyncio.wait_for(with_nothing.wait(), seconds)
    except TimeoutError:
        return
