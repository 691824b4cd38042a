"""Weeks, months and quarters: sums of the days of a funnel's time zone (docs/semantics.md 5). Pure."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from itertools import groupby

from streams.report.cell import sum_cells
from streams.report.shapes import Counters, NamedCell

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Period(StrEnum):
    """What days are summed to. They are not stored: a report adds the days up when it is asked."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"

    def label(self, day: date) -> str:
        """`2025-W01` (ISO 8601: weeks begin on Monday, week 1 has the year's first Thursday), `2025-01`, `2025-Q1`."""
        if self is Period.WEEK:
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02}"
        if self is Period.MONTH:
            return f"{day:%Y-%m}"
        return f"{day:%Y}-Q{(day.month + 2) // 3}"

    def first_day(self, day: date) -> date:
        """The first day of the one in which `day` lies."""
        if self is Period.WEEK:
            return date.fromordinal(day.toordinal() - day.weekday())
        return day.replace(month=day.month if self is Period.MONTH else (day.month - 1) // 3 * 3 + 1, day=1)

    def last_day(self, day: date) -> date:
        """The last one."""
        if self is Period.WEEK:
            return date.fromordinal(self.first_day(day).toordinal() + 6)
        first, months = self.first_day(day), 1 if self is Period.MONTH else 3
        years, month = divmod(first.month - 1 + months, 12)
        return date.fromordinal(date(first.year + years, month + 1, 1).toordinal() - 1)


def day_number(day: date) -> int:
    """The bucket of a date: days from 1970-01-01."""
    return day.toordinal() - _EPOCH_ORDINAL


def sum_days(counters: Counters, period: Period) -> Counters:
    """The days of a document summed; nothing where there is no day."""
    days = counters.get("day", {})
    buckets: dict[str, dict[str, NamedCell]] = {}
    for label, group in groupby(sorted(days), key=lambda day: period.label(date.fromisoformat(day))):
        in_period = [days[day] for day in group]
        dims = sorted({dim for cells in in_period for dim in cells})
        buckets[label] = {dim: sum_cells(cells[dim] for cells in in_period if dim in cells) for dim in dims}
    return {period.value: buckets} if buckets else {}
