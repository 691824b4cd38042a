"""Are the scores right? Who was hot should win more often than who was cold: the share won by temperature. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TypedDict

from schemas.funnel.model import Funnel
from schemas.funnel.scoring import SCORED_PROPERTY, TEMPERATURES
from streams.report.document.cell import CellView
from streams.report.document.question import QuestionError
from streams.report.document.rates import ratio
from streams.report.document.shapes import NamedCell, Rate
from streams.report.questions.compared import Compared, compare_rates


class TemperatureShare(TypedDict):
    """Entries of a stage that were made at one temperature."""

    temperature: str
    entries: int
    resolved: int
    """Their outcome is known."""
    won: int
    win: Rate | None
    """Won over those with an outcome."""


class StageCalibration(TypedDict):
    """One stage."""

    stage: str
    temperatures: list[TemperatureShare]
    """From cold to hot."""
    hot_against_cold: Compared
    """`before` cold, `after` hot; of several stages one table (Holm)."""
    is_rising: bool | None
    """Whether the share won rises from each temperature to the next; None: not all of them have one."""


class CalibrationDocument(TypedDict):
    """The answer to the question whether the scores are right."""

    funnel: str
    version: int
    watermark_ms: int | None
    dim: str
    """The dimension that shows the temperature."""
    warm: int
    hot: int
    """From so many points on."""
    stages: list[StageCalibration]
    """Without those from which nothing can be won any more."""


def scored_dimension(funnel: Funnel) -> int:
    """Number of the dimension that shows the temperature at an entry, else of the one at the start of the journey.
    Raises QuestionError."""
    if funnel.scoring is None:
        raise QuestionError(
            f"funnel {funnel.name} has no scores; write points of events under scoring in its file "
            "(docs/decisions/lead-scoring.md)"
        )
    shown = [
        (dimension.attribution != "stage", number)
        for number, dimension in enumerate(funnel.dimensions)
        if dimension.property == SCORED_PROPERTY
    ]
    return min(shown)[1]


def calibrate(funnel: Funnel, cells: Mapping[str, NamedCell], *, dim: str) -> list[StageCalibration]:
    """Of cells by the values of the dimension (`temperature=hot`)."""
    views = [CellView(cells.get(f"{dim}={temperature}", {})) for temperature in TEMPERATURES]
    orders = [number for number, stage in enumerate(funnel.stages) if stage.nth is not None]
    names = [stage.name for stage in funnel.stages[: max(orders, default=0)]]
    shares = {
        name: [_share(temperature, view, stage=name) for temperature, view in zip(TEMPERATURES, views, strict=True)]
        for name in names
    }
    tested = compare_rates({name: (known[0]["win"], known[-1]["win"]) for name, known in shares.items()})
    return [
        {
            "stage": name,
            "temperatures": known,
            "hot_against_cold": tested[name],
            "is_rising": _is_rising([share["win"] for share in known]),
        }
        for name, known in shares.items()
    ]


def _share(temperature: str, view: CellView, *, stage: str) -> TemperatureShare:
    won, resolved = view.amount(stage, "won"), view.resolved(stage)
    return {
        "temperature": temperature,
        "entries": view.entries(stage),
        "resolved": resolved,
        "won": won,
        "win": ratio(won, resolved),
    }


def _is_rising(rates: list[Rate | None]) -> bool | None:
    known = [rate["rate"] for rate in rates if rate is not None]
    return all(low < high for low, high in pairwise(known)) if len(known) == len(rates) else None
