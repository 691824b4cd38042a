"""Fixtures that several files share: servers of the store, a collector for client libraries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from streams.store.connection import connect
from streams.store.reader import RedisCounterReader
from tests.support.broker import OwnBroker
from tests.support.collector import CollectorInMemory
from tests.support.running_collector import RunningCollector, running_collector
from tests.support.served_collector import ServedCollector, served
from tests.support.stack import StackAddresses
from tests.support.valkey import ValkeyServer
from tests.support.worker_processes import Workers


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for the whole session; tests keep apart by spaces of their own."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server for one test to break. It writes its file before it answers: with everysec it may hold writes back while
    an fsync is under way, and what a kill loses would depend on the disk; here it is what the test cuts off."""
    server = ValkeyServer(tmp_path, options=("--appendfsync", "always"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[ServedCollector]:
    """A collector in this process, over a log in memory."""
    async with served(CollectorInMemory(tmp_path)) as running:
        yield running


@dataclass
class There:
    """A collector as a process over a broker, and a write key of it. Many rows of a table share it."""

    running: RunningCollector
    key: str
    _seen: set[tuple[int, int]] = field(default_factory=set)

    async def new_events(self, count: int) -> list[dict[str, Any]]:
        """What is in the log, when there are so many more than before."""
        records = await self.running.records(self.running.topics.events, len(self._seen) + count)
        places = {(record.partition, record.offset): record for record in records}
        events = [orjson.loads(record.value) for place, record in places.items() if place not in self._seen]
        self._seen |= places.keys()
        return events


@pytest.fixture
async def there(embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path) -> AsyncIterator[There]:
    """One of them: to start it takes seconds."""
    keys = tmp_path / "write-keys.json"
    key, _ = create_key(keys, source="shop", scope=Scope.SERVER, created_at="2025-01-01T00:00:00+00:00")
    async with running_collector(embedded_stack.kafka, fresh_space, tmp_path, "--keys", str(keys)) as running:
        yield There(running, key)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OwnBroker]:
    """A broker for one test to break."""
    own = OwnBroker(tmp_path)
    own.start()
    yield own
    own.kill()


@pytest.fixture
def env(embedded_stack: StackAddresses, fresh_space: str) -> dict[str, str]:
    """Settings of the processes that `workers` and the test start."""
    return {
        "FUNNELCAST_KAFKA": embedded_stack.kafka,
        "FUNNELCAST_REDIS": embedded_stack.redis,
        "FUNNELCAST_SPACE": fresh_space,
        "FUNNELCAST_FUNNELS": "sales",
    }


@pytest.fixture
def workers(env: dict[str, str], tmp_path: Path) -> Iterator[Workers]:
    """Starts worker processes; none is left."""
    workers = Workers(env, tmp_path)
    yield workers
    workers.end()


@pytest.fixture
async def reader(env: dict[str, str]) -> AsyncIterator[RedisCounterReader]:
    """What they have counted."""
    client = connect(env["FUNNELCAST_REDIS"])
    yield RedisCounterReader(client, env["FUNNELCAST_SPACE"])
    await client.aclose()
