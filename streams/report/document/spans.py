"""Which two spans of whole days are compared. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import TypedDict
from zoneinfo import ZoneInfo

from schemas.counters import Grain
from schemas.funnel.model import Funnel
from schemas.times import date_of, day_of, local_day
from streams.report.document.periods import Period
from streams.report.document.question import QuestionError, ReportQuestion, parse_instant_ms

PREVIOUS = "previous"
LAST_WEEK = "last-week"
_DEFAULT_DAYS = 7


class SpanDates(TypedDict):
    """Days of the funnel's time zone, both inclusive."""

    first: str
    last: str


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Days of a funnel's time zone, by number, both inclusive."""

    first: int
    last: int

    def dates(self) -> tuple[str, str]:
        """As people write them."""
        return date_of(self.first).isoformat(), date_of(self.last).isoformat()

    def moved(self, days: int) -> Span:
        """So many days earlier."""
        return Span(self.first - days, self.last - days)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question about two spans; the later one is what is asked about."""

    question: ReportQuestion
    before: Span
    after: Span

    @classmethod
    def parse(cls, question: ReportQuestion, text: str, *, now_ms: int, counted_ms: int | None = None) -> Comparison:
        """`previous` (as long a span just before, or the week, month, quarter before), `last-week` (the same days a
        week earlier) or `SINCE..UNTIL`. Without since the last 7 whole days. `counted_ms`: up to when days are whole,
        else up to now. Raises QuestionError."""
        if question.grain not in (None, Grain.DAY):
            raise QuestionError("whole days are compared: leave the grain away, or ask for week, month or quarter")
        funnel = question.funnel
        after = _asked(question, today=day_at(funnel, now_ms if counted_ms is None else counted_ms))
        before = _before(text.strip(), after, question=question, now_ms=now_ms)
        if before.last >= after.first and after.last >= before.first:
            raise QuestionError(f"the two spans overlap: {_text(before)} and {_text(after)}; write others")
        return cls(question, before, after)

    @property
    def both(self) -> Span | None:
        """One span of the two, where no day lies between them: one read has them both."""
        return Span(self.before.first, self.after.last) if self.before.last + 1 == self.after.first else None

    def question_of(self, span: Span, *, dimset: int | None, label: str | None) -> ReportQuestion:
        """What to read for one of them."""
        since, until = (start_ms(self.question.funnel, day) for day in (span.first, span.last + 1))
        return replace(
            self.question,
            grain=Grain.DAY,
            period=None,
            since_ms=since,
            until_ms=until,
            dimset=dimset,
            label=label,
        )


def _text(span: Span) -> str:
    first, last = span.dates()
    return f"{first} to {last}"


def _asked(question: ReportQuestion, *, today: int) -> Span:
    """From the day of since to the day before until; today is not over and is taken only where until says so."""
    funnel, period = question.funnel, question.period
    last = today - 1 if question.until_ms is None else day_at(funnel, question.until_ms - 1)
    if question.since_ms is not None:
        first = day_at(funnel, question.since_ms)
    elif period is not None:
        first = day_of(period.first_day(date_of(last + 1 if question.until_ms is None else last)))
        if question.until_ms is None:  # the last one that is over
            last = first - 1
            first = day_of(period.first_day(date_of(last)))
    else:
        first = last - _DEFAULT_DAYS + 1
    if period is not None:
        first, last = (day_of(period.first_day(date_of(first))), day_of(period.last_day(date_of(last))))
    if first > last:
        raise QuestionError("no day since then is over and counted; write until as well, or an earlier since")
    return Span(first, last)


def _before(text: str, after: Span, *, question: ReportQuestion, now_ms: int) -> Span:
    if text == PREVIOUS:
        return _previous(after, question.period)
    if text == LAST_WEEK:
        return after.moved(7)
    since, dots, until = text.partition("..")
    if not dots:
        raise QuestionError(f"{text!r} is no span; write {PREVIOUS}, {LAST_WEEK} or 2025-01-01..2025-02-01")
    funnel = question.funnel
    first, end = (parse_instant_ms(part, timezone=funnel.timezone, now_ms=now_ms) for part in (since, until))
    if first >= end:
        raise QuestionError("since must lie before until")
    return Span(day_at(funnel, first), day_at(funnel, end - 1))


def _previous(after: Span, period: Period | None) -> Span:
    """The week, month or quarter before one; else as many days."""
    if period is not None and period.label(date_of(after.first)) == period.label(date_of(after.last)):
        last = date_of(after.first - 1)
        return Span(day_of(period.first_day(last)), day_of(last))
    return after.moved(after.last - after.first + 1)


def day_at(funnel: Funnel, time_ms: int) -> int:
    """The day in which an instant lies in the funnel's time zone."""
    return local_day(time_ms / 1000, ZoneInfo(funnel.timezone))


def start_ms(funnel: Funnel, day: int) -> int:
    """When it begins."""
    return round(datetime.combine(date_of(day), time(), ZoneInfo(funnel.timezone)).timestamp() * 1000)


def span_dates(span: Span) -> SpanDates:
    """As JSON."""
    first, last = span.dates()
    return {"first": first, "last": last}
