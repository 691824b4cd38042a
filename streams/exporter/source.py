"""Reads the store for a scrape and sums over partitions. Writes nothing.

Two reads make a snapshot. The *whole* takes everything that is shown: all dimension values and the buckets of two days.
Where that takes long (many partitions), it is made seldom, in the background, and each scrape reads only the *newest*
on top: totals and the newest buckets. Small installations read the whole every time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.counters import Cells, Grain, merge
from schemas.funnel.model import Funnel
from schemas.times import HOUR_MS, MINUTE_MS
from streams.defaults import MAX_VALUES
from streams.exporter.snapshot import FunnelCounts, FunnelSums, Snapshot, Statuses, counts_of, newest_reception_ms
from streams.exporter.windows import HOURS_NEEDED, MINUTES_NEEDED
from streams.report.document.names import name_cells
from streams.report.document.shapes import NamedCell
from streams.store.port import CounterReader, PartitionStatus, PartitionView, StoreError

_PARALLEL_READS = 8
_NEWEST_MINUTES = 5
_NEWEST_HOURS = 1
_INLINE_SECONDS = 0.5
"""A whole read that took longer is made in the background from then on."""
_SHARE_OF_TIME = 10
"""... and takes at most one part in so many of the time."""
_GRAINS = (Grain.TOTAL, Grain.MINUTE, Grain.HOUR)


@dataclass(frozen=True, slots=True)
class _Whole:
    """The newest whole read of all funnels."""

    number: int
    ended_at: float
    seconds: float
    statuses: Statuses
    newest_ms: int
    cells: Mapping[str, Cells]
    """By funnel: totals of the whole, and its buckets, summed over partitions."""
    dimensions: Mapping[str, Mapping[str, NamedCell]]
    """By funnel: totals by the label of a dimension value."""


class _Newest(NamedTuple):
    """What was read of one partition and funnel on top of a whole read."""

    number: int
    """Of the whole read."""
    status: PartitionStatus
    view: PartitionView | None


class SnapshotSource:
    """Takes snapshots. One `take` at a time."""

    def __init__(
        self,
        reader: CounterReader,
        funnels: Sequence[Funnel],
        *,
        clock_ms: Callable[[], int],
        max_values: int = MAX_VALUES,
        inline_seconds: float = _INLINE_SECONDS,
    ) -> None:
        self._reader = reader
        self._funnels = funnels
        self._clock_ms = clock_ms
        self._max_values = max_values
        self._inline_seconds = inline_seconds
        self._whole: _Whole | None = None
        self._background: asyncio.Task[None] | None = None
        self._newest: dict[tuple[int, str], _Newest] = {}
        self._turns = asyncio.Semaphore(_PARALLEL_READS)

    async def take(self) -> Snapshot:
        """Read the store. Raises StoreUnavailableError, StoreRefusedError."""
        shown = list(self._funnels)
        partitions = await self._reader.partitions()
        answers = await asyncio.gather(*(self._reader.status(partition) for partition in partitions))
        statuses = {partition: status for partition, status in zip(partitions, answers, strict=True) if status}
        fingerprints = await self._reader.fingerprints()
        counted = [
            funnel for funnel in shown if fingerprints.get(funnel.funnel_id, funnel.fingerprint) == funnel.fingerprint
        ]
        whole, is_new = await self._whole_of(statuses, counted)
        funnels = [
            await self._counts(funnel, statuses, whole=whole, is_new=is_new)
            if funnel in counted and funnel.funnel_id in whole.cells
            else FunnelCounts(funnel=funnel, is_same_definition=False)
            for funnel in shown
        ]
        gaps = len(await self._reader.gaps())
        return Snapshot(read_at_ms=self._clock_ms(), statuses=statuses, gaps=gaps, funnels=funnels)

    async def close(self) -> None:
        """Give up a read in the background."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.wait({self._background})

    async def _counts(self, funnel: Funnel, statuses: Statuses, *, whole: _Whole, is_new: bool) -> FunnelCounts:
        cells = whole.cells[funnel.funnel_id]
        if not is_new:
            cells = await self._with_newest(funnel, statuses, whole=whole)
        registers = await self._reader.registers(funnel.funnel_id)
        sums = FunnelSums(cells=cells, dimensions=whole.dimensions[funnel.funnel_id], registers=registers)
        return counts_of(funnel, statuses, sums=sums, max_values=self._max_values)

    async def _whole_of(self, statuses: Statuses, funnels: Sequence[Funnel]) -> tuple[_Whole, bool]:
        """A whole read to build on, and whether it is of now."""
        last = self._whole
        if last is None or last.cells.keys() != {funnel.funnel_id for funnel in funnels}:
            return await self._read_whole(statuses, funnels), True
        if last.statuses == statuses:
            return last, True
        is_slow = last.seconds > self._inline_seconds
        if not is_slow:
            return await self._read_whole(statuses, funnels), True
        if self._background is None and time.monotonic() > last.ended_at + _SHARE_OF_TIME * last.seconds:
            self._background = asyncio.create_task(self._read_in_background(statuses, funnels))
        return last, False

    async def _read_in_background(self, statuses: Statuses, funnels: Sequence[Funnel]) -> None:
        try:
            with contextlib.suppress(StoreError):  # the scrapes meet the same error and say so
                await self._read_whole(statuses, funnels)
        finally:
            self._background = None

    async def _read_whole(self, statuses: Statuses, funnels: Sequence[Funnel]) -> _Whole:
        began = time.monotonic()
        newest_ms = newest_reception_ms(statuses)
        cells: dict[str, Cells] = {funnel.funnel_id: {} for funnel in funnels}
        dimensions: dict[str, Cells] = {funnel.funnel_id: {} for funnel in funnels}
        totals = (self._add_totals(funnel, partition, into=dimensions) for funnel in funnels for partition in statuses)
        buckets = (
            self._add_buckets(funnel, partition=partition, newest_ms=newest_ms, into=cells)
            for funnel in funnels
            for partition in statuses
        )
        await asyncio.gather(*buckets, *totals)
        named = {}
        for funnel in funnels:
            registers = await self._reader.registers(funnel.funnel_id)
            counters = name_cells(funnel, dimensions[funnel.funnel_id], registers=registers)
            named[funnel.funnel_id] = counters.get("total", {}).get("all", {})
        ended = time.monotonic()
        self._whole = _Whole(
            number=0 if self._whole is None else self._whole.number + 1,
            ended_at=ended,
            seconds=ended - began,
            statuses=statuses,
            newest_ms=newest_ms,
            cells=cells,
            dimensions=named,
        )
        self._newest.clear()
        return self._whole

    async def _add_buckets(self, funnel: Funnel, *, partition: int, newest_ms: int, into: dict[str, Cells]) -> None:
        """Add the whole of a partition to the sums at once: the views of many partitions would be much memory."""
        since: dict[int, int] = {
            Grain.MINUTE: newest_ms // MINUTE_MS - MINUTES_NEEDED,
            Grain.HOUR: newest_ms // HOUR_MS - HOURS_NEEDED,
        }
        async with self._turns:
            view = await self._reader.view(partition, funnel.funnel_id, grains=_GRAINS, dimsets=[0], since=since)
            if view is not None:
                merge(into[funnel.funnel_id], view.cells)

    async def _add_totals(self, funnel: Funnel, partition: int, *, into: dict[str, Cells]) -> None:
        """The same for the totals of its dimension values."""
        dimsets = list(range(1, len(funnel.dimensions) + 1))
        if not dimsets:
            return
        async with self._turns:
            view = await self._reader.view(partition, funnel.funnel_id, grains=[Grain.TOTAL], dimsets=dimsets)
            if view is not None:
                merge(into[funnel.funnel_id], view.cells)

    async def _with_newest(self, funnel: Funnel, statuses: Statuses, *, whole: _Whole) -> Cells:
        """The cells of the last whole read, totals and newest buckets replaced by those of now."""
        first: dict[int, int] = {
            Grain.MINUTE: whole.newest_ms // MINUTE_MS - _NEWEST_MINUTES,
            Grain.HOUR: whole.newest_ms // HOUR_MS - _NEWEST_HOURS,
        }
        views = await asyncio.gather(
            *(
                self._newest_of(funnel, partition, status=statuses[partition], whole=whole, first=first)
                for partition in statuses
            )
        )
        groups = whole.cells[funnel.funnel_id].items()
        cells = {group: fields for group, fields in groups if group[0] and group[1] < first[group[0]]}
        for view in views:
            if view is not None:
                merge(cells, view.cells)
        return cells

    async def _newest_of(
        self, funnel: Funnel, partition: int, *, status: PartitionStatus, whole: _Whole, first: Mapping[int, int]
    ) -> PartitionView | None:
        """The newest of a partition; read again only where its owner has written since."""
        known = self._newest.get((partition, funnel.funnel_id))
        if known is not None and (known.number, known.status) == (whole.number, status):
            return known.view
        async with self._turns:
            view = await self._reader.view(partition, funnel.funnel_id, grains=_GRAINS, dimsets=[0], since=first)
        self._newest[partition, funnel.funnel_id] = _Newest(whole.number, status, view)
        return view
