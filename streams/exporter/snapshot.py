"""What one scrape shows, as a value: the counters of every funnel, summed up and named. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.counters import Cell, Cells, Grain
from schemas.funnel.model import Funnel
from streams.exporter.windows import cohorts_of, windows_of
from streams.report.document.names import Registers, name_cells
from streams.report.document.shapes import NamedCell
from streams.store.port import PartitionStatus

Statuses = Mapping[int, PartitionStatus]
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


def newest_reception_ms(statuses: Statuses) -> int:
    """Of all partitions; 0 before the first."""
    return max((status.meta.max_received_ms or 0 for status in statuses.values()), default=0)


@dataclass(frozen=True, slots=True)
class FunnelSums:
    """What was read of a funnel, summed over partitions."""

    cells: Cells
    """Of the whole: totals, minutes, hours."""
    dimensions: Mapping[str, NamedCell]
    """Totals by the label of a dimension value."""
    registers: Registers


def counts_of(funnel: Funnel, statuses: Statuses, *, sums: FunnelSums, max_values: int) -> FunnelCounts:
    """The counts of a funnel; at most `max_values` of each dimension get series of their own."""
    cells, registers = sums.cells, sums.registers
    watermarks = [mark for status in statuses.values() if (mark := status.meta.watermark_ms) is not None]

    def named(fields_by_name: Mapping[str, Mapping[int, Cell]]) -> dict[str, NamedCell]:
        return {name: _named(funnel, registers, fields=fields) for name, fields in fields_by_name.items()}

    return FunnelCounts(
        funnel=funnel,
        is_same_definition=True,
        stats=_stats(funnel, statuses),
        totals={**sums.dimensions, **named({"": cells.get((Grain.TOTAL, 0, 0), {})})},
        windows=named(windows_of(cells, newest_reception_ms(statuses))),
        cohorts=named(cohorts_of(cells, min(watermarks, default=0))),
        values=_values(funnel, registers, max_values=max_values),
    )


def _stats(funnel: Funnel, statuses: Statuses) -> dict[str, int]:
    stats: dict[str, int] = {}
    for status in statuses.values():
        for key, amount in status.meta.stats.get(funnel.funnel_id, {}).items():
            stats[key] = stats.get(key, 0) + amount
    return stats


def _named(funnel: Funnel, registers: Registers, *, fields: Mapping[int, Cell]) -> NamedCell:
    counters = name_cells(funnel, {(Grain.TOTAL, 0, 0): dict(fields)}, registers=registers, for_metrics=True)
    return counters.get("total", {}).get("all", {}).get("", {})


def _values(funnel: Funnel, registers: Registers, *, max_values: int) -> dict[str, list[str]]:
    """By dimension, the values that came first."""
    by_register: dict[int, list[tuple[int, str]]] = {}
    for (register, name), code in registers.items():
        by_register.setdefault(register, []).append((code, name))
    return {
        dimension.name: [name for _, name in sorted(by_register.get(register, []))][:max_values]
        for register, dimension in enumerate(funnel.dimensions, 1)
    }
