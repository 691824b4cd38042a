"""What one scrape shows: the counters of every funnel, read from the store and summed up. Reads, never writes.

Partitions that have not changed since the last read are not read again, so a quiet space costs one small answer each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.counters import HOUR_MS, MINUTE_MS, Cell, Cells, Grain
from schemas.funnel import Funnel
from streams.report.document import NamedCell, Registers, add_cell, merge_cells, name_cells
from streams.store.port import CounterReader, PartitionMeta, PartitionView

_PARALLEL_READS = 8
_MINUTES_READ = 125
_HOURS_READ = 50
"""Enough for the oldest cohort: an hour of minutes that ended an hour ago, a day of hours that ended a day ago."""


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
    metas: dict[int, tuple[int, PartitionMeta]]
    """By partition: (offset, meta)."""
    gaps: int
    funnels: list[FunnelCounts]


@dataclass(frozen=True, slots=True)
class _Views:
    totals: PartitionView | None
    buckets: PartitionView | None


class SnapshotSource:
    """Takes snapshots; remembers the views of partitions that stand still. One `take` at a time."""

    def __init__(
        self, reader: CounterReader, funnels: Sequence[Funnel], *, clock_ms: Callable[[], int], max_values: int = 50
    ) -> None:
        self._reader = reader
        self._funnels = funnels
        self._clock_ms = clock_ms
        self._max_values = max_values
        self._seen: dict[tuple[int, str], tuple[tuple[int, PartitionMeta], _Views]] = {}
        self._turns = asyncio.Semaphore(_PARALLEL_READS)

    async def take(self) -> Snapshot:
        """Read the store. Raises StoreUnavailableError, StoreRefusedError."""
        partitions = await self._reader.partitions()
        found = await asyncio.gather(*(self._reader.meta(partition) for partition in partitions))
        metas = {partition: meta for partition, meta in zip(partitions, found, strict=True) if meta is not None}
        slots = await self._reader.slots()
        funnels = []
        for funnel in self._funnels:
            if slots.get(funnel.slot, funnel.fingerprint) == funnel.fingerprint:
                funnels.append(await self._counts(funnel, metas))
            else:
                funnels.append(FunnelCounts(funnel=funnel, is_same_definition=False))
        gaps = len(await self._reader.gaps())
        return Snapshot(read_at_ms=self._clock_ms(), metas=metas, gaps=gaps, funnels=funnels)

    async def _counts(self, funnel: Funnel, metas: dict[int, tuple[int, PartitionMeta]]) -> FunnelCounts:
        newest_ms = max((meta.max_received_ms or 0 for _, meta in metas.values()), default=0)
        views = await asyncio.gather(*(self._views(funnel, one, metas[one], newest_ms=newest_ms) for one in metas))
        registers = await self._reader.registers(funnel.slot)
        totals = name_cells(funnel, merge_cells(one.totals for one in views if one.totals is not None), registers)
        buckets = merge_cells(one.buckets for one in views if one.buckets is not None)
        stats: dict[str, int] = {}
        for _, meta in metas.values():
            for key, amount in meta.stats.get(funnel.slot, {}).items():
                stats[key] = stats.get(key, 0) + amount
        watermark_ms = min(
            (meta.watermark_ms for _, meta in metas.values() if meta.watermark_ms is not None), default=0
        )
        return FunnelCounts(
            funnel=funnel,
            is_same_definition=True,
            stats=stats,
            totals=totals.get("total", {}).get("all", {}),
            windows=_named(funnel, registers, windows_of(buckets, newest_ms)),
            cohorts=_named(funnel, registers, cohorts_of(buckets, watermark_ms)),
            values=self._values(funnel, registers),
        )

    async def _views(
        self, funnel: Funnel, partition: int, meta: tuple[int, PartitionMeta], *, newest_ms: int
    ) -> _Views:
        """Views of a partition, read again only where its owner has written since."""
        known = self._seen.get((partition, funnel.slot))
        if known is not None and known[0] == meta:
            return known[1]
        marginals = list(range(len(funnel.dimensions) + 1))
        since: dict[int, int] = {
            Grain.MINUTE: newest_ms // MINUTE_MS - _MINUTES_READ,
            Grain.HOUR: newest_ms // HOUR_MS - _HOURS_READ,
        }
        async with self._turns:
            totals = await self._reader.view(partition, funnel.slot, grains=[Grain.TOTAL], dimsets=marginals)
            buckets = await self._reader.view(
                partition, funnel.slot, grains=[Grain.MINUTE, Grain.HOUR], dimsets=[0], since=since
            )
        views = _Views(totals, buckets)
        self._seen[partition, funnel.slot] = (meta, views)
        return views

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
        for field_, cell in buckets.get((grain, bucket, 0), {}).items():
            add_cell(summed.setdefault(field_, {}), cell)
    return summed


def _named(funnel: Funnel, registers: Registers, sums: dict[str, dict[int, Cell]]) -> dict[str, NamedCell]:
    named = {}
    for name, cells in sums.items():
        tree = name_cells(funnel, {(Grain.TOTAL, 0, 0): cells}, registers)
        named[name] = tree.get("total", {}).get("all", {}).get("", {})
    return named
