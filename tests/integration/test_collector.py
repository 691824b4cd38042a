"""The collector as a process, on a real broker: acknowledged events, outages and their end, a client, a clean stop."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from segment.analytics.client import Client as SegmentClient

from schemas.partition import partition_of
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.broker import OwnBroker
from tests.support.http import plain_client
from tests.support.running_collector import PARTITIONS, RunningCollector, running_collector, start
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT, until


@pytest.fixture
async def collector(
    embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path
) -> AsyncIterator[RunningCollector]:
    async with running_collector(embedded_stack.kafka, fresh_space, tmp_path, "--open") as running:
        yield running


def event(number: int, **members: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "name": "click", "anonymous_id": f"v{number % 10}"} | members


async def test_acknowledged_events_are_in_the_log_in_the_partition_of_their_person(
    collector: RunningCollector,
) -> None:
    batches = [[event(n) for n in range(first, first + 50)] for first in range(0, 500, 50)]
    before_ms = time.time_ns() // 1_000_000
    answers = await asyncio.gather(*(collector.post(batch) for batch in batches))
    assert [answer.json()["accepted"] for answer in answers] == [50] * 10
    records = await collector.records(collector.topics.events, 500)
    assert sorted(json.loads(record.value)["id"] for record in records) == sorted(f"e{n}" for n in range(500))
    for record in records:
        assert record.partition == partition_of(record.key, PARTITIONS)
        assert before_ms <= record.timestamp == json.loads(record.value)["received_at_ms"]
    for person in range(10):
        numbers = [int(json.loads(record.value)["id"][1:]) for record in records if record.key == b"a:v%d" % person]
        for first in range(0, 500, 50):
            part = [n for n in numbers if first <= n < first + 50]
            assert part == sorted(part)


async def test_received_is_accepted_plus_rejected_and_rejects_are_dead_letters(collector: RunningCollector) -> None:
    answer = await collector.post([event(1), event(2, name=None), "x"])
    assert answer.json()["accepted"] == 1
    dead_letters = await collector.records(collector.topics.rejected, 2)
    assert {json.loads(one.value)["reason"] for one in dead_letters} == {"missing_name", "not_an_object"}
    assert {one.headers for one in dead_letters} == {(("reason", b"missing_name"),), (("reason", b"not_an_object"),)}
    async with plain_client() as client:
        text = (await client.get(f"{collector.health_url}/metrics")).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    received = float(values['funnelcast_collector_events_received_total{source="default"}'])
    parts = [float(value) for name, value in values.items() if name.startswith("funnelcast_collector_events_total{")]
    assert received == sum(parts) == 3


async def test_the_segment_client_is_served(collector: RunningCollector) -> None:
    errors: list[object] = []

    def send(gzip: bool, name: str) -> None:
        client = SegmentClient(
            "KEY", host=collector.url, gzip=gzip, sync_mode=True, on_error=lambda error, _: errors.append(error)
        )
        client.track("u1", name, {"revenue": 19.90}, message_id=f"{name}-1")
        client.identify("u1", {"email": "ann@example.com"})
        client.page("u1", "Main", "Home")

    await asyncio.to_thread(send, False, "Order Completed")
    await asyncio.to_thread(send, True, "Order Refunded")
    assert errors == []
    events = [json.loads(one.value) for one in await collector.records(collector.topics.events, 6)]
    names = sorted(one["name"] for one in events)
    assert names == ["identify", "identify", "order_completed", "order_refunded", "page", "page"]
    now_ms = time.time_ns() // 1_000_000
    assert all(abs(one["occurred_at_ms"] - now_ms) < 60_000 for one in events)


async def test_sigterm_answers_what_is_under_way_and_exits_0(collector: RunningCollector) -> None:
    sending = [asyncio.create_task(collector.post([event(n)])) for n in range(20)]
    await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    assert await asyncio.to_thread(collector.stop) == 0
    answered = [one.result().status_code for one in sending if not one.cancelled() and one.exception() is None]
    assert set(answered) <= {200, 503}
    accepted = answered.count(200)
    assert len(await collector.records(collector.topics.events, accepted)) >= accepted


async def test_503_without_a_spool_while_the_broker_hangs_and_recovery_by_itself(
    broker: OwnBroker, fresh_space: str, tmp_path: Path
) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(broker.address, topics, partitions=PARTITIONS)
    running = start(broker.address, fresh_space, tmp_path, "--open", "--ack-timeout", "1", "--spool-bytes", "0")
    try:
        await running.until_status("/readyz", 200)
        assert (await running.post(event(1))).status_code == 200
        broker.send(signal.SIGSTOP)
        answer = await running.post(event(2))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["code"] == "unavailable"
        await running.until_status("/readyz", 503)
        assert await running.status("/healthz") == 200
        broker.send(signal.SIGCONT)
        await running.until_status("/readyz", 200)
        assert (await running.post([event(2), event(3)])).status_code == 200
        records = await running.records(topics.events, 3)
        assert {json.loads(one.value)["id"] for one in records} == {"e1", "e2", "e3"}
    finally:
        assert await asyncio.to_thread(running.stop) == 0


async def test_a_broker_that_comes_late_or_loses_everything_needs_no_restart_of_the_collector(
    broker: OwnBroker, fresh_space: str, tmp_path: Path
) -> None:
    topics = Topics(fresh_space)
    broker.kill()
    running = start(broker.address, fresh_space, tmp_path, "--open", "--ack-timeout", "1", "--spool-bytes", "0")
    try:
        await running.until_status("/readyz", 503)
        answer = await running.post(event(1))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        for number in (1, 2):
            broker.start()
            await ensure_topics(broker.address, topics, partitions=PARTITIONS)
            await running.until_status("/readyz", 200)

            async def is_taken(number: int = number) -> bool:
                return (await running.post(event(number))).status_code == 200

            await until(is_taken, every=0.2)
            assert json.loads((await running.records(topics.events, 1))[0].value)["id"] == f"e{number}"
            broker.kill()
    finally:
        assert await asyncio.to_thread(running.stop) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "no write keys"),
        (("--open", "--host", "0.0.0.0"), "loopback only"),  # noqa: S104 - refused, that is the point
        (("--keys", "empty.json"), "holds no write key"),
    ],
)
async def test_it_does_not_start_open_to_everyone_by_accident(
    flags: tuple[str, ...], words: str, fresh_space: str, tmp_path: Path
) -> None:
    running = start("127.0.0.1:1", fresh_space, tmp_path, *flags)
    assert await asyncio.to_thread(running.process.wait, LIMIT) == 2
    assert words in running.log.read_text()
