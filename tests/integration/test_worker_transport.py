"""The worker's contract on the embedded broker."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

import pytest

from streams.store.memory import MemoryPartitionStore, MemorySpace
from tests.support.stack import StackAddresses
from tests.support.worker_contract import *  # noqa: F403 - the tests of the contract
from tests.support.worker_contract import Send, Start


@pytest.fixture
def broker(embedded_stack: StackAddresses) -> str:
    """Address of the broker."""
    return embedded_stack.kafka


@pytest.fixture
def session_seconds() -> float:
    """The embedded broker lets a member join after half of it, and refuses none."""
    return 2.0


async def test_two_workers_stopped_at_once_and_started_again_are_ready(
    send: Send, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aiokafka.consumer.group_coordinator")
    store = MemoryPartitionStore(MemorySpace())
    for rounds in (1, 2):
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(start(store)) for _ in range(2)]
            await send(10, 10, 10)
            await workers[0].counted(30 * rounds)
            assert all(worker.is_ready for worker in workers)
            for worker in workers:
                worker.worker.settings.stop.set()
    # It would keep a leader that has left for the leader, and no group would form any more.
    assert "LeaveGroup" not in caplog.text
