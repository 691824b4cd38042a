"""From a chunk's books at the finest cell to deltas of cells: grains, the whole, dimensions, declared pairs.

Once per chunk, so that the hot path adds to one key per count. What lies in a bucket past its keep time is left out
(semantics.md 5): it will never be shown again, since watermarks only grow.
"""

from __future__ import annotations

from collections import defaultdict

from schemas.counters import Cells, Grain, cell_field, is_kept
from streams.core.book import Books
from streams.core.calendar import Calendar
from streams.core.plan import Plan


def _fields(plan: Plan, code: int, stage: int) -> list[tuple[int, int]]:
    """(dimension set, field) of a code: every marginal and pair, without the whole."""
    values = [code >> shift & (1 << width) - 1 for shift, width in zip(plan.shifts, plan.widths, strict=True)]
    found = [(at, cell_field(value, 0, stage)) for at, value in enumerate(values, start=1)]
    start = 1 + len(values)
    found += [(start + at, cell_field(values[i], values[j], stage)) for at, (i, j) in enumerate(plan.pairs)]
    return found


class RollUp:
    """Rolls books of one funnel up."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._calendar = Calendar(plan.funnel.timezone)

    def cells(self, books: Books, watermark_ms: int) -> Cells:
        """Deltas without zeros."""
        whole, parts = self._by_hour(books)
        cells: defaultdict[tuple[int, int, int], dict[int, dict[int, int]]] = defaultdict(dict)
        for (minute, stage, family), amount in whole.items():
            if amount and is_kept(Grain.MINUTE, minute, watermark_ms):
                _add(cells[Grain.MINUTE, minute, 0], stage, family, amount)
        for (hour, day, code, stage, family), amount in parts.items():
            if not amount:
                continue
            buckets = [(Grain.TOTAL, 0), (Grain.DAY, day)]
            if is_kept(Grain.HOUR, hour, watermark_ms):
                buckets.append((Grain.HOUR, hour))
            fields = [(0, stage), *_fields(self._plan, code, stage)]
            for grain, bucket in buckets:
                for dimset, field in fields:
                    _add(cells[grain, bucket, dimset], field, family, amount)
        return _tidy(cells)

    def _by_hour(
        self, books: Books
    ) -> tuple[defaultdict[tuple[int, int, int], int], defaultdict[tuple[int, int, int, int, int], int]]:
        plan = self._plan
        low, bits = plan.family_bits, plan.code_bits
        low_mask, code_mask = (1 << low) - 1, (1 << bits) - 1
        whole: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        parts: defaultdict[tuple[int, int, int, int, int], int] = defaultdict(int)
        places: list[tuple[int, int, int, int, int]] = []
        for key, amount in books.counts.items():
            if amount:
                stage, family = plan.families[key & low_mask]
                places.append((key >> low + bits, key >> low & code_mask, stage, family, amount))
        places += [(*place, amount) for place, amount in books.money.items() if amount]
        day_of = self._calendar.day
        for minute, code, stage, family, amount in places:
            whole[minute, stage, family] += amount
            parts[minute // 60, day_of(minute), code, stage, family] += amount
        return whole, parts


def _add(fields: dict[int, dict[int, int]], field: int, family: int, amount: int) -> None:
    cell = fields.get(field)
    if cell is None:
        fields[field] = {family: amount}
    else:
        cell[family] = cell.get(family, 0) + amount


def _tidy(cells: dict[tuple[int, int, int], dict[int, dict[int, int]]]) -> Cells:
    found: Cells = {}
    for group, fields in cells.items():
        kept = {}
        for field, cell in fields.items():
            if 0 in cell.values():
                cell = {family: amount for family, amount in cell.items() if amount}
            if cell:
                kept[field] = cell
        if kept:
            found[group] = kept
    return found
