"""Weeks, months and quarters are sums of days, with the rates of the sums."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from schemas.counters import Cells, Family, Grain, cell_field, family
from schemas.times import day_of
from streams.report.document.periods import Period, sum_days
from streams.report.document.rates import wilson
from streams.report.questions.lines import Arrangement
from streams.report.services.report import report
from streams.report.tables.report import render_report
from tests.support.days import SHOP, days_reader, question
from tests.support.rows import rows


@rows(
    ("day", "week", "month", "quarter"),
    [
        ("2025-01-01", "2025-W01", "2025-01", "2025-Q1"),
        ("2024-12-29", "2024-W52", "2024-12", "2024-Q4"),
        ("2024-12-30", "2025-W01", "2024-12", "2024-Q4"),
        ("2021-01-03", "2020-W53", "2021-01", "2021-Q1"),
        ("2024-02-29", "2024-W09", "2024-02", "2024-Q1"),
        ("2025-04-01", "2025-W14", "2025-04", "2025-Q2"),
    ],
)
def test_labels(day: str, week: str, month: str, quarter: str) -> None:
    assert [period.label(date.fromisoformat(day)) for period in Period] == [week, month, quarter]


@given(day=st.dates(min_value=date(1970, 1, 1), max_value=date(2200, 1, 1)), period=st.sampled_from(Period))
def test_a_period_is_the_days_from_its_first_to_its_last(day: date, period: Period) -> None:
    first, last = period.first_day(day), period.last_day(day)
    assert first <= day <= last
    assert period.label(first) == period.label(day) == period.label(last)
    before, after = first - timedelta(days=1), last + timedelta(days=1)
    assert period.label(before) != period.label(day) != period.label(after)
    assert day_of(after) - day_of(first) in (7, 28, 29, 30, 31, 90, 91, 92)


async def test_a_week_has_the_sums_of_its_days_with_rates_maturity_and_intervals() -> None:
    # 10 clicks a day, of which 4 paid and 1 is open; one day more than two weeks, the first one a Monday
    document = await report(await days_reader(dict.fromkeys(range(15), (10, 4, 1))), question(grain="week", dim=""))
    weeks = document["counters"]["week"]
    assert {label: cells[""]["click"]["entries"] for label, cells in weeks.items()} == {
        "2025-W02": 70,
        "2025-W03": 70,
        "2025-W04": 10,
    }
    assert list(document["counters"]) == ["week"]
    rates = document["rates"][0]
    assert (rates["grain"], rates["bucket"], rates["dim"]) == ("week", "2025-W02", "")
    period, cohort = rates["period_conversion"]["click -> payment"], rates["cohort_conversion"]["click"]
    assert period == {"rate": 28 / 70, "numerator": 28, "denominator": 70, "interval": wilson(28, 70)}
    assert cohort is not None
    assert (cohort["numerator"], cohort["denominator"], cohort["maturity"]) == (28, 70, 63 / 70)
    assert cohort["interval"] == wilson(28, 70)


async def test_a_span_takes_whole_weeks() -> None:
    reader = await days_reader(dict.fromkeys(range(21), (10, 4, 0)))
    document = await report(reader, question(grain="week", since="2025-01-15", until="2025-01-16"))
    assert {label: cells[""]["click"]["entries"] for label, cells in document["counters"]["week"].items()} == {
        "2025-W03": 70
    }


async def test_months_of_a_channel() -> None:
    reader = await days_reader(dict.fromkeys(range(31), (10, 4, 0)))
    document = await report(reader, question(grain="month", dim="channel=google"))
    months = document["counters"]["month"]
    assert {label: list(cells) for label, cells in months.items()} == {
        "2025-01": ["channel=google"],
        "2025-02": ["channel=google"],
    }
    assert months["2025-01"]["channel=google"]["click"]["entries"] == 26 * 10


@given(
    days=st.dictionaries(
        st.dates(min_value=date(2023, 1, 1), max_value=date(2026, 1, 1)), st.integers(1, 10**12), max_size=40
    ),
    period=st.sampled_from(Period),
)
def test_nothing_is_lost_by_summing(days: dict[date, int], period: Period) -> None:
    field, code = cell_field(0, 0, 0), family(Family.ENTRIES)
    cells: Cells = {(Grain.DAY, day_of(day), 0): {field: {code: n}} for day, n in days.items()}
    cells[Grain.HOUR, 7, 0] = {field: {code: 1}}  # another grain is not added
    summed = sum_days(cells, period)
    assert {group[1] for group in summed} == {day_of(period.first_day(day)) for day in days}
    for day in days:
        same = [n for other, n in days.items() if period.label(other) == period.label(day)]
        assert summed[Grain.DAY, day_of(period.first_day(day)), 0] == {field: {code: sum(same)}}


async def test_the_table_shows_week_by_week() -> None:
    document = await report(await days_reader(dict.fromkeys(range(15), (10, 4, 1))), question(grain="week", dim=""))
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(render_report(SHOP, document, arrangement=Arrangement(by_bucket=True)))
    text = capture.get()
    for part in ("weeks 2025-W02 to 2025-W04", "by week", "28  40.0 %", " 90 %", "29.33–51.71", "280.00 EUR"):
        assert part in text, text
