"""`funnelcast rejected list|show|replay` against a real broker and a collector process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.command import run_command
from tests.support.http import plain_client
from tests.support.running_collector import PARTITIONS, RunningCollector, start
from tests.support.stack import StackAddresses

AT = "2025-01-01T00:00:00+00:00"


class Site:
    """A collector with keys, and the command beside it."""

    def __init__(self, kafka: str, space: str, directory: Path) -> None:
        self.kafka, self.space, self.directory = kafka, space, directory
        path = directory / "keys.json"
        self.web = create_key(path, source="web", scope=Scope.SERVER, created_at=AT)[0]
        self.operator = create_key(path, source="operator", scope=Scope.HISTORICAL, created_at=AT)[0]
        self.collector: RunningCollector

    async def run(self, *flags: str) -> None:
        """Start the collector."""
        self.collector = start(
            self.kafka, self.space, self.directory, "--keys", str(self.directory / "keys.json"), *flags
        )
        await self.collector.until_status("/readyz", 200)

    async def stop(self) -> None:
        """End it."""
        await asyncio.to_thread(self.collector.stop)

    async def send(self, body: Any, path: str = "/v1/events", key: str | None = None) -> int:
        """Status of a POST."""

        async with plain_client() as client:
            headers = {"X-Write-Key": self.web if key is None else key}
            return (await client.post(self.collector.url + path, json=body, headers=headers)).status_code

    async def rejected(self, *arguments: str, code: int = 0) -> Any:
        """What `funnelcast rejected` prints with --json."""
        env = {"FUNNELCAST_KAFKA": self.kafka, "FUNNELCAST_SPACE": self.space}
        exit_code, out, err = await asyncio.to_thread(
            run_command, "rejected", *arguments, "--json", state_dir=self.directory, env=env
        )
        assert exit_code == code, err
        return json.loads(out) if out else err

    async def replay(self, *arguments: str, code: int = 0) -> Any:
        """The same for a replay."""
        target = ("--url", self.collector.url, "--key", self.operator)
        return await self.rejected("replay", *target, *arguments, code=code)

    async def events(self, count: int) -> list[dict[str, Any]]:
        """What stands in the events topic."""
        return [json.loads(one.value) for one in await self.collector.records(Topics(self.space).events, count)]


@pytest.fixture
async def site(embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(embedded_stack.kafka, fresh_space, tmp_path)
    await ensure_topics(embedded_stack.kafka, Topics(fresh_space), partitions=PARTITIONS)
    await site.run("--strict-names", "--funnels", "sales")
    try:
        yield site
    finally:
        await site.stop()


def event(number: int, name: str = "renamed_click", **members: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "name": name, "anonymous_id": f"v{number}"} | members


async def test_dead_letters_are_listed_shown_and_sent_again_once_the_cause_is_fixed(site: Site) -> None:
    assert (await site.rejected("list"))["total"] == 0
    assert await site.send([event(n) for n in range(5)] + [{"name": "click", "anonymous_id": "v9"}]) == 200
    wrong = datetime.now(UTC) - timedelta(hours=5)  # of the client's clock
    message = {"type": "track", "event": "renamed lead", "anonymousId": "v7", "timestamp": wrong.isoformat()}
    sent = (wrong + timedelta(seconds=10)).isoformat()
    assert await site.send({"batch": [message], "sentAt": sent}, "/v1/batch") == 200

    listed = await site.rejected("list", "--limit", "2")
    assert listed["total"] == 7
    assert len(listed["letters"]) == 2
    assert listed["kinds"][0] == {"source": "web", "reason": "unknown_name", "route": "/v1/events", "count": 5}
    assert (await site.rejected("list", "--reason", "missing_id"))["total"] == 1
    assert (await site.rejected("list", "--source", "crm"))["total"] == 0
    assert (await site.rejected("list", "--until", "1h"))["total"] == 0
    assert (await site.rejected("list", "--since", "1h"))["total"] == 7

    last = listed["letters"][-1]
    shown = await site.rejected("show", f"{last['partition']}:{last['offset']}")
    assert shown == last
    assert json.loads(shown["payload"])["event"] == "renamed lead"
    await site.rejected("show", "0:999999", code=2)
    await site.rejected("show", "99:1", code=2)

    dry = await site.replay("--dry-run")
    assert (dry["sent"], dry["accepted"], dry["dry_run"]) == (7, 0, True)
    failed = await site.replay("--reason", "unknown_name", "--limit", "2")  # nothing was fixed
    assert (failed["sent"], failed["accepted"], failed["rejected"]) == (2, 0, {"unknown_name": 2})

    await site.stop()
    await site.run("--funnels", "sales")  # names that no funnel looks at are taken now
    replayed = await site.replay()
    assert replayed["rejected"] == {}
    assert replayed["sent"] == replayed["accepted"] == 9  # the seven, and the two letters of the replay that failed
    assert (await site.replay())["sent"] == 0  # goes on behind what was sent
    events = await site.events(9)
    assert {one["source"] for one in events} == {"web"}
    ids = {one["id"] for one in events}
    assert ids >= {f"e{n}" for n in range(5)}
    assert len(ids) == 7
    received = {one["received_at_ms"] for one in listed["letters"]}
    assert received <= {one["received_at_ms"] for one in events}
    lead, *again = [one for one in events if one["name"] == "renamed_lead"]
    assert lead["id"].startswith("letter-")
    assert {one["id"] for one in again} <= {lead["id"]}  # it may have been one of the two that failed first
    assert lead["occurred_at_ms"] == lead["received_at_ms"] - 10_000
    await site.replay("--again")
    assert {one["id"] for one in await site.events(18)} == ids


async def test_what_nobody_vouched_for_is_sent_only_when_it_is_named(site: Site) -> None:
    assert await site.send(event(1, "click"), key="fcs_unknown") == 401
    assert (await site.replay())["sent"] == 0
    named = await site.replay("--reason", "bad_key")
    assert named["skipped"] == {"nobody knows whose it is": 1}
    sent = await site.replay("--reason", "bad_key", "--as-source", "shop")
    assert (sent["sent"], sent["accepted"]) == (1, 1)
    assert (await site.events(1))[0]["source"] == "shop"


async def test_a_dead_letter_that_was_cut_is_not_sent(site: Site) -> None:
    assert await site.send(event(1, "click", properties={"text": "x" * 70_000})) == 200
    replayed = await site.replay()
    assert (replayed["sent"], replayed["skipped"]) == (0, {"its payload was cut": 1})


async def test_a_replay_needs_a_historical_key(site: Site) -> None:
    assert await site.send(event(1)) == 200
    target = ("replay", "--url", site.collector.url)
    assert "scope historical" in await site.rejected(*target, "--key", site.web, code=2)
    assert "scope historical" in await site.rejected(*target, code=2)


async def test_wrong_use_says_what_to_write(site: Site) -> None:
    assert "is no reason" in await site.rejected("list", "--reason", "bad", code=2)
    assert "is no time" in await site.rejected("list", "--since", "soon", code=2)
    assert "PARTITION:OFFSET" in await site.rejected("show", "3", code=2)
    env = {"FUNNELCAST_KAFKA": site.kafka, "FUNNELCAST_SPACE": "nobody"}
    code, _, err = await asyncio.to_thread(run_command, "rejected", "list", state_dir=site.directory, env=env)
    assert (code, "is the --space right" in err) == (2, True)
