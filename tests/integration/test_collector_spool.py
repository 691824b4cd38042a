"""The collector as a process while its broker hangs, dies, or never came: events are taken and arrive in order. That
each is counted once under kills is held on a real broker (tests/kafka/test_kill_in_turn.py)."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.broker import OwnBroker
from tests.support.http import plain_client
from tests.support.retrying import RetryingClients
from tests.support.running_collector import PARTITIONS, RunningCollector, start
from tests.support.waiting import LIMIT, until


@pytest.fixture
def topics(fresh_space: str) -> Topics:
    return Topics(fresh_space)


async def started(broker: OwnBroker, topics: Topics, directory: Path, *flags: str, ack: str = "1") -> RunningCollector:
    """A collector that has seen its broker once."""
    await ensure_topics(broker.address, topics, partitions=PARTITIONS)
    running = start(broker.address, topics.space, directory, "--open", "--ack-timeout", ack, *flags)
    await running.until_status("/readyz", 200)
    return running


def event(number: int, person: int = 0) -> dict[str, Any]:
    return {"id": f"e{number}", "name": "click", "anonymous_id": f"v{person}"}


async def metric(running: RunningCollector, name: str) -> float:
    async with plain_client() as client:
        lines = (await client.get(f"{running.health_url}/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"funnelcast_collector_{name} "))


async def spools(running: RunningCollector) -> bool:
    """Whether it has seen that the broker is away."""
    return (await running.readiness())[1].startswith("spooling: ")


async def more(clients: RetryingClients) -> None:
    """Wait until more requests were answered with 200."""
    before = len(clients.acknowledged)
    await until(lambda: len(clients.acknowledged) > before + 50)


async def ids(running: RunningCollector, count: int) -> list[str]:
    return [json.loads(one.value)["id"] for one in await running.records(running.topics.events, count)]


async def test_a_broker_that_hangs_costs_no_event_and_no_order(
    broker: OwnBroker, topics: Topics, tmp_path: Path
) -> None:
    running = await started(broker, topics, tmp_path)
    try:
        assert (await running.post(event(0))).status_code == 200
        broker.send(signal.SIGSTOP)
        for number in range(1, 30):
            assert (await running.post(event(number))).status_code == 200
        status, reason = await running.readiness()
        assert status == 200
        assert reason.startswith("spooling: ")
        assert await metric(running, "spool_records") == 29
        assert await metric(running, "up") == 0
        broker.send(signal.SIGCONT)
        await running.until_drained()
        assert (await running.post(event(30))).status_code == 200
        in_log = await ids(running, 31)
        assert list(dict.fromkeys(in_log)) == [f"e{number}" for number in range(31)]
        assert await metric(running, "spool_records") == 0
        assert await metric(running, "drained_records_total") == 29
    finally:
        assert await asyncio.to_thread(running.stop) == 0


async def test_a_stop_answers_from_disk_what_the_broker_does_not_and_the_next_start_delivers(
    broker: OwnBroker, topics: Topics, tmp_path: Path
) -> None:
    running = await started(broker, topics, tmp_path, ack="5")
    broker.send(signal.SIGSTOP)
    async with plain_client(limits=httpx.Limits(max_connections=40)) as client:
        posts = (client.post(f"{running.url}/v1/events", json=event(n, n)) for n in range(20))
        sending = [asyncio.create_task(one) for one in posts]

        async def is_under_way() -> bool:
            return await metric(running, "pending_records") >= 20

        await until(is_under_way)
        assert await asyncio.to_thread(running.stop) == 0
        assert [one.status_code for one in await asyncio.gather(*sending)] == [200] * 20
    broker.send(signal.SIGCONT)
    running.start()
    try:
        await running.until_drained()
        assert set(await ids(running, 20)) == {f"e{n}" for n in range(20)}
    finally:
        assert await asyncio.to_thread(running.stop) == 0


async def test_collector_and_broker_killed_in_turn_while_clients_keep_sending(
    broker: OwnBroker, topics: Topics, tmp_path: Path
) -> None:
    running = await started(broker, topics, tmp_path)
    clients = RetryingClients(f"{running.url}/v1/events")
    sending = asyncio.create_task(clients.run())
    try:
        await until(lambda: len(clients.acknowledged) > 50)
        broker.kill()  # and with it its log: what it had acknowledged is gone, what comes now is not
        await until(lambda: spools(running))
        await more(clients)  # what was under way is answered
        known = set(clients.acknowledged)
        for _ in range(2):
            await more(clients)
            running.kill()
            running.start()
        await more(clients)
        broker.start()
        await ensure_topics(broker.address, topics, partitions=PARTITIONS)
        await running.until_drained()
        clients.is_over = True
        await sending
        await running.until_drained()
        wanted = set(clients.acknowledged) - known
        in_log = await ids(running, len(wanted))
        assert wanted <= set(in_log)
    finally:
        sending.cancel()
        assert await asyncio.to_thread(running.stop) == 0


async def test_a_collector_that_never_saw_its_broker_does_not_know_where_events_go(
    broker: OwnBroker, topics: Topics, tmp_path: Path
) -> None:
    broker.kill()
    running = start(broker.address, topics.space, tmp_path, "--open", "--ack-timeout", "1")
    try:
        await running.until_status("/readyz", 503)
        answer = await running.post(event(1))
        assert answer.status_code == 503
        assert answer.json()["code"] == "unavailable"
        broker.start()
        await ensure_topics(broker.address, topics, partitions=PARTITIONS)
        await running.until_drained()
        broker.kill()
        await running.until_status("/readyz", 200)
        assert (await running.post(event(1))).status_code == 200
        broker.start()
        await ensure_topics(broker.address, topics, partitions=PARTITIONS)
        await running.until_drained()
        assert set(await ids(running, 1)) == {"e1"}
    finally:
        assert await asyncio.to_thread(running.stop) == 0


async def test_ordered_senders_are_told_to_wait(broker: OwnBroker, topics: Topics, tmp_path: Path) -> None:
    running = await started(broker, topics, tmp_path)
    try:
        broker.send(signal.SIGSTOP)
        answer = await running.post([event(1)], headers={"X-Funnelcast-Sequence": "s:0"})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert (await running.post([event(2)])).status_code == 200
        broker.send(signal.SIGCONT)
    finally:
        assert await asyncio.to_thread(running.stop) == 0


async def test_a_spool_has_one_owner_and_a_disk(broker: OwnBroker, topics: Topics, tmp_path: Path) -> None:
    running = await started(broker, topics, tmp_path)
    try:
        log = tmp_path / "second"
        log.mkdir()
        second = start(broker.address, topics.space, tmp_path, "--open")
        assert await asyncio.to_thread(second.process.wait, LIMIT) == 75
        assert "another collector uses the spool" in second.log.read_text()
    finally:
        assert await asyncio.to_thread(running.stop) == 0
    (log / "spool").write_text("")
    third = start(broker.address, topics.space, log, "--open")
    assert await asyncio.to_thread(third.process.wait, LIMIT) == 2
    assert "cannot be used" in third.log.read_text()


async def test_fewer_workers_drain_what_more_of_them_left(broker: OwnBroker, topics: Topics, tmp_path: Path) -> None:
    running = await started(broker, topics, tmp_path, "--workers", "2")
    broker.send(signal.SIGSTOP)
    answers = [(await running.post(event(number, number))).status_code for number in range(40)]
    assert set(answers) == {200}
    running.kill()
    spools = tmp_path / "spool" / topics.space
    assert all(any(one.glob("*.spool")) for one in (spools / "worker-0", spools / "worker-1"))
    broker.send(signal.SIGCONT)
    running.arguments = [one for one in running.arguments if one not in ("--workers", "2")]
    await running.until_gone()  # the workers end with their parent
    running.start()
    try:
        await running.until_drained()
        assert set(await ids(running, 40)) == {f"e{number}" for number in range(40)}
        await until(lambda: not (spools / "worker-1").exists())
    finally:
        assert await asyncio.to_thread(running.stop) == 0
