"""Bytes per tracked person with four kept events: of Redis (what the server frees when they go), and of a worker.

`python -m bench.memory REDIS PEOPLE` counts in a process of its own and prints what that has grown by.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import cast

import psutil

from bench.children import measured_child, used_memory, valkey
from bench.counting import count_into, parted
from bench.log import PARTITIONS
from bench.table import Figures
from bench.workload import DELAY_MS, SPAN_MS, START_MS, event_record
from schemas.funnel.load import load_funnels
from streams.store.address import Client
from streams.store.connection import close, connect
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor

JOURNEY = ("impression", "click", "impression", "lead")
PERSON = "Redis per person with four kept events"
RESIDENT = "worker's memory per person with four kept events"


def stream(people: int) -> Iterator[tuple[bytes, bytes, int]]:
    """Every person's first event, then everyone's second, ...: no locality, as in a long-running log."""
    events = people * len(JOURNEY)
    for i in range(events):
        occurred_ms = START_MS + i * SPAN_MS // events
        yield event_record(
            i, JOURNEY[i // people], person=i % people, occurred_ms=occurred_ms, received_ms=occurred_ms + DELAY_MS
        )


async def measure(kafka: str, people: int, figures: Figures) -> None:
    """One repetition."""
    async with valkey(kafka) as (stack, client):
        grown = await measured_child("bench.memory", stack.redis, str(people))
        figures.add(RESIDENT, grown["bytes"] / grown["persons"], unit="bytes", target=350)
        store = RedisPartitionStore(client, "bench")
        funnels = load_funnels(["sales"])
        await count_into(store, funnels, logs=parted(stream(people)), persons=1_000_000)
        freed, cells = await _freed(client, "bench", kind="c")
        figures.add("Redis per counter cell", freed / cells, unit="bytes")
        figures.add(PERSON, await freed_of_persons(client, "bench") / people, unit="bytes", target=190)


async def freed_of_persons(client: Client, space: str) -> int:
    """Bytes that deleting everybody's state frees, and which ids are linked to whom."""
    return sum([(await _freed(client, space, kind=kind))[0] for kind in ("j2", "e2", "f")])


async def _freed(client: Client, space: str, *, kind: str) -> tuple[int, int]:
    """Bytes that deleting all keys of a kind frees, and the fields they held, where they are hashes."""
    pattern = f"fc:{{{space}/*:{kind}:*"
    keys = [key async for key in cast(AsyncIterator[bytes], client.scan_iter(match=pattern, count=1000))]
    fields = 0
    for key in keys:
        fields += await client.hlen(key) if kind == "c" else 0
    await client.config_set("lazyfree-lazy-user-del", "no")  # or the memory comes back later
    before = await used_memory(client)
    for start in range(0, len(keys), 500):
        await client.delete(*keys[start : start + 500])
    return before - await used_memory(client), fields


async def _grow(redis: str, people: int) -> None:
    """Everything that a worker holds of people: packed, indexed, waiting for their deadlines, and the caches of their
    cells. The log is made part by part, so that it is no memory of the worker's."""
    client = connect(redis)
    store, funnels = RedisPartitionStore(client, "resident"), load_funnels(["sales"])
    lanes = [PartitionProcessor(store, number, funnels, max_persons=people) for number in range(PARTITIONS)]
    for lane in lanes:
        await lane.claim()
    records = stream(people)
    await _count_some(lanes, records, 4)
    gc.collect()
    before = psutil.Process().memory_info().rss
    while await _count_some(lanes, records, 40_000):
        pass
    gc.collect()
    grown = psutil.Process().memory_info().rss - before
    held = [lane.engine.held() for lane in lanes]
    print(json.dumps({"bytes": grown, "persons": sum(one.persons for one in held), "rss": grown + before}))
    await close(client)


async def _count_some(lanes: list[PartitionProcessor], records: Iterator[tuple[bytes, bytes, int]], events: int) -> int:
    """How many events were left to be counted, of so many."""
    logs = parted(islice(records, events))
    for lane, log in zip(lanes, logs, strict=True):
        part = [LogRecord(one.key, one.value, one.timestamp, lane.offset + one.offset) for one in log]
        if part:
            await lane.process(part, part[-1].offset + 1)
    return sum(map(len, logs))


if __name__ == "__main__":
    asyncio.run(_grow(sys.argv[1], int(sys.argv[2])))
