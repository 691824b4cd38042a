"""Reads the hours and minutes that evidence and the windows of dimension values are made of, and makes both, in the
background. Writes nothing.

All hours are read once; then the newest of them, and of the minutes what can still change or was not there. The
arithmetic runs on a thread: a scrape never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from schemas.counters import KEEP_MS, Cells, Grain
from schemas.funnel.model import Funnel
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from streams.defaults import EVIDENCE_SECONDS, THRESHOLD_NATS
from streams.evidence.detector import HOURS_OF_DAY, MINUTE_AGE_SECONDS
from streams.evidence.history import History
from streams.evidence.live import FunnelEvidence, Standing, standings
from streams.evidence.scan import MINUTE_WINDOWS
from streams.evidence.watched import KnownNormals, add_cells, history_of, watched_of
from streams.exporter.agreed import agreed_of, longer_edge
from streams.exporter.snapshot import Statuses, newest_reception_ms
from streams.exporter.windows import value_windows_of
from streams.report.document.names import Registers, name_cells
from streams.report.document.shapes import NamedCell
from streams.report.document.sums import merged
from streams.report.questions.targets import TargetAnswer
from streams.report.questions.targets_file import Targets
from streams.report.services.targets import report_targets
from streams.store.port import CounterReader, StoreError
from streams.store.statuses import statuses_of

_HOUR_SECONDS = 3600
_MINUTES = MINUTE_WINDOWS[-1] + MINUTE_AGE_SECONDS // 60 + 10
_RECENT_HOURS = 26
"""Read at every look: of these the newest windows and cohorts of a day are made. As many more as the slowest stage is
judged after are read after every hour; older ones change by late events alone, and are read again with the whole."""
_SHOWN_HOURS = 8 * 24
"""Whose cells are kept, for the windows of dimension values."""
_APART_MS = KEEP_MS[Grain.MINUTE] - _MINUTES * MINUTE_MS
"""Partitions that are further apart, because they catch up or are imported, cannot be judged at one time: one has
dropped minutes that another needs. The evidence stays as old as it is until they have come together."""
_WHOLE_EVERY_MS = DAY_MS
"""Between two reads of everything."""

log = structlog.get_logger("funnelcast.exporter")


@dataclass(slots=True)
class _Known:
    hours: History
    recent: Cells = field(default_factory=dict)
    """The newest hours as they were read."""
    hour: int = 0
    """Up to which every partition had come when they were read: between two looks an import may bring weeks, to one
    partition sooner than to another."""
    slow_hours: int = 0
    """The age at which the slowest stage is judged."""
    whole_at_ms: int = 0
    """When everything was read."""
    day: int = 0
    normals: KnownNormals = field(default_factory=dict)
    """Learned on that UTC day."""

    def first_hour(self, watermark_ms: int) -> int:
        """From where hours are read again at a look."""
        is_new_hour = watermark_ms // HOUR_MS != self.hour
        return self.hour - _RECENT_HOURS - (self.slow_hours if is_new_hour else 0)

    def is_outdated(self, watermark_ms: int, now_ms: int) -> bool:
        """Whether everything has to be read again: it is time, or hours change of which it was held that they do not.
        A stage turned out to be slower, or a partition that nothing was known of is further behind."""
        is_settled = self.first_hour(watermark_ms) < self.hours.settled_end
        return is_settled or now_ms >= self.whole_at_ms + _WHOLE_EVERY_MS

    def take(self, funnel: Funnel, cells: Cells, *, first_hour: int, hour: int) -> None:
        """What was read from an hour on, in place of what was known of it; all partitions have come to `hour`."""
        hours = {group: fields for group, fields in cells.items() if group[0] == Grain.HOUR}
        self.hours.forget(first_hour)
        add_cells(self.hours, funnel, cells=hours, grain=Grain.HOUR)
        self.hours.settle(hour - _RECENT_HOURS - self.slow_hours)
        oldest = hour - max(_SHOWN_HOURS, _RECENT_HOURS + self.slow_hours)
        self.recent = {group: fields for group, fields in self.recent.items() if oldest <= group[1] < first_hour} | {
            group: fields for group, fields in hours.items() if group[1] >= oldest
        }
        self.hour = hour

    def learned(self) -> None:
        """Look how long the slowest stage takes."""
        ages = [normal.age_seconds for normal in self.normals.values() if normal is not None]
        self.slow_hours = max(self.slow_hours, -(-max(ages, default=0) // _HOUR_SECONDS))


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
        threshold: float = THRESHOLD_NATS,
    ) -> None:
        self.newest: list[FunnelEvidence] = []
        self._judged: Statuses = {}
        """Of what the newest evidence was made."""
        self._reader = reader
        self._funnels = funnels
        self._clock_ms = clock_ms
        self._period = period_seconds
        self._targets = targets
        self._threshold = threshold
        self._known: dict[str, _Known] = {}

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
                minutes = await self._read(funnel, list(statuses), newest_ms=newest_ms, watermark_ms=min(watermarks))
                counted.append((funnel, await self._reader.registers(funnel.funnel_id), minutes))
        if max(_watermarks(await statuses_of(self._reader)), default=0) - min(watermarks) > _APART_MS:
            return  # a partition went on so far while it was read that it may have dropped what was not read yet
        self.newest = [await self._judged_at(min(watermarks), newest_ms, *each) for each in counted]
        self._judged = statuses

    async def _judged_at(
        self, watermark_ms: int, newest_ms: int, funnel: Funnel, registers: Registers, minutes: Cells
    ) -> FunnelEvidence:
        known = self._known[funnel.funnel_id]
        normals = _normals_of(known, watermark_ms // DAY_MS)
        judged = await asyncio.to_thread(
            _standings,
            funnel=funnel,
            registers=registers,
            hours=known.hours,
            minutes=minutes,
            watermark_ms=watermark_ms,
            normals=normals,
        )
        known.learned()
        values = await asyncio.to_thread(_values, funnel, registers, hours=known.recent, newest_ms=newest_ms)
        agreed = await asyncio.to_thread(agreed_of, funnel, registers, hours=known.recent, watermark_ms=watermark_ms)
        targets = await self._targets_of(funnel)
        return FunnelEvidence(
            funnel,
            judged,
            self._clock_ms(),
            watermark_ms,
            threshold=self._threshold,
            values=values,
            agreed=agreed,
            targets=targets,
        )

    async def _targets_of(self, funnel: Funnel) -> list[TargetAnswer]:
        """Of periods that have begun and are not over."""
        if self._targets is None:
            return []
        document = await report_targets(self._reader, funnel, targets=self._targets, now_ms=self._clock_ms())
        return [target for target in document["targets"] if 0 < target["elapsed"] < 1]

    async def _read(self, funnel: Funnel, partitions: Sequence[int], *, newest_ms: int, watermark_ms: int) -> Cells:
        """Adds what is new of the hours to what is known; the minutes that evidence is made of."""
        known = self._known.get(funnel.funnel_id)
        if known is None or known.is_outdated(watermark_ms, self._clock_ms()):
            slow_hours = _agreed_hours(funnel) if known is None else known.slow_hours
            known = _Known(history_of(funnel), slow_hours=slow_hours, whole_at_ms=self._clock_ms())
            first_hour = (newest_ms - KEEP_MS[Grain.HOUR]) // HOUR_MS
        else:
            first_hour = known.first_hour(watermark_ms)
        since: dict[int, int] = {Grain.HOUR: first_hour, Grain.MINUTE: watermark_ms // MINUTE_MS - _MINUTES}
        views = []
        for partition in partitions:
            for grain, dimsets in ((Grain.HOUR, range(1 + len(funnel.dimensions))), (Grain.MINUTE, range(1))):
                view = await self._reader.view(
                    partition, funnel.funnel_id, grains=[grain], dimsets=list(dimsets), since=since
                )
                if view is not None:
                    views.append(view.cells)
        cells = await asyncio.to_thread(merged, views)
        # only now: a read that fails is made again
        known.take(funnel, cells, first_hour=first_hour, hour=watermark_ms // HOUR_MS)
        self._known[funnel.funnel_id] = known
        return {group: fields for group, fields in cells.items() if group[0] == Grain.MINUTE}


def _agreed_hours(funnel: Funnel) -> int:
    """How far back that day of cohorts begins which can tell whether people go on in the time of their stage."""
    edges = [longer_edge(stage.stalled_after_ms) or 0 for stage in funnel.stages]
    return HOURS_OF_DAY - (-max(edges) // _HOUR_SECONDS)


def _normals_of(known: _Known, day: int) -> KnownNormals:
    """What was learned today: begun anew every day."""
    if known.day != day:
        known.day, known.normals = day, {}
    return known.normals


def _watermarks(statuses: Statuses) -> list[int]:
    return [mark for status in statuses.values() if (mark := status.meta.watermark_ms) is not None]


def _standings(
    *, funnel: Funnel, registers: Registers, hours: History, minutes: Cells, watermark_ms: int, normals: KnownNormals
) -> list[Standing]:
    newest = history_of(funnel)
    add_cells(newest, funnel, cells=minutes, grain=Grain.MINUTE)
    watched = watched_of(funnel, registers, hours=hours, minutes=newest, delay_ms=0)
    return standings(watched, watermark_ms, known=normals)


def _values(funnel: Funnel, registers: Registers, *, hours: Cells, newest_ms: int) -> dict[str, dict[str, NamedCell]]:
    dimsets = range(1, 1 + len(funnel.dimensions))
    return {
        window: dict(name_cells(funnel, values, registers=registers).get("total", {}).get("all", {}))
        for window, values in value_windows_of(hours, newest_ms, dimsets=dimsets).items()
    }
