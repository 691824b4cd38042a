"""Redis behind sentinels: a primary that dies in the middle of a replay changes nothing in the numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.replays import disturbed_replay_is_exact, replay_job
from tests.support.sentinels import Sentinels
from tests.support.stack import StackAddresses

pytestmark = pytest.mark.cluster
EVENTS = 12_000


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    (directory := tmp_path / "sentinels").mkdir()
    servers = Sentinels(directory)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


async def test_a_primary_killed_in_the_middle_changes_nothing(
    sentinels: Sentinels, embedded_stack: StackAddresses, tmp_path: Path
) -> None:
    await disturbed_replay_is_exact(
        replay_job(tmp_path, events=EVENTS),
        tmp_path,
        kafka=embedded_stack.kafka,
        redis=sentinels.url,
        faults=[lambda: asyncio.to_thread(sentinels.kill_primary)],
    )
