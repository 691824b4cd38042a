"""What becomes of journeys, from a worker that is killed to a terminal and a webhook, on the embedded stack."""

from __future__ import annotations

import asyncio
import base64
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from msgspec.structs import replace

from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.core.outgoing import Outgoing
from streams.core.place import Place
from streams.store.memory import MemoryPartitionStore, MemorySpace
from streams.store.reader import RedisCounterReader
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.command import run_command
from tests.support.histories import history
from tests.support.waiting import until
from tests.support.worker_processes import Workers
from tests.support.workers import producing

PARTITIONS = 2
DEFINITION = """
name: told
conversion_window: 30d
journeys: true
stages:
  - {name: impression, on: [impression], abandon_after: 30m}
  - {name: click, on: [click], abandon_after: 1h}
  - {name: lead, on: [lead], abandon_after: 7d, stalled_after: 2d}
  - {name: payment, on: [payment], order: true}
lost: [{on: [lead_lost]}]
dimensions: [{name: channel, attribution: first}]
"""
EntryKey = tuple[str, str | None, str, int]


class Kept:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def publish(self, records: Any) -> None:
        self.records += records


def parts_of(log: list[LogRecord]) -> list[list[LogRecord]]:
    """The log of each partition, ticks in every one."""
    parts: list[list[LogRecord]] = [[] for _ in range(PARTITIONS)]
    for record in log:
        for number in range(PARTITIONS) if record.key is None else [partition_of(record.key, PARTITIONS)]:
            parts[number].append(replace(record, offset=len(parts[number])))
    return parts


def last_of_each(changes: list[dict[str, Any]]) -> dict[EntryKey, tuple[str, int]]:
    """What holds of every entry in the end."""
    return {
        (each["person"], each["deal"], each["stage"], each["entered_at_ms"]): (each["change"], each["at_ms"])
        for each in changes
    }


async def told_in_memory(funnel: Funnel, parts: list[list[LogRecord]]) -> dict[EntryKey, tuple[str, int]]:
    told, space = Kept(), MemorySpace()
    for number, log in enumerate(parts):
        place = Place(number, PARTITIONS)
        processor = PartitionProcessor(MemoryPartitionStore(space), place, [funnel], publisher=told)
        await processor.claim()
        await processor.process(log, len(log))
    return last_of_each([json.loads(record.value) for record in told.records])


class _Receiver(BaseHTTPRequestHandler):
    got: list[str] = []  # noqa: RUF012 - of the class on purpose: a handler lives for one request

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.got.append(self.headers["webhook-id"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


async def test_a_killed_worker_tells_nothing_twice_and_leaves_nothing_out(
    env: dict[str, str], workers: Workers, reader: RedisCounterReader, tmp_path: Path
) -> None:
    definition = tmp_path / "told.yaml"
    definition.write_text(DEFINITION)
    env["FUNNELCAST_FUNNELS"] = str(definition)
    topics, parts = Topics(env["FUNNELCAST_SPACE"]), parts_of(history(400))
    await ensure_topics(env["FUNNELCAST_KAFKA"], topics, partitions=PARTITIONS, historical=True)
    first = await workers.start()
    await _write(env["FUNNELCAST_KAFKA"], topics.events, parts, first_half=True)
    first.kill()
    await workers.start()
    await _write(env["FUNNELCAST_KAFKA"], topics.events, parts, first_half=False)

    async def is_counted() -> bool:
        statuses = [await reader.status(number) for number in range(PARTITIONS)]
        return all(status and status.meta.marker == "end" and not status.meta.pending for status in statuses)

    await until(is_counted, what="everything counted")
    changes = await _followed(env, tmp_path, "--from-beginning", "--as", "desk")
    assert len({each["id"] for each in changes}) == len(changes) > 100
    assert last_of_each(changes) == await told_in_memory(load_funnel(str(definition)), parts)
    assert await _followed(env, tmp_path, "--from-beginning", "--as", "desk") == []  # it goes on where it stopped
    advanced = await _followed(env, tmp_path, "--from-beginning", "--change", "advanced")
    assert {each["change"] for each in advanced if each["was"] != "advanced"} == {"advanced"}
    await _sent(env, tmp_path, [each["id"] for each in advanced])


def test_it_is_said_where_no_funnel_publishes(tmp_path: Path) -> None:
    publishes = tmp_path / "told.yaml"
    publishes.write_text(DEFINITION)
    for funnels, is_said in (("sales,web", True), (f"sales,{publishes}", False)):
        env = {"FUNNELCAST_KAFKA": "127.0.0.1:1", "FUNNELCAST_FUNNELS": funnels}
        code, _, err = run_command("journeys", "follow", state_dir=tmp_path, env=env)
        assert ("None of the funnels set here (sales, web) publishes" in err) == is_said
        assert code == 75


async def _write(kafka: str, topic: str, parts: list[list[LogRecord]], *, first_half: bool) -> None:
    async with producing(kafka) as producer:
        for number, log in enumerate(parts):
            middle = len(log) // 2
            for record in log[:middle] if first_half else log[middle:]:
                await producer.send(
                    topic, record.value, key=record.key, partition=number, timestamp_ms=record.timestamp
                )


async def _followed(env: dict[str, str], directory: Path, *options: str) -> list[dict[str, Any]]:
    command = ("journeys", "follow", "--json", "--until-idle", "1", *options)
    code, out, err = await asyncio.to_thread(run_command, *command, state_dir=directory, env=env)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


async def _sent(env: dict[str, str], directory: Path, ids: list[str]) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    (directory / "secret").write_text("whsec_" + base64.b64encode(bytes(32)).decode())
    options = ("--url", f"http://127.0.0.1:{server.server_port}/", "--secret-file", str(directory / "secret"))
    command = ("journeys", "send", "--change", "advanced", "--from-beginning", "--until-idle", "1", *options)
    for _ in range(2):  # the second finds nothing that is new
        code, _, err = await asyncio.to_thread(run_command, *command, state_dir=directory, env=env)
        assert code == 0, err
    server.shutdown()
    server.server_close()
    assert sorted(_Receiver.got) == sorted(ids)
    code, out, _ = await asyncio.to_thread(run_command, "journeys", "dead", "--json", state_dir=directory, env=env)
    assert (code, json.loads(out)) == (0, {"dead": [], "retried": 0})
