"""The reports API: how long an answer takes, and what it costs the server, over 90 days, 50 channels and many people.

A real `funnelcast web` over a real Valkey. People come over 90 days, in 50 channels; counting them is not measured.
Answers are read one after the other, as a person's page asks, each without an ETag, so that all of it is made anew.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil

from bench.children import cpu_seconds, valkey
from bench.counting import count_into, parted
from bench.table import Figures
from funnelcast.processes.ports import free_port
from schemas.funnel.load import load_funnels
from schemas.times import DAY_MS, HOUR_MS
from streams.store.address import Client
from streams.store.redis import RedisPartitionStore

SPACE = "bench"
DAYS, CHANNELS, MANAGERS = 90, 50, 10
START_MS = 1_750_032_000_000
STEPS = (("impression", 1), ("click", 4), ("lead", 10), ("offer", 20), ("payment", 40))
"""Of so many people one does this."""
TARGET_MS = 100
_SPAN = f"funnel=sales&since={START_MS}&until={START_MS + DAYS * DAY_MS}"
QUESTIONS = {
    "90 days by channel": f"/v1/summaries?{_SPAN}&dim=channel",
    "days of the whole": f"/v1/reports?grain=day&{_SPAN}&dim=",
    "weeks by channel": f"/v1/reports?grain=week&{_SPAN}&dim=channel",
    "profit by channel": f"/v1/profit?{_SPAN}&dim=channel",
    "paths by channel": f"/v1/paths?{_SPAN}&dim=channel",
    "days by channel, 4,500 cells": f"/v1/reports?grain=day&{_SPAN}&dim=channel",
    "view of the owner": f"/v1/views?{_SPAN}&view=owner",
}


def stream(people: int) -> Iterator[tuple[bytes, bytes, int]]:
    """(key, value, received) of everybody's events; a person's are six hours apart, the log is in the order of people
    within a part of a day, which is all that a watermark asks."""
    for person in range(people):
        at = START_MS + person * (DAYS - 2) * DAY_MS // people
        for number, (name, one_in) in enumerate(STEPS):
            if person % one_in == 0:
                yield _event(person, name, at_ms=at + number * 6 * HOUR_MS)


def _event(person: int, name: str, *, at_ms: int) -> tuple[bytes, bytes, int]:
    mixed = person * 2_654_435_761 & 0xFFFFFFFF
    money = f',"order_id":"o{person}","value":"{mixed % 9000 / 100:.2f}","cost":"1"' if name == "payment" else ""
    body = (
        f'{{"id":"{name}{person}","name":"{name}","occurred_at_ms":{at_ms},"received_at_ms":{at_ms},"source":"web",'
        f'"user_id":"u{person}","properties":{{"channel":"channel{mixed % CHANNELS}",'
        f'"manager":"manager{mixed % MANAGERS}"{money}}}}}'
    )
    return f"u:u{person}".encode(), body.encode(), at_ms


async def fill(client: Client, people: int) -> None:
    """Count them, as workers do."""
    store, funnels = RedisPartitionStore(client, SPACE), load_funnels(["sales"])
    await store.check_funnels({funnel.funnel_id: funnel.fingerprint for funnel in funnels})
    await count_into(store, funnels, logs=parted(stream(people)), persons=200_000)


@asynccontextmanager
async def served(redis: str) -> AsyncIterator[tuple[httpx.AsyncClient, int]]:
    """A client of the running server, and the server's pid."""
    port, command = free_port(), str(Path(sys.executable).with_name("funnelcast"))
    child = await asyncio.create_subprocess_exec(
        *(command, "web", "--port", str(port), "--redis", redis, "--space", SPACE),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            await _until_ready(http)
            yield http, child.pid
    finally:
        child.terminate()
        await child.wait()


async def _until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


async def ask(http: httpx.AsyncClient, pid: int, *, asked: str, times: int) -> tuple[list[float], float, int]:
    """(milliseconds of each answer, server CPU in milliseconds for one, bytes of it); the first is not measured."""
    body = (await http.get(asked)).raise_for_status().content
    before, took = cpu_seconds(pid), []
    for _ in range(times):
        started = time.perf_counter()
        (await http.get(asked)).raise_for_status()
        took.append(1000 * (time.perf_counter() - started))
    return took, 1000 * (cpu_seconds(pid) - before) / times, len(body)


async def measure(kafka: str, people: int, figures: Figures, *, times: int = 100) -> None:
    """One repetition."""
    async with valkey(kafka) as (stack, client):
        await fill(client, people)
        async with served(stack.redis) as (http, pid):
            for name, asked in QUESTIONS.items():
                took, cpu, _ = await ask(http, pid, asked=asked, times=times)
                took.sort()
                p99 = took[int(len(took) * 0.99)]
                figures.add(f"report, {name}: p99", p99, unit="ms", target=TARGET_MS)
                figures.add(f"report, {name}: CPU of the server", cpu, unit="ms")


if __name__ == "__main__":
    # beside a broker that nobody asks: counting here needs none
    shown = Figures()
    psutil.Process().nice(5)
    asyncio.run(measure("127.0.0.1:9", int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000, shown))
    print(shown.text())
