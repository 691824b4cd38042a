"""Every question of a report has an answer, or says why not, whatever was counted: no fault, no number that is none."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

from rich.console import Console

from schemas.funnel.model import Funnel
from streams.core.place import ONLY_PARTITION
from streams.report.document.counters import canonical_json
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.questions.sla import Sla
from streams.report.questions.targets_file import parse_targets
from streams.report.questions.views import VIEWS
from streams.report.services.changes import report_changes
from streams.report.services.forecast import report_forecast
from streams.report.services.report import report_paths
from streams.report.services.sla import report_sla
from streams.report.services.targets import report_targets
from streams.report.services.views import report_view
from streams.report.tables.changes import render_changes
from streams.report.tables.forecast import render_forecast
from streams.report.tables.paths import render_paths
from streams.report.tables.sla import render_sla
from streams.report.tables.targets import render_targets
from streams.report.tables.views import render_view
from streams.state import Annotation
from streams.store.annotations import MemoryAnnotations
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.oracle.generate import Case, Wants
from tests.property.cases import law
from tests.property.driver import funnels_of, records_of

Asked = tuple[Awaitable[Any], Callable[[Any], Any]]


def questions(reader: MemoryCounterReader, funnel: Funnel, dim: str | None, now_ms: int) -> Iterator[Asked]:
    """All but the report itself, and how people see them."""
    asked = ReportQuestion.parse(funnel, {"dim": dim}, now_ms=now_ms)
    first, last = funnel.stages[0].name, funnel.stages[-1].name
    targets = parse_targets(
        f"targets: [{{stage: {first}, period: 2025-01, goal: 5}}, {{stage: {last}, period: 2025-Q1, goal: 5}}]"
    )
    yield report_forecast(reader, asked, with_back_test=True, now_ms=now_ms), render_forecast
    yield report_paths(reader, asked), render_paths
    yield report_changes(reader, asked, now_ms=now_ms), render_changes
    yield report_sla(reader, asked, slas=Sla.parse_all(funnel, f"{first}=1h,{first}=1d"), now_ms=now_ms), render_sla
    yield report_targets(reader, funnel, targets=targets, now_ms=now_ms), render_targets
    for view in VIEWS:
        yield report_view(reader, asked, view=view, now_ms=now_ms), render_view


async def _ask(case: Case) -> int:
    (funnel,) = funnels_of([case.funnel])
    space = MemorySpace(clock_ms=lambda: 0)
    store, reader = MemoryPartitionStore(space), MemoryCounterReader(space)
    await store.check_funnels({funnel.funnel_id: funnel.fingerprint})
    processor = PartitionProcessor(store, ONLY_PARTITION, [funnel], clock_ms=lambda: 0)
    await processor.claim()
    log = [LogRecord(key, value, at, number) for number, (key, value, at) in enumerate(records_of(case))]
    await processor.process(log, len(log))
    now_ms = (processor.meta.watermark_ms or 0) + 1000
    await MemoryAnnotations(space).annotate(Annotation("x", now_ms - 86_400_000, "prices"))
    console, answered = Console(file=io.StringIO(), width=120), 0
    for dim in (None, *(dimension.name for dimension in funnel.dimensions)):
        for asking, render in questions(reader, funnel, dim, now_ms):
            try:
                document = await asking
            except QuestionError:
                continue
            canonical_json(document)  # raises for what is no number
            console.print(render(document))
            answered += 1
    return answered


@law(Wants(max_events=100), share=0.2)
def test_every_question_is_answered(case: Case, rng: Random) -> None:
    """Of any funnel over any log."""
    assert asyncio.run(_ask(case)) >= 6
