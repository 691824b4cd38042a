"""What `funnelcast report` does when its options are read: asks the store, prints the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.report_persons import show_persons
from funnelcast.commands.report_rows import ROWS, show_rows
from funnelcast.screen import Screen
from schemas.funnel.model import Funnel
from schemas.text import printable_in
from streams.report.document.counters import answer_json
from streams.report.document.question import QuestionError, QuestionTexts, ReportQuestion
from streams.report.document.shapes import CountersDocument
from streams.report.questions.long_form import LONG_FORMS
from streams.report.questions.sla import Sla
from streams.report.questions.spelling import read_spelling, report_names
from streams.report.questions.targets_file import load_targets
from streams.report.questions.what_if import Lifts
from streams.report.services.changes import report_changes
from streams.report.services.forecast import report_forecast
from streams.report.services.report import (
    report,
    report_calibration,
    report_compared,
    report_paths,
    report_profit,
    report_what_if,
)
from streams.report.services.sla import report_sla
from streams.report.services.targets import report_targets
from streams.report.services.views import parse_view, report_view
from streams.report.tables.calibration import render_calibration
from streams.report.tables.changes import render_changes
from streams.report.tables.comparison import render_comparison
from streams.report.tables.forecast import render_forecast
from streams.report.tables.names import render_names
from streams.report.tables.paths import render_paths
from streams.report.tables.profit import render_profit
from streams.report.tables.sla import render_sla
from streams.report.tables.targets import render_targets
from streams.report.tables.views import render_view
from streams.report.tables.what_if import render_what_if
from streams.store.connection import close, connect
from streams.store.port import CounterReader
from streams.store.reader import RedisCounterReader

if TYPE_CHECKING:
    from rich.console import RenderableType

    from funnelcast.commands.report import ReportSettings

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
    persons: str | None
    names: bool
    sort: str | None
    top: int | None
    watch: bool
    as_csv: str | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Special:
    """A question of its own beside the report: what to ask the store for each funnel, and how people see it."""

    asks: Sequence[Ask]
    render: Callable[[Any], RenderableType]


def answer(settings: ReportSettings, funnels: Sequence[Funnel], *, asked: Asked) -> None:
    """Print the answer. Raises QuestionError, StoreError."""
    now_ms = wall_clock_ms()
    specials = _specials(asked, now_ms)
    _check(asked, [*specials, *(["--persons"] if asked.persons is not None else [])])
    if (persons := asked.persons) is not None:
        show_persons(settings, funnels, asked=asked, persons=persons)
        return
    questions = [ReportQuestion.parse(funnel, asked.texts, now_ms=now_ms) for funnel in funnels]
    for special_of in specials.values():
        special = special_of(questions)
        if asked.as_json:
            _write(answer_json(_read(settings, special.asks)) + b"\n")
        else:
            _print(_read(settings, special.asks, shown_of=funnels), special.render)
        return
    if asked.as_json:
        _write(answer_json(_read_reports(settings, questions)) + b"\n")
    elif asked.as_csv is not None and asked.as_csv in LONG_FORMS:
        _write(LONG_FORMS[asked.as_csv](_read_reports(settings, questions)))
    else:
        show_rows(settings, funnels, asked=asked)


def _specials(asked: Asked, now_ms: int) -> dict[str, Callable[[Sequence[ReportQuestion]], _Special]]:
    """By its option each of those that were asked."""
    specials: dict[str, Callable[[Sequence[ReportQuestion]], _Special]] = {}
    if (compare := asked.compare) is not None:
        specials["--compare"] = lambda questions: _Special(
            [partial(report_compared, question=question, text=compare, now_ms=now_ms) for question in questions],
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
    if asked.names:
        specials["--names"] = lambda questions: _Special(
            [partial(report_names, funnel=question.funnel) for question in questions], render_names
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
    if asked.as_csv not in (None, ROWS, *LONG_FORMS):
        raise QuestionError(f"--csv takes {', '.join((ROWS, *LONG_FORMS))}")
    if asked.as_csv is not None and (asked.as_json or specials):
        raise QuestionError(f"--csv prints a report: leave {', '.join(specials) or '--json'} away")
    _check_rows(asked, specials)


def _check_rows(asked: Asked, specials: Sequence[str]) -> None:
    """What is of the rows of a table alone."""
    of_rows = {"--sort": asked.sort is not None, "--top": asked.top is not None, "--watch": asked.watch}
    given = [name for name, is_given in of_rows.items() if is_given]
    others = [*specials, *(["--json"] if asked.as_json else [])]
    if asked.as_csv is not None and (asked.as_csv != ROWS or asked.watch):
        others.append("--csv" if asked.watch else f"--csv {asked.as_csv}")
    if given and others:
        raise QuestionError(f"{given[0]} is of the table of a report: leave {others[0]} away")
    if (asked.sort is not None or asked.top is not None) and not asked.texts.get("dim"):
        raise QuestionError("--sort and --top are of values: add --dim, for example --dim channel")


def _read_reports(settings: ReportSettings, questions: Sequence[ReportQuestion]) -> list[CountersDocument]:
    documents = _read(settings, [partial(report, question=question) for question in questions])
    return cast("list[CountersDocument]", documents)


def _read(settings: ReportSettings, asks: Sequence[Ask], *, shown_of: Sequence[Funnel] = ()) -> list[Document]:
    """The answers; those of `shown_of` with names as people write them."""

    async def read() -> list[Document]:
        client = connect(settings.need_redis())
        try:
            reader = RedisCounterReader(client, settings.space)
            answers = [await ask(reader) for ask in asks]
            spellings = [await read_spelling(reader, funnel) for funnel in shown_of]
        finally:
            await close(client)
        return [each.shown(answer) for each, answer in zip(spellings, answers, strict=True)] if spellings else answers

    return asyncio.run(read())


def _print(answers: Sequence[Document], render: Callable[[Any], RenderableType]) -> None:
    screen = Screen()
    for each in answers:
        screen.print(render(printable_in(each)))


def _write(body: bytes) -> None:
    sys.stdout.buffer.write(body)
    sys.stdout.flush()
