"""From an event's POST to the page that counts it, at a steady 5,000 and 20,000 events a second.

Collector, Apache Kafka, one worker, Valkey, exporter and live page: the real processes. The time of a batch runs from
before its request to the arrival of the first number of counted events that covers it and everything acknowledged
before it: on /metrics, which is asked for again and again, and in the stream that the live page listens to.
The load itself takes CPU of the same machine, which is said too.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import orjson

from bench.children import valkey
from bench.table import Figures
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.ports import free_port
from funnelcast.processes.supervise import Supervisor
from schemas.topics import Topics
from streams.admin import ensure_topics

RATES, BATCH, PEOPLE = (5_000, 20_000), 50, 50_000
WARM_UP_SECONDS, SETTLE_SECONDS, POLL_SECONDS = 5.0, 20.0, 0.2
NAMES = ("impression", "click", "impression", "lead", "impression")


class Seen(list[tuple[float, int]]):
    """(when, what is counted by then)."""


def _event(number: int, now_ms: int) -> dict[str, object]:
    return {
        "id": f"event-{number:010d}",
        "name": NAMES[number % len(NAMES)],
        "occurred_at_ms": now_ms,
        "anonymous_id": f"visitor-{number * 7919 % PEOPLE:08d}",
        "properties": {"channel": f"channel{number % 20}", "manager": f"manager{number % 10}"},
    }


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is posted, and how the page tells that it was counted."""

    rate: int
    """Events a second."""
    funnel: str = "sales"
    event: Callable[[int, int], dict[str, object]] = _event
    """Number and time -> event."""
    sample: str = r"funnel_events_accepted_total\{[^}]*\}"
    """Of the page; its sum is ..."""
    counted: Callable[[int], int] = lambda number: number
    """... this, once the events before that number are counted."""
    warm_up_seconds: float = WARM_UP_SECONDS


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A batch that the collector has accepted."""

    posted: float
    total: int
    """What is to be counted of all that was acknowledged up to and with this batch."""


class Shop:
    """Posts batches at a steady rate and remembers when."""

    def __init__(self, url: str, traffic: Traffic) -> None:
        self.acknowledged: list[Acknowledged] = []
        self._url, self._traffic = url, traffic
        self._total = 0
        self._numbers = itertools.count()
        self._answers: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        """Post for so long; returns when everything is answered. A late batch does not delay the next ones."""
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=32)) as client:
            started = time.perf_counter()
            for number in range(int(seconds * self._traffic.rate / BATCH)):
                await asyncio.sleep(max(0.0, started + number * BATCH / self._traffic.rate - time.perf_counter()))
                task = asyncio.create_task(self._post(client))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            await asyncio.gather(*self._answers)

    async def _post(self, client: httpx.AsyncClient) -> None:
        now = time.time_ns() // 1_000_000
        numbers = list(itertools.islice(self._numbers, BATCH))
        body = orjson.dumps([self._traffic.event(number, now) for number in numbers])
        posted = time.perf_counter()
        answer = await client.post(self._url, content=body, headers={"content-type": "application/json"}, timeout=30)
        answer.raise_for_status()
        self._total += self._traffic.counted(numbers[-1] + 1) - self._traffic.counted(numbers[0])
        self.acknowledged.append(Acknowledged(posted, self._total))


async def _pages(url: str, sample: str, *, seen: Seen) -> None:
    """(when, what is counted) of page after page."""
    pattern = re.compile(rf"^{sample} ([0-9.e+]+)$", re.MULTILINE)
    async with httpx.AsyncClient() as client:
        while True:
            text = (await client.get(url, timeout=30)).text
            arrived = time.perf_counter()
            seen.append((arrived, sum(int(float(number)) for number in pattern.findall(text))))
            await asyncio.sleep(POLL_SECONDS)


async def _pulses(url: str, seen: Seen) -> None:
    """(when, events counted) of what the live page is sent."""
    async with httpx.AsyncClient(timeout=httpx.Timeout(30)) as client, client.stream("GET", url) as stream:
        async for line in stream.aiter_lines():
            if line.startswith('data: {"now_ms"'):
                counted = orjson.loads(line.removeprefix("data: "))["events"]
                seen.append((time.perf_counter(), sum(counted.values())))


async def measure(kafka: str, space: str, seconds: float, figures: Figures) -> None:
    """One repetition; no name that begins with `space` may be used by another."""
    for rate in RATES:
        await _measure(kafka, f"{space}-{rate}", rate=rate, seconds=seconds, figures=figures)


async def _measure(kafka: str, space: str, *, rate: int, seconds: float, figures: Figures) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    shop, pages, pulses = await drive(kafka, space, seconds=seconds, traffic=Traffic(rate))
    own = (time.process_time() - cpu) / (time.perf_counter() - began)
    figures.add(f"load generator at {rate:,} events/s", own * 100, unit="% of a core")
    for name, target, seen in (("/metrics", 1.0, pages), ("the live page", 1.5, pulses)):
        waits = waits_of(shop, seen, warm_up_seconds=WARM_UP_SECONDS)
        figures.add(f"event to {name} at {rate:,} events/s, p50", waits[len(waits) // 2], unit="s")
        figures.add(
            f"event to {name} at {rate:,} events/s, p99", waits[len(waits) * 99 // 100], unit="s", target=target
        )


def waits_of(shop: Shop, seen: Seen, *, warm_up_seconds: float) -> list[float]:
    """Seconds from a post to what shows it, ascending, of what was posted after the warm-up."""
    if len(_waits(shop.acknowledged, seen)) < len(shop.acknowledged):
        raise RuntimeError(f"only {seen[-1][1]} of {shop.acknowledged[-1].total} acknowledged were counted")
    began = shop.acknowledged[0].posted + warm_up_seconds
    return sorted(_waits([each for each in shop.acknowledged if each.posted > began], seen))


async def drive(
    kafka: str, space: str, *, seconds: float, traffic: Traffic, funnel: str = "sales"
) -> tuple[Shop, Seen, Seen]:
    """What was acknowledged; what /metrics said, and what the live page was sent."""
    await ensure_topics(kafka, Topics(space), partitions=8)
    async with valkey(kafka) as (stack, _):
        deployment = Deployment(
            kafka=kafka, redis=stack.redis, space=space, funnels=(funnel,), directory=stack.directory
        )
        async with Supervisor(stack.directory) as supervisor:
            return await _drive(deployment, supervisor, seconds=seconds, traffic=traffic)


async def _drive(
    deployment: Deployment, supervisor: Supervisor, *, seconds: float, traffic: Traffic
) -> tuple[Shop, Seen, Seen]:
    collector, exporter, web = free_port(), free_port(), free_port()
    await supervisor.start(deployment.collector(collector))
    await supervisor.start(deployment.worker(1))
    await supervisor.start(deployment.exporter(exporter))
    await supervisor.start(deployment.web(web))
    await supervisor.ready(60)
    shop = Shop(f"http://127.0.0.1:{collector}/v1/events", traffic)
    pages, pulses = Seen(), Seen()
    watched = f"/v1/summaries%3Ffunnel%3D{traffic.funnel}"
    watching = (
        asyncio.create_task(_pages(f"http://127.0.0.1:{exporter}/metrics", traffic.sample, seen=pages)),
        asyncio.create_task(_pulses(f"http://127.0.0.1:{web}/v1/live?watch={watched}", pulses)),
    )
    try:
        await shop.run(traffic.warm_up_seconds + seconds)
        total, deadline = shop.acknowledged[-1].total, time.perf_counter() + SETTLE_SECONDS
        while min(pages[-1][1], pulses[-1][1]) < total and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    return shop, pages, pulses


def _waits(acknowledged: list[Acknowledged], seen: Seen) -> list[float]:
    """Seconds from the post to the first page that covers it; both lists rise."""
    waits = []
    pages = iter(seen)
    page = next(pages, None)
    for one in acknowledged:
        while page is not None and page[1] < one.total:
            page = next(pages, None)
        if page is None:
            break
        waits.append(page[0] - one.posted)
    return waits
