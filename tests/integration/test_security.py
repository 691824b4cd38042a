"""Keys, pages, rates and persons over a collector that runs as it would in production: keys from the command, a file
that it reads while it runs, a proxy in front, a log on a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from tests.support.command import run_command
from tests.support.http import plain_client
from tests.support.running_collector import RunningCollector, running_collector
from tests.support.stack import StackAddresses
from tests.support.waiting import until

SHOP = "https://shop.example"


@dataclass
class Site:
    """A collector and the keys that the command made for it."""

    collector: RunningCollector
    keys: dict[str, tuple[str, str]]
    """(key, its id) by source."""
    directory: Path

    async def post(self, body: Any, key: str, address: str = "203.0.113.7", **headers: str) -> httpx.Response:
        """POST through the proxy, for a client with this address."""
        sent = {"X-Write-Key": self.keys[key][0], "X-Forwarded-For": address, **headers}
        return await self.collector.post(body, headers=sent)

    async def metrics(self, **headers: str) -> httpx.Response:
        """GET /metrics."""
        async with plain_client() as client:
            return await client.get(f"{self.collector.health_url}/metrics", headers=headers)


def new_key(path: Path, source: str, scope: Scope, **options: Any) -> tuple[str, str]:
    """(key, its id)."""
    key, stored = create_key(path, source=source, scope=scope, created_at="", **options)
    return key, stored.id


@pytest.fixture
async def site(embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path) -> AsyncIterator[Site]:
    path = tmp_path / "keys.json"
    keys = {
        "web": new_key(path, "web", Scope.BROWSER, origins=(SHOP,), allow=("order_completed",)),
        "crm": new_key(path, "crm", Scope.SERVER),
        "prometheus": new_key(path, "prometheus", Scope.READ),
    }
    flags = ["--keys", str(path), "--trusted-proxies", "127.0.0.1", "--rate-limit-address", "1"]
    flags += ["--require-read-key", "--deny-properties", "ssn"]
    async with running_collector(embedded_stack.kafka, fresh_space, tmp_path, *flags) as running:
        yield Site(running, keys, tmp_path)


def event(name: str, **members: Any) -> dict[str, Any]:
    return {"id": f"e-{name}", "name": name, "anonymous_id": "v1", **members}


async def test_what_each_key_may(site: Site) -> None:
    money = [event("payment"), event("Order Completed"), event("click")]
    answer = await site.post(money, "web", Origin=SHOP)
    assert [one.get("reason") for one in answer.json()["results"]] == ["not_allowed", None, None]
    assert (await site.post(event("payment"), "crm")).json()["accepted"] == 1
    answer = await site.post(event("click"), "web", Origin="https://elsewhere.example")
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")
    answer = await site.post(event("click"), "prometheus")
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_key")
    dead_letters = await site.collector.records(site.collector.topics.rejected, 3)
    reasons = sorted(json.loads(one.value)["reason"] for one in dead_letters)
    assert reasons == ["bad_key", "not_allowed", "wrong_origin"]


async def test_metrics_are_for_readers(site: Site) -> None:
    assert (await site.metrics()).status_code == 401
    assert (await site.metrics(Authorization=f"Bearer {site.keys['crm'][0]}")).status_code == 401
    answer = await site.metrics(Authorization=f"Bearer {site.keys['prometheus'][0]}")
    assert answer.status_code == 200
    assert "funnelcast_collector_rate_limited_total" in answer.text


async def test_an_address_behind_the_proxy_is_limited_and_its_neighbour_is_not(site: Site) -> None:
    first = [await site.post(event("click"), "web", Origin=SHOP) for _ in range(5)]
    together = await asyncio.gather(*(site.post(event("click"), "web", Origin=SHOP) for _ in range(40)))
    answers = [*first, *together]  # in much less than the 40 s in which so many may come
    statuses = [answer.status_code for answer in answers]
    assert statuses[:5] == [200] * 5
    assert 429 in statuses
    limited = answers[statuses.index(429)]
    assert int(limited.headers["retry-after"]) >= 1
    assert (await site.post(event("click"), "web", "203.0.113.8", Origin=SHOP)).status_code == 200
    assert (await site.post(event("click"), "crm")).status_code == 200


async def test_a_key_is_revoked_while_the_collector_runs(site: Site) -> None:
    assert (await site.post(event("click"), "crm")).status_code == 200
    identifier = site.keys["crm"][1]
    command = ("keys", "revoke", identifier, "--keys", str(site.directory / "keys.json"))
    assert (await asyncio.to_thread(run_command, *command, state_dir=site.directory))[0] == 0

    async def refused() -> httpx.Response | None:
        answer = await site.post(event("click"), "crm")
        return None if answer.status_code == 200 else answer

    answer = await until(refused, every=0.05)
    assert (answer.status_code, answer.json()["code"]) == (401, "revoked_key")


async def test_persons_and_keys_are_nowhere(site: Site) -> None:
    body = event(
        "lead",
        email="ann@example.com",
        properties={"ssn": "123-45", "value": 19.90},
        context={"ip": "203.0.113.77", "page": {"url": f"{SHOP}/?email=ann@example.com&a=1"}},
    )
    assert (await site.post(body, "crm")).json()["accepted"] == 1
    await site.post(event("click", writeKey=site.keys["crm"][0], anonymous_id=None), "crm")
    (record,) = await site.collector.records(site.collector.topics.events, 1)
    stored = json.loads(record.value)
    assert stored["context"] == {"ip": "203.0.113.0", "page": {"url": f"{SHOP}/?email=&a=1"}}
    assert stored["properties"] == {"value": 19.90, "channel": "direct"}
    assert len(stored["contact_id"]) == 64
    (dead_letter,) = await site.collector.records(site.collector.topics.rejected, 1)
    site.collector.kill()
    files = (site.collector.log.read_bytes(), (site.directory / "keys.json").read_bytes())
    written = b"".join((record.value, dead_letter.value, *files))
    for secret in ("ann@example.com", "123-45", "203.0.113.77", *(key for key, _ in site.keys.values())):
        assert secret.encode() not in written
