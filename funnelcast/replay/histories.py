"""Count a file in memory and keep every minute and hour of it: what a back-test of alerts looks at."""

from __future__ import annotations

from funnelcast.replay.memory import Progress, Refusals, ReplayJob, count_in_memory
from schemas.counters import KEEP_MS, Grain
from schemas.funnel.model import Funnel
from streams.evidence.watched import Watched, add_cells, history_of, watched_of
from streams.store.memory import MemoryCounterReader, MemorySpace

LONGEST_CHUNK_MS = KEEP_MS[Grain.MINUTE] // 4
"""The minutes of a longer chunk would be past their keep time before they are written."""


async def watched_of_file(job: ReplayJob, refusals: Refusals, *, progress: Progress) -> list[Watched]:
    """One for each funnel of the job, in their order."""
    space = MemorySpace(clock_ms=lambda: 0, expires=False)
    await count_in_memory(job, refusals, space=space, longest_chunk_ms=LONGEST_CHUNK_MS, progress=progress)
    reader = MemoryCounterReader(space)
    return [await watched_in(reader, funnel, delay_ms=job.watermark_delay_ms) for funnel in job.funnels]


async def watched_in(reader: MemoryCounterReader, funnel: Funnel, *, delay_ms: int) -> Watched:
    """Of one funnel that was counted in memory."""
    histories = {grain: history_of(funnel) for grain in (Grain.MINUTE, Grain.HOUR)}
    dimsets = range(1 + len(funnel.dimensions))
    for partition in await reader.partitions():
        view = await reader.view(partition, funnel.funnel_id, grains=list(histories), dimsets=dimsets)
        for grain, history in histories.items():
            add_cells(history, funnel, cells={} if view is None else view.cells, grain=grain)
    return watched_of(
        funnel,
        await reader.registers(funnel.funnel_id),
        hours=histories[Grain.HOUR],
        minutes=histories[Grain.MINUTE],
        delay_ms=delay_ms,
    )
