"""Count a file in memory and keep every minute and hour of it: what a back-test of alerts looks at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from funnelcast.replay.memory import Progress, Refusals, ReplayJob, count_in_memory
from schemas.counters import KEEP_MS, Grain, currency_code
from schemas.funnel.model import Funnel
from schemas.times import HOUR_MS
from streams.evidence.backtest import Watched
from streams.evidence.history import History, Place
from streams.report.names import Labels
from streams.store.memory import MemoryCounterReader, MemorySpace

_LONGEST_CHUNK_MS = KEEP_MS[Grain.MINUTE] // 4
"""The minutes of a longer chunk would be past their keep time before they are written."""


async def watched_of_file(job: ReplayJob, refusals: Refusals, *, progress: Progress) -> list[Watched]:
    """One for each funnel of the job, in their order."""
    space = MemorySpace(clock_ms=lambda: 0, expires=False)
    await count_in_memory(job, refusals, space, longest_chunk_ms=_LONGEST_CHUNK_MS, progress=progress)
    reader = MemoryCounterReader(space)
    return [await _watched(reader, funnel, job.watermark_delay_ms) for funnel in job.funnels]


async def _watched(reader: MemoryCounterReader, funnel: Funnel, delay_ms: int) -> Watched:
    currency = currency_code(funnel.currency)
    hours, minutes = History(currency=currency), History(currency=currency)
    dimsets = range(1 + len(funnel.dimensions))
    for partition in await reader.partitions():
        view = await reader.view(partition, funnel.funnel_id, grains=[Grain.MINUTE, Grain.HOUR], dimsets=dimsets)
        for (grain, bucket, dimset), fields in ({} if view is None else view.cells).items():
            (minutes if grain == Grain.MINUTE else hours).add(bucket, dimset, fields)
    labels = Labels(funnel, await reader.registers(funnel.funnel_id))

    def label(place: Place) -> str:
        return labels.values(place.dimset, place.value, 0)

    return Watched(
        stages=tuple(stage.name for stage in funnel.stages),
        order_stages=tuple(number for number, stage in enumerate(funnel.stages) if stage.nth is not None),
        hours=hours,
        minutes=minutes,
        label=label,
        hour_of_week=hour_of_week(funnel.timezone),
        delay_ms=delay_ms,
    )


def hour_of_week(timezone: str) -> Callable[[int], int]:
    """From an hour since 1970 to that of the week in a time zone, Monday 0:00 being 0; remembers its answers."""
    zone, known = ZoneInfo(timezone), dict[int, int]()

    def answer(hour: int) -> int:
        if hour not in known:
            local = datetime.fromtimestamp(hour * HOUR_MS // 1000, tz=UTC).astimezone(zone)
            known[hour] = local.weekday() * 24 + local.hour
        return known[hour]

    return answer
