"""What a worker says of its store: away, back, and badly set."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from schemas.topics import Topics
from streams.state import Claim, Fence
from streams.store.memory import MemoryPartitionStore, MemorySpace
from streams.store.port import StoreRefusedError, StoreUnavailableError
from streams.worker import host as host_module
from streams.worker import retrying
from streams.worker.app import Worker
from streams.worker.runner import PartitionRunner
from streams.worker.settings import WorkerSettings
from tests.support.metrics import value_of
from tests.support.waiting import LIMIT, until


class _Frozen(MemoryPartitionStore):
    """Takes every question and answers none while `frozen` is set, as a stopped process does."""

    frozen = False

    async def peek(self, partition: int) -> Fence | None:
        if self.frozen:
            await asyncio.Event().wait()
        return await super().peek(partition)


def _worker(tmp_path: Path, store: MemoryPartitionStore, warnings: list[str]) -> Worker:
    async def ask() -> list[str]:
        return warnings

    settings = WorkerSettings("127.0.0.1:9", Topics("main"), [], tmp_path)
    return Worker(settings, store, store_warnings=ask, exit_hard=None)


async def test_the_servers_settings_are_reported_at_the_start_and_after_an_outage(tmp_path: Path) -> None:
    worker = _worker(tmp_path, MemoryPartitionStore(MemorySpace()), ["maxmemory-policy is allkeys-lru"])

    def messages(logs: list[Any]) -> list[str]:
        return [entry["message"] for entry in logs if entry["event"] == "store_settings"]

    with capture_logs() as logs:
        await worker.store.peek(0)
        await until(lambda: len(messages(logs)) == 1)
        await worker.store.peek(0)
        worker._on_store("Redis does not answer")
        await worker.store.peek(0)
        await until(lambda: len(messages(logs)) == 2)
    assert set(messages(logs)) == {"maxmemory-policy is allkeys-lru"}


async def test_a_store_that_does_not_answer_is_seen_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host_module.WATCH_SECONDS + retrying.PEEK_SECONDS <= 5.0
    monkeypatch.setattr(host_module, "WATCH_SECONDS", 0.02)
    monkeypatch.setattr(retrying, "PEEK_SECONDS", 0.05)
    store = _Frozen(MemorySpace())
    worker = _worker(tmp_path, store, [])
    await worker.store.peek(0)
    assert worker.readiness().details["store_up"]
    busy = SimpleNamespace(partition=0, is_placed=True, processor=SimpleNamespace(fence=None, offset=0))
    worker.host.runners[0] = cast(PartitionRunner, busy)
    watching = asyncio.create_task(worker.host.watch())
    try:
        store.frozen = True
        await until(lambda: not worker.readiness().details["store_up"])
        assert value_of(worker.metrics.store_up) == 0
        store.frozen = False
        await until(lambda: worker.readiness().details["store_up"])
    finally:
        watching.cancel()
    store.frozen = True
    with pytest.raises(StoreUnavailableError):
        await worker.store.peek(0)


class _Closed(MemoryPartitionStore):
    """Refuses, as a server does whose password was changed."""

    async def peek(self, partition: int) -> Fence | None:
        raise StoreRefusedError("the Redis server refuses this login")


async def test_a_store_that_refuses_while_running_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "WATCH_SECONDS", 0.02)
    worker = _worker(tmp_path, _Closed(MemorySpace()), [])
    busy = SimpleNamespace(partition=0, is_placed=True, processor=SimpleNamespace(fence=None, offset=0))
    worker.host.runners[0] = cast(PartitionRunner, busy)
    await asyncio.wait_for(worker.host.watch(), LIMIT)
    assert isinstance(worker.host.failure, StoreRefusedError)


class _Failing(MemoryPartitionStore):
    """Fails so many times."""

    failures = 0

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("away")
        return await super().claim(partition, funnel_ids)


async def test_a_call_is_repeated_until_the_store_answers_and_every_try_is_reported() -> None:
    states: list[str | None] = []
    failing = _Failing(MemorySpace())
    store = retrying.RetryingStore(failing, states.append)
    failing.failures = 3
    assert (await store.claim(0, ["sales@1"])).token == 1
    assert states == ["away", "away", "away", None]
    assert (await store.claim(0, ["sales@1"])).token == 2
    assert states == ["away", "away", "away", None, None]


class _Full(MemoryPartitionStore):
    """Answers reads and refuses writes while `is_full`, as a server without memory or replicas does."""

    is_full = True

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        if self.is_full:
            raise StoreUnavailableError("Redis refuses writes for now: OOM")
        return await super().claim(partition, funnel_ids)


async def test_reads_that_are_answered_do_not_hide_writes_that_are_refused(tmp_path: Path) -> None:
    full = _Full(MemorySpace())
    worker = _worker(tmp_path, full, [])
    await worker.store.peek(0)
    with capture_logs() as logs:
        claiming = asyncio.create_task(worker.store.claim(0, ["sales@1"]))
        await until(lambda: not worker.readiness().details["store_up"])
        for _ in range(5):
            await worker.store.peek(0)
            await worker.store.registers("sales@1")
            assert value_of(worker.metrics.store_up) == 0
        assert [one["message"] for one in logs if one["event"] == "store_down"] == [
            "Redis refuses writes for now: OOM; counting waits, nothing is lost"
        ]
        full.is_full = False
        await claiming
    assert value_of(worker.metrics.store_up) == 1


async def test_a_write_that_is_given_up_hides_nothing_any_more(tmp_path: Path) -> None:
    worker = _worker(tmp_path, _Full(MemorySpace()), [])
    claiming = asyncio.create_task(worker.store.claim(0, ["sales@1"]))
    await until(lambda: worker._store_trouble)
    claiming.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await claiming
    await worker.store.peek(0)
    assert value_of(worker.metrics.store_up) == 1
