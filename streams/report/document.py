"""The counters document (docs/api.md): stored cells of all partitions, summed and named. Pure but for `build_document`.

`counters[grain][bucket][dimension values][stage][family]` is an integer, or integers by sub-key; what is zero is left
out, and keys are sorted, so that equal counts give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from schemas.counters import (
    BY_CURRENCY,
    BY_REASON,
    BY_STAGE,
    CODE_OTHER,
    CODE_UNKNOWN,
    DURATION_EDGES_SECONDS,
    FAMILY_NAMES,
    GRAIN_NAMES,
    OTHER,
    STAGE_LOST,
    STAGE_NONE,
    UNKNOWN,
    Cell,
    Cells,
    Family,
    Grain,
    bucket_label,
    currency_text,
    split_field,
)
from schemas.funnel.model import Funnel
from streams.report.rates import rates_of
from streams.store.port import CounterReader, PartitionView

Document = dict[str, Any]
NamedCell = dict[str, dict[str, Any]]
"""{stage: {family: amount or amounts by sub-key}}: what `rates_of` takes."""
Registers = Mapping[tuple[int, str], int]

INPUT_KEYS = ("accepted", "duplicates", "late", "persons", "placeholder_ids", "link_conflicts")
RATED_GRAINS = (Grain.TOTAL, Grain.DAY)
"""Grains whose cells come with rates unless others are asked for: minutes and hours are too many."""
_REASONS = 0
_RESOLVED = (Family.ADVANCED_COHORT, Family.ABANDONED_COHORT, Family.COMPLETED)


async def build_document(reader: CounterReader, funnel: Funnel) -> Document:
    """The whole document of one funnel as it is stored now. Registers are read last: a code is never without a name."""
    views = [
        view
        for partition in await reader.partitions()
        if (view := await reader.view(partition, funnel.funnel_id, grains=tuple(Grain))) is not None
    ]
    return document_of(funnel, views, await reader.registers(funnel.funnel_id))


def document_of(
    funnel: Funnel,
    views: Sequence[PartitionView],
    registers: Registers,
    *,
    rated: Collection[int] = RATED_GRAINS,
    only: str | None = None,
) -> Document:
    """The document of what `views` hold. `rated`: grains whose cells get rates; `only`: the one cell to keep, by its
    label (`channel=google`)."""
    counters = name_cells(funnel, merge_cells(views), registers)
    if only is not None:
        counters = _only(counters, only)
    watermarks = [view.meta.watermark_ms for view in views if view.meta.watermark_ms is not None]
    stats = [view.meta.stats.get(funnel.funnel_id, {}) for view in views]
    return {
        "counters": counters,
        "funnel": funnel.name,
        "input": {key: sum(one.get(key, 0) for one in stats) for key in sorted(INPUT_KEYS)},
        "rates": _rates(funnel, counters, {GRAIN_NAMES[Grain(grain)] for grain in rated}),
        "version": funnel.version,
        "watermark_ms": min(watermarks, default=None),
    }


def canonical_json(document: Document | list[Document]) -> bytes:
    """The bytes of a document (or several): sorted keys, no spaces, UTF-8; equal documents give equal bytes."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def merge_cells(views: Iterable[PartitionView]) -> Cells:
    """Cells of all partitions, summed."""
    merged: Cells = {}
    for view in views:
        merge_into(merged, view.cells)
    return merged


def merge_into(target: Cells, cells: Cells) -> None:
    """Add cells to others."""
    for group, fields in cells.items():
        here = target.setdefault(group, {})
        for field, cell in fields.items():
            if (known := here.get(field)) is None:
                here[field] = dict(cell)
            else:
                add_cell(known, cell)


def add_cell(target: Cell, cell: Cell) -> None:
    """Add the amounts of a cell to another one."""
    for code, amount in cell.items():
        if code in target:
            target[code] += amount
        else:
            target[code] = amount


def name_cells(funnel: Funnel, cells: Cells, registers: Registers) -> Document:
    """The document's `counters`: names for codes, `open` derived, zeros left out, keys sorted."""
    labels = _Labels(funnel, registers)
    counters: Document = {}
    for group, fields in cells.items():
        grain, bucket, dimset = group
        place = counters.setdefault(GRAIN_NAMES[Grain(grain)], {}).setdefault(bucket_label(grain, bucket), {})
        for field, cell in fields.items():
            value1, value2, stage = split_field(field)
            named = place.setdefault(labels.values(dimset, value1, value2), {}).setdefault(labels.stage(stage), {})
            labels.name_into(named, cell)
    tidied: Document = _tidy(counters)
    return tidied


class _Labels:
    """Texts of the codes of one funnel."""

    def __init__(self, funnel: Funnel, registers: Registers) -> None:
        self._stages = [stage.name for stage in funnel.stages]
        self._dimensions = [dimension.name for dimension in funnel.dimensions]
        self._pairs = [tuple(self._dimensions.index(name) for name in pair) for pair in funnel.pairs]
        self._names = {(register, code): name for (register, name), code in registers.items()}

    def stage(self, code: int) -> str:
        if code == STAGE_LOST:
            return "lost"
        return "" if code == STAGE_NONE else self._stages[code]

    def value(self, register: int, code: int) -> str:
        if code == CODE_UNKNOWN:
            return UNKNOWN
        return OTHER if code == CODE_OTHER else self._names.get((register, code), OTHER)

    def values(self, dimset: int, value1: int, value2: int) -> str:
        """The label of a cell: empty for the whole, `channel=google`, `channel=google|manager=ann`."""
        if dimset == 0:
            return ""
        known = len(self._dimensions)
        if dimset <= known:
            return self._one(dimset - 1, value1)
        first, second = self._pairs[dimset - known - 1]
        return f"{self._one(first, value1)}|{self._one(second, value2)}"

    def _one(self, dimension: int, code: int) -> str:
        return f"{self._dimensions[dimension]}={self.value(dimension + 1, code)}"

    def name_into(self, named: dict[str, Any], cell: Cell) -> None:
        """Add a cell's amounts under the names of their families and sub-keys."""
        still_open = 0
        for code, amount in cell.items():
            base, sub = Family(code & 0xFF), code >> 8
            if base == Family.ENTRIES:
                still_open += amount
            elif base in _RESOLVED or base == Family.LOST_COHORT:
                still_open -= amount
            key = self._sub_key(base, sub)
            if key is None:
                named[FAMILY_NAMES[base]] = named.get(FAMILY_NAMES[base], 0) + amount
            else:
                by_key = named.setdefault(FAMILY_NAMES[base], {})
                by_key[key] = by_key.get(key, 0) + amount
        named["open"] = named.get("open", 0) + still_open

    def _sub_key(self, base: Family, sub: int) -> str | None:
        if base in BY_REASON:
            return self.value(_REASONS, sub)
        if base in BY_STAGE:
            return self._stages[sub]
        if base in BY_CURRENCY:
            return currency_text(sub)
        if base == Family.DURATIONS:
            edge = sub & 0xF
            text = str(DURATION_EDGES_SECONDS[edge]) if edge < len(DURATION_EDGES_SECONDS) else "inf"
            return f"{self._stages[sub >> 4]} {text}"
        return None


def _tidy(tree: Document) -> Document:
    """Without zeros and what holds only zeros; keys sorted."""
    tidied: Document = {}
    for key in sorted(tree):
        value = _tidy(tree[key]) if isinstance(tree[key], dict) else tree[key]
        if value:
            tidied[key] = value
    return tidied


def _only(counters: Document, label: str) -> Document:
    return _tidy(
        {
            grain: {bucket: {label: cells[label]} for bucket, cells in buckets.items() if label in cells}
            for grain, buckets in counters.items()
        }
    )


def _rates(funnel: Funnel, counters: Document, grains: Collection[str]) -> list[Document]:
    return [
        {"grain": grain, "bucket": bucket, "dim": dim, **rates_of(funnel, cell)}
        for grain in sorted(grains & counters.keys())
        for bucket, cells in counters[grain].items()
        for dim, cell in cells.items()
    ]
