"""What `funnelcast report` does when its options are read: asks the store, prints the answer."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from funnelcast.say import say
from funnelcast.screen import Screen, print_reports
from schemas.funnel.model import Funnel
from schemas.text import printable_in
from streams.report.calibration_table import render_calibration
from streams.report.change_service import annotations_of, report_changes
from streams.report.changes_table import annotation_lines, render_changes
from streams.report.comparison_table import render_comparison
from streams.report.document import answer_json, whole_only
from streams.report.forecast_service import report_forecast
from streams.report.forecast_table import render_forecast
from streams.report.long_form import LONG_FORMS
from streams.report.paths_table import render_paths
from streams.report.profit_table import render_profit
from streams.report.question import QuestionError, QuestionTexts, ReportQuestion
from streams.report.service import (
    report,
    report_calibration,
    report_comparison,
    report_paths,
    report_profit,
    report_what_if,
)
from streams.report.shapes import CountersDocument
from streams.report.sla import Sla
from streams.report.sla_service import report_sla
from streams.report.sla_table import render_sla
from streams.report.spans import Comparison
from streams.report.table import WIDE
from streams.report.target_service import report_targets
from streams.report.targets_file import load_targets
from streams.report.targets_table import render_targets
from streams.report.view_service import parse_view, report_view
from streams.report.views_table import render_view
from streams.report.what_if import Lifts
from streams.report.what_if_table import render_what_if
from streams.store.connection import close, connect
from streams.store.port import CounterReader
from streams.store.reader import RedisCounterReader

if TYPE_CHECKING:
    from rich.console import RenderableType

    from funnelcast.commands.report import ReportSettings

_SHOWN_ANNOTATIONS = 10
Document = Mapping[str, object]
Ask = Callable[[CounterReader], Awaitable[Document]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options."""

    texts: QuestionTexts
    compare: str | None
    what_if: str | None
    paths: bool
    profit: bool
    scores: bool
    targets: Path | None
    forecast: bool
    back_test: bool
    changes: bool
    view: str | None
    sla: str | None
    as_csv: str | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Special:
    """A question of its own beside the report: what to ask the store for each funnel, and how people see it."""

    asks: Sequence[Ask]
    render: Callable[[Any], RenderableType]


def answer(settings: ReportSettings, funnels: Sequence[Funnel], asked: Asked) -> None:
    """Print the answer. Raises QuestionError, StoreError."""
    now_ms = time.time_ns() // 1_000_000
    specials = _specials(asked, now_ms)
    _check(asked, list(specials))
    questions = [ReportQuestion.parse(funnel, asked.texts, now_ms=now_ms) for funnel in funnels]
    for special_of in specials.values():
        special = special_of(questions)
        _print(_read(settings, special.asks), special.render, as_json=asked.as_json)
        return
    documents = _read_reports(settings, questions)
    if asked.as_csv is not None:
        _write(LONG_FORMS[asked.as_csv](documents))
    elif asked.as_json:
        _write(answer_json(documents) + b"\n")
    else:
        has_dim = asked.texts.get("dim") is not None
        print_reports(funnels, documents if has_dim else [whole_only(document) for document in documents])
        _print_annotations(settings, questions)
        if not any(text is not None for text in asked.texts.values()):
            _print_what_is_missing(settings, funnels, documents)


def _specials(asked: Asked, now_ms: int) -> dict[str, Callable[[Sequence[ReportQuestion]], _Special]]:
    """By its option each of those that were asked."""
    specials: dict[str, Callable[[Sequence[ReportQuestion]], _Special]] = {}
    if (compare := asked.compare) is not None:
        specials["--compare"] = lambda questions: _Special(
            [
                partial(report_comparison, comparison=Comparison.parse(question, compare, now_ms=now_ms))
                for question in questions
            ],
            render_comparison,
        )
    if (what_if := asked.what_if) is not None:
        specials["--what-if"] = lambda questions: _Special(
            [
                partial(report_what_if, question=question, lifts=Lifts.parse(question.funnel, what_if))
                for question in questions
            ],
            render_what_if,
        )
    specials |= _of_a_part(asked)
    if (path := asked.targets) is not None:
        if any(text is not None for text in asked.texts.values()):
            raise QuestionError("--targets: periods and teams stand in the file; leave the other options away")
        targets = load_targets(path)
        specials["--targets"] = lambda questions: _Special(
            [partial(report_targets, funnel=question.funnel, targets=targets, now_ms=now_ms) for question in questions],
            render_targets,
        )
    if asked.forecast:
        specials["--forecast"] = lambda questions: _Special(
            [
                partial(report_forecast, question=question, with_back_test=asked.back_test, now_ms=now_ms)
                for question in questions
            ],
            render_forecast,
        )
    if asked.changes:
        specials["--changes"] = lambda questions: _Special(
            [partial(report_changes, question=question, now_ms=now_ms) for question in questions], render_changes
        )
    if asked.view is not None:
        role = parse_view(asked.view)
        specials["--view"] = lambda questions: _Special(
            [partial(report_view, question=question, view=role, now_ms=now_ms) for question in questions], render_view
        )
    if (sla := asked.sla) is not None:
        specials["--sla"] = lambda questions: _Special(
            [
                partial(report_sla, question=question, slas=Sla.parse_all(question.funnel, sla), now_ms=now_ms)
                for question in questions
            ],
            render_sla,
        )
    return specials


def _of_a_part(asked: Asked) -> dict[str, Callable[[Sequence[ReportQuestion]], _Special]]:
    """Those that take what a report takes, and nothing else."""
    specials: dict[str, Callable[[Sequence[ReportQuestion]], _Special]] = {}
    if asked.paths:
        specials["--paths"] = lambda questions: _Special(
            [partial(report_paths, question=question) for question in questions], render_paths
        )
    if asked.profit:
        specials["--profit"] = lambda questions: _Special(
            [partial(report_profit, question=question) for question in questions], render_profit
        )
    if asked.scores:
        specials["--scores"] = lambda questions: _Special(
            [partial(report_calibration, question=question) for question in questions], render_calibration
        )
    return specials


def _check(asked: Asked, specials: Sequence[str]) -> None:
    if len(specials) > 1:
        raise QuestionError(f"{specials[0]} and {specials[1]} are two questions: ask one after the other")
    if asked.back_test and not asked.forecast:
        raise QuestionError("--back-test is of a forecast: add --forecast")
    if asked.as_csv is None:
        return
    if asked.as_csv not in LONG_FORMS:
        raise QuestionError(f"--csv takes {' or '.join(LONG_FORMS)}")
    if asked.as_json or specials:
        raise QuestionError(f"--csv prints a report: leave {', '.join(specials) or '--json'} away")


def _read_reports(settings: ReportSettings, questions: Sequence[ReportQuestion]) -> list[CountersDocument]:
    documents = _read(settings, [partial(report, question=question) for question in questions])
    return cast("list[CountersDocument]", documents)


def _read(settings: ReportSettings, asks: Sequence[Ask]) -> list[Document]:
    async def read() -> list[Document]:
        client = connect(settings.need_redis())
        try:
            reader = RedisCounterReader(client, settings.space)
            return [await ask(reader) for ask in asks]
        finally:
            await close(client)

    return asyncio.run(read())


def _print_annotations(settings: ReportSettings, questions: Sequence[ReportQuestion]) -> None:
    """Below the tables: what people have said of the time that they show, the newest last."""

    async def told(reader: CounterReader) -> Document:
        several = [
            await annotations_of(reader, question.funnel, since_ms=question.since_ms, until_ms=question.until_ms)
            for question in questions
        ]
        distinct = {annotation.id: annotation for annotations in several for annotation in annotations}
        return {"lines": annotation_lines(list(distinct.values()))}

    (answer,) = _read(settings, [told])
    for line in cast("list[str]", answer["lines"])[-_SHOWN_ANNOTATIONS:]:
        say(line)


def _print_what_is_missing(
    settings: ReportSettings, funnels: Sequence[Funnel], documents: Sequence[CountersDocument]
) -> None:
    """Where a stage has no event: what the space counts instead, and what arrives that no funnel looks at."""
    from funnelcast.unlooked import lacks, other_funnels, unlooked

    if not lacks(documents, funnels):
        return

    async def told(reader: CounterReader) -> Document:
        return {"lines": other_funnels(await reader.fingerprints(), funnels)}

    (answer,) = _read(settings, [told])
    texts = list(cast("list[str]", answer["lines"]))
    if settings.kafka is not None:
        texts += asyncio.run(unlooked(settings.need_kafka(), settings.space, funnels))
    for text in texts:
        say(text)


def _print(answers: Sequence[Document], render: Callable[[Any], RenderableType], *, as_json: bool) -> None:
    if as_json:
        _write(answer_json(answers) + b"\n")
        return
    screen = Screen(pipe_width=WIDE)
    for each in answers:
        screen.print(render(printable_in(each)))


def _write(body: bytes) -> None:
    sys.stdout.buffer.write(body)
    sys.stdout.flush()
