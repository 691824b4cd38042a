"""Attribution coverage: of how many journeys the first value of a dimension is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.counters import UNKNOWN
from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.rates import ratio
from streams.report.document.shapes import NamedCell, Rate
from streams.report.questions.lines import values_of


def coverage_of(funnel: Funnel, cells: Mapping[str, NamedCell]) -> dict[str, Rate | None]:
    """By dimension of the attribution `first` whose values are among `cells` (by label: `channel=google`, of a pair
    `channel=google|manager=ann`, the whole under the empty one): journeys with a known value, of all that began."""
    if "" not in cells:
        return {}
    journeys = _journeys(funnel, cells[""])
    unknown: dict[str, int] = {}
    for label, cell in cells.items():
        for name, value in values_of(funnel, label).items():
            unknown[name] = unknown.get(name, 0) + (_journeys(funnel, cell) if value == UNKNOWN else 0)
    names = [dimension.name for dimension in funnel.dimensions if dimension.attribution == "first"]
    return {name: ratio(journeys - unknown[name], journeys) for name in names if name in unknown}


def _journeys(funnel: Funnel, cell: NamedCell) -> int:
    return sum(CellView(cell).amount(stage.name, "started") for stage in funnel.stages)
