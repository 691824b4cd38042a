"""The embedded stack starts, answers, restarts Valkey on its data, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
import redis.asyncio

from funnelcast.stack.embedded import EmbeddedStack
from schemas.errors import NeedsHumanError
from tests.support.command import run_command
from tests.support.stack import StackAddresses, start_stack, stop_stack
from tests.support.waiting import LIMIT, until


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def await_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    return psutil.wait_procs(processes, timeout=LIMIT)[1]


async def ask(url: str, *command: str) -> object:
    client = redis.asyncio.Redis.from_url(url)
    try:
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()


async def test_produce_and_ping(embedded_stack: StackAddresses, fresh_space: str) -> None:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=embedded_stack.kafka)
    await producer.start()
    try:
        sent = await producer.send_and_wait(f"probe.{fresh_space}", b"x")
    finally:
        await producer.stop()
    assert sent.offset == 0
    client = redis.asyncio.Redis.from_url(embedded_stack.redis)
    try:
        assert await client.ping()
        config = await client.config_get("*")
    finally:
        await client.aclose()
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "everysec"
    assert config["maxmemory-policy"] == "noeviction"


def test_commands_find_the_stack_that_was_started_in_their_directory(tmp_path: Path) -> None:
    process, addresses = start_stack(tmp_path)
    try:
        code, _, err = run_command("topics", "create", "--partitions", "1", state_dir=tmp_path)
        assert code == 0, err
        code, out, err = run_command("config", "--json", state_dir=tmp_path)
        assert json.loads(out)["kafka"] == {"value": addresses.kafka, "source": f"{tmp_path}/running.toml: kafka"}
        code, _, err = run_command("stack", "up", "--dir", str(tmp_path), state_dir=tmp_path)
        assert (code, "another stack or demo runs here" in err) == (2, True)
    finally:
        assert stop_stack(process) == 0
    code, _, err = run_command("topics", "create", state_dir=tmp_path)
    assert (code, "no Kafka address" in err) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphan(tmp_path: Path, number: signal.Signals) -> None:
    process, _ = start_stack(tmp_path)
    children = children_of(process.pid)
    assert len(children) == 2
    process.send_signal(number)
    code = process.wait(LIMIT)
    assert process.stdout is not None
    process.stdout.close()
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert await_gone(children) == []


async def test_valkey_returns_with_its_data(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path, report=lambda line: None) as stack:
        address, before = stack.redis, stack.valkey.pid
        await ask(address, "SET", "a", "1")
        await stack.restart_valkey()
        assert (stack.redis, stack.valkey.pid == before) == (address, False)
        assert await ask(address, "GET", "a") == b"1"
        await ask(address, "SET", "b", "2")
        await stack.restart_valkey(torn_bytes=1)
        assert await ask(address, "GET", "a") == b"1"
        assert await ask(address, "GET", "b") is None


async def test_valkey_killed_by_somebody_else_is_started_again(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path, report=lambda line: None) as stack:
        pid = stack.valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: stack.valkey.restarts > 0 and stack.valkey.pid is not None)
        await stack.valkey.ready(10)


async def test_broker_is_not_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    async with EmbeddedStack(tmp_path, report=said.append) as stack:
        broker = stack._supervisor.children["broker"]
        broker.send(signal.SIGKILL)
        await broker.gone()
        await until(lambda: broker.failure is not None)
        with pytest.raises(NeedsHumanError, match="broker ended"):
            stack.check()
    assert any("broker ended" in line for line in said)


async def test_given_parts_are_not_started(tmp_path: Path) -> None:
    before = children_of(os.getpid())
    async with EmbeddedStack(tmp_path, kafka="k:1", redis="redis://r:1") as stack:
        assert (stack.kafka, stack.redis) == ("k:1", "redis://r:1")
        assert children_of(os.getpid()) == before


def test_stop_says_done(tmp_path: Path) -> None:
    process, _ = start_stack(tmp_path)
    assert stop_stack(process) == 0
