"""Reads what people see of a report: its rows, and how entries went from day to day. Never writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemas.counters import Grain
from schemas.times import DAY_MS, HOUR_MS
from streams.report.document.cell import CellView
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.document.shapes import CountersDocument
from streams.report.document.spans import Span, day_at
from streams.report.questions.lines import SHOWN_BUCKETS, Arrangement
from streams.report.services.reads import days_by_cell
from streams.report.services.report import report
from streams.store.port import CounterReader

TREND_DAYS = 28
_HOURS_SHOWN_MS = 48 * HOUR_MS
_HOURS_KEPT_MS = 89 * DAY_MS


@dataclass(frozen=True, slots=True)
class Shown:
    """A document of one grain and one dimension set, and what its rows are."""

    document: CountersDocument
    arrangement: Arrangement
    trends: Mapping[str, Mapping[str, list[int]]]
    """Entries day by day, by the label of a cell and by stage; empty where the rows are buckets."""


async def read_shown(
    reader: CounterReader, question: ReportQuestion, *, sort: str | None, top: int | None, now_ms: int, is_cut: bool
) -> Shown:
    """`is_cut`: only the newest buckets, where no time is asked for. Raises as `report`, and QuestionError."""
    by_bucket = question.grain not in (None, Grain.TOTAL)
    asked = one_table(question, now_ms=now_ms)
    arrangement = Arrangement(
        by_bucket=by_bucket,
        is_of_values=bool(asked.dimset) and asked.label is None,
        last=SHOWN_BUCKETS if is_cut and by_bucket and not question.has_times else None,
        sort=sort,
        top=top,
    )
    arrangement.check(question.funnel)
    document = await report(reader, asked)
    trends = {} if by_bucket else await _trends(reader, asked, watermark_ms=document["watermark_ms"])
    return Shown(document, arrangement, trends)


def one_table(question: ReportQuestion, *, now_ms: int) -> ReportQuestion:
    """With a grain and a dimension set. A span of at most two days is summed from hours, a longer one from days."""
    if question.grain == Grain.MINUTE and question.dimset:
        raise QuestionError("minutes are counted of the whole alone, without values of dimensions: ask for hour")
    if question.dimset is None:
        question = replace(question, dimset=0)
    if question.grain is not None:
        return question
    if not question.has_times:
        return replace(question, grain=Grain.TOTAL)
    since, until = question.since_ms, question.until_ms or now_ms
    is_short = since is not None and since > now_ms - _HOURS_KEPT_MS and until - since <= _HOURS_SHOWN_MS
    return replace(question, grain=Grain.HOUR if is_short else Grain.DAY)


async def _trends(
    reader: CounterReader, question: ReportQuestion, *, watermark_ms: int | None
) -> dict[str, dict[str, list[int]]]:
    funnel = question.funnel
    if watermark_ms is None:
        return {}
    last = day_at(funnel, min(watermark_ms, (question.until_ms or watermark_ms + 1) - 1))
    first = last - TREND_DAYS + 1
    if question.since_ms is not None:
        first = max(first, day_at(funnel, question.since_ms))
    if first >= last:
        return {}
    days = await days_by_cell(reader, question, span=Span(first, last))
    return {
        dim: {
            stage.name: [CellView(cells.get(day, {})).entries(stage.name) for day in range(first, last + 1)]
            for stage in funnel.stages
        }
        for dim, cells in days.items()
        if question.label in (None, dim)
    }
