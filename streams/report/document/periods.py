"""Weeks, months and quarters: sums of the days of a funnel's time zone (docs/semantics.md 5). Pure."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from schemas.counters import Cells, Grain
from schemas.times import date_of, day_of
from streams.report.document.shapes import Counters
from streams.report.document.sums import summed_to


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


def sum_days(cells: Cells, period: Period) -> Cells:
    """The days of stored cells, added up in the first day of their week, month or quarter. Before names and rates are
    made of them: there are fewer then."""
    places = {
        (grain, bucket, dimset): (grain, day_of(period.first_day(date_of(bucket))), dimset)
        for grain, bucket, dimset in sorted(cells)
        if grain == Grain.DAY
    }
    return summed_to(cells, places)


def label_periods(counters: Counters, period: Period) -> Counters:
    """Such a document's buckets under the label of the period."""
    days = counters.get("day", {})
    buckets = {period.label(date.fromisoformat(day)): cells for day, cells in days.items()}
    return {period.value: buckets} if buckets else {}
