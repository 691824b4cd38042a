"""Answers the question of a report from whatever is stored now. Reads through `CounterReader`, never writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.counters import Grain
from streams.report.document.counters import RATED_GRAINS, Shape, document_of
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.document.shapes import CountersDocument
from streams.report.document.spans import Comparison, span_dates
from streams.report.document.text import TextMemory, document_text
from streams.report.questions.calibration import CalibrationDocument, calibrate, scored_dimension
from streams.report.questions.comparison import ComparisonDocument, Sides, compare_cells, decompose_overall
from streams.report.questions.paths import PathsDocument, path_cell
from streams.report.questions.profit import ProfitDocument, profit_cell
from streams.report.questions.what_if import Lifts, WhatIfDocument, what_if
from streams.report.services.one_answer import OneAnswer
from streams.report.services.reads import summed, views_of, watermark_of
from streams.store.port import CounterReader


async def report(reader: CounterReader, question: ReportQuestion) -> CountersDocument:
    """The document, or the part asked for, with the rates of its cells.

    Raises StoreRefusedError where another definition is counted under the funnel's name and version,
    StoreUnavailableError.
    """
    funnel = question.funnel
    views = await views_of(reader, question)
    return document_of(funnel, views, registers=await reader.registers(funnel.funnel_id), **_shape(question))


async def report_text(reader: CounterReader, questions: Sequence[ReportQuestion], *, memory: TextMemory) -> bytes:
    """`answer_json` of the documents that `report` gives, made faster. Raises as it."""
    texts = []
    for question in questions:
        views = await views_of(reader, question)
        registers = await reader.registers(question.funnel.funnel_id)
        texts.append(document_text(question.funnel, views, registers=registers, memory=memory, **_shape(question)))
    return texts[0] if len(texts) == 1 else b"[" + b",".join(texts) + b"]"


def _shape(question: ReportQuestion) -> Shape:
    rated = RATED_GRAINS if question.grain is None else question.grains
    return {"rated": rated, "only": question.label, "period": question.period}


async def report_what_if(reader: CounterReader, question: ReportQuestion, *, lifts: Lifts) -> WhatIfDocument:
    """What would be counted with these lifts: of totals, or of the sum of the buckets asked for. Without `dim` of the
    whole, else of each value. Raises as `report`, and QuestionError."""
    question, funnel = one_grain(question), question.funnel
    if not question.is_of_first_values:
        raise QuestionError(
            "what-if: a dimension with the attribution stage or last has other people at each stage; ask for another"
        )
    cells, watermark_ms = await summed(reader, question)
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "currency": funnel.currency,
        "what_if": dict(lifts.texts),
        "cells": [what_if(funnel, cells[dim], lifts=lifts, dim=dim) for dim in sorted(cells)],
    }


async def report_paths(reader: CounterReader, question: ReportQuestion) -> PathsDocument:
    """How journeys go: of totals, or of the sum of the buckets asked for. Without `dim` of the whole. Raises as
    `report`."""
    question, funnel = one_grain(question), question.funnel
    cells, watermark_ms = await summed(reader, question)
    is_total = question.grain == Grain.TOTAL
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "cells": [path_cell(funnel, cells[dim], dim=dim, is_total=is_total) for dim in sorted(cells)],
    }


async def report_profit(reader: CounterReader, question: ReportQuestion) -> ProfitDocument:
    """What is left of the money: of totals, or of the sum of the buckets asked for. Raises as `report`."""
    question, funnel = one_grain(question), question.funnel
    cells, watermark_ms = await summed(reader, question)
    oldest_age_ms = 0 if watermark_ms is None or question.until_ms is None else watermark_ms - question.until_ms
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "currency": funnel.currency,
        "cells": [profit_cell(funnel, cells[dim], dim=dim, oldest_age_ms=oldest_age_ms) for dim in sorted(cells)],
    }


async def report_calibration(reader: CounterReader, question: ReportQuestion) -> CalibrationDocument:
    """The share won by temperature: of totals, or of the sum of the buckets asked for. Raises as `report`, and
    QuestionError."""
    funnel = question.funnel
    number = scored_dimension(funnel)
    if question.dimset is not None:
        raise QuestionError("scores are shown by temperature; leave the dimension away")
    assert funnel.scoring is not None  # noqa: S101 - `scored_dimension` has refused
    cells, watermark_ms = await summed(reader, replace(one_grain(question), dimset=number + 1))
    dim = funnel.dimensions[number].name
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "dim": dim,
        "warm": funnel.scoring.warm,
        "hot": funnel.scoring.hot,
        "stages": calibrate(funnel, cells, dim=dim),
    }


def one_grain(question: ReportQuestion) -> ReportQuestion:
    """Totals, or days where it is bounded in time, unless a grain is asked for; the whole unless a dimension is."""
    if question.grain is None:
        question = replace(question, grain=Grain.DAY if question.has_times else Grain.TOTAL)
    return replace(question, dimset=0) if question.dimset is None else question


async def report_compared(
    reader: CounterReader, question: ReportQuestion, *, text: str, now_ms: int
) -> ComparisonDocument:
    """`report_comparison` of the spans that `text` says. Without until they end with the last day that is counted as a
    whole: where workers are behind, the days that are missing would look like a drop."""
    comparison = Comparison.parse(question, text, now_ms=now_ms)
    if (watermark_ms := await watermark_of(reader)) is not None:
        comparison = Comparison.parse(question, text, now_ms=now_ms, counted_ms=min(now_ms, watermark_ms))
    return await report_comparison(reader, comparison)


async def report_comparison(reader: CounterReader, comparison: Comparison) -> ComparisonDocument:
    """Two spans compared, and the change of the overall conversion by the values of the dimension asked for, else of
    every one of the attribution `first`. Raises as `report`, and QuestionError."""
    question, funnel, reader = comparison.question, comparison.question.funnel, OneAnswer.of(reader)
    if question.label is None and not question.is_of_first_values:
        raise QuestionError(
            "a dimension with the attribution stage or last has other people at each stage; ask for another"
        )
    is_cell = question.label is not None
    whole, watermark_ms = await _sides(reader, comparison, dimset=question.dimset if is_cell else 0)
    label = question.label or ""
    decompositions = []
    for dim, dimset in [] if is_cell else question.first_dimsets:
        sides, _ = await _sides(reader, comparison, dimset=dimset)
        if (decomposition := decompose_overall(funnel, sides, dim=dim)) is not None:
            decompositions.append(decomposition)
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "currency": funnel.currency,
        "dim": label,
        "before": span_dates(comparison.before),
        "after": span_dates(comparison.after),
        **compare_cells(funnel, before=whole.before.get(label, {}), after=whole.after.get(label, {}), dim=label),
        "decompositions": decompositions,
    }


async def _sides(reader: CounterReader, comparison: Comparison, *, dimset: int | None) -> tuple[Sides, int | None]:
    """(cells of both spans by dimension value, watermark of the first read)."""
    label = comparison.question.label
    if comparison.both is not None:
        await views_of(reader, comparison.question_of(comparison.both, dimset=dimset, label=None))
    (before, watermark_ms), (after, _) = [
        await summed(reader, comparison.question_of(span, dimset=dimset, label=label))
        for span in (comparison.before, comparison.after)
    ]
    return Sides(before, after), watermark_ms
