"""The whole of funnelcast for one test: a collector and a worker as processes of their own, and what they counted.

It starts commands, asks the collector over HTTP, and reads the counters that the worker wrote to Redis.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from funnelcast.processes.ports import free_port
from schemas.funnel.load import parse_funnel
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.report.document.counters import build_document
from streams.report.document.shapes import CountersDocument
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from tests.support.command import run_command, start_command
from tests.support.http import plain_get
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT, What, wait_until

NAMES = ("page_view", "hero_view", "cta_click", "lead", "form_submit", "identify", "custom", "page", "done")
FUNNEL = f"""
name: site
version: 1
conversion_window: 1d
stages:
{"".join(f"  - {{name: {name}, on: [{name}]}}" + chr(10) for name in NAMES)}
dimensions:
  - {{name: channel, attribution: first}}
"""
"""One stage for each event, so that `events` of a stage counts them."""
PAGES = """
name: pages
version: 1
conversion_window: 1d
stages:
  - {name: pricing, on: [{event: page_view, where: {page.path: /pricing}}]}
  - {name: checkout, on: [{event: page_view, where: {page.url: {matches: "/checkout[?].*plan=pro"}}}]}
  - {name: thanks, on: [{event: page_view, where: {page.path: {starts_with: /thanks}, page.title: Thank you}}]}
dimensions:
  - {name: landing, attribution: first, property: page.path}
"""
"""The first funnel that anybody builds: page, page, page."""


def until(condition: Callable[[], Any], what: What) -> Any:
    """The first true answer of the condition. Fails at the deadline."""
    return wait_until(condition, what=what)


@dataclass
class Installation:
    """Collector and worker of one space. `key` is a browser's."""

    stack: StackAddresses
    space: str
    directory: Path
    port: int = field(default_factory=free_port)
    key: str = ""
    server_key: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    collector: subprocess.Popen[bytes] | None = None
    marks: int = 0
    before: dict[str, int] = field(default_factory=dict)
    records_before: int = 0

    health_port: int = field(default_factory=free_port)
    funnels: str = ""
    """Others than those of this file."""
    partitions: int = 1
    webhooks: Path | None = None
    """Then there is an enricher too."""

    @property
    def url(self) -> str:
        """Of the collector."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Everything, ready."""
        (self.directory / "site.yaml").write_text(FUNNEL)
        (self.directory / "pages.yaml").write_text(PAGES)
        self._run(ensure_topics(self.stack.kafka, Topics(self.space), partitions=self.partitions))
        self.key, self.server_key = self._new_key("browser"), self._new_key("server")
        health = free_port()
        worker = self._command("worker", "--health-port", str(health))
        self.processes.append(worker)
        self.start_collector()
        until(lambda: self._is_up(worker, health), "worker ready")
        if self.webhooks is not None:
            port = free_port()
            enricher = self._command("enricher", "--webhooks", str(self.webhooks), "--health-port", str(port))
            self.processes.append(enricher)
            until(lambda: self._is_up(enricher, port), "enricher ready")

    def start_collector(self) -> None:
        """On the same port as before."""
        hooks = () if self.webhooks is None else ("--webhooks", str(self.webhooks))
        ports = ("--port", str(self.port), "--health-port", str(self.health_port))
        self.collector = self._command("collector", *ports, *hooks)
        self.processes.append(self.collector)
        until(lambda: self._is_up(self.collector, self.port), "collector ready")

    def stop_collector(self) -> None:
        """Ports are closed when this returns: connections are refused."""
        assert self.collector is not None
        self.collector.terminate()
        _, err = self.collector.communicate(timeout=LIMIT)
        assert self.collector.returncode == 0, err.decode()

    def snippet(self, *arguments: str, url: str = "") -> dict[str, Any]:
        """What `funnelcast snippet --json` says."""
        more = ("--attribute", "allow-bots")  # a driven browser says that it is one
        return self._json("snippet", "--url", url or self.url, "--key", self.key, "--json", *more, *arguments)

    def begin(self) -> None:
        """What was counted so far is another test's."""
        self.before, self.records_before = {}, 0
        self.before, self.records_before = self.events(), len(self.records())

    def events(self) -> dict[str, int]:
        """Distinct events of this test by name, as they stand in Redis now, and `duplicates`."""
        document = self.document()
        cells: dict[str, Any] = document["counters"].get("total", {})
        stages: dict[str, Any] = next(iter(cells.values()))[""] if cells else {}
        counts: dict[str, int] = {name: stages[name].get("events", 0) for name in stages}
        counts["duplicates"] = document["input"]["duplicates"]
        return {name: count - self.before.get(name, 0) for name, count in counts.items()}

    def document(self) -> dict[str, Any]:
        """The counters document, as `funnelcast report --json` prints it."""
        return dict(self._run(_document(self.stack.redis, self.space)))

    def report(self, funnel: str = "site") -> dict[str, Any]:
        """What `funnelcast report --json` prints."""
        own = self.directory / f"{funnel}.yaml"
        return self._json("report", "--funnel", str(own) if own.exists() else funnel, "--json")

    def stages(self, funnel: str) -> dict[str, int]:
        """Entries of each stage that has any, as `report` prints them now."""
        (cells,) = self.report(funnel)["counters"].get("total", {}).values() or [{"": {}}]
        return {stage: cell["entries"] for stage, cell in cells[""].items() if cell.get("entries")}

    def counted(self, *, duplicates: bool = False, **expected: int) -> None:
        """Wait until exactly these events are counted; nothing that was sent before is still to come."""
        until(lambda: self._seen(expected), lambda: f"{expected} counted, are {self.events()}\n{self._state()}")
        done = self.events().get("done", 0) + 1
        self.marks += 1
        marker = {"id": f"m-{self.marks}", "name": "done", "user_id": "marker"}
        answer = httpx.post(
            f"{self.url}/v1/events", json=marker, headers={"X-Write-Key": self.server_key}, timeout=LIMIT
        )
        assert answer.status_code == 200
        until(lambda: self.events().get("done") == done, "the marker counted")
        counts = {name: count for name, count in self.events().items() if count and name != "done"}
        assert counts.pop("duplicates", 0) == 0 or duplicates
        assert counts == {name: count for name, count in expected.items() if count}

    def records(self) -> list[dict[str, Any]]:
        """Events of this test as they stand in the log, without markers."""
        records = self._run(_records(self.stack.kafka, Topics(self.space).events))
        return [one for one in records if one.get("name") not in ("done", None)][self.records_before :]

    def metric(self, name: str, having: str = "") -> float:
        """Sum of a metric of the collector over the lines that have this label."""
        lines = plain_get(f"http://127.0.0.1:{self.health_port}/metrics").text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((f"funnelcast_collector_{name}{{", f"funnelcast_collector_{name} ")) and having in line
        )

    def end(self) -> None:
        """Nothing is left."""
        for process in self.processes:
            process.kill()
            process.communicate()

    def _is_up(self, process: subprocess.Popen[bytes] | None, port: int) -> bool:
        assert process is not None
        assert process.poll() is None, process.communicate()[1].decode()
        return _answers(f"http://127.0.0.1:{port}/readyz")

    def _state(self) -> str:
        """What the collector says of itself."""
        lines = plain_get(f"http://127.0.0.1:{self.health_port}/metrics").text.splitlines()
        ends = [process.poll() for process in self.processes]
        return "\n".join([f"ended: {ends}", *(one for one in lines if "events" in one or "requests_total" in one)])

    def _seen(self, expected: dict[str, int]) -> bool:
        events = self.events()
        return all(events.get(name, 0) >= count for name, count in expected.items())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """In another thread: Playwright's loop runs in this one."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work).result(LIMIT)

    def _new_key(self, scope: str) -> str:
        key = self._json("keys", "create", "--source", scope, "--scope", scope, "--json")["key"]
        assert isinstance(key, str)
        return key

    def json(self, *arguments: str) -> dict[str, Any]:
        """What a command prints as JSON."""
        return self._json(*arguments)

    def _json(self, *arguments: str) -> dict[str, Any]:
        code, out, err = run_command(*arguments, state_dir=self.directory, env=self._environment())
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document

    def _command(self, *arguments: str) -> subprocess.Popen[bytes]:
        return start_command(*arguments, state_dir=self.directory, env=self._environment())

    def _environment(self) -> dict[str, str]:
        return {
            "FUNNELCAST_KAFKA": self.stack.kafka,
            "FUNNELCAST_REDIS": self.stack.redis,
            "FUNNELCAST_SPACE": self.space,
            "FUNNELCAST_FUNNELS": self.funnels or f"{self.directory / 'site.yaml'},{self.directory / 'pages.yaml'},web",
            "FUNNELCAST_KEYS": str(self.directory / "keys.json"),
        }


def _answers(url: str) -> bool:
    try:
        return plain_get(url).status_code == 200
    except httpx.TransportError:
        return False


async def _document(redis: str, space: str) -> CountersDocument:
    client = connect(redis)
    try:
        return await build_document(RedisCounterReader(client, space), parse_funnel(FUNNEL))
    finally:
        await close(client)


async def _records(kafka: str, topic: str) -> list[dict[str, Any]]:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        await consumer.seek_to_beginning(partition)
        records: list[dict[str, Any]] = []
        while await consumer.position(partition) < end:
            for some in (await consumer.getmany(timeout_ms=200)).values():
                records += [json.loads(one.value) for one in some if one.value]
        return records
    finally:
        await consumer.stop()
