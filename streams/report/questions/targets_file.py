"""The file of targets: what a stage shall bring in a period, perhaps for one team. Checked when it is read.

Every error names the file, the path inside it and what to write instead.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.errors import InputFileError
from schemas.explain import Explainer
from schemas.funnel.duration import DurationMs
from schemas.times import DAY_MS, day_of
from schemas.written_file import WrittenFile
from streams.report.document.periods import Period
from streams.report.document.spans import Span

Measure = Literal["entries", "orders", "revenue"]
_YEAR, _MONTH = re.compile(r"\d{4}"), re.compile(r"(\d{4})-(\d\d)")
_QUARTER, _WEEK = re.compile(r"(\d{4})-[Qq]([1-4])"), re.compile(r"(\d{4})-[Ww](\d\d)")
_MOST = 10**13
_DAYS = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?")
_FORMS: Final = "write 2025, 2025-Q1, 2025-01, 2025-W05, 2025-01-31, or 2025-01-06..2025-01-20 (the last day is in it)"


class TargetsError(InputFileError):
    """A file of targets that cannot be used; the text says where and what to write instead."""


def parse_period(value: object) -> Span:
    """The days of a year, quarter, month, ISO week, day, or from one day to another. Raises ValueError."""
    text = str(value).strip()
    try:
        first, last = _days_of(text)
    except ValueError:
        raise ValueError(f"{text!r} is no period; {_FORMS}") from None
    if first > last:
        raise ValueError(f"{text!r} ends before it begins; {_FORMS}")
    return Span(day_of(first), day_of(last))


def _days_of(text: str) -> tuple[date, date]:
    """Raises ValueError."""
    if _YEAR.fullmatch(text):
        return date(int(text), 1, 1), date(int(text), 12, 31)
    if match := _MONTH.fullmatch(text):
        return _whole(Period.MONTH, date(int(match[1]), int(match[2]), 1))
    if match := _QUARTER.fullmatch(text):
        return _whole(Period.QUARTER, date(int(match[1]), 3 * int(match[2]), 1))
    if match := _WEEK.fullmatch(text):
        return _whole(Period.WEEK, date.fromisocalendar(int(match[1]), int(match[2]), 1))
    if match := _DAYS.fullmatch(text):
        return date.fromisoformat(match[1]), date.fromisoformat(match[2] or match[1])
    raise ValueError(text)


def _whole(period: Period, day: date) -> tuple[date, date]:
    return period.first_day(day), period.last_day(day)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Model):
    """One target."""

    stage: str
    period: str
    goal: Decimal
    """Entries or orders; of revenue in major units of the funnel's currency."""
    of: Measure = "entries"
    team: str = ""
    """One cell: `manager=ann`, `channel=google|manager=ann`; empty: the whole."""
    funnel: str | None = None

    @field_validator("period", mode="before")
    @classmethod
    def _known_period(cls, value: object) -> str:
        parse_period(value)
        return str(value).strip()

    @field_validator("goal", mode="before")
    @classmethod
    def _number(cls, value: object) -> Decimal:
        try:
            goal = Decimal(str(value))
        except ArithmeticError:
            goal = Decimal(0)
        if isinstance(value, bool) or not goal.is_finite() or not 0 < goal < _MOST:
            raise ValueError(f"{value!r} is no goal; write a number above 0, e.g. goal: 120")
        return goal

    @property
    def days(self) -> Span:
        """Those of the period."""
        return parse_period(self.period)


class Targets(_Model):
    """A whole file."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=1000)]
    history: DurationMs = 56 * DAY_MS
    """How far before today the days begin of which pace and conversions are made."""

    @field_validator("history")
    @classmethod
    def _some_days(cls, value: int) -> int:
        if not 7 * DAY_MS <= value <= 730 * DAY_MS:
            raise ValueError("history lies between 7d and 730d; write e.g. history: 56d")
        return value


_ERRORS: Final = Explainer(
    known_keys=lambda path: list((Target if "targets" in path else Targets).model_fields),
    examples={
        "targets": "targets: [{stage: payment, period: 2025-01, goal: 120}]",
        "stage": "stage: payment",
        "period": "period: 2025-01",
        "goal": "goal: 120",
    },
    mappings={"targets": "{stage: payment, period: 2025-01, goal: 120}"},
)


_FILE: Final = WrittenFile(Targets, TargetsError, _ERRORS, f"; write {_ERRORS.examples['targets']}")


def load_targets(path: Path) -> Targets:
    """Raises TargetsError."""
    return _FILE.load(path)


def parse_targets(text: str, *, origin: str = "targets") -> Targets:
    """From YAML or JSON. Raises TargetsError."""
    return _FILE.parse(text, origin=origin)
