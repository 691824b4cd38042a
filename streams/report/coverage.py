"""Attribution coverage: of how many journeys the first value of a dimension is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.counters import UNKNOWN
from schemas.funnel.model import Funnel
from streams.report.cell import CellView
from streams.report.rates import ratio
from streams.report.shapes import NamedCell, Rate


def coverage_of(funnel: Funnel, cells: Mapping[str, NamedCell]) -> dict[str, Rate | None]:
    """By dimension of the attribution `first` whose values are among `cells` (by label: `channel=google`, of a pair
    `channel=google|manager=ann`, the whole under the empty one): journeys with a known value, of all that began."""
    if "" not in cells:
        return {}
    journeys = _journeys(funnel, cells[""])
    names = [dimension.name for dimension in funnel.dimensions if dimension.attribution == "first"]
    shown = {name: [label for label in cells if _has(label, name, funnel)] for name in names}
    return {
        name: ratio(
            journeys - sum(_journeys(funnel, cells[label]) for label in labels if _lacks(label, name)), journeys
        )
        for name, labels in shown.items()
        if labels
    }


def _has(label: str, name: str, funnel: Funnel) -> bool:
    """Whether the cell is of the dimension, or of a pair with it."""
    return label.startswith(f"{name}=") or any(
        second == name and label.startswith(f"{first}=") and f"|{name}=" in label for first, second in funnel.pairs
    )


def _lacks(label: str, name: str) -> bool:
    """Whether the dimension's value in it is unknown."""
    unknown = f"{name}={UNKNOWN}"
    return label == unknown or label.startswith(f"{unknown}|") or label.endswith(f"|{unknown}")


def _journeys(funnel: Funnel, cell: NamedCell) -> int:
    return sum(CellView(cell).amount(stage.name, "started") for stage in funnel.stages)
