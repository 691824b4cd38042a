"""Why entries were lost, stage by stage: the loss rate by reason (docs/semantics.md 5). Pure."""

from __future__ import annotations

from typing import TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.rates import ratio
from streams.report.document.shapes import NamedCell, Rate


class LossReason(TypedDict):
    """One reason at one stage."""

    stage: str
    reason: str
    lost: int
    """Entries."""
    rate: Rate | None
    """Of the entries of the stage whose outcome is known."""
    lost_late: int
    """Reasons that came after the deadline: those entries count as abandoned."""


def reasons_of(funnel: Funnel, cell: NamedCell) -> list[LossReason]:
    """By stage, the most frequent first."""
    view = CellView(cell)
    return [reason for stage in funnel.stages[:-1] for reason in _of_stage(view, stage.name)]


def _of_stage(view: CellView, stage: str) -> list[LossReason]:
    lost, late = view.amounts(stage, "lost.cohort"), view.amounts(stage, "lost_late.cohort")
    reasons = sorted({*lost, *late}, key=lambda reason: (-lost.get(reason, 0), -late.get(reason, 0), reason))
    return [
        {
            "stage": stage,
            "reason": reason,
            "lost": lost.get(reason, 0),
            "rate": ratio(lost.get(reason, 0), view.resolved(stage)),
            "lost_late": late.get(reason, 0),
        }
        for reason in reasons
    ]
