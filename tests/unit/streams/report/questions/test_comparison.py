"""Two spans compared: spans by hand, tests by published numbers, a decomposition that sums to the change."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from schemas.funnel.load import parse_funnel
from schemas.times import DAY_MS
from streams.report.document.question import QuestionError
from streams.report.document.rates import ratio
from streams.report.document.shapes import NamedCell, Rate
from streams.report.document.significance import difference_interval, holm, p_value
from streams.report.document.spans import Comparison
from streams.report.questions.comparison import ComparisonDocument, Decomposition, compare_cells
from streams.report.questions.decompose import Counts, decompose
from streams.report.services.report import report_compared, report_comparison
from streams.report.tables.comparison import render_comparison
from tests.support.days import READ_AT, SHOP, Day, days_reader, question
from tests.support.rows import rows

ZERO = Fraction(0)


def rate(numerator: int, denominator: int) -> Rate | None:
    return ratio(numerator, denominator)


# Which days

TEN_DAYS = ("2025-01-01", "2025-01-10")


@rows(
    ("text", "since", "until", "grain", "after", "before"),
    [
        # asked at 2025-03-07T00:00Z, a Friday
        ("previous", None, None, None, ("2025-02-28", "2025-03-06"), ("2025-02-21", "2025-02-27")),
        ("previous", "2025-03-01", None, "day", ("2025-03-01", "2025-03-06"), ("2025-02-23", "2025-02-28")),
        ("previous", "2025-03-06", "2025-03-08", None, ("2025-03-06", "2025-03-07"), ("2025-03-04", "2025-03-05")),
        ("last-week", "2025-03-05", "2025-03-06", None, ("2025-03-05", "2025-03-05"), ("2025-02-26", "2025-02-26")),
        ("previous", None, None, "week", ("2025-02-24", "2025-03-02"), ("2025-02-17", "2025-02-23")),
        ("previous", None, None, "month", ("2025-02-01", "2025-02-28"), ("2025-01-01", "2025-01-31")),
        ("previous", None, None, "quarter", ("2024-10-01", "2024-12-31"), ("2024-07-01", "2024-09-30")),
        ("previous", None, "2025-03-01", "month", ("2025-02-01", "2025-02-28"), ("2025-01-01", "2025-01-31")),
        (
            "2025-01-01..2025-01-11",
            "2025-02-01",
            None,
            None,
            ("2025-02-01", "2025-03-06"),
            ("2025-01-01", "2025-01-10"),
        ),
    ],
)
def test_spans(
    text: str,
    since: str | None,
    until: str | None,
    grain: str | None,
    after: tuple[str, str],
    before: tuple[str, str],
) -> None:
    comparison = Comparison.parse(question(since=since, until=until, grain=grain), text, now_ms=READ_AT)
    assert (comparison.after.dates(), comparison.before.dates()) == (after, before)


@rows(
    ("text", "since", "grain", "says"),
    [
        ("last-week", "10d", None, "overlap: 2025-02-18 to 2025-02-27 and 2025-02-25 to 2025-03-06"),
        ("2025-03-01..2025-03-02", "2025-03-01", None, "overlap"),
        ("yesterday", None, None, "write previous, last-week or 2025-01-01..2025-02-01"),
        ("2025-03-02..2025-03-01", None, None, "since must lie before until"),
        ("2025-03-02..", None, None, "is no time"),
        ("previous", "2025-03-07", None, "over and counted"),
        ("previous", None, "hour", "whole days are compared"),
        ("previous", None, "total", "whole days are compared"),
    ],
)
def test_what_cannot_be_compared_is_refused(text: str, since: str | None, grain: str | None, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        Comparison.parse(question(since=since, grain=grain), text, now_ms=READ_AT)


# Significance


def test_the_test_of_two_proportions_by_hand() -> None:
    # 30 of 100 and 45 of 100: pooled 0.375, z = 0.15 / sqrt(0.375 * 0.625 * 0.02) = 2.19089, times sqrt(199/200)
    p = p_value(rate(30, 100), rate(45, 100))
    z = 0.15 / math.sqrt(0.375 * 0.625 * 0.02) * math.sqrt(199 / 200)
    assert p is not None
    assert (round(z, 4), round(p, 4)) == (2.1854, 0.0289)
    assert p == pytest.approx(math.erfc(z / math.sqrt(2)))


def test_equal_shares_do_not_differ() -> None:
    assert p_value(rate(10, 100), rate(20, 200)) == 1


@rows(
    ("before", "after"),
    [
        ((0, 0), (3, 10)),  # nothing there
        ((12, 10), (3, 10)),  # a ratio of flows
        ((0, 50), (1, 50)),  # half an expected success in each
        ((0, 10), (0, 10)),
        ((10, 10), (10, 10)),
    ],
)
def test_without_a_share_or_enough_of_it_there_is_no_verdict(before: Counts, after: Counts) -> None:
    assert p_value(rate(*before), rate(*after)) is None


def test_the_interval_of_a_difference_is_newcombes() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table II, method 10: 56/70 - 48/80 is 0.0524 to 0.3339
    interval = difference_interval(rate(48, 80), rate(56, 70))
    assert interval is not None
    assert [round(bound, 4) for bound in interval] == [0.0524, 0.3339]
    # 10/10 - 0/10: 0.6075 to 1
    interval = difference_interval(rate(0, 10), rate(10, 10))
    assert interval is not None
    assert [round(bound, 4) for bound in interval] == [0.6075, 1]


def test_holm_stops_at_the_first_that_is_not_significant() -> None:
    assert holm([0.01, 0.04, None, 0.03]) == [True, False, None, False]  # 0.01 <= 0.05/3, 0.03 > 0.05/2
    assert holm([0.02, 0.03]) == [True, True]
    assert holm([None]) == [None]


# Mix and rate


def test_a_shift_of_the_mix_alone() -> None:
    # google 20 % and fb 5 % before and after; google's share falls from 1/2 to 1/4, so 12.5 % become 8.75 %
    parts = decompose({"google": (20, 100), "fb": (5, 100)}, {"google": (20, 100), "fb": (15, 300)})
    assert sum(part.mix for part in parts.values()) == Fraction(875, 10_000) - Fraction(125, 1000)
    assert all(part.rate == part.neither == 0 for part in parts.values())


def test_a_change_of_a_rate_alone() -> None:
    parts = decompose({"google": (20, 100), "fb": (5, 100)}, {"google": (30, 100), "fb": (5, 100)})
    assert (parts["google"].rate, parts["fb"].total) == (Fraction(1, 20), ZERO)
    assert sum(part.mix for part in parts.values()) == 0


def test_simpsons_paradox_is_told() -> None:
    # each value converts better, and the whole converts worse: mix
    before, after = {"a": (80, 100), "b": (1, 10)}, {"a": (9, 10), "b": (20, 100)}
    parts = decompose(before, after)
    assert all(part.rate > 0 for part in parts.values())
    assert sum(part.total for part in parts.values()) == Fraction(29, 110) - Fraction(81, 110) < 0


def test_a_value_that_is_new_is_all_mix_and_one_without_entries_is_neither() -> None:
    parts = decompose({"a": (10, 100), "late": (2, 0)}, {"a": (10, 100), "new": (40, 100)})
    assert (parts["new"].rate, parts["new"].neither) == (ZERO, ZERO)
    assert parts["new"].mix > 0
    assert (parts["late"].mix, parts["late"].rate, parts["late"].neither) == (ZERO, ZERO, Fraction(-2, 100))


SIDES = st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))


def whole(counts: dict[str, Counts]) -> Fraction:
    return Fraction(sum(n for n, _ in counts.values()), sum(d for _, d in counts.values()))


@given(before=SIDES, after=SIDES)
def test_the_parts_sum_to_the_change_exactly(before: dict[str, Counts], after: dict[str, Counts]) -> None:
    parts = decompose(before, after)
    if not sum(d for _, d in before.values()) or not sum(d for _, d in after.values()):
        assert parts == {}
        return
    assert sum((part.total for part in parts.values()), Fraction(0)) == whole(after) - whole(before)
    backwards = decompose(after, before)
    assert {value: -part.total for value, part in backwards.items()} == {
        value: part.total for value, part in parts.items()
    }


@given(counts=SIDES)
def test_nothing_changed_is_nothing_in_every_part(counts: dict[str, Counts]) -> None:
    for part in decompose(counts, counts).values():
        assert (part.mix, part.rate, part.neither) == (ZERO, ZERO, ZERO)


# The whole answer


BEFORE: dict[str, Day] = {"google": (100, 20, 0), "fb": (100, 5, 0), "mail": (10, 1, 0)}
AFTER: dict[str, Day] = {"google": (100, 35, 10), "fb": (300, 15, 0), "mail": (10, 1, 0)}


async def compared(dim: str | None = None) -> ComparisonDocument:
    reader = await days_reader({46: BEFORE, 53: AFTER})  # 2025-02-21, 2025-02-28
    comparison = Comparison.parse(question(dim=dim), "last-week", now_ms=READ_AT)
    return await report_comparison(reader, comparison)


async def test_every_rate_stands_there_twice_with_its_test() -> None:
    document = await compared()
    assert (document["before"]["first"], document["after"]["first"]) == ("2025-02-21", "2025-02-28")
    step = document["step_conversion"]["click -> payment"]
    assert (step["before"], step["after"]) == (rate(26, 210), rate(51, 410))
    assert step["difference"] == pytest.approx(51 / 410 - 26 / 210)
    assert step["is_significant"] is False
    assert document["overall"]["before"] == rate(26, 210)
    assert document["entries"]["click"] == {"before": 210, "after": 410, "change": pytest.approx(410 / 210 - 1)}
    assert (document["orders"]["before"], document["revenue"]["after"]) == (26, 51_000)


async def test_a_cohort_is_tested_when_all_its_outcomes_are_known() -> None:
    document = await compared()
    young = document["cohort_conversion"]["click"]
    assert (young["before"], young["is_significant"], young["p_value"]) == (rate(26, 210), None, None)
    known = (await compared("channel=fb"))["cohort_conversion"]["click"]
    assert (known["p_value"], known["is_significant"]) == (1, False)


async def test_the_change_is_parted_by_the_values_of_a_dimension() -> None:
    document = await compared()
    (channel,) = document["decompositions"]  # manager is of the attribution stage
    assert channel["dim"] == "channel"
    assert channel["change"] == pytest.approx(51 / 410 - 26 / 210, abs=1e-15)
    assert channel["mix"] + channel["rate"] + channel["neither"] == pytest.approx(channel["change"], abs=1e-15)
    assert channel["mix"] < 0 < channel["rate"]
    assert channel["top"][0] == "channel=google"
    assert set(channel["top"]) == {"channel=google", "channel=fb", "channel=mail"}
    google = next(value for value in channel["values"] if value["value"] == "channel=google")
    assert (google["before"], google["after"]) == ([20, 100], [35, 100])
    # mean share (100/210 + 100/410) / 2, rate from 20 % to 35 %
    assert google["rate"] == pytest.approx((100 / 210 + 100 / 410) / 2 * 0.15, abs=1e-15)


async def test_one_cell_is_compared_without_parts_and_a_stage_dimension_is_refused() -> None:
    google = await compared("channel=google")
    assert (google["dim"], google["decompositions"]) == ("channel=google", [])
    assert google["step_conversion"]["click -> payment"]["after"] == rate(35, 100)
    assert google["step_conversion"]["click -> payment"]["is_significant"] is True
    assert (await compared(""))["decompositions"] == []
    with pytest.raises(QuestionError, match="other people"):
        await compared("manager")


def test_a_cell_of_a_stage_dimension_has_no_conversions_of_different_people() -> None:
    cell = {"click": {"entries": 10, "advanced.cohort": 4, "abandoned.cohort": 6}, "payment": {"entries": 4}}
    whole_cell = compare_cells(SHOP, before=cell, after=cell)
    of_manager = compare_cells(SHOP, before=cell, after=cell, dim="manager=ann")
    assert whole_cell["overall"]["before"] == rate(4, 10)
    assert (of_manager["overall"]["before"], of_manager["overall"]["is_significant"]) == (None, None)
    assert of_manager["cohort_conversion"]["click"]["before"] == rate(4, 10)


async def test_days_that_are_not_counted_yet_are_not_compared() -> None:
    reader = await days_reader({46: BEFORE, 53: AFTER})
    days_later = READ_AT + 3 * DAY_MS
    document = await report_compared(reader, question(), text="previous", now_ms=days_later)
    asked_for = await report_compared(reader, question(until="2025-03-09"), text="previous", now_ms=days_later)
    assert document["after"] == {"first": "2025-02-28", "last": "2025-03-06"}  # counted up to the 7th
    assert asked_for["after"]["last"] == "2025-03-08"


async def test_over_nothing_everything_is_absent() -> None:
    document = await report_comparison(await days_reader({}), Comparison.parse(question(), "previous", now_ms=READ_AT))
    overall = document["overall"]
    assert (overall["before"], overall["difference"], overall["is_significant"]) == (None, None, None)
    parts: list[Decomposition] = document["decompositions"]
    assert parts == []


async def test_the_tables_name_what_changed() -> None:
    console = Console(width=120, color_system=None)
    nothing = Comparison.parse(question(), "previous", now_ms=READ_AT)
    with console.capture() as capture:
        console.print(render_comparison(await compared()))
        console.print(render_comparison(await report_comparison(await days_reader({}), nothing)))
    text = capture.get()
    for part in (
        "2025-02-28 to 2025-03-06 compared with 2025-02-21 to 2025-02-27",
        "26 of 210",
        "51 of 410",
        "no, p ",
        "orders 26 → 51 (+96.2 %)",
        "260.00 EUR → 510.00 EUR",
        "most of it: channel=google",
    ):
        assert part in text, text
    assert SHOP.name in text


# Web leg and sales leg

LEGS = parse_funnel(
    "name: f\nconversion_window: 30d\nstages:\n  - {name: click, on: [click]}\n  - {name: lead, on: [lead]}\n"
    "  - {name: offer, on: [offer]}\n  - {name: payment, on: [payment], order: true}\n"
)


def legs_cell(*entries: int) -> NamedCell:
    return {stage.name: {"entries": number} for stage, number in zip(LEGS.stages, entries, strict=True)}


def test_the_change_is_parted_at_the_first_lead() -> None:
    # web 10 % -> 12 %, sales 50 % -> 25 %; overall 5 % -> 3 %: 0.02 * 0.375 and -0.25 * 0.11
    compared = compare_cells(LEGS, before=legs_cell(1000, 100, 70, 50), after=legs_cell(1000, 120, 50, 30))
    legs = compared["legs"]
    assert legs is not None
    assert (legs["boundary"], legs["most"]) == ("lead", "sales")
    assert (round(legs["web_part"], 6), round(legs["sales_part"], 6)) == (0.0075, -0.0275)
    assert legs["web_part"] + legs["sales_part"] == pytest.approx(compared["overall"]["difference"] or 0)
    assert (legs["web"]["is_significant"], legs["sales"]["is_significant"]) == (False, True)


def test_a_funnel_without_a_lead_has_no_legs() -> None:
    assert compare_cells(SHOP, before={}, after={})["legs"] is None
    assert compare_cells(LEGS, before=legs_cell(1000, 100, 70, 50), after=legs_cell(1000, 0, 0, 0))["legs"] is None
