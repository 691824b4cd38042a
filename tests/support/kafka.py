"""Real Apache Kafka brokers for tests: one for the whole session (use topics of your own), or one to be killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from funnelcast.stack.real_kafka import RealKafka


@pytest.fixture(scope="session")
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKafka]:
    """A broker that no test kills. No part of any event loop, so every test may use it."""
    kafka = RealKafka(tmp_path_factory.mktemp("kafka"))
    asyncio.run(kafka.start())
    try:
        yield kafka
    finally:
        asyncio.run(kafka.stop())


@pytest_asyncio.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[RealKafka]:
    """A broker of this test's own."""
    async with RealKafka(tmp_path / "kafka") as kafka:
        yield kafka
