"""How long a partition stands still after its worker was killed with -9, and how long taking over a partition takes.

`python -m bench.takeover --people 400000` on a real Apache Kafka: one worker has counted everybody and counts on; it is
killed and started again. The broker gives its partitions away when its session is over (ten seconds; the least that it
allows is six); what comes after that is the worker's own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice

from aiokafka import AIOKafkaProducer

from bench.children import valkey
from bench.log import PARTITIONS, write
from bench.memory import stream
from bench.table import Figures
from bench.workload import DELAY_MS, SPAN_MS, START_MS, event_record
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.ports import free_port
from funnelcast.processes.supervise import Supervisor
from funnelcast.stack.real_kafka import RealKafka
from schemas.partition import partition_of
from schemas.topics import Topics
from streams.state import Fence
from streams.store.redis import RedisPartitionStore

SPACE = "takeover"
PER_SECOND, POLL_SECONDS, PATIENCE_SECONDS = 400, 0.02, 300.0


@dataclass(slots=True)
class Takeover:
    """Seconds after the kill, by partition."""

    claimed: dict[int, float] = field(default_factory=dict)
    counting: dict[int, float] = field(default_factory=dict)


async def measure(kafka: str, people: int, figures: Figures) -> None:
    """One takeover."""
    await write(kafka, SPACE, stream=islice(stream(people), people))
    async with valkey(kafka) as (stack, client):
        deployment = Deployment(
            kafka=kafka, redis=stack.redis, space=SPACE, funnels=("sales",), directory=stack.directory
        )
        store = RedisPartitionStore(client, SPACE)
        async with Supervisor(stack.directory) as supervisor:
            worker = await supervisor.start(deployment.worker(1, free_port()))
            await _until(store, lambda fences: sum(one.offset for one in fences) >= people)
            trickle = asyncio.create_task(_trickle(kafka, people))
            try:
                await _until(store, lambda fences: sum(one.offset for one in fences) >= people + PER_SECOND)
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGKILL)
                taken = await _taken_over(store)
            finally:
                trickle.cancel()
                await asyncio.gather(trickle, return_exceptions=True)
    claims, counting = sorted(taken.claimed.values()), sorted(taken.counting.values())
    figures.add("kill -9 to the first claim", claims[0], unit="s")
    figures.add("kill -9 to the first partition that counts", counting[0], unit="s", target=4)
    figures.add("kill -9 to the last partition that counts", counting[-1], unit="s", target=8)
    figures.add("first claim to the last partition that counts", counting[-1] - claims[0], unit="s")


async def _taken_over(store: RedisPartitionStore) -> Takeover:
    killed, before, taken = time.monotonic(), await _fences(store), Takeover()
    while len(taken.counting) < PARTITIONS:
        now = time.monotonic() - killed
        if now > PATIENCE_SECONDS:
            raise RuntimeError(f"only {sorted(taken.counting)} count again after {now:.0f} s")
        for number, fence in enumerate(await _fences(store)):
            if fence.token != before[number].token:
                taken.claimed.setdefault(number, now)
                if fence.offset > before[number].offset:
                    taken.counting.setdefault(number, now)
        await asyncio.sleep(POLL_SECONDS)
    return taken


async def _until(store: RedisPartitionStore, is_reached: Callable[[list[Fence]], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_reached(await _fences(store)):
        if time.monotonic() > deadline:
            raise RuntimeError("the worker does not come to the end of the log")
        await asyncio.sleep(POLL_SECONDS)


async def _fences(store: RedisPartitionStore) -> list[Fence]:
    found = await asyncio.gather(*(store.peek(number) for number in range(PARTITIONS)))
    return [fence or Fence(0, 0, 0) for fence in found]


async def _trickle(kafka: str, people: int) -> None:
    """Further events of everybody, spread over all partitions."""
    async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5) as producer:
        for key, value, received_ms in _later(people):
            place = partition_of(key, PARTITIONS)
            await producer.send(Topics(SPACE).events, value, key=key, partition=place, timestamp_ms=received_ms)
            await asyncio.sleep(1 / PER_SECOND)


def _later(people: int) -> Iterator[tuple[bytes, bytes, int]]:
    for number in count():
        occurred_ms = START_MS + SPAN_MS + number * 10
        person = number * 7919 % people
        yield event_record(
            10**9 + number, "click", person=person, occurred_ms=occurred_ms, received_ms=occurred_ms + DELAY_MS
        )


async def _alone(options: argparse.Namespace) -> None:
    figures = Figures()
    async with RealKafka() as kafka:
        await measure(kafka.bootstrap, options.people, figures)
    print(figures.text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.takeover", description=__doc__)
    parser.add_argument("--people", type=int, default=400_000)
    asyncio.run(_alone(parser.parse_args()))
