"""Sums of stored cells: over partitions, over days. Pure but for a memory of the sums that were made last.

A year of days hardly changes between two questions, and adding up is what an answer costs most. So a sum of settled
cells (`SettledFields`) is itself settled, and is found again by the serials of its parts. Days are summed eight by
eight, so that a day that changes costs its block and not the span.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from schemas.counters import Cell, CellGroup, Cells, Grain, SettledFields, add_fields

_BLOCK_SHIFT: Final = 3
_MOST_CELLS: Final = 200_000
"""Of sums that are remembered; the oldest go first."""
_Fields = dict[int, Cell]


class _Memory:
    """Sums by the serials of their parts."""

    def __init__(self) -> None:
        self._sums: OrderedDict[tuple[int, ...], SettledFields] = OrderedDict()
        self._cells = 0

    def total(self, parts: Sequence[_Fields]) -> _Fields:
        """The sum, which nobody may change."""
        if len(parts) == 1:
            return parts[0]
        settled = [part for part in parts if isinstance(part, SettledFields)]
        if len(settled) < len(parts):
            return _added(parts)
        key = tuple(part.serial for part in settled)
        known = self._sums.get(key)
        if known is None:
            known = self._sums[key] = SettledFields(_added(parts).items())
            self._cells += len(known)
        self._sums.move_to_end(key)
        while self._cells > _MOST_CELLS and len(self._sums) > 1:
            self._cells -= len(self._sums.popitem(last=False)[1])
        return known


def _added(parts: Sequence[_Fields]) -> _Fields:
    summed: _Fields = {}
    for part in parts:
        add_fields(summed, part)
    return summed


_MEMORY: Final = _Memory()


def merged(several: Iterable[Mapping[CellGroup, _Fields]]) -> Cells:
    """Cells of all partitions, summed; nobody may change them."""
    parts: dict[CellGroup, list[_Fields]] = {}
    for cells in several:
        for group, fields in cells.items():
            parts.setdefault(group, []).append(fields)
    return {group: _MEMORY.total(fields) for group, fields in parts.items()}


def summed_to(cells: Cells, place_of: Mapping[CellGroup, CellGroup]) -> Cells:
    """Groups summed into others; nobody may change them."""
    parts: dict[CellGroup, list[_Fields]] = {}
    for group, place in place_of.items():
        parts.setdefault(place, []).append(cells[group])
    return {place: _MEMORY.total(fields) for place, fields in parts.items()}


def over_all_buckets(cells: Cells) -> Cells:
    """Groups of one grain summed to totals, block by block."""
    blocks = summed_to(cells, {group: (group[0], group[1] >> _BLOCK_SHIFT, group[2]) for group in sorted(cells)})
    return summed_to(blocks, {group: (Grain.TOTAL, 0, group[2]) for group in sorted(blocks)})
