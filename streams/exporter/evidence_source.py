"""Reads the hours and minutes that evidence and the windows of dimension values are made of, and makes both, in the
background. Writes nothing.

All hours are read once; then the newest of them, and of the minutes what can still change or was not there. The
arithmetic runs on a thread: a scrape never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from schemas.counters import KEEP_MS, Cells, Grain, merge
from schemas.funnel.model import Funnel
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from streams.defaults import EVIDENCE_SECONDS
from streams.evidence.detector import MINUTE_AGE_SECONDS
from streams.evidence.live import FunnelEvidence, Standing, standings
from streams.evidence.scan import MINUTE_WINDOWS
from streams.evidence.watched import KnownNormals, Watched, watched_of
from streams.exporter.agreed import agreed_of
from streams.exporter.snapshot import Statuses, newest_reception_ms
from streams.exporter.windows import value_windows_of
from streams.report.names import Registers, name_cells
from streams.report.shapes import NamedCell
from streams.report.target_service import report_targets
from streams.report.targets import TargetAnswer
from streams.report.targets_file import Targets
from streams.store.port import CounterReader, StoreError
from streams.store.statuses import statuses_of

_MINUTES = MINUTE_WINDOWS[-1] + MINUTE_AGE_SECONDS // 60 + 10
_RECENT_HOURS = 26
"""Hours of a day of cohorts may change; older ones change by late events alone and are read again with the whole."""
_APART_MS = KEEP_MS[Grain.MINUTE] - _MINUTES * MINUTE_MS
"""Partitions that are further apart, because they catch up or are imported, cannot be judged at one time: one has
dropped minutes that another needs. The evidence stays as old as it is until they have come together."""
_WHOLE_EVERY_MS = DAY_MS
"""Between two reads of everything."""

log = structlog.get_logger("funnelcast.exporter")


@dataclass(slots=True)
class _Known:
    cells: Cells = field(default_factory=dict)
    hour: int = 0
    """Up to which every partition had come when they were read: between two looks an import may bring weeks, to one
    partition sooner than to another. 0: nothing was read yet."""
    whole_at_ms: int = 0
    """When everything was read."""
    day: int = 0
    normals: KnownNormals = field(default_factory=dict)
    """Learned on that UTC day."""


class EvidenceSource:
    """Keeps the newest evidence of every funnel."""

    def __init__(
        self,
        reader: CounterReader,
        funnels: Sequence[Funnel],
        *,
        clock_ms: Callable[[], int],
        period_seconds: float = EVIDENCE_SECONDS,
        targets: Targets | None = None,
    ) -> None:
        self.newest: list[FunnelEvidence] = []
        self._judged: Statuses = {}
        """Of what the newest evidence was made."""
        self._reader = reader
        self._funnels = funnels
        self._clock_ms = clock_ms
        self._period = period_seconds
        self._targets = targets
        self._known: defaultdict[str, _Known] = defaultdict(_Known)

    async def run(self) -> None:
        """Refresh until cancelled; what the store cannot give is asked for again."""
        while True:
            with contextlib.suppress(StoreError):  # the scrapes meet the same error and say so
                try:
                    await self.refresh()
                except (ValueError, ArithmeticError) as error:
                    log.exception("evidence_failed", error=str(error))
            await asyncio.sleep(self._period)

    async def refresh(self) -> None:
        """Read what is new, and make the evidence again. Raises StoreError."""
        statuses = await statuses_of(self._reader)
        watermarks = _watermarks(statuses)
        if not watermarks or max(watermarks) - min(watermarks) > _APART_MS:
            return
        if statuses == self._judged:
            self.newest = [replace(each, made_at_ms=self._clock_ms()) for each in self.newest]
            return
        newest_ms, fingerprints = newest_reception_ms(statuses), await self._reader.fingerprints()
        counted = []
        for funnel in list(self._funnels):
            if fingerprints.get(funnel.funnel_id) == funnel.fingerprint:
                cells = await self._read(funnel, list(statuses), newest_ms=newest_ms, watermark_ms=min(watermarks))
                counted.append((funnel, await self._reader.registers(funnel.funnel_id), cells))
        if max(_watermarks(await statuses_of(self._reader)), default=0) - min(watermarks) > _APART_MS:
            return  # a partition went on so far while it was read that it may have dropped what was not read yet
        self.newest = [await self._judged_at(min(watermarks), newest_ms, *each) for each in counted]
        self._judged = statuses

    async def _judged_at(
        self, watermark_ms: int, newest_ms: int, funnel: Funnel, registers: Registers, cells: Cells
    ) -> FunnelEvidence:
        watched = partial(watched_of, funnel, registers, cells=cells, delay_ms=0)
        normals = self._normals_of(funnel, watermark_ms // DAY_MS)
        judged = await asyncio.to_thread(_standings, watched, watermark_ms, known=normals)
        values = await asyncio.to_thread(_values, funnel, registers, cells=cells, newest_ms=newest_ms)
        agreed = await asyncio.to_thread(agreed_of, funnel, registers, hours=cells, watermark_ms=watermark_ms)
        targets = await self._targets_of(funnel)
        return FunnelEvidence(
            funnel, judged, self._clock_ms(), watermark_ms, values=values, agreed=agreed, targets=targets
        )

    async def _targets_of(self, funnel: Funnel) -> list[TargetAnswer]:
        """Of periods that have begun and are not over."""
        if self._targets is None:
            return []
        document = await report_targets(self._reader, funnel, targets=self._targets, now_ms=self._clock_ms())
        return [target for target in document["targets"] if 0 < target["elapsed"] < 1]

    def _normals_of(self, funnel: Funnel, day: int) -> KnownNormals:
        """What was learned today: begun anew every day."""
        known = self._known[funnel.funnel_id]
        if known.day != day:
            known.day, known.normals = day, {}
        return known.normals

    async def _read(self, funnel: Funnel, partitions: Sequence[int], *, newest_ms: int, watermark_ms: int) -> Cells:
        """All cells that evidence is made of."""
        known = self._known[funnel.funnel_id]
        hour, minute = newest_ms // HOUR_MS, watermark_ms // MINUTE_MS
        is_whole = not known.hour or self._clock_ms() >= known.whole_at_ms + _WHOLE_EVERY_MS
        first_hour = hour - KEEP_MS[Grain.HOUR] // HOUR_MS if is_whole else min(hour, known.hour) - _RECENT_HOURS
        first: dict[int, int] = {Grain.HOUR: first_hour, Grain.MINUTE: minute - _MINUTES}
        older = {} if is_whole else known.cells
        cells = {group: fields for group, fields in older.items() if group[0] == Grain.HOUR and group[1] < first_hour}
        for partition in partitions:
            for grain, dimsets in ((Grain.HOUR, range(1 + len(funnel.dimensions))), (Grain.MINUTE, range(1))):
                view = await self._reader.view(
                    partition, funnel.funnel_id, grains=[grain], dimsets=list(dimsets), since=first
                )
                if view is not None:
                    merge(cells, view.cells)
        known.cells, known.hour = cells, watermark_ms // HOUR_MS  # only now: what fails half-way is read again
        if is_whole:
            known.whole_at_ms = self._clock_ms()
        return cells


def _watermarks(statuses: Statuses) -> list[int]:
    return [mark for status in statuses.values() if (mark := status.meta.watermark_ms) is not None]


def _standings(watched: Callable[[], Watched], watermark_ms: int, *, known: KnownNormals) -> list[Standing]:
    return standings(watched(), watermark_ms, known=known)


def _values(funnel: Funnel, registers: Registers, *, cells: Cells, newest_ms: int) -> dict[str, dict[str, NamedCell]]:
    dimsets = range(1, 1 + len(funnel.dimensions))
    return {
        window: dict(name_cells(funnel, values, registers=registers).get("total", {}).get("all", {}))
        for window, values in value_windows_of(cells, newest_ms, dimsets=dimsets).items()
    }
