"""A replay through the whole stack that is disturbed on its way, and what it must come to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import orjson

from funnelcast.chaos.events import START_MS, arrivals, make_events
from funnelcast.replay.memory import Refusals, ReplayJob, replay_through_memory
from funnelcast.replay.stack import replay_through_stack
from schemas.funnel.load import load_funnels
from schemas.kafka import Kafka
from streams.report.document.counters import canonical_json
from streams.store.address import Client
from streams.store.connection import close, connect, ping, translated
from streams.store.port import StoreUnavailableError
from tests.support.waiting import LONG_LIMIT, until


def replay_job(directory: Path, *, events: int, seed: int = 5) -> ReplayJob:
    """A replay of that many messy events over two partitions."""
    file = directory / "events.jsonl"
    lines = [orjson.dumps(event.native(at)) for at, event in arrivals(seed, make_events(seed, events))]
    file.write_bytes(b"\n".join(lines))
    names = ("sales",)
    return ReplayJob(
        funnels=tuple(load_funnels(names)),
        references=names,
        events=file,
        watermark_ms=START_MS + 20 * 86_400_000,
        partitions=2,
    )


async def disturbed_replay_is_exact(
    job: ReplayJob,
    directory: Path,
    *,
    kafka: Kafka,
    redis: str,
    faults: Sequence[Callable[[], Awaitable[object]]],
    least: int = 1,
) -> None:
    """The faults come one after the other once something is counted, as long as the replay lasts; at least so many must
    be over before it is. The document is the one that counting in memory gives."""
    client = connect(redis)
    await ping(client)
    replaying = asyncio.create_task(
        replay_through_stack(job, Refusals(job.events), state_dir=directory / "state", kafka=kafka, redis=redis)
    )

    async def has_begun() -> bool:
        assert not replaying.done(), "the replay was over before it was disturbed"
        return await _counted(client) > 0

    try:
        await until(has_begun, what="something counted")
        for number, fault in enumerate(faults):
            assert number >= least or not replaying.done(), f"the replay was over after {number} faults"
            if not replaying.done():
                await fault()
        documents = await asyncio.wait_for(replaying, LONG_LIMIT)
    finally:
        replaying.cancel()
        await close(client)
    in_memory = await replay_through_memory(job, Refusals(job.events))
    assert canonical_json(documents) == canonical_json(in_memory)


async def _counted(client: Client) -> int:
    """Records that the partitions have applied."""
    try:
        with translated():
            cursors = [key async for key in client.scan_iter(match="fc:{replay-*:cur")]
            return sum([int(await client.hget(key, "off") or 0) for key in cursors])
    except StoreUnavailableError:
        return 0
