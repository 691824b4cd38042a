"""From a chunk's contributions at the finest cell to deltas of cells: grains, the whole, dimensions, declared pairs.

Once per chunk, so that the hot path adds to one key per count. Every step sums what the one before has summed already:
hours from minutes, days from hours, the total from days. What lies in a bucket past its keep time is left out
(semantics.md 5): it will never be shown again, since watermarks only grow.
"""

from __future__ import annotations

from schemas.counters import (
    STAGE_NONE,
    Cell,
    Cells,
    Family,
    Grain,
    add_amount,
    add_fields,
    cell_field,
    family,
    is_kept,
    without_zeros,
)
from streams.core.calendar import Calendar
from streams.core.contributions import Contributions
from streams.core.plan import Plan

_MEMO_LIMIT = 50_000
Fields = tuple[tuple[int, int], ...]
"""(dimension set, field) of every cell that a count of one code and stage belongs to."""
Bucket = list[dict[int, Cell]]
"""Cells of one bucket by dimension set."""


class RollUp:
    """Rolls contributions of one funnel up."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._calendar = Calendar(plan.definition.timezone)
        self._dimsets = 1 + len(plan.widths) + len(plan.pairs)
        self._memo: dict[int, Fields] = {}

    def cells(self, contributions: Contributions, watermark_ms: int) -> Cells:
        """Deltas without zeros."""
        minutes: dict[int, dict[int, Cell]] = {}
        hours: dict[tuple[int, int], Bucket] = {}
        self._add_counts(contributions, minutes, hours)
        self._add_money(contributions, minutes, hours)
        deltas: Cells = {}
        for minute, fields in minutes.items():
            if is_kept(Grain.MINUTE, minute, watermark_ms):
                _put_bucket(deltas, Grain.MINUTE, minute, [without_zeros(fields)])
        by_hour: dict[int, list[Bucket]] = {}
        by_day: dict[int, list[Bucket]] = {}
        for (hour, day), sums in hours.items():
            bucket = [without_zeros(fields) for fields in sums]
            by_hour.setdefault(hour, []).append(bucket)
            by_day.setdefault(day, []).append(bucket)
        for day, bucket in self._spend(contributions).items():
            by_day.setdefault(day, []).append(bucket)
        for hour, buckets in by_hour.items():
            if is_kept(Grain.HOUR, hour, watermark_ms):
                _put_bucket(deltas, Grain.HOUR, hour, self._sum(buckets))
        days = {day: self._sum(buckets) for day, buckets in by_day.items()}
        for day, bucket in days.items():
            _put_bucket(deltas, Grain.DAY, day, bucket)
        if days:
            _put_bucket(deltas, Grain.TOTAL, 0, self._sum(list(days.values())))
        return deltas

    def _add_counts(
        self, contributions: Contributions, minutes: dict[int, dict[int, Cell]], hours: dict[tuple[int, int], Bucket]
    ) -> None:
        plan = self._plan
        family_bits, families = plan.family_bits, plan.families
        minute_shift = family_bits + plan.code_bits
        below_minute, family_mask = (1 << minute_shift) - 1, (1 << family_bits) - 1
        whole: dict[int, int] = {}
        """Minute and family -> amount."""
        parts: dict[tuple[int, int], dict[int, int]] = {}
        """(hour, day) -> code and family -> amount; `part_of` is the same by minute."""
        part_of: dict[int, dict[int, int]] = {}
        for key, amount in contributions.counts.items():
            # Minus before and plus after have cancelled: most of what a late event leads to.
            if not amount:
                continue
            minute = key >> minute_shift
            part = part_of.get(minute)
            if part is None:
                part = part_of[minute] = parts.setdefault(self._hour_and_day(minute), {})
            code_and_family = key & below_minute
            part[code_and_family] = part.get(code_and_family, 0) + amount
            minute_and_family = minute << family_bits | key & family_mask
            whole[minute_and_family] = whole.get(minute_and_family, 0) + amount
        for minute_and_family, amount in whole.items():
            cells = minutes.setdefault(minute_and_family >> family_bits, {})
            for stage, counted in families[minute_and_family & family_mask]:
                add_amount(cells, stage, counted, amount)
        for place, part in parts.items():
            self._add_part(part, self._bucket(hours, place))

    def _add_part(self, part: dict[int, int], bucket: Bucket) -> None:
        """Amounts of one hour and day, to every dimension set they belong to."""
        family_bits, families = self._plan.family_bits, self._plan.families
        family_mask, memo, fields_of = (1 << family_bits) - 1, self._memo, self._fields
        for code_and_family, amount in part.items():
            code = code_and_family >> family_bits << 8
            for stage, counted in families[code_and_family & family_mask]:
                fields = memo.get(code | stage)
                if fields is None:
                    fields = fields_of(code >> 8, stage)
                for dimset, field in fields:
                    cells = bucket[dimset]
                    cell = cells.get(field)
                    if cell is None:
                        cells[field] = {counted: amount}
                    else:
                        cell[counted] = cell.get(counted, 0) + amount

    def _add_money(
        self, contributions: Contributions, minutes: dict[int, dict[int, Cell]], hours: dict[tuple[int, int], Bucket]
    ) -> None:
        for (minute, code, stage, money), amount in contributions.money.items():
            if not amount:
                continue
            add_amount(minutes.setdefault(minute, {}), stage, money, amount)
            bucket = self._bucket(hours, self._hour_and_day(minute))
            for dimset, field in self._fields(code, stage):
                add_amount(bucket[dimset], field, money, amount)

    def _spend(self, contributions: Contributions) -> dict[int, Bucket]:
        """What was spent, by day."""
        days: dict[int, Bucket] = {}
        for (day, code, currency), amount in contributions.spend.items():
            bucket = days.setdefault(day, [{} for _ in range(self._dimsets)])
            for dimset, field in self._fields(code, STAGE_NONE) if amount else ():
                add_amount(bucket[dimset], field, family(Family.SPEND, currency), amount)
        return {day: [without_zeros(fields) for fields in bucket] for day, bucket in days.items()}

    def _hour_and_day(self, minute: int) -> tuple[int, int]:
        """UTC hour and local day: an hour belongs to two days in a zone that is half an hour off."""
        return minute // 60, self._calendar.day(minute)

    def _bucket(self, hours: dict[tuple[int, int], Bucket], place: tuple[int, int]) -> Bucket:
        return hours.setdefault(place, [{} for _ in range(self._dimsets)])

    def _fields(self, code: int, stage: int) -> Fields:
        key = code << 8 | stage
        fields = self._memo.get(key)
        if fields is None:
            # It must not grow with the values that have ever come; what is left out is made again.
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            fields = self._memo[key] = _fields(self._plan, code, stage)
        return fields

    def _sum(self, buckets: list[Bucket]) -> Bucket:
        """Cells of several buckets together, without zeros; those of one are handed on as they are: most chunks lie in
        one hour, whose cells are those of the day and the total too."""
        if len(buckets) == 1:
            return buckets[0]
        total: Bucket = [{} for _ in range(self._dimsets)]
        for bucket in buckets:
            for fields, more in zip(total, bucket, strict=True):
                add_fields(fields, more)
        return [without_zeros(fields) for fields in total]


def _fields(plan: Plan, code: int, stage: int) -> Fields:
    values = [code >> shift & (1 << width) - 1 for shift, width in zip(plan.shifts, plan.widths, strict=True)]
    cells = [cell_field(value, 0, stage) for value in values]
    cells += [cell_field(values[left], values[right], stage) for left, right in plan.pairs]
    return ((0, stage), *enumerate(cells, start=1))


def _put_bucket(deltas: Cells, grain: Grain, bucket: int, cells: Bucket) -> None:
    """Hand over what is not empty."""
    for dimset, fields in enumerate(cells):
        if fields:
            deltas[grain, bucket, dimset] = fields
