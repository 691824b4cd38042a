"""Reads one cell of the counters document: amounts by stage and family, where what is left out is 0. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from streams.report.shapes import Amounts, CountersDocument, NamedCell


class CellView:
    """The amounts of a cell."""

    def __init__(self, cell: NamedCell) -> None:
        self._cell = cell
        self._resolved: dict[str, int] = {}
        """Of stages that were asked for: every rate asks again."""

    def amount(self, stage: str, family: str) -> int:
        """A family; of one with sub-keys their sum."""
        families = self._cell.get(stage)
        if families is None:
            return 0
        amount = families.get(family, 0)
        return amount if isinstance(amount, int) else sum(amount.values())

    def amounts(self, stage: str, family: str) -> Amounts:
        """A family by its sub-keys."""
        amounts = self._cell.get(stage, {}).get(family, {})
        return {"": amounts} if isinstance(amounts, int) else amounts

    def entries(self, stage: str) -> int:
        """Entries of a stage."""
        return self.amount(stage, "entries")

    def passed(self, stage: str) -> int:
        """Journeys that got to the stage or jumped over it."""
        return self.entries(stage) + self.amount(stage, "skipped")

    def lost(self, stage: str) -> int:
        """Entries that were lost, for whatever reason."""
        return self.amount(stage, "lost.cohort")

    def left(self, stage: str) -> int:
        """Entries that were lost or abandoned."""
        return self.lost(stage) + self.amount(stage, "abandoned.cohort")

    def resolved(self, stage: str) -> int:
        """Entries whose outcome is known."""
        known = self._resolved.get(stage)
        if known is None:
            known = self._resolved[stage] = self.entries(stage) - self.amount(stage, "open")
        return known


def total_cell(document: CountersDocument) -> NamedCell:
    """The whole funnel over all time."""
    return document["counters"].get("total", {}).get("all", {}).get("", {})


def sum_cells(cells: Iterable[NamedCell]) -> NamedCell:
    """One cell with the amounts of all."""
    summed: dict[str, dict[str, int | dict[str, int]]] = {}
    for cell in cells:
        for stage, families in cell.items():
            target = summed.setdefault(stage, {})
            for family, amount in families.items():
                known = target.get(family)
                if isinstance(amount, int):
                    target[family] = amount + (known if isinstance(known, int) else 0)
                else:
                    before = known if isinstance(known, dict) else {}
                    target[family] = before | {key: n + before.get(key, 0) for key, n in amount.items()}
    return summed
