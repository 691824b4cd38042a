"""Answers what the changes have done that people have annotated, from days of whatever is stored now. Never writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.document.spans import Span, day_at
from streams.report.questions.changes import Change, ChangesDocument, change_of, spans_of
from streams.report.services.reads import days_by_cell, watermark_of
from streams.state import Annotation
from streams.store.port import CounterReader


class AnnotationShape(TypedDict):
    """What somebody has said of a moment."""

    id: str
    at_ms: int
    text: str
    funnel: str | None
    """None: of all funnels."""


def annotation_shapes(annotations: Iterable[Annotation]) -> list[AnnotationShape]:
    """As JSON."""
    return [{"id": each.id, "at_ms": each.at_ms, "text": each.text, "funnel": each.funnel} for each in annotations]


async def annotations_of(
    reader: CounterReader, funnel: Funnel, *, since_ms: int | None = None, until_ms: int | None = None
) -> list[Annotation]:
    """Those of a funnel and those of all funnels, at or after `since_ms` and before `until_ms`; oldest first."""
    return [
        each
        for each in await reader.annotations()
        if each.funnel in (None, funnel.name)
        and (since_ms is None or each.at_ms >= since_ms)
        and (until_ms is None or each.at_ms < until_ms)
    ]


async def report_changes(reader: CounterReader, question: ReportQuestion, *, now_ms: int) -> ChangesDocument:
    """What is different since each annotation of the time asked for, of the whole or of one cell. Raises as `report`,
    and QuestionError."""
    funnel = question.funnel
    if question.grain is not None or question.period is not None:
        raise QuestionError("changes: days are compared; leave the grain away")
    if question.dimset and question.label is None:
        raise QuestionError("changes: one cell is compared; write e.g. channel=google")
    watermark_ms = await watermark_of(reader)
    known = await annotations_of(reader, funnel, since_ms=question.since_ms, until_ms=question.until_ms)
    until_ms = now_ms if watermark_ms is None else watermark_ms
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "dim": question.label or "",
        "changes": [await _change(reader, question, annotation=each, watermark_ms=until_ms) for each in known],
    }


async def _change(
    reader: CounterReader, question: ReportQuestion, *, annotation: Annotation, watermark_ms: int
) -> Change:
    funnel, label = question.funnel, question.label or ""
    day = day_at(funnel, annotation.at_ms)
    before, after = spans_of(day)
    of_cell = ReportQuestion(funnel=funnel, dimset=question.dimset or 0, label=question.label)
    days = await days_by_cell(reader, of_cell, span=Span(before.first, after.last))
    return change_of(funnel, annotation, days=days.get(label, {}), day=day, watermark_ms=watermark_ms)
