"""Fixtures that several files share: servers of the store, a collector for client libraries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.collector import CollectorInMemory
from tests.support.running_collector import PARTITIONS, RunningCollector, start
from tests.support.served_collector import ServedCollector, served
from tests.support.stack import StackAddresses
from tests.support.valkey import ValkeyServer


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


@pytest.fixture
async def there(
    embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path
) -> AsyncIterator[tuple[RunningCollector, str]]:
    """A collector as a process over a broker, and a write key of it."""
    await ensure_topics(embedded_stack.kafka, Topics(fresh_space), partitions=PARTITIONS)
    keys = tmp_path / "write-keys.json"
    key, _ = create_key(keys, source="shop", scope=Scope.SERVER, created_at="2025-01-01T00:00:00+00:00")
    running = start(embedded_stack.kafka, fresh_space, tmp_path, "--keys", str(keys))
    try:
        await running.until_status("/readyz", 200)
        yield running, key
    finally:
        running.process.kill()
        running.process.wait()
