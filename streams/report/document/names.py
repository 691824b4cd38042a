"""Names for stored codes: cells of a funnel as the `counters` of its document. Pure.

`counters[grain][bucket][dimension values][stage][family]` is an integer, or integers by sub-key; what is zero is left
out, and keys are sorted, so that equal counts give equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from schemas.counters import (
    AGE_EDGES_DAYS,
    BY_CURRENCY,
    BY_EDGE,
    BY_REASON,
    BY_STAGE,
    CODE_OTHER,
    CODE_UNKNOWN,
    DURATION_EDGES_SECONDS,
    FAMILY_NAMES,
    GRAIN_NAMES,
    INTERNAL,
    OTHER,
    REASONS,
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
from streams.report.document.shapes import Counters, Families, NamedCell

Registers = Mapping[tuple[int, str], int]
"""Code of a value by (register, value)."""
_RESOLVED = (Family.ADVANCED_COHORT, Family.ABANDONED_COHORT, Family.COMPLETED, Family.LOST_COHORT)
_Meaning = tuple[str, str | None]
"""Family and sub-key; None: it has none. Of one family all have one, or none has."""
_Amounts = dict[_Meaning, int]
_OPEN: Final[_Meaning] = ("open", None)
Parts = list[tuple[int, Cell]]
"""(stage, amounts) of one cell; a stage may stand twice."""
_Before = TypeVar("_Before")
_After = TypeVar("_After")


def name_cells(funnel: Funnel, cells: Cells, *, registers: Registers, for_metrics: bool = False) -> Counters:
    """The document's `counters`: names for codes, `open` derived, zeros left out, keys sorted. `for_metrics`: with what
    is no part of a document."""
    labels = Labels(funnel, registers, hidden=frozenset() if for_metrics else INTERNAL)
    tree: dict[str, dict[str, dict[str, Parts]]] = {}
    for group, fields in cells.items():
        grain, bucket, dimset = group
        by_values = tree.setdefault(GRAIN_NAMES[Grain(grain)], {}).setdefault(bucket_label(grain, bucket), {})
        for label, parts in labels.parted(dimset, fields).items():
            by_values.setdefault(label, []).extend(parts)
    return _tidy(tree, lambda buckets: _tidy(buckets, lambda cells: _tidy(cells, labels.named)))


def _tidy(tree: Mapping[str, _Before], tidied: Callable[[_Before], _After]) -> dict[str, _After]:
    """With each value tidied: keys sorted, without what is empty."""
    tidy: dict[str, _After] = {}
    for key in sorted(tree):
        value = tidied(tree[key])
        if value:
            tidy[key] = value
    return tidy


def _families(amounts: _Amounts) -> Families:
    """Amounts that are not 0 by family, in one with sub-keys by these; keys sorted."""
    families: dict[str, int | dict[str, int]] = {}
    by_key: dict[str, int] = {}
    for meaning in sorted(amounts):
        amount = amounts[meaning]
        if not amount:
            continue
        family, key = meaning
        if key is None:
            families[family] = amount
            continue
        if family not in families:
            families[family] = by_key = {}
        by_key[key] = amount
    return families


class Labels:
    """Texts of the codes of one funnel."""

    def __init__(self, funnel: Funnel, registers: Registers, *, hidden: Collection[Family] = INTERNAL) -> None:
        self._hidden = hidden
        self._stages = [stage.name for stage in funnel.stages]
        self._dimensions = [dimension.name for dimension in funnel.dimensions]
        self._pairs = [tuple(self._dimensions.index(name) for name in pair) for pair in funnel.pairs]
        self._names = {(register, code): name for (register, name), code in registers.items()}
        self._meanings: dict[int, tuple[_Meaning | None, int]] = {}

    def stage(self, code: int) -> str:
        if code == STAGE_LOST:
            return "lost"
        return "" if code == STAGE_NONE else self._stages[code]

    def value(self, register: int, code: int) -> str:
        if code == CODE_UNKNOWN:
            return UNKNOWN
        return OTHER if code == CODE_OTHER else self._names.get((register, code), OTHER)

    def values(self, dimset: int, *, value1: int, value2: int) -> str:
        """The label of a cell: empty for the whole, `channel=google`, `channel=google|manager=ann`."""
        if dimset == 0:
            return ""
        known = len(self._dimensions)
        if dimset <= known:
            return self._dimension_value(dimset - 1, value1)
        first, second = self._pairs[dimset - known - 1]
        return f"{self._dimension_value(first, value1)}|{self._dimension_value(second, value2)}"

    def _dimension_value(self, dimension: int, code: int) -> str:
        return f"{self._dimensions[dimension]}={self.value(dimension + 1, code)}"

    def parted(self, dimset: int, fields: Mapping[int, Cell]) -> dict[str, Parts]:
        """A group's cells by their label."""
        labels: dict[int, str] = {}
        parted: dict[str, Parts] = {}
        for field, cell in fields.items():
            value1, value2, stage = split_field(field)
            values = field >> 8
            label = labels.get(values)
            if label is None:
                label = labels[values] = self.values(dimset, value1=value1, value2=value2)
            parted.setdefault(label, []).append((stage, cell))
        return parted

    def named(self, parts: Parts) -> NamedCell:
        """A cell under the names of its stages and families."""
        by_stage: dict[str, _Amounts] = {}
        for stage, cell in parts:
            self._name_into(by_stage.setdefault(self.stage(stage), {}), cell)
        return _tidy(by_stage, _families)

    def _name_into(self, amounts: _Amounts, cell: Cell) -> None:
        """Add a cell's amounts under the names of their families and sub-keys."""
        still_open, meanings = 0, self._meanings
        for code, amount in cell.items():
            known = meanings.get(code)
            if known is None:
                known = meanings[code] = self._meaning(code)
            meaning, sign = known
            if meaning is not None:
                still_open += sign * amount
                amounts[meaning] = amounts.get(meaning, 0) + amount
        amounts[_OPEN] = amounts.get(_OPEN, 0) + still_open

    def _meaning(self, code: int) -> tuple[_Meaning | None, int]:
        """The family and sub-key of a family code (None: it is not shown), and how it changes the number of open
        entries."""
        base, sub = Family(code & 0xFF), code >> 8
        if base in self._hidden:
            return None, 0
        sign = 1 if base == Family.ENTRIES else -1 if base in _RESOLVED else 0
        return (FAMILY_NAMES[base], self._sub_key(base, sub)), sign

    def _sub_key(self, base: Family, sub: int) -> str | None:
        if base in BY_REASON:
            return self.value(REASONS, sub)
        if base in BY_STAGE:
            return self._stages[sub]
        if base in BY_CURRENCY:
            return currency_text(sub)
        if base in BY_EDGE:
            return _edge_text(DURATION_EDGES_SECONDS, sub)
        if base in (Family.DURATIONS, Family.DURATIONS_OF_LOST):
            return f"{self._stages[sub >> 5]} {_edge_text(DURATION_EDGES_SECONDS, sub & 0x1F)}"
        if base == Family.LIFETIME:
            return f"{currency_text(sub >> 3)} {_edge_text(AGE_EDGES_DAYS, sub & 7)}"
        return None


def _edge_text(edges: Sequence[int], number: int) -> str:
    return str(edges[number]) if number < len(edges) else "inf"
