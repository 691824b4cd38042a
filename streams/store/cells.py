"""A bounded cache of absolute cells: turns the core's changes into the values to store. Pure, no I/O.

The owner of a partition keeps one for each funnel and drops it at every claim. Cells handed out and
taken in are shared, never changed in place: a write still under way keeps the values it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.counters import Cell, CellGroup, Cells, plus

DEFAULT_MAX_CELLS = 100_000
_EMPTY: Cell = {}


class CellCache:
    """Two generations: what is used moves to the young one; when that is half full, the old one is forgotten.

    Per chunk: `missing`, read those from the store, `admit` them, `merge`.
    """

    def __init__(self, max_cells: int = DEFAULT_MAX_CELLS) -> None:
        if max_cells < 1:
            raise ValueError("a cell cache holds at least one cell")
        self._half = (max_cells + 1) // 2
        self._young: Cells = {}
        self._old: Cells = {}
        self._young_count = 0
        self._old_count = 0

    def __len__(self) -> int:
        """Cells held (one that lies in both generations counts twice)."""
        return self._young_count + self._old_count

    def missing(self, deltas: Cells) -> dict[CellGroup, list[int]]:
        """Fields among the changed ones whose stored value is unknown."""
        wanted: dict[CellGroup, list[int]] = {}
        for group, fields in deltas.items():
            young, old = self._young.get(group, _NO_CELLS), self._old.get(group, _NO_CELLS)
            if unknown := [name for name in fields if name not in young and name not in old]:
                wanted[group] = unknown
        return wanted

    def admit(self, wanted: Mapping[CellGroup, Sequence[int]], read: Mapping[CellGroup, Mapping[int, Cell]]) -> None:
        """Take in what the store answered; a wanted cell that it does not hold is empty."""
        for group, fields in wanted.items():
            stored = read.get(group, _NO_CELLS)
            young = self._young.setdefault(group, {})
            before = len(young)
            young.update({name: stored.get(name, _EMPTY) for name in fields})
            self._young_count += len(young) - before

    def merge(self, deltas: Cells) -> Cells:
        """Absolute cells after the changes, zeros left out; a cell that became empty is written as an empty map.

        KeyError for a cell that is neither known nor admitted.
        """
        merged: Cells = {}
        for group, fields in deltas.items():
            young = self._young.setdefault(group, {})
            old = self._old.get(group, _NO_CELLS)
            before = len(young)
            written = {
                name: plus(young[name] if name in young else old[name], change) for name, change in fields.items()
            }
            young.update(written)
            self._young_count += len(young) - before
            merged[group] = written
        if self._young_count >= self._half:
            self._old, self._old_count = self._young, self._young_count
            self._young, self._young_count = {}, 0
        return merged

    def forget(self, groups: Sequence[CellGroup]) -> None:
        """Groups that were deleted from the store."""
        for group in groups:
            self._young_count -= len(self._young.pop(group, _NO_CELLS))
            self._old_count -= len(self._old.pop(group, _NO_CELLS))


_NO_CELLS: dict[int, Cell] = {}
