"""What messages say: a report of a day or week, and an alert with its chart. Reads the store; sends nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from funnelcast.notify.chart import draw, sparks
from funnelcast.notify.delivery import Message
from funnelcast.notify.destinations import Period
from funnelcast.screen import Screen
from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from schemas.text import printable_in
from schemas.times import date_of
from streams.evidence.story import Story
from streams.report.document.cell import CellView
from streams.report.document.question import ReportQuestion
from streams.report.document.spans import Span, day_at, start_ms
from streams.report.questions.spelling import read_spelling
from streams.report.services.reads import days_by_cell, watermark_of
from streams.report.services.views import report_view
from streams.report.tables.views import render_view
from streams.store.port import CounterReader, StoreError

_DAYS: Final[dict[Period, int]] = {"daily": 1, "weekly": 7}
_CHART_DAYS: Final = 28
_MAIL_WIDTH: Final = 110
"""Narrower, and the tables of conversions become lists."""


async def digest_of(
    reader: CounterReader, funnel: Funnel, *, period: Period, stories: Sequence[Story], page: str, now_ms: int
) -> Message:
    """The owner's view of the last whole day or seven days, compared with those before, and what speaks now."""
    mark_ms = await watermark_of(reader)
    at_ms = now_ms if mark_ms is None else mark_ms
    today = day_at(funnel, at_ms)
    question = replace(
        ReportQuestion.parse(funnel, {}, now_ms=at_ms),
        since_ms=start_ms(funnel, today - _DAYS[period]),
        until_ms=start_ms(funnel, today),
    )
    document = await report_view(reader, question, view="owner", now_ms=at_ms)
    document["forecast"] = None  # a page of its own: `report --forecast`
    console = Screen(file=io.StringIO(), width=_MAIL_WIDTH, no_color=True)
    spelling = await read_spelling(reader, funnel)
    console.print(render_view(printable_in(spelling.shown(document))))
    assert isinstance(console.file, io.StringIO)  # noqa: S101 - made above
    said = [story["text"] for story in stories if story["funnel"] == funnel.name and story["severity"] != "none"]
    text = console.file.getvalue().rstrip()
    text += "\n\nAlerts now:\n" + "\n\n".join(said) if said else "\n\nNo alert speaks now."
    if page:
        text += f"\n\n{page.rstrip('/')}/?funnel={funnel.name}"
    orders = [stage.name for stage in funnel.stages if stage.nth is not None][:1]
    days, lines = await _lines(
        reader, funnel, stages=[funnel.stages[0].name, *orders], today=today, with_money=bool(orders)
    )
    first = date_of(today - _DAYS[period]).isoformat()
    last = date_of(today - 1).isoformat()
    subject = f"{funnel.name}: {period} report, {first if first == last else f'{first} to {last}'}"
    return _with_chart(subject, text, days=days, lines=lines)


async def alert_of(reader: CounterReader, funnel: Funnel, *, story: Story, page: str, now_ms: int) -> Message:
    """One alert, with the days of its stage and of the next, if the store says them now: an alert does not wait."""
    text = story["text"] + (f"\nPage: {page.rstrip('/')}/?funnel={story['funnel']}" if page else "")
    names = [stage.name for stage in funnel.stages]
    index = names.index(story["stage"]) if story["stage"] in names else 0
    is_money = story["name"] == "FunnelRevenueDrop"
    where = f" {story['dim']}" if story["dim"] else ""
    subject = f"{story['name']}: {story['funnel']} {story['stage']}{where}"
    try:
        days, lines = await _lines(
            reader, funnel, stages=names[index : index + 2], today=day_at(funnel, now_ms), with_money=is_money
        )
    except StoreError:
        return Message(subject, text)
    return _with_chart(subject, text, days=days, lines=lines)


def over_of(story: Story) -> Message:
    """It speaks no more."""
    subject = f"over: {story['name']}: {story['funnel']} {story['stage']} {story['dim']}".rstrip()
    return Message(subject, f"It has not spoken for an hour. It was:\n\n{story['text']}")


async def _lines(
    reader: CounterReader, funnel: Funnel, *, stages: Sequence[str], today: int, with_money: bool
) -> tuple[list[str], dict[str, list[float]]]:
    """Whole days, without those before anything was counted."""
    span = Span(today - _CHART_DAYS, today - 1)
    question = ReportQuestion.parse(funnel, {"grain": "day", "dim": ""}, now_ms=start_ms(funnel, today))
    days = (await days_by_cell(reader, question, span=span)).get("", {})
    numbers = range(min(days, default=span.last), span.last + 1)
    views = [CellView(days.get(day, {})) for day in numbers]
    lines = {stage: [float(view.entries(stage)) for view in views] for stage in stages}
    if with_money:
        unit = 10 ** minor_digits(funnel.currency)
        lines[f"revenue {funnel.currency}"] = [
            sum(view.amounts(stage.name, "revenue").get(funnel.currency, 0) for stage in funnel.stages) / unit
            for view in views
        ]
    return [date_of(day).isoformat() for day in numbers], lines


def _with_chart(subject: str, text: str, *, days: list[str], lines: dict[str, list[float]]) -> Message:
    return Message(subject, text, draw(subject, days, lines=lines), sparks(lines))
