"""`funnelcast collector --workers N` as processes on a real broker: one port, one set of metrics, one worker killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.http import plain_client
from tests.support.running_collector import RunningCollector, running_collector, start
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT, until

WORKERS = 3
SENDERS = 12
EACH = 40


@pytest.fixture
async def collector(
    embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path
) -> AsyncIterator[RunningCollector]:
    async with running_collector(
        embedded_stack.kafka, fresh_space, tmp_path, "--open", "--workers", str(WORKERS)
    ) as running:
        yield running


def children(collector: RunningCollector) -> list[int]:
    return [one.pid for one in psutil.Process(collector.process.pid).children()]


async def counted(collector: RunningCollector) -> Counter[str]:
    """Events by outcome, and `received`, as whichever worker is asked shows them."""
    async with plain_client() as client:
        text = (await client.get(f"{collector.health_url}/metrics", timeout=LIMIT)).text
    outcomes: Counter[str] = Counter()
    for sample in (sample for family in text_string_to_metric_families(text) for sample in family.samples):
        if sample.name == "funnelcast_collector_events_total":
            outcomes[sample.labels["outcome"]] += int(sample.value)
        if sample.name == "funnelcast_collector_events_received_total":
            outcomes["received"] += int(sample.value)
    return outcomes


@asynccontextmanager
async def sender(collector: RunningCollector) -> AsyncIterator[Callable[[dict[str, str]], Awaitable[None]]]:
    """Sends as a client that retries, each time on a new connection, until there is a 200."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with plain_client(limits=limits) as client:

        async def send(event: dict[str, str]) -> None:
            async def is_taken() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return (await client.post(f"{collector.url}/v1/events", json=event)).status_code == 200
                return False

            await until(is_taken, every=0.05)

        yield send


async def test_metrics_are_those_of_all_workers(collector: RunningCollector) -> None:
    assert len(children(collector)) == WORKERS
    events = [{"id": f"e{n}", "name": "click", "user_id": f"u{n}"} for n in range(40)]
    async with sender(collector) as send:
        await asyncio.gather(*(send(one) for one in [*events, {"name": "click"}]))
    for _ in range(2 * WORKERS):
        shown = await counted(collector)
        assert shown["received"] == 41 == shown["accepted"] + shown["rejected"]


async def test_a_worker_is_killed_under_load(collector: RunningCollector) -> None:
    seen: list[int] = []

    async def visit(number: int) -> None:
        async with sender(collector) as send:
            for index in range(EACH):
                await send({"id": f"e{number}-{index}", "name": "click", "user_id": f"u{number}"})

    async def watch() -> None:
        while True:
            shown = await counted(collector)
            assert shown["received"] == shown["accepted"] + shown["rejected"] + shown["deduplicated"]
            seen.append(shown["received"])

    watching = asyncio.create_task(retried(watch))
    sending = [asyncio.create_task(visit(number)) for number in range(SENDERS)]
    await until(lambda: seen and seen[-1] >= SENDERS * EACH // 5)
    victim = children(collector)[0]
    os.kill(victim, signal.SIGKILL)
    await asyncio.gather(*sending)
    await collector.until_status("/readyz", 200)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert victim not in children(collector)
    assert len(children(collector)) == WORKERS
    assert seen == sorted(seen), "a counter fell"
    records = await collector.records(collector.topics.events, SENDERS * EACH)
    assert {json.loads(one.value)["id"] for one in records} == {
        f"e{n}-{at}" for n in range(SENDERS) for at in range(EACH)
    }


async def retried(watch: Callable[[], Awaitable[None]]) -> None:
    """A scrape that meets the worker at its end fails, as Prometheus' would."""
    while True:
        try:
            await watch()
        except httpx.TransportError:
            continue


async def test_sigterm_drains_all_and_exits_0(collector: RunningCollector) -> None:
    pids = children(collector)
    sending = [
        asyncio.create_task(collector.post([{"id": f"e{n}", "name": "click", "user_id": "u"}])) for n in range(20)
    ]
    await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    assert await asyncio.to_thread(collector.stop) == 0
    assert not any(psutil.pid_exists(one) for one in pids)
    results = await asyncio.gather(*sending, return_exceptions=True)
    accepted = sum(isinstance(one, httpx.Response) and one.status_code == 200 for one in results)
    assert len(await collector.records(collector.topics.events, accepted)) >= accepted


async def test_the_parent_is_killed_and_nobody_is_left(collector: RunningCollector) -> None:
    pids = children(collector)
    collector.process.kill()
    await until(lambda: not any(psutil.pid_exists(pid) for pid in pids), every=0.05)


async def test_what_no_restart_can_mend_ends_all(fresh_space: str, tmp_path: Path) -> None:
    running = start("127.0.0.1:1", fresh_space, tmp_path, "--workers", "2")
    assert await asyncio.to_thread(running.process.wait, LIMIT) == 2
    assert "no write keys" in running.log.read_text()
