"""Bytes of Redis per tracked person with four kept events, and per counter cell: what the server frees when they go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import cast

from bench.children import used_memory, valkey
from bench.counting import count_into, parted
from bench.table import Figures
from bench.workload import DELAY_MS, SPAN_MS, START_MS, event_record
from schemas.funnel.load import load_funnels
from streams.store.address import Client
from streams.store.redis import RedisPartitionStore

JOURNEY = ("impression", "click", "impression", "lead")
PERSON = "Redis per person with four kept events"


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
    async with valkey(kafka) as (_, client):
        store = RedisPartitionStore(client, "bench")
        funnels = load_funnels(["sales"])
        await count_into(store, funnels, logs=parted(stream(people)), persons=1_000_000)
        freed, cells = await _freed(client, "c")
        figures.add("Redis per counter cell", freed / cells, unit="bytes")
        freed = sum([(await _freed(client, kind))[0] for kind in ("j2", "e2")])
        figures.add(PERSON, freed / people, unit="bytes", target=200)


async def _freed(client: Client, kind: str) -> tuple[int, int]:
    """Bytes that deleting all keys of a kind frees, and the fields they held, where they are hashes."""
    pattern = f"fc:{{bench/*:{kind}:*"
    keys = [key async for key in cast(AsyncIterator[bytes], client.scan_iter(match=pattern, count=1000))]
    fields = 0
    for key in keys:
        fields += await client.hlen(key) if kind == "c" else 0
    await client.config_set("lazyfree-lazy-user-del", "no")  # or the memory comes back later
    before = await used_memory(client)
    for start in range(0, len(keys), 500):
        await client.delete(*keys[start : start + 500])
    return before - await used_memory(client), fields
