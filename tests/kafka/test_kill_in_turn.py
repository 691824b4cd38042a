"""Collector and broker killed with -9 in turn under load: every event that got a 200 is counted exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from funnelcast.stack.real_kafka import RealKafka
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.kafka import own_kafka
from tests.support.kills import Kills, counted_once, worker
from tests.support.retrying import RetryingClients
from tests.support.running_collector import PARTITIONS, start
from tests.support.valkey import ValkeyServer

__all__ = ["own_kafka"]
pytestmark = pytest.mark.kafka


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_event_that_got_a_200_is_counted_exactly_once(
    seed: int, own_kafka: RealKafka, valkey: ValkeyServer, fresh_space: str, tmp_path: Path
) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(own_kafka.bootstrap, topics, partitions=PARTITIONS)
    collector = start(own_kafka.bootstrap, fresh_space, tmp_path, "--open", "--ack-timeout", "1.5")
    clients = RetryingClients(f"{collector.url}/v1/events", senders=6, pace=0.005)

    async def dies() -> None:
        own_kafka.kill()
        await own_kafka.gone()

    story = Kills(collector, clients, dies, own_kafka.start)
    with worker(own_kafka.bootstrap, valkey.url, topics, tmp_path) as definition:
        try:
            acknowledged = await story.run(Random(seed), rounds=2)
            await counted_once(valkey.url, collector, definition, acknowledged)
            assert clients.retries
        finally:
            assert await asyncio.to_thread(collector.stop) == 0
