"""A replay prints the same document when its processes are killed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import orjson
import psutil
import redis.asyncio

from producers.simulator.simulator import simulate
from streams.store.port import StoreUnavailableError
from streams.store.reader import RedisCounterReader
from tests.support.command import run_command, start_command
from tests.support.replay_logs import FUNNEL, WATERMARK_MS, write_log
from tests.support.waiting import LONG_LIMIT, until


def children_of(pid: int, part: str) -> list[psutil.Process]:
    children = []
    for child in psutil.Process(pid).children():
        try:
            # an option `--workers` is the command's own, in a copy of it that has not become a worker yet
            if any(part in argument and argument[:2] != "--" for argument in child.cmdline()):
                children.append(child)
        except psutil.NoSuchProcess:
            continue
    return children


async def kill_one(pid: int, part: str) -> None:
    """kill -9 a child once there is one, and wait for its successor."""
    victim = (await until(lambda: children_of(pid, part), what=f"a {part} to kill"))[0]
    victim.kill()

    def is_back() -> bool:
        return any(child.pid != victim.pid for child in children_of(pid, part))

    await until(is_back, every=0.05, what=f"{part} is back")


async def applied(pid: int, at_least: int) -> None:
    """Wait until the workers of a replay have applied this many records."""
    worker = (await until(lambda: children_of(pid, "worker"), every=0.05, what="a worker"))[0]
    settings = worker.environ()
    client = redis.asyncio.Redis.from_url(settings["FUNNELCAST_REDIS"], protocol=2)
    reader = RedisCounterReader(client, settings["FUNNELCAST_SPACE"])

    async def are_applied() -> bool:
        try:
            statuses = [await reader.status(partition) for partition in await reader.partitions()]
        except StoreUnavailableError:
            return False
        return sum(status.offset for status in statuses if status is not None) >= at_least

    try:
        await until(are_applied, every=0.05, what=f"{at_least} records applied")
    finally:
        await client.aclose()


async def test_kills_in_the_middle_change_nothing(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.jsonl", 25_000)
    options = (
        "--funnel",
        FUNNEL,
        "--events",
        str(log),
        "--watermark",
        str(WATERMARK_MS),
        "--partitions",
        "2",
        "--json",
    )
    process = start_command("replay", *options, "--through", "stack", "--workers", "2", state_dir=tmp_path)
    try:
        await applied(process.pid, 1)
        for part in ("collector", "valkey-server", "worker", "collector", "valkey-server"):
            assert process.poll() is None, "the replay was over before it was disturbed"
            await kill_one(process.pid, part)
        out, err = await asyncio.to_thread(process.communicate, timeout=LONG_LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, err.decode()
    assert err.count(b"SIGKILL") == 5, err.decode()
    code, in_memory, message = await asyncio.to_thread(run_command, "replay", *options, state_dir=tmp_path)
    assert code == 0, message
    assert out == in_memory


async def test_ids_are_linked_across_partitions_while_workers_die(tmp_path: Path) -> None:
    """A messy shop whose visitors are a device, a contact and an account, in turn: months within seconds."""
    log = tmp_path / "events.jsonl"
    events = simulate(seed=7, events=2_000, messy=True)
    log.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    options = ("--funnel", "sales", "--events", str(log), "--partitions", "3", "--json")
    process = start_command("replay", *options, "--through", "stack", "--workers", "2", state_dir=tmp_path)
    try:
        for records, part in ((300, "worker"), (900, "valkey-server"), (1_500, "worker")):
            await applied(process.pid, records)
            assert process.poll() is None, "the replay was over before it was disturbed"
            await kill_one(process.pid, part)
        out, err = await asyncio.to_thread(process.communicate, timeout=LONG_LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, err.decode()
    code, in_memory, message = await asyncio.to_thread(run_command, "replay", *options, state_dir=tmp_path)
    assert code == 0, message
    assert out == in_memory
    document = json.loads(in_memory)
    paid = document["counters"]["total"]["all"][""]["payment"]
    assert paid["lead_time"], "no payment is led to by a visit: nothing was linked"
