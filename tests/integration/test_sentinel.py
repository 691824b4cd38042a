"""Redis behind sentinels: a primary that dies in the middle of a replay changes nothing in the numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from funnelcast.chaos.events import START_MS, arrivals, make_events
from funnelcast.replay.memory import Refusals, ReplayJob, replay_through_memory
from funnelcast.replay.stack import replay_through_stack
from schemas.funnel.load import load_funnels
from streams.report.document import canonical_json
from streams.store.address import Client
from streams.store.connection import close, connect, ping, translated
from streams.store.port import StoreUnavailableError
from tests.support.sentinels import Sentinels
from tests.support.stack import StackAddresses
from tests.support.waiting import until

EVENTS, SECONDS = 12_000, 90.0


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    (directory := tmp_path / "sentinels").mkdir()
    servers = Sentinels(directory)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def job(tmp_path: Path) -> ReplayJob:
    file = tmp_path / "events.jsonl"
    lines = [orjson.dumps(event.native(at)) for at, event in arrivals(5, make_events(5, EVENTS))]
    file.write_bytes(b"\n".join(lines))
    names = ("sales",)
    return ReplayJob(
        funnels=tuple(load_funnels(names)),
        references=names,
        events=file,
        watermark_ms=START_MS + 20 * 86_400_000,
        partitions=2,
    )


async def counted(client: Client) -> int:
    """Records that the partitions have applied."""
    try:
        with translated():
            cursors = [key async for key in client.scan_iter(match="fc:{replay-*:cur")]
            return sum([int(await client.hget(key, "off") or 0) for key in cursors])
    except StoreUnavailableError:
        return 0


@pytest.mark.timeout(180)
async def test_a_primary_killed_in_the_middle_changes_nothing(
    sentinels: Sentinels, job: ReplayJob, embedded_stack: StackAddresses, tmp_path: Path
) -> None:
    url, client = sentinels.url, connect(sentinels.url)
    await ping(client)
    replaying = asyncio.create_task(
        replay_through_stack(
            job, Refusals(job.events), state_dir=tmp_path / "state", kafka=embedded_stack.kafka, redis=url
        )
    )

    async def has_begun() -> bool:
        assert not replaying.done(), "the replay was over before it was disturbed"
        return await counted(client) > EVENTS // 10

    await until(has_begun, seconds=SECONDS, what="something counted")
    await asyncio.to_thread(sentinels.kill_primary)
    assert not replaying.done(), "the replay was over before it was disturbed"
    documents = await asyncio.wait_for(replaying, SECONDS)
    await close(client)
    in_memory = await replay_through_memory(job, Refusals(job.events))
    assert canonical_json(documents) == canonical_json(in_memory)
