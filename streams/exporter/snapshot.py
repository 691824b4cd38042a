"""What one scrape shows: the counters of every funnel, read from the store and summed up. Reads, never writes.

Two reads make a snapshot. The *whole* takes everything that is shown: all dimension values and the buckets of two days.
Where that takes long (many partitions), it is made seldom, in the background, and each scrape reads only the *newest*
on top: totals and the newest buckets. Small installations read the whole every time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.counters import Cell, Cells, Grain, add_fields, merge
from schemas.funnel.model import Funnel
from schemas.times import HOUR_MS, MINUTE_MS
from streams.report.names import Registers, name_cells
from streams.report.shapes import NamedCell
from streams.store.port import CounterReader, PartitionStatus, PartitionView, StoreError

_PARALLEL_READS = 8
_MINUTES_READ = 125
_HOURS_READ = 50
"""Enough for the oldest cohort: an hour of minutes that ended an hour ago, a day of hours that ended a day ago."""
_NEWEST_MINUTES = 5
_NEWEST_HOURS = 1
_INLINE_SECONDS = 0.5
"""A whole read that took longer is made in the background from then on."""
_SHARE_OF_TIME = 10
"""... and takes at most one part in so many of the time."""

Statuses = dict[int, PartitionStatus]
"""By partition."""


@dataclass(frozen=True, slots=True)
class FunnelCounts:
    """Counters of one funnel, by name."""

    funnel: Funnel
    is_same_definition: bool
    stats: dict[str, int] = field(default_factory=dict)
    totals: dict[str, NamedCell] = field(default_factory=dict)
    """By the label of the cell: empty for the whole, `channel=google`."""
    windows: dict[str, NamedCell] = field(default_factory=dict)
    """By the name of the window: 5m, 1h, 24h back from the newest reception."""
    cohorts: dict[str, NamedCell] = field(default_factory=dict)
    """By age: what was entered in the newest hour (for 1d: day) that ended that long before the watermark."""
    values: dict[str, list[str]] = field(default_factory=dict)
    """Values of each dimension that have series of their own, by rank of first appearance."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything read at one time."""

    read_at_ms: int
    statuses: Statuses
    gaps: int
    funnels: list[FunnelCounts]


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


class SnapshotSource:
    """Takes snapshots. One `take` at a time."""

    def __init__(
        self,
        reader: CounterReader,
        funnels: Sequence[Funnel],
        *,
        clock_ms: Callable[[], int],
        max_values: int = 50,
        inline_seconds: float = _INLINE_SECONDS,
    ) -> None:
        self._reader = reader
        self._funnels = funnels
        self._clock_ms = clock_ms
        self._max_values = max_values
        self._inline_seconds = inline_seconds
        self._whole: _Whole | None = None
        self._background: asyncio.Task[None] | None = None
        self._newest: dict[tuple[int, str], tuple[int, PartitionStatus, PartitionView | None]] = {}
        self._turns = asyncio.Semaphore(_PARALLEL_READS)

    async def take(self) -> Snapshot:
        """Read the store. Raises StoreUnavailableError, StoreRefusedError."""
        partitions = await self._reader.partitions()
        answers = await asyncio.gather(*(self._reader.status(partition) for partition in partitions))
        statuses = {partition: status for partition, status in zip(partitions, answers, strict=True) if status}
        funnel_ids = await self._reader.fingerprints()
        counted = [one for one in self._funnels if funnel_ids.get(one.funnel_id, one.fingerprint) == one.fingerprint]
        whole, is_new = await self._whole_of(statuses, counted)
        funnels = []
        for funnel in self._funnels:
            if funnel.funnel_id not in whole.cells or funnel not in counted:
                funnels.append(FunnelCounts(funnel=funnel, is_same_definition=False))
                continue
            cells = whole.cells[funnel.funnel_id]
            if not is_new:
                cells = await self._with_newest(funnel, statuses, whole)
            registers, dimensions = await self._reader.registers(funnel.funnel_id), whole.dimensions[funnel.funnel_id]
            funnels.append(self._counts(funnel, statuses, cells=cells, dimensions=dimensions, registers=registers))
        gaps = len(await self._reader.gaps())
        return Snapshot(read_at_ms=self._clock_ms(), statuses=statuses, gaps=gaps, funnels=funnels)

    async def close(self) -> None:
        """Give up a read in the background."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.wait({self._background})

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
        newest_ms = _newest_ms(statuses)
        cells: dict[str, Cells] = {funnel.funnel_id: {} for funnel in funnels}
        dimensions: dict[str, Cells] = {funnel.funnel_id: {} for funnel in funnels}
        jobs = [(funnel, partition) for funnel in funnels for partition in statuses]
        await asyncio.gather(
            *(
                self._read_partition(
                    funnel, partition, newest_ms, cells[funnel.funnel_id], dimensions[funnel.funnel_id]
                )
                for funnel, partition in jobs
            )
        )
        named = {}
        for funnel in funnels:
            tree = name_cells(funnel, dimensions[funnel.funnel_id], await self._reader.registers(funnel.funnel_id))
            named[funnel.funnel_id] = tree.get("total", {}).get("all", {})
        ended = time.monotonic()
        number = 0 if self._whole is None else self._whole.number + 1
        self._whole = _Whole(number, ended, ended - began, statuses, newest_ms, cells, named)
        self._newest.clear()
        return self._whole

    async def _read_partition(
        self, funnel: Funnel, partition: int, newest_ms: int, cells: Cells, dimensions: Cells
    ) -> None:
        """Add a partition to the sums at once: the views of many partitions would be much memory."""
        since: dict[int, int] = {
            Grain.MINUTE: newest_ms // MINUTE_MS - _MINUTES_READ,
            Grain.HOUR: newest_ms // HOUR_MS - _HOURS_READ,
        }
        marginals = list(range(1, len(funnel.dimensions) + 1))
        async with self._turns:
            grains = [Grain.TOTAL, Grain.MINUTE, Grain.HOUR]
            if view := await self._reader.view(partition, funnel.funnel_id, grains=grains, dimsets=[0], since=since):
                merge(cells, view.cells)
            if marginals:
                by_value = await self._reader.view(partition, funnel.funnel_id, grains=[Grain.TOTAL], dimsets=marginals)
                if by_value is not None:
                    merge(dimensions, by_value.cells)

    async def _with_newest(self, funnel: Funnel, statuses: Statuses, whole: _Whole) -> Cells:
        """The cells of the last whole read, totals and newest buckets replaced by those of now."""
        first: dict[int, int] = {
            Grain.MINUTE: whole.newest_ms // MINUTE_MS - _NEWEST_MINUTES,
            Grain.HOUR: whole.newest_ms // HOUR_MS - _NEWEST_HOURS,
        }
        views = await asyncio.gather(
            *(self._newest_of(funnel, one, statuses[one], whole.number, first) for one in statuses)
        )
        kept = whole.cells[funnel.funnel_id].items()
        cells = {group: fields for group, fields in kept if group[0] and group[1] < first[group[0]]}
        for view in views:
            if view is not None:
                merge(cells, view.cells)
        return cells

    async def _newest_of(
        self,
        funnel: Funnel,
        partition: int,
        status: PartitionStatus,
        number: int,
        first: Mapping[int, int],
    ) -> PartitionView | None:
        """The newest of a partition; read again only where its owner has written since."""
        known = self._newest.get((partition, funnel.funnel_id))
        if known is not None and known[:2] == (number, status):
            return known[2]
        async with self._turns:
            grains = [Grain.TOTAL, Grain.MINUTE, Grain.HOUR]
            view = await self._reader.view(partition, funnel.funnel_id, grains=grains, dimsets=[0], since=first)
        self._newest[partition, funnel.funnel_id] = (number, status, view)
        return view

    def _counts(
        self,
        funnel: Funnel,
        statuses: Statuses,
        cells: Cells,
        dimensions: Mapping[str, NamedCell],
        registers: Registers,
    ) -> FunnelCounts:
        marks = [mark for status in statuses.values() if (mark := status.meta.watermark_ms) is not None]
        stats: dict[str, int] = {}
        for status in statuses.values():
            for key, amount in status.meta.stats.get(funnel.funnel_id, {}).items():
                stats[key] = stats.get(key, 0) + amount
        return FunnelCounts(
            funnel=funnel,
            is_same_definition=True,
            stats=stats,
            totals={**dimensions, "": _named(funnel, registers, cells.get((Grain.TOTAL, 0, 0), {}))},
            windows={
                name: _named(funnel, registers, summed)
                for name, summed in windows_of(cells, _newest_ms(statuses)).items()
            },
            cohorts={
                age: _named(funnel, registers, summed)
                for age, summed in cohorts_of(cells, min(marks, default=0)).items()
            },
            values=self._values(funnel, registers),
        )

    def _values(self, funnel: Funnel, registers: Registers) -> dict[str, list[str]]:
        by_register: dict[int, list[tuple[int, str]]] = {}
        for (register, name), code in registers.items():
            by_register.setdefault(register, []).append((code, name))
        return {
            dimension.name: [name for _, name in sorted(by_register.get(number, []))][: self._max_values]
            for number, dimension in enumerate(funnel.dimensions, 1)
        }


def windows_of(buckets: Cells, newest_ms: int) -> dict[str, dict[int, Cell]]:
    """Sums over the buckets of each window; the newest, unfinished bucket is its last."""
    minute, hour = newest_ms // MINUTE_MS, newest_ms // HOUR_MS
    return {
        "5m": sum_buckets(buckets, Grain.MINUTE, minute - 4, minute),
        "1h": sum_buckets(buckets, Grain.MINUTE, minute - 59, minute),
        "24h": sum_buckets(buckets, Grain.HOUR, hour - 23, hour),
    }


def cohorts_of(buckets: Cells, watermark_ms: int) -> dict[str, dict[int, Cell]]:
    """Sums over the newest buckets that ended at least an age before the watermark: 60 minutes, for 1d 24 hours."""
    found = {}
    for age, age_ms in (("5m", 5 * MINUTE_MS), ("1h", HOUR_MS)):
        last = (watermark_ms - age_ms) // MINUTE_MS - 1
        found[age] = sum_buckets(buckets, Grain.MINUTE, last - 59, last)
    last = (watermark_ms - 24 * HOUR_MS) // HOUR_MS - 1
    found["1d"] = sum_buckets(buckets, Grain.HOUR, last - 23, last)
    return found


def sum_buckets(buckets: Cells, grain: int, first: int, last: int) -> dict[int, Cell]:
    """Cells of the whole, summed over the buckets [first, last]."""
    summed: dict[int, Cell] = {}
    for bucket in range(first, last + 1):
        add_fields(summed, buckets.get((grain, bucket, 0), {}))
    return summed


def _newest_ms(statuses: Statuses) -> int:
    return max((status.meta.max_received_ms or 0 for status in statuses.values()), default=0)


def _named(funnel: Funnel, registers: Registers, fields: dict[int, Cell]) -> NamedCell:
    counters = name_cells(funnel, {(Grain.TOTAL, 0, 0): fields}, registers)
    return counters.get("total", {}).get("all", {}).get("", {})
