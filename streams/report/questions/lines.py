"""The rows of a report: one for each value of a dimension, one for each bucket, or both. Pure.

A report that people read is sorted and cut short here, a table of a spreadsheet as well; the counters document is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView, sum_cells
from streams.report.document.question import QuestionError
from streams.report.document.rates import rates_of
from streams.report.document.shapes import CountersDocument, NamedCell, Rate

GRAIN_ORDER: Final = ("total", "quarter", "month", "week", "day", "hour", "minute")
SHOWN_BUCKETS: Final = 30
"""So many of the newest are shown where no time is asked for."""
NAME: Final = "name"


class Line(NamedTuple):
    """One row."""

    bucket: str
    """Empty: of all buckets that were asked for."""
    dim: str
    """The label of its cell; empty: the whole."""
    others: int
    """Of how many values that are not shown it is the sum; 0: it is one value."""
    cell: NamedCell


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How the rows of a report are made of its cells."""

    by_bucket: bool = False
    """A row for each bucket; else their sum."""
    is_of_values: bool = False
    """A row for each value of a dimension, also where there is one alone."""
    last: int | None = None
    """Only so many buckets, the newest."""
    sort: str | None = None
    """By which number values are sorted; None: by entries."""
    top: int | None = None
    """Only so many values; a last row is the sum of the others."""

    def check(self, funnel: Funnel) -> None:
        """Raises QuestionError."""
        if self.top is not None and self.top < 1:
            raise QuestionError("--top: at least 1 value must be shown")
        if self.sort not in (None, NAME, *(names := measures(funnel))):
            raise QuestionError(
                f"--sort: {self.sort!r} is no number of a row; write one of {', '.join((NAME, *names))}"
            )


def values_of(funnel: Funnel, label: str) -> dict[str, str]:
    """Values by dimension of `channel=google|manager=ann`; told by the pairs, because a value may hold a bar."""
    name, _, value = label.partition("=")
    for left, right in funnel.pairs if label else ():
        first, has_second, second = value.partition(f"|{right}=")
        if left == name and has_second:
            return {left: first, right: second}
    return {name: value} if label else {}


def grain_of(document: CountersDocument) -> str | None:
    """The longest grain that is there."""
    return next((name for name in GRAIN_ORDER if name in document["counters"]), None)


def lines_of(funnel: Funnel, document: CountersDocument, *, arrangement: Arrangement) -> list[Line]:
    """The rows: buckets by their time, values from the most to the least."""
    buckets, sums = _shown_buckets(document, arrangement), sums_of(document, arrangement)
    if "" in sums and not arrangement.is_of_values:
        sums = {"": sums[""]}
    order = _sorted(funnel, sums, sort=arrangement.sort)
    if not arrangement.by_bucket:
        return _cut("", order, cells=sums, top=arrangement.top)
    return [line for label in buckets for line in _cut(label, order, cells=buckets[label], top=arrangement.top)]


def sums_of(document: CountersDocument, arrangement: Arrangement) -> dict[str, NamedCell]:
    """The sum of the buckets that are shown, by the label of a cell."""
    cells: dict[str, list[NamedCell]] = {}
    for bucket in _shown_buckets(document, arrangement).values():
        for dim, cell in bucket.items():
            cells.setdefault(dim, []).append(cell)
    return {dim: sum_cells(several) for dim, several in cells.items()}


def _shown_buckets(document: CountersDocument, arrangement: Arrangement) -> dict[str, Mapping[str, NamedCell]]:
    buckets = document["counters"].get(grain_of(document) or "", {})
    labels = sorted(buckets)[-arrangement.last :] if arrangement.last else sorted(buckets)
    return {label: buckets[label] for label in labels}


def _cut(bucket: str, order: Sequence[str], *, cells: Mapping[str, NamedCell], top: int | None) -> list[Line]:
    shown = order if top is None else order[:top]
    lines = [Line(bucket, dim, 0, cells[dim]) for dim in shown if dim in cells]
    others = [dim for dim in order[len(shown) :] if dim in cells]
    if others:
        lines.append(Line(bucket, others[0], len(others), sum_cells(cells[dim] for dim in others)))
    return lines


def _sorted(funnel: Funnel, sums: Mapping[str, NamedCell], *, sort: str | None) -> list[str]:
    if sort == NAME:
        return sorted(sums)
    measure = measures(funnel)[sort or "entries"]
    numbers = {dim: measure(_Facts(funnel, cell, dim=dim)) for dim, cell in sums.items()}

    def rank(dim: str) -> tuple[bool, float, str]:
        number = numbers[dim]
        return number is None, -(number or 0), dim

    return sorted(sums, key=rank)


class _Facts:
    """A cell with its rates."""

    def __init__(self, funnel: Funnel, cell: NamedCell, *, dim: str) -> None:
        self.funnel, self.view, self.rates = funnel, CellView(cell), rates_of(funnel, cell, dim=dim)

    def all_stages(self, family: str) -> int:
        """A family over the stages."""
        return sum(self.view.amount(stage.name, family) for stage in self.funnel.stages)


_Measure = Callable[[_Facts], float | None]


def measures(funnel: Funnel) -> dict[str, _Measure]:
    """What rows can be sorted by: entries of a stage by its name, and what is of the whole row."""
    stages: dict[str, _Measure] = {stage.name: partial(_entries, stage.name) for stage in funnel.stages}
    return {**stages, **_MEASURES}


_MEASURES: Final[Mapping[str, _Measure]] = {
    "entries": lambda facts: facts.all_stages("entries"),
    "overall": lambda facts: _rate(facts.rates["overall"]),
    "lost": lambda facts: facts.all_stages("lost.cohort"),
    "abandoned": lambda facts: facts.all_stages("abandoned.cohort"),
    "open": lambda facts: facts.all_stages("open"),
    "open_value": lambda facts: sum(
        facts.view.amounts(stage.name, "open_value").get(facts.funnel.currency, 0) for stage in facts.funnel.stages
    ),
    "orders": lambda facts: facts.rates["money"]["orders"],
    "revenue": lambda facts: facts.rates["money"]["revenue"],
    "aov": lambda facts: facts.rates["money"]["aov"],
    "spend": lambda facts: facts.rates["money"]["spend"],
    "cpl": lambda facts: facts.rates["money"]["cpl"],
    "cpa": lambda facts: facts.rates["money"]["cpa"],
    "roas": lambda facts: facts.rates["money"]["roas"],
}


def _entries(stage: str, facts: _Facts) -> float:
    return facts.view.entries(stage)


def _rate(rate: Rate | None) -> float | None:
    return None if rate is None else rate["rate"]
