"""What a worker costs that has little to do: its share of a core at a steady 2,000 events a second."""

from __future__ import annotations

import asyncio
import itertools
import time

from aiokafka import AIOKafkaProducer

from bench.children import cpu_seconds, valkey
from bench.log import PARTITIONS
from bench.table import Figures
from bench.workload import event_record
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.supervise import Supervisor
from schemas.partition import partition_of
from schemas.topics import Topics
from streams.admin import ensure_topics

RATE, SLICE_SECONDS, WARM_UP_SECONDS = 2000, 0.05, 5.0
NAMES = ("impression", "click", "impression", "lead", "impression")
PEOPLE = 20_000


async def measure(kafka: str, space: str, seconds: float, figures: Figures) -> None:
    """One repetition in a space of its own."""
    await ensure_topics(kafka, Topics(space), partitions=PARTITIONS)
    async with valkey(kafka) as (stack, _):
        deployment = Deployment(
            kafka=kafka, redis=stack.redis, space=space, funnels=("sales",), directory=stack.directory
        )
        async with Supervisor(stack.directory) as supervisor:
            child = await supervisor.start(deployment.worker(1))
            await child.ready(60)
            pid, store_pid = child.pid, stack.valkey.pid
            assert pid is not None
            assert store_pid is not None
            producing = asyncio.create_task(_produce(kafka, Topics(space).events))
            try:
                await asyncio.sleep(WARM_UP_SECONDS)
                started, worker, store = time.monotonic(), cpu_seconds(pid), cpu_seconds(store_pid)
                await asyncio.sleep(seconds)
                passed = time.monotonic() - started
                share = (cpu_seconds(pid) - worker) / passed * 100
                figures.add("worker at 2,000 events/s", share, unit="% of a core", target=3)
                figures.add(
                    "store at 2,000 events/s", (cpu_seconds(store_pid) - store) / passed * 100, unit="% of a core"
                )
            finally:
                producing.cancel()
                await asyncio.gather(producing, return_exceptions=True)


async def _produce(kafka: str, topic: str) -> None:
    """As a collector would: records spread over the partitions by person, a linger of a few milliseconds."""
    numbers = itertools.count()
    async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type="zstd", linger_ms=5) as producer:
        started, sent = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - started) * RATE)
            for _ in range(due - sent):
                i = next(numbers)
                now = time.time_ns() // 1_000_000
                key, value, _ = event_record(
                    i, NAMES[i % len(NAMES)], person=i * 7919 % PEOPLE, occurred_ms=now - 1000, received_ms=now
                )
                await producer.send(topic, value, key=key, partition=partition_of(key, PARTITIONS))
            sent = due
            await asyncio.sleep(SLICE_SECONDS)
