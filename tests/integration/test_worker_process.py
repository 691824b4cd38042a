"""`funnelcast worker`, `ticker`, `topics`, `gaps` as processes, with the real core, on the embedded stack."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from schemas.funnel.load import load_funnel, load_funnels
from schemas.partition import partition_of
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.report.document.counters import build_document, canonical_json
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.reader import RedisCounterReader
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.command import run_command, start_command
from tests.support.histories import history
from tests.support.waiting import until
from tests.support.worker_processes import Workers
from tests.support.workers import fill, producing

PARTITIONS = 4
FUNNEL = load_funnel("sales")


def partition_logs(log: list[LogRecord]) -> list[list[LogRecord]]:
    """The log of each partition, ticks in every one."""
    parts: list[list[LogRecord]] = [[] for _ in range(PARTITIONS)]
    for record in log:
        for number in range(PARTITIONS) if record.key is None else [partition_of(record.key, PARTITIONS)]:
            parts[number].append(replace(record, offset=len(parts[number])))
    return parts


async def expected(parts: list[list[LogRecord]]) -> bytes:
    """The document, counted in memory."""
    space = MemorySpace()
    for number, log in enumerate(parts):
        processor = PartitionProcessor(MemoryPartitionStore(space), number, [FUNNEL])
        await processor.claim()
        await processor.process(log, len(log))
    return canonical_json(await build_document(MemoryCounterReader(space), FUNNEL))


async def write(kafka: str, topic: str, parts: list[list[LogRecord]], pick: Callable[[int], range]) -> None:
    """Put records on the topic; `pick(length)` says which of each partition."""
    async with producing(kafka) as producer:
        sent = [
            await producer.send(topic, record.value, key=record.key, partition=number, timestamp_ms=record.timestamp)
            for number, log in enumerate(parts)
            for record in (log[index] for index in pick(len(log)))
        ]
        await asyncio.gather(*sent)


async def finished(reader: RedisCounterReader) -> bool:
    """Whether every partition has seen the marker and booked its deadlines."""
    statuses = [await reader.status(number) for number in range(PARTITIONS)]
    return all(status and status.meta.marker == "end" and not status.meta.pending for status in statuses)


async def test_two_workers_one_of_them_killed_count_what_memory_counts(
    env: dict[str, str], workers: Workers, reader: RedisCounterReader
) -> None:
    topics = Topics(env["FUNNELCAST_SPACE"])
    await ensure_topics(env["FUNNELCAST_KAFKA"], topics, partitions=PARTITIONS, historical=True)
    parts = partition_logs(history(3000))
    first = await workers.start()
    second = await workers.start()
    await write(env["FUNNELCAST_KAFKA"], topics.events, parts, lambda n: range(n // 2))
    first.kill()
    await write(env["FUNNELCAST_KAFKA"], topics.events, parts, lambda n: range(n // 2, n))
    await until(lambda: finished(reader), what="everything counted")
    assert canonical_json(await build_document(reader, FUNNEL)) == await expected(parts)
    second.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(second.wait, 10) == 0


async def test_a_funnel_that_changed_without_a_new_version_is_refused(
    env: dict[str, str], workers: Workers, tmp_path: Path
) -> None:
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=1)
    file = tmp_path / "shop.yaml"
    file.write_text(
        "name: shop\nversion: 1\nconversion_window: 7d\nstages:\n  - {name: a, on: [a]}\n  - {name: b, on: [b]}\n"
    )
    assert load_funnels([str(file)])
    first = await workers.start(FUNNELCAST_FUNNELS=str(file))
    first.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 10) == 0
    file.write_text(
        "name: shop\nversion: 1\nconversion_window: 7d\nstages:\n  - {name: a, on: [a]}\n  - {name: b, on: [b, c]}\n"
    )
    second = await workers.start(ready=False, FUNNELCAST_FUNNELS=str(file))
    assert await asyncio.to_thread(second.wait, 60) == 70
    last = json.loads(workers.said(second).splitlines()[-1])
    assert "raise `version`" in last["message"]
    assert last["exit_code"] == 70


SLOW = """
name: slow
version: 1
conversion_window: 1000m
allowed_lateness: 1m
unit: deal_id
lead_in: 1m
stages:
  - {name: a, on: [a]}
  - {name: b, on: [b], order: true}
"""


def _slow_chunk(count: int) -> list[LogRecord]:
    """History of one person that takes a minute: every event settles deals for the one that leaves the window."""
    at = 1_750_000_000_000
    bodies = [
        {
            "id": f"e{n}",
            "name": "a",
            "occurred_at_ms": at + n * 60_000,
            "received_at_ms": at + n * 60_000,
            "properties": {"deal_id": f"d{n % 50}"},
        }
        for n in range(count)
    ]
    return [
        LogRecord(b"a:kiosk", json.dumps(body).encode(), int(str(body["received_at_ms"])), offset)
        for offset, body in enumerate(bodies)
    ]


async def test_a_worker_ends_in_time_whatever_it_computes(
    env: dict[str, str], workers: Workers, reader: RedisCounterReader, tmp_path: Path
) -> None:
    topics = Topics(env["FUNNELCAST_SPACE"])
    await ensure_topics(env["FUNNELCAST_KAFKA"], topics, partitions=1, historical=True)
    (tmp_path / "slow.yaml").write_text(SLOW)
    worker = await workers.start(FUNNELCAST_FUNNELS=str(tmp_path / "slow.yaml"))
    await write(env["FUNNELCAST_KAFKA"], topics.events, [_slow_chunk(6_000)], range)

    async def is_busy() -> bool:
        return await workers.status(worker, "/healthz") is None

    await until(is_busy, what="a chunk that takes long")
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 10) == 0
    status: Any = await reader.status(0)
    assert status is None or status.offset < 6_000


async def test_a_worker_without_redis_gives_up_with_try_again(env: dict[str, str], tmp_path: Path) -> None:
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=1)
    code, _, said = await asyncio.to_thread(
        run_command, "worker", "--redis", "redis://127.0.0.1:9", "--start-timeout", "2", state_dir=tmp_path, env=env
    )
    assert code == 75
    assert "Redis does not answer" in said


async def test_the_ticker_moves_the_watermark_of_a_quiet_space(
    env: dict[str, str], workers: Workers, reader: RedisCounterReader, tmp_path: Path
) -> None:
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=PARTITIONS)
    await workers.start()
    ticker = start_command("ticker", "--every", "0.2", state_dir=tmp_path, env=env)
    try:

        async def moved() -> bool:
            statuses = [await reader.status(number) for number in range(PARTITIONS)]
            return all(status is not None and status.meta.watermark_ms is not None for status in statuses)

        await until(moved, what="a watermark in every partition")
        now_ms = time.time_ns() // 1_000_000
        for number in range(PARTITIONS):
            status: Any = await reader.status(number)
            assert status.meta.watermark_ms <= now_ms - 60_000
    finally:
        ticker.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(ticker.wait, 10) == 0
        ticker.communicate()


async def test_topics_are_created_and_checked_by_the_command(env: dict[str, str], tmp_path: Path) -> None:
    async def create(*arguments: str) -> tuple[int, dict[str, Any]]:
        code, out, _ = await asyncio.to_thread(
            run_command, "topics", "create", "--json", *arguments, state_dir=tmp_path, env=env
        )
        return code, json.loads(out)

    code, said = await create("--partitions", "3")
    assert code == 0
    assert [topic["created"] for topic in said["topics"]] == [True] * 5
    code, said = await create()
    assert code == 0
    assert [(topic["created"], topic["partitions"]) for topic in said["topics"]] == [(False, 3)] * 5
    assert {topic["retention_ms"] for topic in said["topics"]} <= {7 * 86_400_000, 30 * 86_400_000, None}
    code, said = await create("--partitions", "5")
    assert code == 1
    assert "use another --space" in said["problems"][0]


async def test_a_gap_is_accepted_with_a_reason_and_listed(
    env: dict[str, str], workers: Workers, tmp_path: Path
) -> None:
    async def gaps(*arguments: str) -> tuple[int, Any, str]:
        code, out, err = await asyncio.to_thread(run_command, "gaps", *arguments, "--json", state_dir=tmp_path, env=env)
        return code, json.loads(out) if out else None, err

    topic = Topics(env["FUNNELCAST_SPACE"]).events
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=1)
    worker = await workers.start()
    worker.send_signal(signal.SIGTERM)
    await asyncio.to_thread(worker.wait, 10)
    assert (await gaps("list"))[:2] == (0, [])
    async with producing(env["FUNNELCAST_KAFKA"]) as producer:
        await fill(producer, topic, [20])
    wrong = [("0", "21", "the log holds offsets 0 to 20"), ("7", "0", "has partitions 0 to 0, not 7")]
    for partition, offset, sentence in wrong:
        code, _, said = await gaps("accept", "--partition", partition, "--offset", offset, "--reason", "typo")
        assert code == 70
        assert sentence in said
    assert (await gaps("list"))[:2] == (0, [])
    code, moved, _ = await gaps("accept", "--partition", "0", "--offset", "17", "--reason", "disk lost")
    assert code == 0
    assert (moved["from"], moved["to"]) == (0, 17)
    code, _, said = await gaps("accept", "--partition", "0", "--offset", "16", "--reason", "back")
    assert code == 70
    assert "would count events twice" in said
    code, listed, _ = await gaps("list")
    assert code == 0
    assert "disk lost" in json.dumps(listed)
    code, _, _ = await gaps("accept", "--partition", "0", "--offset", "20", "--reason", " ")
    assert code == 2
