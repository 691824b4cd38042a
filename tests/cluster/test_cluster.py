"""Three brokers of Apache Kafka and a cluster of six Valkey nodes: kills of brokers and primaries, and primaries that
are cut off in silence, change nothing in the numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio

from tests.support.brokers import ThreeBrokers
from tests.support.cluster import Cluster
from tests.support.replays import disturbed_replay_is_exact, replay_job

pytestmark = pytest.mark.cluster
EVENTS = 60_000


@pytest_asyncio.fixture
async def brokers(tmp_path: Path) -> AsyncIterator[ThreeBrokers]:
    async with ThreeBrokers(tmp_path / "kafka") as three:
        yield three


@pytest.mark.parametrize("seed", [1, 2])
async def test_kills_and_silent_cuts_change_nothing(
    seed: int, brokers: ThreeBrokers, cluster: Cluster, tmp_path: Path
) -> None:
    rng = Random(seed)

    faults = [
        lambda: asyncio.to_thread(cluster.kill_a_primary, rng),
        lambda: brokers.kill_one(rng),
        lambda: asyncio.to_thread(cluster.cut_off_a_primary, rng),
    ]
    await disturbed_replay_is_exact(
        replay_job(tmp_path, events=EVENTS, seed=seed),
        tmp_path,
        kafka=brokers.bootstrap,
        redis=cluster.url,
        faults=2 * faults,
        least=2,
    )
