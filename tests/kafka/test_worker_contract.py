"""The worker's contract on Apache Kafka."""

from __future__ import annotations

import logging

import pytest

from funnelcast.stack.real_kafka import RealKafka
from streams.store.memory import MemoryPartitionStore, MemorySpace
from tests.support.kafka import real_kafka  # noqa: F401 - a fixture
from tests.support.worker_contract import *  # noqa: F403 - the tests of the contract
from tests.support.worker_contract import Send, Start

pytestmark = pytest.mark.kafka


@pytest.fixture
def broker(real_kafka: RealKafka) -> str:  # noqa: F811
    """Address of the broker."""
    return real_kafka.bootstrap


@pytest.fixture
def session_seconds() -> float:
    """The least that Apache Kafka allows."""
    return 6.0


async def test_a_worker_that_stops_leaves_its_group(send: Send, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiokafka.consumer.group_coordinator")
    async with start(MemoryPartitionStore(MemorySpace())) as worker:
        await send(1, 1, 1)
        await worker.counted(3)
        assert await worker.stop() == 0
    assert "LeaveGroup request succeeded" in caplog.text
