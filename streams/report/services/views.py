"""Answers what a role sees first, from whatever is stored now. Never writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypedDict

from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.document.rates import rates_of
from streams.report.document.spans import Comparison, SpanDates, day_at, start_ms
from streams.report.forecasting.forecast import ForecastCell
from streams.report.questions.comparison import ComparisonDocument
from streams.report.questions.views import VIEWS, ViewName, ViewTable, dimension_of, lost_reasons, view_table
from streams.report.services.changes import AnnotationShape, annotation_shapes, annotations_of
from streams.report.services.forecast import report_forecast
from streams.report.services.one_answer import OneAnswer
from streams.report.services.reads import summed, watermark_of
from streams.report.services.report import report_comparison
from streams.store.port import CounterReader

DAYS: Final = 30


class ViewDocument(TypedDict):
    """One role's first look at one funnel."""

    funnel: str
    version: int
    watermark_ms: int | None
    currency: str
    view: ViewName
    span: SpanDates
    """The last 30 whole days, unless others are asked for."""
    table: ViewTable
    bottleneck: str | None
    """Of these days."""
    lost: dict[str, int]
    """By reason, the most frequent first; sales only."""
    comparison: ComparisonDocument | None
    """With as many days before; not for sales."""
    forecast: ForecastCell | None
    """Of what is under way now; owner and sales, where the funnel has an order stage."""
    annotations: list[AnnotationShape]
    """Of these days."""


def parse_view(text: str) -> ViewName:
    """Raises QuestionError."""
    if text not in VIEWS:
        raise QuestionError(f"{text!r} is no view; write {', '.join(VIEWS)}")
    return text


async def report_view(reader: CounterReader, question: ReportQuestion, *, view: ViewName, now_ms: int) -> ViewDocument:
    """Raises as `report`, and QuestionError."""
    funnel = question.funnel
    if question.grain is not None or question.dimset is not None:
        raise QuestionError("a view chooses grain and dimension itself; leave them away")
    reader = OneAnswer.of(reader)
    watermark_ms = await watermark_of(reader)
    now_ms = now_ms if watermark_ms is None else watermark_ms
    if question.since_ms is None:
        last = day_at(funnel, now_ms if question.until_ms is None else question.until_ms - 1)
        question = replace(question, since_ms=start_ms(funnel, last - DAYS))
    comparison = Comparison.parse(question, "previous", now_ms=now_ms)
    # these two read the most days first: what follows is part of them
    has_forecast = view != "marketing" and any(stage.nth is not None for stage in funnel.stages)
    forecast = await _forecast(reader, question, now_ms=now_ms) if has_forecast else None
    compared = None if view == "sales" else await report_comparison(reader, comparison)
    whole = (await summed(reader, comparison.question_of(comparison.after, dimset=0, label=None)))[0].get("", {})
    cells = {"": whole}
    if (name := dimension_of(funnel, view)) is not None:
        dimset = [each.name for each in funnel.dimensions].index(name) + 1
        cells |= (await summed(reader, comparison.question_of(comparison.after, dimset=dimset, label=None)))[0]
    first, last_date = comparison.after.dates()
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "currency": funnel.currency,
        "view": view,
        "span": {"first": first, "last": last_date},
        "table": view_table(funnel, view, cells=cells),
        "bottleneck": rates_of(funnel, whole)["bottleneck"],
        "lost": lost_reasons(funnel, whole) if view == "sales" else {},
        "comparison": compared,
        "forecast": forecast,
        "annotations": annotation_shapes(
            await annotations_of(
                reader,
                funnel,
                since_ms=start_ms(funnel, comparison.after.first),
                until_ms=start_ms(funnel, comparison.after.last + 1),
            )
        ),
    }


async def _forecast(reader: CounterReader, question: ReportQuestion, *, now_ms: int) -> ForecastCell | None:
    """Of the whole."""
    asked = ReportQuestion(funnel=question.funnel, dimset=0)
    cells = (await report_forecast(reader, asked, with_back_test=False, now_ms=now_ms))["cells"]
    return cells[0] if cells else None
