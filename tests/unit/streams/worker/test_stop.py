"""How a worker ends."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from schemas.topics import Topics
from streams.store.memory import MemoryPartitionStore, MemorySpace
from streams.worker import app
from streams.worker.app import Worker
from streams.worker.settings import WorkerSettings
from tests.support.waiting import LIMIT


async def test_a_stop_that_hangs_ends_the_process_although_nothing_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    has_ended = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        has_ended.set()

    async def hang() -> None:
        has_ended.wait(LIMIT)  # the main loop stands still, as it does when Faust waits for its thread on it

    monkeypatch.setattr(app, "HARD_EXIT_SECONDS", 0.1)
    settings = WorkerSettings("127.0.0.1:9", Topics("main"), [], tmp_path)
    worker = Worker(settings, MemoryPartitionStore(MemorySpace()), exit_hard=end)
    monkeypatch.setattr(worker.health, "stop", hang)
    settings.stop.set()
    assert await worker.run() == 0
    assert codes == [0]
