"""Collector, enricher and a CRM that fails, as processes on any broker; and hooks of which every number is known."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from funnelcast.processes.listening import Listening
from schemas.funnel.load import parse_funnel
from schemas.record import decode_any
from tests.support.command import start_command
from tests.support.counting import document_of
from tests.support.fake_crm import TOKEN, FakeCrm
from tests.support.http import plain_client
from tests.support.running_collector import RunningCollector, running_collector
from tests.support.waiting import LIMIT, until
from tests.support.webhooks import write_hooks

SECRET = "amocrm-secret-0123456789abc"
BITRIX_PATH = "rest/1/secret"
BITRIX_TOKEN = "51856fefc120afa4b628cc82d3935cce"
FUNNEL = parse_funnel(
    """
name: deals
version: 1
currency: EUR
conversion_window: 30d
stages:
  - {name: lead, on: [lead_created]}
  - {name: payment, on: [payment], order: true}
lost:
  - {on: [deal_lost]}
dimensions:
  - {name: manager, attribution: stage}
  - {name: product, attribution: stage}
"""
)


@dataclass
class Processes:
    """A collector, and an enricher that is started and killed."""

    collector: RunningCollector
    webhooks: Path
    directory: Path
    enricher: subprocess.Popen[bytes] | None = None
    _listening: Listening | None = None

    def start(self, *flags: str) -> None:
        """The enricher."""
        log = self.directory / "enricher.log"
        self._listening = Listening(log)
        self._listening.begin()
        arguments = ["enricher", "--kafka", self.collector.kafka, "--space", self.collector.topics.space]
        arguments += ["--webhooks", str(self.webhooks), "--health-port", "0", *flags]
        self.enricher = start_command(*arguments, state_dir=self.directory, log=log)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to it; its exit code."""
        assert self.enricher is not None
        self.enricher.send_signal(number)
        return self.enricher.wait(LIMIT)

    def stop(self) -> None:
        """Leave nothing behind."""
        if self.enricher is not None:
            self.enricher.kill()
            self.enricher.wait()

    @property
    def port(self) -> int:
        """Of its health page; 0 until its log says one."""
        return (self._listening.port() if self._listening is not None else None) or 0

    async def metric(self, name: str) -> float:
        """Sum of a metric of the enricher; 0 while it does not answer."""
        async with plain_client() as client:
            try:
                text = (await client.get(f"http://127.0.0.1:{self.port}/metrics")).text
            except httpx.TransportError:
                return 0
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    async def status(self, path: str) -> int:
        async with plain_client() as client:
            try:
                return (await client.get(f"http://127.0.0.1:{self.port}{path}")).status_code
            except httpx.TransportError:
                return 0


@asynccontextmanager
async def hooked_processes(kafka: str, space: str, directory: Path, crm: FakeCrm) -> AsyncIterator[Processes]:
    """A collector that is ready, and no enricher yet."""
    api = {"token": TOKEN, "rate": 60, "timeout": "1s", "patience": "10m"}
    amocrm = {"name": "amo", "provider": "amocrm", "secrets": [SECRET], "currency": "EUR"}
    bitrix = {"name": "bx", "provider": "bitrix24", "secrets": [BITRIX_TOKEN]}
    webhooks = write_hooks(
        directory / "webhooks.yaml",
        {**amocrm, "api": {**api, "url": crm.url}},
        {**bitrix, "api": {**api, "url": f"{crm.url}/{BITRIX_PATH}"}},
    )
    async with running_collector(kafka, space, directory, "--open", "--webhooks", str(webhooks)) as collector:
        running = Processes(collector, webhooks, directory)
        try:
            yield running
        finally:
            running.stop()


async def send(collector: RunningCollector, path: str, form: dict[str, Any]) -> None:
    async with plain_client() as client:
        answer = await client.post(f"{collector.url}/v1/webhooks/{path}", data=form, timeout=LIMIT)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] >= 1


async def send_lead(collector: RunningCollector, number: int, kind: str, seconds: int, **members: Any) -> None:
    lead = {"id": number, "price": 100, "responsible_user_id": 109 + number % 2, "pipeline_id": 7, "status_id": 1003}
    lead |= {"last_modified": seconds, "date_create": seconds, **members}
    form = {f"leads[{kind}][0][{name}]": value for name, value in lead.items()}
    await send(collector, f"amo/{SECRET}", {**form, "account[subdomain]": "example"})


async def send_deal(collector: RunningCollector, number: int, event: str, seconds: int) -> None:
    form = {"event": event, "data[FIELDS][ID]": number, "ts": seconds, "auth[member_id]": "m"}
    await send(collector, "bx", {**form, "auth[application_token]": BITRIX_TOKEN})


async def events_of(collector: RunningCollector) -> list[tuple[bytes | None, bytes, int]]:
    """Everything in the events topic now but what workers have forwarded."""
    records = await collector.everything(collector.topics.events)
    records = [record for record in records if b'"forward":' not in (record.value or b"")]
    return [(record.key, record.value, record.timestamp) for record in sorted(records, key=lambda one: one.timestamp)]


async def check_exact_with_kill_and_faults(processes: Processes, crm: FakeCrm) -> None:
    """30 leads of amoCRM, 10 of them won for 100 each; 8 deals of Bitrix24, each told three times, 4 won for 50."""
    collector, now = processes.collector, int(time.time()) - 60
    for number in range(30):
        crm.leads[str(1000 + number)] = {"contact": str(5000 + number)}
        await send_lead(collector, 1000 + number, "add", now)
    for number in range(8):
        stage = {"STAGE_ID": "NEW", "STAGE_SEMANTIC_ID": "P", "CONTACT_ID": str(7000 + number), "ASSIGNED_BY_ID": "5"}
        if number < 4:
            stage |= {"STAGE_ID": "WON", "STAGE_SEMANTIC_ID": "S"}
        moved = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(now + 5))
        crm.leads[str(number)] = {**stage, "OPPORTUNITY": "50.00", "CURRENCY_ID": "EUR", "MOVED_TIME": moved}
        for second in range(3):
            await send_deal(collector, number, "ONCRMDEALUPDATE", now + second)
    crm.faults = deque([429, "drop", 500, 503, "drop", 429, 500])
    processes.start("--window", "8")

    async def some() -> bool:
        return crm.count("/api/v4/leads/") > 8

    await until(some)
    processes.end()
    for number in range(10):
        await send_lead(collector, 1000 + number, "status", now + 10, status_id=142)
    crm.faults = deque(["hang", 429, 429, "drop"])
    processes.start()

    async def all_of_it() -> bool:
        ids = {decode_any(value).get("id") for _, value, _ in await events_of(collector)} - {None}  # of a link
        return len(ids) >= 30 + 8 + 10

    await until(all_of_it)
    assert await processes.status("/readyz") == 200

    async def nothing_under_way() -> bool:
        return await processes.metric("funnelcast_enricher_under_way") == 0

    await until(nothing_under_way)
    assert processes.end(signal.SIGTERM) == 0, (processes.directory / "enricher.log").read_text()
    log = (processes.directory / "enricher.log").read_text()
    assert not any(secret in log for secret in (SECRET, BITRIX_TOKEN, TOKEN, BITRIX_PATH))
    records = await events_of(collector)
    document = await document_of(records, FUNNEL)
    counted = document["counters"]["total"]["all"]
    assert counted[""]["lead"]["entries"] == 30 + 4
    assert counted[""]["payment"]["entries"] == 10 + 4
    assert counted[""]["payment"]["orders"] == {"EUR": 14}
    assert counted[""]["payment"]["revenue"] == {"EUR": 10 * 100_00 + 4 * 50_00}
    assert counted["product=blue lamp"]["payment"]["revenue"] == {"EUR": 10 * 100_00 + 4 * 50_00}
    assert counted["manager=manager 109"]["lead"]["entries"] == 15
    assert counted["manager=manager 110"]["payment"]["revenue"] == {"EUR": 5 * 100_00}
    assert counted["manager=ann seller"]["payment"]["revenue"] == {"EUR": 4 * 50_00}
