"""A replay that waits for its workers watches them too, and says where their logs are when nothing moves."""

from __future__ import annotations

import pytest

from funnelcast.replay.stack import await_marker
from schemas.errors import NeedsHumanError, TryAgainError
from streams.store.memory import MemoryCounterReader, MemorySpace


def nothing() -> None:
    """Every process is fine."""


async def test_a_stall_names_the_processes_and_their_logs() -> None:
    reader = MemoryCounterReader(MemorySpace(clock_ms=lambda: 0))
    with pytest.raises(TryAgainError) as caught:
        await await_marker(
            reader,
            2,
            marker="end",
            check=nothing,
            describe=lambda: "worker-1 runs; ended: exit code 75 x15; log: /d/logs/worker-1.log",
            stalled_seconds=0.01,
        )
    first, second = str(caught.value).splitlines()
    assert first == "the workers have made no progress for 0 s; (offset, pending) by partition: [None, None]"
    assert second.endswith("/d/logs/worker-1.log")


async def test_a_child_that_failed_ends_the_wait() -> None:
    def check() -> None:
        raise NeedsHumanError("worker-1 ended with exit code 70")

    reader = MemoryCounterReader(MemorySpace(clock_ms=lambda: 0))
    with pytest.raises(NeedsHumanError, match="worker-1"):
        await await_marker(reader, 1, marker="end", check=check, describe=str)
