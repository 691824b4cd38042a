"""The collector on a real broker that dies and comes back: nothing acknowledged is lost, nothing written twice."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from funnelcast.stack.real_kafka import RealKafka
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.http import plain_client
from tests.support.kafka import own_kafka
from tests.support.running_collector import PARTITIONS, RunningCollector, start
from tests.support.waiting import LIMIT, until

__all__ = ["own_kafka"]
pytestmark = pytest.mark.kafka
SENDERS = 8


class Clients:
    """Send single events without a pause, each until it is answered with 200."""

    def __init__(self, collector: RunningCollector) -> None:
        self._collector = collector
        self.at_once: list[str] = []
        self.in_the_end: list[str] = []
        self.is_over = False

    async def run(self) -> None:
        async with plain_client() as client:
            await asyncio.gather(*(self._send(client, number) for number in range(SENDERS)))

    async def _send(self, client: httpx.AsyncClient, sender: int) -> None:
        number = 0
        while not self.is_over:
            number += 1
            event = {"id": f"{sender}-{number}", "name": "click", "anonymous_id": f"v{number % 50}"}
            tries = 0
            while (answer := await self._post(client, event)).status_code != 200:
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= 1
                tries += 1
                await asyncio.sleep(0.2)
            (self.in_the_end if tries else self.at_once).append(event["id"])

    async def _post(self, client: httpx.AsyncClient, event: dict[str, Any]) -> httpx.Response:
        return await client.post(f"{self._collector.url}/v1/events", json=event)

    @property
    def acknowledged(self) -> int:
        return len(self.at_once) + len(self.in_the_end)


async def test_a_broker_killed_and_restarted(own_kafka: RealKafka, fresh_space: str, tmp_path: Path) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(own_kafka.bootstrap, topics, partitions=PARTITIONS)
    collector = start(
        own_kafka.bootstrap, fresh_space, tmp_path, "--open", "--ack-timeout", "1.5", "--spool-bytes", "0"
    )
    try:
        await collector.until_status("/readyz", 200)
        clients = Clients(collector)
        sending = asyncio.create_task(clients.run())
        await until(lambda: clients.acknowledged > 200)
        own_kafka.kill()
        await own_kafka.gone()
        await collector.until_status("/readyz", 503)
        await own_kafka.start()
        before = clients.acknowledged
        await until(lambda: clients.acknowledged > before + 200)
        clients.is_over = True
        await sending
        counts = Counter(
            json.loads(record.value)["id"] for record in await collector.records(topics.events, clients.acknowledged)
        )
        assert not [one for one in clients.at_once + clients.in_the_end if one not in counts]
        assert not [one for one in clients.at_once if counts[one] != 1]
        assert clients.in_the_end
    finally:
        assert await asyncio.to_thread(collector.stop) == 0


async def test_what_the_topic_will_never_take_does_not_block_the_spool(
    own_kafka: RealKafka, fresh_space: str, tmp_path: Path
) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(own_kafka.bootstrap, topics, partitions=PARTITIONS)
    await _limit_messages(own_kafka.bootstrap, topics.events, 3_000)
    collector = start(own_kafka.bootstrap, fresh_space, tmp_path, "--open", "--ack-timeout", "1.5")
    try:
        await collector.until_status("/readyz", 200)
        huge = {"id": "huge", "name": "click", "anonymous_id": "v", "properties": {"text": secrets.token_hex(5_000)}}
        assert (await collector.post(huge)).status_code == 503  # as ever: it is not acknowledged
        own_kafka.kill()
        await own_kafka.gone()
        for event in ({"id": "a", "name": "click", "anonymous_id": "v"}, huge, {**huge, "id": "b", "properties": {}}):
            assert (await collector.post(event)).status_code == 200
        await own_kafka.start()
        async with asyncio.timeout(LIMIT):
            ids: set[str] = set()
            while not ids >= {"a", "b"}:
                records = await collector.records(topics.events, 2)
                ids = {json.loads(one.value)["id"] for one in records}
        assert "huge" not in ids
        assert any(size > 10_000 for size in _quarantined(tmp_path))
    finally:
        assert await asyncio.to_thread(collector.stop) == 0


def _quarantined(directory: Path) -> list[int]:
    """Sizes of what was set aside."""
    return [one.stat().st_size for one in directory.rglob("quarantine/*.bad")]


async def _limit_messages(kafka: str, topic: str, size: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(size)})]
        )
    finally:
        await admin.close()
