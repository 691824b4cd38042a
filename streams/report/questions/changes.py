"""What a change has done: the entries before and after an annotation, how many went on within the same time. Pure.

Cohorts of one age are compared: of the entries of a stage those that went on within a time that 9 of 10 took before the
change. Only days count that are so old at the watermark, so a young cohort looks no worse than an old one. The day of
the change belongs to neither side. Before are the four weeks before it, after is what has come since, up to four weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.always_valid import always_valid
from streams.report.document.cell import CellView, sum_cells
from streams.report.document.percentiles import percentile
from streams.report.document.rates import ratio
from streams.report.document.shapes import NamedCell, Rate
from streams.report.document.significance import holm
from streams.report.document.spans import Span, SpanDates, span_dates, start_ms
from streams.state import Annotation

DAYS = 28


class ChangedStage(TypedDict):
    """One stage before and after."""

    stage: str
    within_seconds: int | None
    """A transition counts if it took no longer. None: nobody went on before."""
    last: str | None
    """The last day after the change that is old enough; None: none is yet."""
    before: Rate | None
    after: Rate | None
    difference: float | None
    interval: list[float] | None
    """95 %, valid whenever you look. None, like the next two: too few, or none old enough."""
    p_value: float | None
    is_significant: bool | None
    """Together with the other stages of this change (Holm), 5 %."""


class Change(TypedDict):
    """An annotation, and what is different since."""

    id: str
    at_ms: int
    text: str
    before: SpanDates
    after: SpanDates
    """At most; each stage has its own last day."""
    stages: list[ChangedStage]


class ChangesDocument(TypedDict):
    """All changes of one funnel."""

    funnel: str
    version: int
    watermark_ms: int | None
    dim: str
    """The cell that is compared; empty: the whole."""
    changes: list[Change]
    """The oldest first."""


def spans_of(day: int) -> tuple[Span, Span]:
    """Before and after a change on this day."""
    return Span(day - DAYS, day - 1), Span(day + 1, day + DAYS)


def change_of(
    funnel: Funnel, annotation: Annotation, *, days: Mapping[int, NamedCell], day: int, watermark_ms: int
) -> Change:
    """What is different since an annotation on this day."""
    before, after = spans_of(day)
    stages = [
        _stage(funnel, stage.name, days=days, spans=(before, after), watermark_ms=watermark_ms)
        for stage in funnel.stages[:-1]
    ]
    verdicts = holm([stage["p_value"] for stage in stages])
    for stage, verdict in zip(stages, verdicts, strict=True):
        stage["is_significant"] = verdict
    return {
        "id": annotation.id,
        "at_ms": annotation.at_ms,
        "text": annotation.text,
        "before": span_dates(before),
        "after": span_dates(after),
        "stages": stages,
    }


def _stage(
    funnel: Funnel, name: str, *, days: Mapping[int, NamedCell], spans: tuple[Span, Span], watermark_ms: int
) -> ChangedStage:
    before, after = spans
    seconds = _usual_time(CellView(_sum(days, before)), name)
    last = None if seconds is None else _last_old_enough(funnel, after, time_ms=watermark_ms - 1000 * seconds)
    before_rate = after_rate = None
    if seconds is not None:
        old_enough = Span(after.first, after.first - 1 if last is None else last)
        before_rate, after_rate = (
            _rate(CellView(_sum(days, span)), name, seconds=seconds) for span in (before, old_enough)
        )
    verdict = always_valid(before_rate, after_rate)
    return {
        "stage": name,
        "within_seconds": seconds,
        "last": None if last is None else Span(last, last).dates()[0],
        "before": before_rate,
        "after": after_rate,
        "difference": None if before_rate is None or after_rate is None else after_rate["rate"] - before_rate["rate"],
        "interval": None if verdict is None else verdict[1],
        "p_value": None if verdict is None else verdict[0],
        "is_significant": None,
    }


def _sum(days: Mapping[int, NamedCell], span: Span) -> NamedCell:
    return sum_cells(days[day] for day in range(span.first, span.last + 1) if day in days)


def _durations(view: CellView, name: str) -> dict[str, int]:
    """Of all transitions out of a stage, by upper edge."""
    by_edge: dict[str, int] = {}
    for key, count in view.amounts(name, "durations").items():
        edge = key.rpartition(" ")[2]
        by_edge[edge] = by_edge.get(edge, 0) + count
    return by_edge


def _usual_time(view: CellView, name: str) -> int | None:
    """The edge within which 9 of 10 went on; of those that took longer than the last edge its lower one."""
    by_edge = _durations(view, name)
    if not sum(by_edge.values()):
        return None
    bounds = percentile(by_edge, Fraction(9, 10))
    return bounds["above"] if bounds["at_most"] is None else bounds["at_most"]


def _last_old_enough(funnel: Funnel, after: Span, *, time_ms: int) -> int | None:
    """The last day of a span that has ended by a time."""
    ended = [day for day in range(after.first, after.last + 1) if start_ms(funnel, day + 1) <= time_ms]
    return ended[-1] if ended else None


def _rate(view: CellView, name: str, *, seconds: int) -> Rate | None:
    went_on = sum(n for edge, n in _durations(view, name).items() if edge != "inf" and int(edge) <= seconds)
    return ratio(went_on, view.entries(name))
