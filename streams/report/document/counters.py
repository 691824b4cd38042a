"""The counters document (docs/reports.md) of stored cells, summed over partitions. Only `build_document` reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypedDict

import orjson

from schemas.counters import GRAIN_NAMES, Cells, Grain
from schemas.funnel.model import Funnel
from schemas.traffic import TRAFFIC_CLASSES
from streams.report.document.names import Registers, name_cells
from streams.report.document.periods import Period, label_periods, sum_days
from streams.report.document.rates import FunnelRates
from streams.report.document.shapes import CellRates, Counters, CountersDocument, DocumentHead, InputCounts
from streams.report.document.sums import merged
from streams.store.port import CounterReader, PartitionView

RATED_GRAINS = (Grain.TOTAL, Grain.DAY)
"""Grains whose cells come with rates unless others are asked for: minutes and hours are too many."""


class Shape(TypedDict):
    """Which part of a document is wanted, and how."""

    rated: Collection[int]
    """Grains whose cells get rates."""
    only: str | None
    """The one cell to keep, by its label (`channel=google`)."""
    period: Period | None
    """To what the days are summed, which then has the rates."""


async def build_document(reader: CounterReader, funnel: Funnel) -> CountersDocument:
    """The whole document of one funnel as it is stored now. Registers are read last: a code is never without a name."""
    views = [
        view
        for partition in await reader.partitions()
        if (view := await reader.view(partition, funnel.funnel_id, grains=tuple(Grain))) is not None
    ]
    return document_of(funnel, views, registers=await reader.registers(funnel.funnel_id))


def document_of(
    funnel: Funnel,
    views: Sequence[PartitionView],
    *,
    registers: Registers,
    rated: Collection[int] = RATED_GRAINS,
    only: str | None = None,
    period: Period | None = None,
) -> CountersDocument:
    """The document of what `views` hold. `rated`: grains whose cells get rates; `only`: the one cell to keep, by its
    label (`channel=google`); `period`: to what the days are summed, which then has the rates."""
    cells = merge_cells(views)
    counters = name_cells(funnel, cells if period is None else sum_days(cells, period), registers=registers)
    if period is not None:
        counters = label_periods(counters, period)
    if only is not None:
        counters = _only(counters, only)
    rates = _rates(funnel, counters, grains=rated_names(rated, period))
    return {"counters": counters, "rates": rates, **head_of(funnel, views)}


def rated_names(rated: Collection[int], period: Period | None) -> set[str]:
    """Names of the grains whose cells get rates."""
    return {GRAIN_NAMES[Grain(grain)] for grain in rated} if period is None else {period.value}


def head_of(funnel: Funnel, views: Sequence[PartitionView]) -> DocumentHead:
    """What a document says beside its counters and rates."""
    watermarks = [view.meta.watermark_ms for view in views if view.meta.watermark_ms is not None]
    return {
        "funnel": funnel.name,
        "input": _input(views, funnel),
        "version": funnel.version,
        "watermark_ms": min(watermarks, default=None),
    }


def canonical_json(document: Mapping[str, object] | Sequence[object]) -> bytes:
    """The bytes of a document (or several): sorted keys, no spaces, UTF-8; equal documents give equal bytes."""
    try:
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # half an emoji in a name, a sum beyond 64 bits: slower, and as well
        text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode("utf-8", "replace")


def answer_json(answers: Sequence[Mapping[str, object]]) -> bytes:
    """What command and API print: one document as it is, several as a list."""
    return canonical_json(answers[0] if len(answers) == 1 else answers)


def merge_cells(views: Iterable[PartitionView]) -> Cells:
    """Cells of all partitions, summed."""
    return merged(view.cells for view in views)


def _input(views: Iterable[PartitionView], funnel: Funnel) -> InputCounts:
    stats = [view.meta.stats.get(funnel.funnel_id, {}) for view in views]

    def total(key: str) -> int:
        return sum(counts.get(key, 0) for counts in stats)

    counts: InputCounts = {
        "accepted": total("accepted"),
        "duplicates": total("duplicates"),
        "late": total("late"),
        "link_conflicts": total("link_conflicts"),
        "persons": total("persons"),
        "placeholder_ids": total("placeholder_ids"),
    }
    left_out = {one: total(f"left_out_{one}") for one in TRAFFIC_CLASSES}
    if any(left_out.values()):
        counts["left_out"] = {one: number for one, number in left_out.items() if number}
    return counts


def _rates(funnel: Funnel, counters: Counters, *, grains: Collection[str]) -> list[CellRates]:
    rates = FunnelRates(funnel)
    return [
        {"grain": grain, "bucket": bucket, "dim": dim, **rates.of(cell, dim)}
        for grain in sorted(grains & counters.keys())
        for bucket, cells in counters[grain].items()
        for dim, cell in cells.items()
    ]


def _only(counters: Counters, label: str) -> Counters:
    chosen = {
        grain: {bucket: {label: cells[label]} for bucket, cells in buckets.items() if label in cells}
        for grain, buckets in counters.items()
    }
    return {grain: buckets for grain, buckets in chosen.items() if buckets}
