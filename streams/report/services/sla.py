"""Answers whether agreed times were kept, from hours and days of whatever is stored now. Never writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from schemas.counters import KEEP_MS, Cells, Grain, add_fields
from schemas.times import DAY_MS, HOUR_MS
from streams.report.document.counters import merge_cells
from streams.report.document.names import name_cells
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.document.shapes import NamedCell
from streams.report.document.spans import Span, day_at, span_dates, start_ms
from streams.report.questions.sla import Sla, SlaAnswer, SlaDocument, answer_sla
from streams.report.services.reads import views_of, watermark_of
from streams.store.port import CounterReader

DAYS: Final = 30
_HOURS_DAYS: Final = 31
"""Of so many days hours are read, where the agreed time is shorter than a day: longer spans are told by days."""


async def report_sla(
    reader: CounterReader, question: ReportQuestion, *, slas: Sequence[Sla], now_ms: int
) -> SlaDocument:
    """Of the last 30 days and today, unless others are asked for; of the whole, and of each value of the dimension
    asked for. Raises as `report`, and QuestionError."""
    funnel = question.funnel
    if question.grain is not None:
        raise QuestionError("sla: it chooses hours or days itself; leave the grain away")
    watermark_ms = await watermark_of(reader)
    now_ms = now_ms if watermark_ms is None else watermark_ms
    last = day_at(funnel, now_ms if question.until_ms is None else question.until_ms - 1)
    first = last - DAYS if question.since_ms is None else day_at(funnel, question.since_ms)
    question = replace(question, since_ms=start_ms(funnel, first), until_ms=start_ms(funnel, last + 1))
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "span": span_dates(Span(first, last)),
        "sla": [await _answer(reader, question, sla=sla, now_ms=now_ms) for sla in slas],
    }


async def _answer(reader: CounterReader, question: ReportQuestion, *, sla: Sla, now_ms: int) -> SlaAnswer:
    since_ms, until_ms = question.since_ms or 0, question.until_ms or now_ms
    is_short = until_ms - since_ms <= _HOURS_DAYS * DAY_MS + DAY_MS and since_ms > now_ms - KEEP_MS[Grain.HOUR]
    grain = Grain.HOUR if sla.seconds * 1000 < DAY_MS and is_short else Grain.DAY
    dimsets = sorted({0, question.dimset or 0})
    old: Cells = {}
    young: Cells = {}
    for dimset in dimsets:
        views = await views_of(reader, replace(question, grain=grain, dimset=dimset, label=None))
        for (_, bucket, _), fields in merge_cells(views).items():
            end_ms = (bucket + 1) * HOUR_MS if grain == Grain.HOUR else start_ms(question.funnel, bucket + 1)
            cells = old if end_ms + 1000 * sla.seconds <= now_ms else young
            add_fields(cells.setdefault((Grain.TOTAL, 0, dimset), {}), fields)
    registers = await reader.registers(question.funnel.funnel_id)

    def side(cells: Cells) -> dict[str, NamedCell]:
        named = (
            name_cells(question.funnel, cells, registers=registers, for_metrics=True).get("total", {}).get("all", {})
        )
        return {dim: cell for dim, cell in named.items() if not dim or question.label in (None, dim)}

    return answer_sla(sla, old=side(old), young=side(young))
