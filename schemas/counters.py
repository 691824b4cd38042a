"""The counters: families and their codes, cells and their addresses, labels of buckets.

A *cell* is addressed by a group `(grain, bucket, dimension set)` and a field `(value 1, value 2, stage)`; it holds
`{family code: int}` with zeros left out. Codes are stored, so a code never changes its meaning; new ones are added at
the end. Pure tables and arithmetic, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from itertools import count
from typing import Final

from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, date_of

CellGroup = tuple[int, int, int]
"""(grain, bucket, dimension set): bucket is 0 for totals, epoch minutes, epoch hours, or days since 1970-01-01 of the
funnel's local date; dimension set is 0 for the whole, 1..d for dimensions, d+1.. for pairs, in the funnel's order."""

Cell = dict[int, int]
"""{family code (`family`): amount}."""

Cells = dict[CellGroup, dict[int, Cell]]
"""Cells by group and field (`cell_field`)."""

_serials = count()


class SettledFields(dict[int, Cell]):
    """Cells of a group that nobody changes any more: what has the same serial is the same, and need not be added up
    again (`streams.report.document.sums`)."""

    __slots__ = ("serial",)

    def __init__(self, fields: Iterable[tuple[int, Cell]]) -> None:
        super().__init__(fields)
        self.serial = next(_serials)


class Grain(IntEnum):
    """Tumbling buckets (semantics.md 5)."""

    TOTAL = 0
    MINUTE = 1
    HOUR = 2
    DAY = 3


GRAIN_NAMES: Final = {Grain.TOTAL: "total", Grain.MINUTE: "minute", Grain.HOUR: "hour", Grain.DAY: "day"}
KEEP_MS: Final = {Grain.MINUTE: 48 * HOUR_MS, Grain.HOUR: 90 * DAY_MS}
"""How long a grain is kept behind the watermark; the others permanently."""


class Family(IntEnum):
    """Base code of a family; the low byte of a family code."""

    EVENTS = 1
    ENTRIES = 2
    STARTED = 3
    SKIPPED = 4
    COMPLETED = 5
    STALLED = 6
    WON = 7
    ADVANCED_COHORT = 8
    ADVANCED_PERIOD = 9
    ABANDONED_COHORT = 10
    ABANDONED_PERIOD = 11
    REVIVED_COHORT = 12
    REVIVED_PERIOD = 13
    LOST_COHORT = 14
    LOST_PERIOD = 15
    TRANSITIONS_COHORT = 16
    TRANSITIONS_PERIOD = 17
    VALUE = 19
    OPEN_VALUE = 20
    ORDERS = 21
    REVENUE = 22
    REFUNDS = 23
    SPEND = 24
    DURATION_SECONDS = 25
    LEAD_TIME = 26
    LEAD_TIME_SECONDS = 27
    LOSS_TIME = 28
    LOSS_TIME_SECONDS = 29
    LOST_LATE_COHORT = 30
    LOST_LATE_PERIOD = 31
    REACHED = 32
    CUSTOMERS = 33
    LIFETIME = 34
    COST = 35
    DISCOUNT = 36
    DURATIONS = 37
    """18 was the same with fewer edges."""
    ORDERS_JOINED = 38
    """Orders whose journey began before it came to an order stage. For metrics alone (`INTERNAL`)."""
    DURATIONS_OF_LOST = 39
    """Those of `DURATIONS` whose entry had been lost before it went on: for agreed times (`INTERNAL`)."""


FAMILY_NAMES: Final = {
    family: family.name.lower().replace("_cohort", ".cohort").replace("_period", ".period") for family in Family
}
INTERNAL: Final = frozenset({Family.ORDERS_JOINED, Family.DURATIONS_OF_LOST})
"""Counted for metrics and reports; no part of a document."""
BY_REASON: Final = frozenset({Family.LOST_COHORT, Family.LOST_PERIOD, Family.LOST_LATE_COHORT, Family.LOST_LATE_PERIOD})
BY_STAGE: Final = frozenset({Family.TRANSITIONS_COHORT, Family.TRANSITIONS_PERIOD, Family.DURATION_SECONDS})
BY_EDGE: Final = frozenset({Family.LEAD_TIME, Family.LOSS_TIME})
"""Histograms of one duration; the sub-key is the index of the edge."""
BY_CURRENCY: Final = frozenset(
    {
        Family.VALUE,
        Family.OPEN_VALUE,
        Family.ORDERS,
        Family.REVENUE,
        Family.REFUNDS,
        Family.SPEND,
        Family.COST,
        Family.DISCOUNT,
    }
)

DURATION_EDGES_SECONDS: Final = (
    10,
    60,
    300,
    900,
    3600,
    4 * 3600,
    12 * 3600,
    86_400,
    3 * 86_400,
    7 * 86_400,
    14 * 86_400,
    30 * 86_400,
    45 * 86_400,
    60 * 86_400,
    90 * 86_400,
    120 * 86_400,
    180 * 86_400,
    365 * 86_400,
)
"""Upper edges, inclusive; one more bucket is open-ended (`inf`)."""
AGE_EDGES_DAYS: Final = (0, 30, 60, 90, 180, 365)
"""Upper edges, inclusive, of the age of an order since its customer's first one; one more is open-ended."""

STAGE_LOST: Final = 254
"""Stage code of lost events (family `events`), shown as `lost`."""
STAGE_NONE: Final = 255
"""Stage code of what belongs to no stage (spend), shown as an empty name."""
REASONS: Final = 0
"""The register of reasons; the others are those of the dimensions, in their order."""
CODE_UNKNOWN: Final = 0
CODE_OTHER: Final = 1
UNKNOWN: Final = "unknown"
OTHER: Final = "other"
VALUE_CHARS: Final = 64
"""A dimension value or reason is cut here."""


def family(base: Family, sub: int = 0) -> int:
    """Family code: base in the low byte, sub-key above it (reason code, stage index, currency, `duration_sub`)."""
    return int(base) | sub << 8


def duration_sub(stage: int, edge: int) -> int:
    """Sub-key of a duration: target stage and index of the edge (len(edges) = open-ended)."""
    return stage << 5 | edge


def lifetime_sub(currency: int, age: int) -> int:
    """Sub-key of lifetime revenue: currency code and index of the age (len(edges) = open-ended)."""
    return currency << 3 | age


def currency_code(currency: str) -> int:
    """A three-letter code as an int below 2**15, reversible by `currency_text`."""
    a, b, c = currency.encode()
    return ((a - 65) * 26 + (b - 65)) * 26 + (c - 65)


def currency_text(code: int) -> str:
    """Inverse of `currency_code`."""
    first_two, c = divmod(code, 26)
    a, b = divmod(first_two, 26)
    return bytes((a + 65, b + 65, c + 65)).decode()


def cell_field(value1: int, value2: int, stage: int) -> int:
    """Field of a cell within its group: two register codes (u16) and a stage (u8); 40 bits."""
    return value1 << 24 | value2 << 8 | stage


def split_field(field: int) -> tuple[int, int, int]:
    """(value 1, value 2, stage) of a field."""
    return field >> 24, field >> 8 & 0xFFFF, field & 0xFF


def bucket_label(grain: int, bucket: int) -> str:
    """Label of a bucket in the counters document."""
    if grain == Grain.TOTAL:
        return "all"
    if grain == Grain.DAY:
        return date_of(bucket).isoformat()
    start = datetime.fromtimestamp(bucket * (60 if grain == Grain.MINUTE else 3600), tz=UTC)
    return start.strftime("%Y-%m-%dT%H:%MZ" if grain == Grain.MINUTE else "%Y-%m-%dT%HZ")


def is_kept(grain: int, bucket: int, watermark_ms: int) -> bool:
    """Whether a bucket is still shown at a watermark: its end lies less than the grain's keep time behind it."""
    if grain == Grain.MINUTE:
        return (bucket + 1) * MINUTE_MS > watermark_ms - KEEP_MS[Grain.MINUTE]
    if grain == Grain.HOUR:
        return (bucket + 1) * HOUR_MS > watermark_ms - KEEP_MS[Grain.HOUR]
    return True


def add_amount(fields: dict[int, Cell], field: int, code: int, amount: int) -> None:
    """Add one amount to the cell of a field; a zero may stay."""
    cell = fields.get(field)
    if cell is None:
        fields[field] = {code: amount}
    else:
        cell[code] = cell.get(code, 0) + amount


def add(target: Cell, cell: Mapping[int, int]) -> None:
    """Add a cell to another one; zeros may stay."""
    for code, amount in cell.items():
        target[code] = target.get(code, 0) + amount


def plus(cell: Mapping[int, int], change: Mapping[int, int]) -> Cell:
    """A new cell: both together, zeros left out."""
    total = dict(cell)
    for code, amount in change.items():
        value = total.get(code, 0) + amount
        if value:
            total[code] = value
        else:
            total.pop(code, None)
    return total


def add_fields(target: dict[int, Cell], fields: Mapping[int, Cell]) -> None:
    """Add the cells of a group to those of another; zeros may stay, and what is added stays as it is."""
    for field, cell in fields.items():
        known = target.get(field)
        if known is None:
            target[field] = dict(cell)
        else:
            add(known, cell)


def merge(target: Cells, cells: Mapping[CellGroup, Mapping[int, Cell]]) -> None:
    """Add all cells to others; zeros may stay, and what is added stays as it is."""
    for group, fields in cells.items():
        add_fields(target.setdefault(group, {}), fields)


def merge_changes(target: Cells, changes: Mapping[CellGroup, Mapping[int, Cell]]) -> None:
    """Add changes to absolute cells: zeros, and what has become empty, are left out as in the store."""
    for group, fields in changes.items():
        known = target.get(group, {})
        summed = {**known, **{field: plus(known.get(field, {}), change) for field, change in fields.items()}}
        if filled := {field: cell for field, cell in summed.items() if cell}:
            target[group] = filled
        else:
            target.pop(group, None)


def without_zeros(fields: Mapping[int, Cell]) -> dict[int, Cell]:
    """The cells that hold something, without their zeros; a cell that has none is handed on, not copied."""
    filled: dict[int, Cell] = {}
    for field, cell in fields.items():
        if 0 in cell.values():
            cell = {code: amount for code, amount in cell.items() if amount}
        if cell:
            filled[field] = cell
    return filled
