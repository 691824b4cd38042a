"""What `funnelcast report` does when its options are read: asks the store, prints the answer."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from schemas.funnel.model import Funnel
from streams.report.comparison_table import render_comparison
from streams.report.document import answer_json, whole_only
from streams.report.long_form import LONG_FORMS
from streams.report.question import QuestionError, QuestionTexts, ReportQuestion
from streams.report.service import report, report_comparison, report_what_if
from streams.report.spans import Comparison
from streams.report.table import WIDE, print_reports
from streams.report.what_if import Lifts
from streams.report.what_if_table import render_what_if
from streams.store.connection import close, connect
from streams.store.port import CounterReader
from streams.store.reader import RedisCounterReader

if TYPE_CHECKING:
    from rich.console import RenderableType

    from funnelcast.commands.report import ReportSettings

T = TypeVar("T")
Document = TypeVar("Document", bound=Mapping[str, object])


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options."""

    texts: QuestionTexts
    compare: str | None
    what_if: str | None
    as_csv: str | None
    as_json: bool


def answer(settings: ReportSettings, funnels: Sequence[Funnel], asked: Asked) -> None:
    """Print the answer. Raises QuestionError, StoreError."""
    _check(asked)
    now_ms = time.time_ns() // 1_000_000
    questions = [ReportQuestion.parse(funnel, asked.texts, now_ms=now_ms) for funnel in funnels]
    if asked.what_if is not None:
        pairs = [(question, Lifts.parse(question.funnel, asked.what_if)) for question in questions]
        answers = _read(settings, pairs, lambda reader, pair: report_what_if(reader, *pair))
        _print(answers, render_what_if, as_json=asked.as_json)
        return
    if asked.compare is not None:
        comparisons = [Comparison.parse(question, asked.compare, now_ms=now_ms) for question in questions]
        _print(_read(settings, comparisons, report_comparison), render_comparison, as_json=asked.as_json)
        return
    documents = _read(settings, questions, report)
    if asked.as_csv is not None:
        _write(LONG_FORMS[asked.as_csv](documents))
    elif asked.as_json:
        _write(answer_json(documents) + b"\n")
    else:
        has_dim = asked.texts.get("dim") is not None
        print_reports(funnels, documents if has_dim else [whole_only(document) for document in documents])


def _check(asked: Asked) -> None:
    if asked.compare is not None and asked.what_if is not None:
        raise QuestionError("--compare and --what-if are two questions: ask one after the other")
    if asked.as_csv is None:
        return
    if asked.as_csv not in LONG_FORMS:
        raise QuestionError(f"--csv takes {' or '.join(LONG_FORMS)}")
    if asked.as_json or asked.what_if is not None or asked.compare is not None:
        raise QuestionError("--csv prints a report: leave --json, --compare and --what-if away")


def _read(
    settings: ReportSettings, questions: Sequence[T], ask: Callable[[CounterReader, T], Awaitable[Document]]
) -> list[Document]:
    async def read() -> list[Document]:
        client = connect(settings.need_redis())
        try:
            reader = RedisCounterReader(client, settings.space)
            return [await ask(reader, question) for question in questions]
        finally:
            await close(client)

    return asyncio.run(read())


def _print(answers: Sequence[Document], render: Callable[[Document], RenderableType], *, as_json: bool) -> None:
    if as_json:
        _write(answer_json(answers) + b"\n")
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE  # a file has no right edge
    for each in answers:
        console.print(render(each))


def _write(body: bytes) -> None:
    sys.stdout.buffer.write(body)
    sys.stdout.flush()
