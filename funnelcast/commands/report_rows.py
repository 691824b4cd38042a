"""The report itself for people: read, printed as tables or as rows of CSV, once or again and again."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from funnelcast.clock import wall_clock_ms
from funnelcast.say import say
from funnelcast.screen import Screen
from funnelcast.signals import stop_event
from schemas.counters import OTHER, UNKNOWN
from schemas.explain import did_you_mean
from schemas.funnel.model import Funnel
from schemas.text import printable_in
from streams.report.document.question import ReportQuestion
from streams.report.questions.spelling import Spelling, read_spelling
from streams.report.questions.wide_form import rows_csv
from streams.report.services.changes import annotations_of
from streams.report.services.shown import Shown, read_shown
from streams.report.tables.changes import annotation_lines
from streams.report.tables.report import render_report
from streams.store.connection import close, connect
from streams.store.port import CounterReader, StoreUnavailableError
from streams.store.reader import RedisCounterReader

if TYPE_CHECKING:
    from funnelcast.commands.report import ReportSettings
    from funnelcast.commands.reporting import Asked

ROWS: Final = "rows"
WATCH_SECONDS: Final = 2.0
_SHOWN_ANNOTATIONS: Final = 10


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was read at once."""

    questions: Sequence[ReportQuestion]
    shown: Sequence[Shown]
    annotations: Sequence[str]


def show_rows(settings: ReportSettings, funnels: Sequence[Funnel], *, asked: Asked) -> None:
    """Print the tables, or CSV; with `watch` until somebody ends it. Raises QuestionError, StoreError."""
    asyncio.run(_show(settings, funnels, asked=asked))


async def _show(settings: ReportSettings, funnels: Sequence[Funnel], *, asked: Asked) -> None:
    client = connect(settings.need_redis())
    try:
        reader = RedisCounterReader(client, settings.space)
        answer = await _read(reader, funnels, asked=asked)
        if asked.as_csv == ROWS:
            parts = [(f, shown.document, shown.arrangement) for f, shown in zip(funnels, answer.shown, strict=True)]
            sys.stdout.buffer.write(rows_csv(parts))
            sys.stdout.flush()
        elif asked.watch:
            await _watch(reader, funnels, asked=asked, answer=answer)
        else:
            Screen().print(_rendered(funnels, answer))
            for text in await uncounted_values(reader, answer.questions):
                say(text)
            if not any(text is not None for text in asked.texts.values()):
                for text in await _missing(settings, reader, funnels=funnels, answer=answer):
                    say(text)
    finally:
        await close(client)


async def _read(reader: CounterReader, funnels: Sequence[Funnel], *, asked: Asked) -> _Answer:
    """Of this moment: `--since 24h` moves on."""
    now_ms, is_cut = wall_clock_ms(), asked.as_csv is None
    questions = [ReportQuestion.parse(funnel, asked.texts, now_ms=now_ms) for funnel in funnels]
    shown = [
        _as_written(
            await read_shown(reader, question, sort=asked.sort, top=asked.top, now_ms=now_ms, is_cut=is_cut),
            await read_spelling(reader, question.funnel),
        )
        for question in questions
    ]
    return _Answer(questions, shown, await _annotations(reader, questions) if is_cut else [])


def _as_written(shown: Shown, spelling: Spelling) -> Shown:
    trends = {spelling.label(dim): stages for dim, stages in shown.trends.items()}
    return replace(shown, document=spelling.shown(shown.document), trends=trends)


async def uncounted_values(reader: CounterReader, questions: Sequence[ReportQuestion]) -> list[str]:
    """Of a question about one cell the values that nothing is counted under, with those that may have been meant."""
    lines = []
    for question in questions:
        registers = await reader.registers(question.funnel.funnel_id) if question.label else {}
        names = [dimension.name for dimension in question.funnel.dimensions]
        for dimension, value in question.asked_values:
            known = [OTHER, UNKNOWN, *(text for number, text in registers if number == names.index(dimension) + 1)]
            if value not in known:
                lines.append(f"{value!r} is no value of {dimension} that was counted{did_you_mean(value, known)}")
    return lines


async def _missing(
    settings: ReportSettings, reader: CounterReader, *, funnels: Sequence[Funnel], answer: _Answer
) -> list[str]:
    """Where a stage has no event: what the space counts instead, and what arrives that no funnel looks at."""
    from funnelcast.unlooked import lacks, other_funnels, unlooked

    if not lacks([shown.document for shown in answer.shown], funnels):
        return []
    texts = other_funnels(await reader.fingerprints(), funnels)
    if settings.kafka is not None:
        texts += await unlooked(settings.need_kafka(), settings.space, funnels=funnels)
    return texts


async def _annotations(reader: CounterReader, questions: Sequence[ReportQuestion]) -> list[str]:
    """What people have said of the time that is shown, the newest last."""
    several = [
        await annotations_of(reader, question.funnel, since_ms=question.since_ms, until_ms=question.until_ms)
        for question in questions
    ]
    distinct = {annotation.id: annotation for annotations in several for annotation in annotations}
    return annotation_lines(list(distinct.values()))[-_SHOWN_ANNOTATIONS:]


def _rendered(funnels: Sequence[Funnel], answer: _Answer) -> RenderableType:
    tables = [
        render_report(funnel, printable_in(shown.document), arrangement=shown.arrangement, trends=shown.trends)
        for funnel, shown in zip(funnels, answer.shown, strict=True)
    ]
    return Group(*tables, *map(Text, answer.annotations))


async def _watch(reader: CounterReader, funnels: Sequence[Funnel], *, asked: Asked, answer: _Answer) -> None:
    """On a terminal in place, elsewhere again whenever something has changed. Ctrl-C and SIGTERM end it."""
    screen, stop, trouble = Screen(), stop_event(), ""
    live = Live(console=screen, screen=True, auto_refresh=False, vertical_overflow="ellipsis")
    with live if screen.is_terminal else contextlib.nullcontext():
        printed: _Answer | None = None
        while not stop.is_set():
            if screen.is_terminal:
                said = Text(trouble or f"every {WATCH_SECONDS:g} s · Ctrl-C ends", style="dim")
                live.update(Group(said, _rendered(funnels, answer)), refresh=True)
            elif answer != printed:
                screen.print(_rendered(funnels, answer))
                printed = answer
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), WATCH_SECONDS)
            if not stop.is_set():
                answer, trouble = await _read_again(reader, funnels, asked=asked, answer=answer)
    if screen.is_terminal:
        screen.print(_rendered(funnels, answer))


async def _read_again(
    reader: CounterReader, funnels: Sequence[Funnel], *, asked: Asked, answer: _Answer
) -> tuple[_Answer, str]:
    """(the newest answer, what stands in the way of a newer one)."""
    try:
        return await _read(reader, funnels, asked=asked), ""
    except StoreUnavailableError as error:
        return answer, f"not read again: {error}"
