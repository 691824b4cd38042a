"""Reads one cell of the counters document: amounts by stage and family, where what is left out is 0. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from streams.report.document.shapes import Amounts, CountersDocument, Families, NamedCell

_NOTHING: Families = {}
_NO_AMOUNTS: Amounts = {}


class StageView(NamedTuple):
    """What most rates of a stage are made of."""

    entries: int
    passed: int
    """Journeys that got to the stage or jumped over it."""
    started: int
    resolved: int
    """Entries whose outcome is known."""
    advanced: int
    abandoned: int
    lost: int
    won: int


NO_STAGE: Final = StageView(0, 0, 0, 0, 0, 0, 0, 0)


class CellView:
    """The amounts of a cell."""

    def __init__(self, cell: NamedCell) -> None:
        self._cell = cell

    def amount(self, stage: str, family: str) -> int:
        """A family; of one with sub-keys their sum."""
        amount = self._cell.get(stage, _NOTHING).get(family, 0)
        return amount if isinstance(amount, int) else sum(amount.values())

    def amounts(self, stage: str, family: str) -> Amounts:
        """A family by its sub-keys."""
        amounts = self._cell.get(stage, _NOTHING).get(family, _NO_AMOUNTS)
        return {"": amounts} if isinstance(amounts, int) else amounts

    def stage(self, stage: str) -> StageView:
        """The families that most rates are made of, at once: a report has thousands of cells."""
        families: Any = self._cell.get(stage, _NOTHING)
        amount = families.get
        entries = amount("entries", 0)
        return StageView(
            entries=entries,
            passed=entries + amount("skipped", 0),
            started=amount("started", 0),
            resolved=entries - amount("open", 0),
            advanced=amount("advanced.cohort", 0),
            abandoned=amount("abandoned.cohort", 0),
            lost=sum(amount("lost.cohort", _NO_AMOUNTS).values()),
            won=amount("won", 0),
        )

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
        return self.entries(stage) - self.amount(stage, "open")


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
