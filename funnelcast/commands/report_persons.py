"""`funnelcast report --persons`: who is stuck, as a table or as JSON. Reads the store alone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.text import Text

from funnelcast.clock import wall_clock_ms
from funnelcast.progress import progress_bar
from funnelcast.screen import Screen
from schemas.funnel.model import Funnel
from schemas.text import printable_in
from streams.report.document.counters import answer_json
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.questions.lines import values_of
from streams.report.questions.spelling import read_spelling
from streams.report.tables import texts
from streams.report.tables.grid import Grid
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from streams.stuck import Stuck, StuckDocument, StuckPerson

if TYPE_CHECKING:
    from funnelcast.commands.report import ReportSettings
    from funnelcast.commands.reporting import Asked

MOST: Final = 10_000


def show_persons(settings: ReportSettings, funnels: Sequence[Funnel], *, asked: Asked, persons: str) -> None:
    """Print them. Raises QuestionError, StoreError."""
    most = _number(persons)
    now_ms = wall_clock_ms()
    questions = [ReportQuestion.parse(funnel, asked.texts, now_ms=now_ms) for funnel in funnels]
    for question in questions:
        if question.grain is not None or question.has_times:
            raise QuestionError("--persons is of now: leave --grain, --since and --until away")
        if question.dimset and question.label is None:
            raise QuestionError("--persons takes one value: --dim manager=ann")
    documents = asyncio.run(_read(settings, questions, most=most, as_written=not asked.as_json))
    if asked.as_json:
        sys.stdout.buffer.write(answer_json(documents) + b"\n")
        sys.stdout.flush()
        return
    screen = Screen()
    for document in documents:
        screen.print(_rendered(printable_in(document), now_ms=document["watermark_ms"] or now_ms))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise QuestionError(f"--persons: {text!r} is no number of persons from 1 to {MOST:,}")
    return int(text)


async def _read(
    settings: ReportSettings, questions: Sequence[ReportQuestion], *, most: int, as_written: bool
) -> list[StuckDocument]:
    client, documents = connect(settings.need_redis()), []
    try:
        store = RedisPartitionStore(client, settings.space)
        reader = RedisCounterReader(client, settings.space)
        for question in questions:
            funnel, label = question.funnel, question.label
            with progress_bar("persons") as progress:
                document = await Stuck(store, reader, funnel=funnel).document(
                    most=most, wanted=values_of(funnel, label or ""), on_progress=progress
                )
            documents.append((await read_spelling(reader, funnel)).shown(document) if as_written else document)
    finally:
        await close(client)
    return documents


def _rendered(document: StuckDocument, *, now_ms: int) -> RenderableType:
    persons = document["persons"]
    summary = f"{document['open']:,} entries wait, {document['stalled']:,} of them for longer than their stage says"
    head = Text(f"{document['funnel']} version {document['version']} · {summary}", style="bold")
    if not persons:
        return head
    dimensions = list(persons[0]["values"])
    table = Grid(
        *("person", "stage", "", "since (UTC)", ">waits", "until (UTC)", ">value"),
        *dimensions,
        optional=(*dimensions[::-1], "until (UTC)", "since (UTC)"),
    )
    for person in persons:
        table.add_row(*_row(person, now_ms), *person["values"].values())
    more = document["open"] - len(persons)
    hint = "one of them: funnelcast person ID" + (f" · {more:,} more (--persons {MOST})" if more > 0 else "")
    return Group(head, Text(), table, Text(hint, style="dim"))


def _row(person: StuckPerson, now_ms: int) -> tuple[str, ...]:
    minor, currency = person["value_minor"], person["currency"]
    return (
        person["person"],
        person["stage"],
        person["state"],
        texts.instant(person["entered_at_ms"]).removesuffix(" UTC"),
        texts.seconds(max(0, now_ms - person["entered_at_ms"]) // 1000),
        texts.instant(person["until_ms"]).removesuffix(" UTC"),
        texts.ABSENT if minor is None or currency is None else texts.money(minor, currency),
    )
