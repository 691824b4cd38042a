"""The real clients for Node.js, pointed at a real collector over a network that fails: what they were told to send is
in the log, once each, under the names and ids of the product."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.clients.door import Door, opened
from tests.clients.expected import CLIENTS, Person, mismatch
from tests.support.running_collector import PARTITIONS, RunningCollector, start
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT, until

HERE = Path(__file__).parent
PEOPLE = [Person(number) for number in range(1, 5)]
pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not (HERE / "node_modules").exists(), reason="run make test-clients, which installs them"),
]


@dataclass
class Site:
    """A collector that can be stopped and started, and the door before it."""

    running: RunningCollector
    door: Door
    key: str
    directory: Path

    async def go_away(self) -> None:
        """Stop the collector."""
        await asyncio.to_thread(self.running.stop)
        self.door.found_nobody.clear()

    async def come_back(self) -> None:
        """Start it again on its port, as soon as the client has noticed."""
        async with asyncio.timeout(LIMIT):
            await self.door.found_nobody.wait()
        port = self.running.url.rsplit(":", 1)[1]
        again = begin(self.running.kafka, self.running.topics.space, self.directory, port)
        again.url = self.running.url
        self.running = again
        await again.until_status("/readyz", 200)

    async def events(self) -> list[dict[str, Any]]:
        """Everything in the log."""
        records = await self.running.everything(self.running.topics.events)
        return [found for record in records if "link" not in (found := json.loads(record.value or b""))]


def begin(kafka: str, space: str, directory: Path, *port: str) -> RunningCollector:
    flags = [item for number in port for item in ("--port", number)]
    return start(kafka, space, directory, "--keys", str(directory / "keys.json"), *flags)


@pytest.fixture
async def site(
    embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Site]:
    await ensure_topics(embedded_stack.kafka, Topics(fresh_space), partitions=PARTITIONS)
    is_page = "rudder_browser" in request.node.name
    """What says its origin is refused with a server's key."""
    key, _ = create_key(
        tmp_path / "keys.json",
        source="shop",
        scope=Scope.BROWSER if is_page else Scope.SERVER,
        created_at="2025-01-01T00:00:00Z",
        allow=("order_completed",) if is_page else (),
    )
    running = begin(embedded_stack.kafka, fresh_space, tmp_path)
    site = Site(running, Door(running.url), key, tmp_path)
    try:
        await running.until_status("/readyz", 200)
        async with opened(site.door):
            yield site
    finally:
        site.running.process.kill()
        site.running.process.wait()


@dataclass
class Client:
    """A client at work."""

    process: asyncio.subprocess.Process

    async def says(self, word: str) -> None:
        """Wait for its next word; anything else that it says is what went wrong."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LIMIT):
            line = await self.process.stdout.readline()
        assert line.decode().strip() == word

    def tell(self, line: str) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())


@asynccontextmanager
async def client_of(name: str, site: Site) -> AsyncIterator[Client]:
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / f"{name}.mjs"), site.door.url, site.key, stdin=-1, stdout=-1, limit=1 << 20
    )
    client = Client(process)
    client.tell(json.dumps({"people": [one.plan for one in PEOPLE]}))
    try:
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def in_log(name: str, site: Site) -> list[dict[str, Any]]:
    """Everything in the log, once it is all there: what came before Kafka did waits on the collector's disk."""
    count = sum(len(CLIENTS[name](person)) for person in PEOPLE)

    async def all_events() -> list[dict[str, Any]] | None:
        events = await site.events()
        return events if len({event["id"] for event in events}) >= count else None

    all_there: list[dict[str, Any]] = await until(all_events, every=0.2, what=f"{count} events")
    return all_there


def check(name: str, events: list[dict[str, Any]]) -> None:
    """Every wanted event once, and no other: copies by (source, id) apart."""
    copies = {(one["source"], one["id"]): one for one in events}
    assert {one["source"] for one in events} <= {"shop"}
    left = list(copies.values())
    for wanted in (one for person in PEOPLE for one in CLIENTS[name](person)):
        reasons = [mismatch(one, wanted) for one in left]
        assert None in reasons, (wanted, [one for one in left if one["name"] == wanted["name"]], reasons)
        del left[reasons.index(None)]
    assert left == []


@pytest.mark.parametrize("name", CLIENTS)
async def test_every_call_is_one_event(name: str, site: Site) -> None:
    async with client_of(name, site) as client:
        await client.says("half")
        client.tell("go")
        await client.says("done")
    events = await in_log(name, site)
    check(name, events)
    assert len(events) == len({one["id"] for one in events})
    assert {one.status for one in site.door.sent if one.method != "OPTIONS"} == {200}


@pytest.mark.parametrize("name", CLIENTS)
async def test_refused_and_lost_answers_cost_nothing_and_double_nothing(name: str, site: Site) -> None:
    site.door.refuse, site.door.lose = 1, 1
    async with client_of(name, site) as client:
        await client.says("half")
        site.door.lose = 1
        client.tell("go")
        await client.says("done")
    assert (site.door.refuse, site.door.lose) == (0, 0)
    check(name, await in_log(name, site))


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_collector_that_goes_away_and_comes_back(name: str, site: Site) -> None:
    async with client_of(name, site) as client:
        await client.says("half")
        await site.go_away()
        client.tell("go")
        await site.come_back()
        await client.says("done")
    check(name, await in_log(name, site))
