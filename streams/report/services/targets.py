"""Answers how far the targets of a funnel are, from days of whatever is stored now. Never writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from schemas.explain import did_you_mean
from schemas.funnel.model import Funnel
from schemas.names import normalise_name
from schemas.times import DAY_MS
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.document.spans import Span, day_at, start_ms
from streams.report.questions.targets import AskedTarget, Progress, TargetsDocument, answer_target
from streams.report.questions.targets_file import Target, Targets, load_targets
from streams.report.services.reads import DaysOfCells, days_by_cell, watermark_of
from streams.store.port import CounterReader


async def report_targets(reader: CounterReader, funnel: Funnel, *, targets: Targets, now_ms: int) -> TargetsDocument:
    """Every target of the funnel: those that name it, and those that name none. Raises as `report`, and QuestionError
    for a stage or a team that is not counted."""
    asked = [_asked(funnel, target, now_ms=now_ms) for target in targets.targets if _is_of(funnel, target)]
    watermark_ms = await watermark_of(reader)
    progress = progress_at(funnel, now_ms if watermark_ms is None else watermark_ms)
    first = progress.today - targets.history // DAY_MS
    cells: dict[int, DaysOfCells] = {}
    for dimset, questions in _by_dimset(asked).items():
        span = Span(min(first, *(q.target.days.first for q in questions)), _last(questions, progress))
        cells[dimset] = await days_by_cell(reader, questions[0].question, span=span)
    whole = cells.get(0) or await days_by_cell(reader, _whole(funnel, now_ms), span=Span(first, progress.today))
    seen = [day for by_day in whole.values() for day in by_day if first <= day < progress.today]
    history = range(min(seen, default=progress.today), progress.today)
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "currency": funnel.currency,
        "history_days": len(history),
        "targets": [
            answer_target(
                funnel,
                each.target,
                days=cells[each.question.dimset or 0].get(each.question.label or "", {}),
                progress=progress,
                history=history,
            )
            for each in asked
        ],
    }


def checked_targets(path: Path, funnels: Iterable[Funnel]) -> Targets:
    """Those of a file, which can be answered by these funnels. Raises as `load_targets` and `check_targets`."""
    targets = load_targets(path)
    check_targets(funnels, targets)
    return targets


def check_targets(funnels: Iterable[Funnel], targets: Targets) -> None:
    """Whether they can be answered, before any is asked for. Raises QuestionError."""
    for funnel in funnels:
        for target in targets.targets:
            if _is_of(funnel, target):
                _asked(funnel, target, now_ms=0)


def progress_at(funnel: Funnel, time_ms: int) -> Progress:
    """How much of which day is over."""
    today = day_at(funnel, time_ms)
    begin, end = start_ms(funnel, today), start_ms(funnel, today + 1)
    return Progress(today, (time_ms - begin) / (end - begin))


def _is_of(funnel: Funnel, target: Target) -> bool:
    return target.funnel in (None, funnel.name)


def _asked(funnel: Funnel, target: Target, *, now_ms: int) -> AskedTarget:
    stages = {normalise_name(stage.name): stage for stage in funnel.stages}
    stage = stages.get(normalise_name(target.stage))
    if stage is None:
        names = [each.name for each in funnel.stages]
        raise QuestionError(
            f"target {target.stage!r}: funnel {funnel.name} has no such stage; it has {', '.join(names)}"
            + did_you_mean(target.stage, names)
            + ("" if target.funnel else "; write the funnel of each target where there are several")
        )
    if target.of != "entries" and stage.nth is None:
        orders = [each.name for each in funnel.stages if each.nth is not None]
        raise QuestionError(
            f"target {target.stage}: {target.of} are of order stages: {', '.join(orders) or 'this funnel has none'}"
        )
    if target.team and "=" not in target.team:
        raise QuestionError(f"target {target.stage}: a team is one value; write e.g. {target.team}=ann")
    question = ReportQuestion.parse(funnel, {"grain": "day", "dim": target.team}, now_ms=now_ms)
    return AskedTarget(target.model_copy(update={"stage": stage.name, "team": question.label or ""}), question)


def _whole(funnel: Funnel, now_ms: int) -> ReportQuestion:
    return ReportQuestion.parse(funnel, {"grain": "day", "dim": ""}, now_ms=now_ms)


def _by_dimset(asked: Iterable[AskedTarget]) -> dict[int, list[AskedTarget]]:
    groups: dict[int, list[AskedTarget]] = {}
    for each in asked:
        groups.setdefault(each.question.dimset or 0, []).append(each)
    return groups


def _last(asked: Sequence[AskedTarget], progress: Progress) -> int:
    return max(progress.today, *(each.target.days.last for each in asked))
