"""`funnelcast recount`: a changed definition is counted from the log and switched to, beside running workers; what they
count from then on equals, byte for byte, what they would have counted from the start."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from funnelcast.replay.memory import Refusals, ReplayJob, replay_through_memory
from schemas.errors import UsageError
from schemas.funnel.definition import definition_text
from schemas.funnel.load import parse_funnel
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.archive.files import ArchiveFolder
from streams.archive.writer import ArchiveWriter
from streams.core.place import Place
from streams.recount.job import RecountJob, Watcher
from streams.recount.run import Recount
from streams.report.document.counters import build_document, canonical_json
from streams.store.address import Client
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from streams.store.recounts import Recounts
from streams.store.redis import RedisPartitionStore
from streams.transport.log_reader import LogReader
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.command import run_command
from tests.support.logs import Record, records_of, slices, ticks, write_log
from tests.support.stack import StackAddresses
from tests.support.waiting import until
from tests.support.worker_processes import Workers
from tests.support.workers import producing

PARTITIONS = 3
BEFORE = """
name: shop
version: 1
conversion_window: 3d
allowed_lateness: 2d
stages:
  - {name: click, on: [click], abandon_after: 1h}
  - {name: payment, on: [payment], order: true}
"""
AFTER = """
name: shop
version: 2
conversion_window: 5d
allowed_lateness: 2d
stages:
  - {name: impression, on: [impression], abandon_after: 30m}
  - {name: click, on: [click], abandon_after: 1h}
  - {name: lead, on: [lead], abandon_after: 2d}
  - {name: payment, on: [payment], order: true}
lost:
  - {on: [lead_lost]}
dimensions:
  - {name: channel, attribution: first}
"""
OLD, NEW = parse_funnel(BEFORE), parse_funnel(AFTER)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> ReplayJob:
    """Sixty days of messy events, with people of several ids, over three partitions."""
    directory = tmp_path_factory.mktemp("events")
    code, out, said = run_command("simulate", "--seed", "3", "--events", "1700", "--messy", state_dir=directory)
    assert code == 0, said
    path = directory / "events.jsonl"
    path.write_bytes(out)
    return ReplayJob(funnels=(NEW,), references=(), events=path, partitions=PARTITIONS)


async def _in_memory(job: ReplayJob, watermark_ms: int | None = None) -> bytes:
    (document,) = await replay_through_memory(replace(job, watermark_ms=watermark_ms), Refusals(job.events))
    return canonical_json(document)


async def _counted(reader: RedisCounterReader, ends: dict[int, int]) -> None:
    async def reached() -> bool:
        statuses = [(end, await reader.status(partition)) for partition, end in ends.items()]
        return all(one is not None and one.offset >= end and not one.meta.pending for end, one in statuses)

    await until(reached, what=f"{ends} counted")


async def test_a_running_worker_is_switched_and_goes_on(
    env: dict[str, str], workers: Workers, reader: RedisCounterReader, tmp_path: Path, job: ReplayJob
) -> None:
    """It knows version 1 only, and is switched in the middle of the log by the command."""
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    before.write_text(BEFORE)
    after.write_text(AFTER)
    topics, records = Topics(env["FUNNELCAST_SPACE"]), list(records_of(job))
    last_ms = max(time_ms for _, _, _, time_ms in records)
    await ensure_topics(env["FUNNELCAST_KAFKA"], topics, partitions=PARTITIONS, historical=True)
    async with producing(env["FUNNELCAST_KAFKA"]) as producer:
        await workers.start(FUNNELCAST_FUNNELS=str(before))
        await _counted(reader, await write_log(producer, topics.events, records[:1700]))
        code, out, said = await asyncio.to_thread(
            run_command, "recount", str(after), "--json", state_dir=tmp_path, env=env
        )
        assert code == 0, said
        done = json.loads(out)
        assert (done["is_switched"], done["compared"]["before"], done["records"]) == (True, "shop@1", 1700)
        for part in slices(records[1700:], 86_400_000):
            await _counted(reader, await write_log(producer, topics.events, part))
        ends = await write_log(producer, topics.events, ticks(PARTITIONS, last_ms + 60_000))
        await _counted(reader, ends)
    assert canonical_json(await build_document(reader, NEW)) == await _in_memory(job, last_ms)


@dataclass
class _Space:
    """A space whose log is counted by version 1, up to its end."""

    job: RecountJob
    client: Client
    records: list[Record]

    def recount(self, watcher: Watcher | None = None, **changes: object) -> Recount:
        job = replace(self.job, **changes)  # type: ignore[arg-type]
        return Recount(job, self.client, watcher=watcher or Watcher(), old=OLD)

    @property
    def reader(self) -> RedisCounterReader:
        return RedisCounterReader(self.client, self.job.space)

    async def shadows(self) -> list[bytes]:
        return [key async for key in self.client.scan_iter(f"fc:*{self.job.space}*shadow*")]

    async def claimed(self, partition: int) -> PartitionProcessor:
        """By a worker that was started with version 1."""
        store = RedisPartitionStore(self.client, self.job.space)
        processor = PartitionProcessor(store, Place(partition, PARTITIONS), [OLD])
        await processor.claim()
        return processor


@pytest.fixture
async def space(embedded_stack: StackAddresses, fresh_space: str, job: ReplayJob) -> AsyncIterator[_Space]:
    kafka, topics = embedded_stack.kafka, Topics(fresh_space)
    await ensure_topics(kafka, topics, partitions=PARTITIONS, historical=True)
    records = list(records_of(job))
    async with producing(kafka) as producer:
        await write_log(producer, topics.events, records)
    client = connect(embedded_stack.redis)
    told = RecountJob(kafka=kafka, redis=embedded_stack.redis, space=fresh_space, definition=definition_text(NEW))
    space = _Space(told, client, records)
    for partition in range(PARTITIONS):
        processor = await space.claimed(partition)
        mine = [(key, value, time_ms) for place, key, value, time_ms in records if place == partition]
        log = [LogRecord(key, value, time_ms, offset) for offset, (key, value, time_ms) in enumerate(mine)]
        await processor.process(log, len(log))
    yield space
    await close(client)


async def test_two_processes_and_a_dry_run_count_the_same(space: _Space, job: ReplayJob) -> None:
    """The dry run leaves nothing; after the switch a definition that differs needs a higher version."""
    tried = await space.recount().run(switch=False)
    assert (tried.is_switched, tried.records) == (False, len(space.records))
    assert await space.reader.switched() == {}
    assert await space.shadows() == []
    done = await space.recount(processes=2).run(switch=True)
    assert (done.is_switched, done.compared) == (True, tried.compared)
    assert await space.shadows() == []
    assert canonical_json(await build_document(space.reader, NEW)) == await _in_memory(job)
    assert (await space.claimed(0)).engine.funnel_ids == ("shop@2",)
    changed = AFTER.replace("abandon_after: 1h", "abandon_after: 2h")
    with pytest.raises(UsageError, match="write version: 3"):
        await space.recount(definition=definition_text(parse_funnel(changed))).run(switch=True)
    with pytest.raises(UsageError, match="write version: 3"):
        await space.recount(definition=definition_text(OLD)).run(switch=True)


async def test_what_kafka_has_lost_comes_out_of_the_archive(
    space: _Space, job: ReplayJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first 300 records of every partition are in the archive alone."""
    folder = ArchiveFolder(tmp_path / "archive")
    async with LogReader(space.job.kafka, space.job.events) as log:
        with folder.writing():
            await ArchiveWriter(folder, log, progress=lambda rows: None, flush_rows=700).run(follow=False)
    assign = LogReader.assign

    async def without_the_first(log: LogReader, partitions: list[int]) -> dict[int, int]:
        return dict.fromkeys(await assign(log, partitions), 300)

    monkeypatch.setattr(LogReader, "assign", without_the_first)
    done = await space.recount(archive=folder.name).run(switch=True)
    assert (done.from_archive, done.missing, done.records) == (900, {}, len(space.records))
    assert canonical_json(await build_document(space.reader, NEW)) == await _in_memory(job)


class _Interrupts(Watcher):
    """Ends the recount where a part of it begins."""

    def __init__(self, where: str) -> None:
        self._where = where

    def begins(self, what: str, total: int) -> None:
        if what == self._where:
            raise asyncio.CancelledError


async def test_an_interrupted_one_changes_nothing(
    space: _Space, job: ReplayJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever: the workers claim as before, nothing of it stays, and the next one works."""
    for where in ("counting", "writing", "catching up", "decide"):
        with monkeypatch.context() as patched:
            if where == "decide":  # every partition is held by then
                patched.setattr(Recounts, "decide", _cancelled)
            with pytest.raises(asyncio.CancelledError):
                await space.recount(_Interrupts(where)).run(switch=True)
        assert await space.reader.switched() == {}
        assert await space.shadows() == []
        assert (await space.claimed(1)).engine.funnel_ids == ("shop@1",)
    await space.recount().run(switch=True)
    assert canonical_json(await build_document(space.reader, NEW)) == await _in_memory(job)


async def _cancelled(*_: object, **__: object) -> None:
    raise asyncio.CancelledError
