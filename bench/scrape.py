"""How long a scrape takes: an exporter process over a real Valkey, at pages of about 1,000, 10,000 and 50,000 series,
and at 10,000 with ten times the events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from bench.children import cpu_seconds, valkey
from bench.table import Figures
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.ports import free_port
from funnelcast.processes.supervise import Supervisor
from funnelcast.stack.embedded import EmbeddedStack
from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from streams.store.address import Client
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor

SIZES = {"1 k": 1, "10 k": 240, "50 k": 1290}
"""Values of the only dimension, by the number of series that they make."""
MORE_EVENTS = 10
SCRAPES, TARGET_MS = 7, 200.0
PAUSE_SECONDS = 0.3
"""Longer than a snapshot is shown again: every scrape reads the store."""
_STAGES = ("visit", "lead", "payment")
_FUNNEL = """
name: bench
conversion_window: 7d
stages:
  - {name: visit, on: [visit], abandon_after: 1h}
  - {name: lead, on: [lead], abandon_after: 1d}
  - {name: payment, on: [payment], order: true}
dimensions:
  - {name: channel, attribution: first, cap: 2000}
"""


async def measure(kafka: str, figures: Figures) -> None:
    """One repetition; every size in a Valkey of its own."""
    for name, values in SIZES.items():
        async with valkey(kafka) as (stack, client):
            series, wall_ms, cpu_ms = await _scraped(stack, client, values=values, people=4 * values)
        target = TARGET_MS if name == "10 k" else None
        figures.add(f"scrape of {name} series ({series:,})", wall_ms, unit="ms", target=target)
        figures.add(f"scrape of {name} series, the exporter's share", cpu_ms, unit="ms CPU")
    async with valkey(kafka) as (stack, client):
        people = 4 * MORE_EVENTS * SIZES["10 k"]
        _, wall_ms, _ = await _scraped(stack, client, values=SIZES["10 k"], people=people)
    figures.add(f"the same as 10 k with {MORE_EVENTS} times the events", wall_ms, unit="ms", target=TARGET_MS)


async def _scraped(stack: EmbeddedStack, client: Client, *, values: int, people: int) -> tuple[int, float, float]:
    """(series, ms from the request to the last byte, ms of CPU), the median of several scrapes."""
    path = stack.directory / "bench.yaml"
    path.write_text(_FUNNEL)
    await _fill(client, parse_funnel(_FUNNEL), values=values, people=people)
    async with _exporter(stack, path) as (url, pid), httpx.AsyncClient(timeout=60) as http:
        headers = {"accept": "application/openmetrics-text;version=1.0.0", "accept-encoding": "gzip"}
        page = (await http.get(url, headers=headers)).text
        walls, before = [], cpu_seconds(pid)
        for _ in range(SCRAPES):
            await asyncio.sleep(PAUSE_SECONDS)
            started = time.monotonic()
            await http.get(url, headers=headers)
            walls.append(1000 * (time.monotonic() - started))
        cpu = 1000 * (cpu_seconds(pid) - before) / SCRAPES
    series = sum(not line.startswith("#") for line in page.splitlines())
    return series, sorted(walls)[SCRAPES // 2], cpu


@asynccontextmanager
async def _exporter(stack: EmbeddedStack, funnel: Path) -> AsyncIterator[tuple[str, int]]:
    port = free_port()
    deployment = Deployment(stack.servers, stack.redis, "bench", (str(funnel),), stack.directory)
    spec = deployment.exporter(port)
    async with Supervisor(stack.directory) as supervisor:
        child = await supervisor.start(replace(spec, argv=(*spec.argv, "--max-values", "2000")))
        await child.ready(60)
        assert child.pid is not None
        yield f"http://127.0.0.1:{port}/metrics", child.pid


async def _fill(client: Client, funnel: Funnel, *, values: int, people: int) -> None:
    store = RedisPartitionStore(client, "bench")
    await store.check_funnels({funnel.funnel_id: funnel.fingerprint})
    processor = PartitionProcessor(store, 0, [funnel])
    await processor.claim()
    now_ms = time.time_ns() // 1_000_000
    records = [
        LogRecord(
            f"u:p{person}".encode(),
            _event(stage, person=person, values=values, now_ms=now_ms),
            now_ms,
            3 * person + number,
        )
        for person in range(people)
        for number, stage in enumerate(_STAGES)
    ]
    for first in range(0, len(records), 2000):
        chunk = records[first : first + 2000]
        await processor.process(chunk, chunk[-1].offset + 1)


def _event(stage: str, *, person: int, values: int, now_ms: int) -> bytes:
    at_ms = now_ms - 3_600_000 + 60_000 * _STAGES.index(stage)
    event = {"id": f"{stage}{person}", "name": stage, "occurred_at_ms": at_ms, "received_at_ms": at_ms}
    properties = {"channel": f"channel-{person % values}", "value": "10.00", "currency": "EUR"}
    return json.dumps({**event, "user_id": f"p{person}", "source": "web", "properties": properties}).encode()
