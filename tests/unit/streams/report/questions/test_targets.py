"""Plan against fact by hand, the file and its errors, and whether 95 % intervals hold 95 % of simulated ends."""

from __future__ import annotations

import io
import math
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from streams.report.document.question import QuestionError
from streams.report.forecasting.gamma import Outlook
from streams.report.questions.pace import Pace
from streams.report.questions.targets import TargetAnswer, TargetsDocument
from streams.report.questions.targets_file import TargetsError, load_targets, parse_period, parse_targets
from streams.report.services.targets import report_targets
from streams.report.tables.targets import render_targets
from tests.support.days import MONDAY, READ_AT, SHOP, Day, days_reader
from tests.support.rows import rows

WEEKS: dict[int, Day | dict[str, Day]] = dict.fromkeys(range(60), (100, 10, 0))
"""Every day 100 clicks and 10 payments of 10.00 EUR, from 2025-01-06 to 2025-03-06; read at 2025-03-07T00:00Z."""


async def document(text: str, days: dict[int, Day | dict[str, Day]] | None = None) -> TargetsDocument:
    reader = await days_reader(WEEKS if days is None else days)
    return await report_targets(reader, SHOP, targets=parse_targets(text), now_ms=READ_AT)


async def answer(text: str, days: dict[int, Day | dict[str, Day]] | None = None) -> TargetAnswer:
    return (await document(f"targets: [{text}]", days))["targets"][0]


async def test_a_month_of_which_six_days_are_over() -> None:
    target = await answer("{stage: payment, period: 2025-03, goal: 310}")
    assert (target["first"], target["last"], target["fact"]) == ("2025-03-01", "2025-03-31", 60)
    assert (target["elapsed"], target["plan_by_now"]) == pytest.approx((6 / 31, 60))
    assert (target["pace"], target["expected"]) == pytest.approx((1, 310))
    # 25 days ahead of Poisson(10), each weekday learned from 8 of 56 days: 4 weekdays come 4 times, 3 weekdays 3 times
    variance = 4 * 10 * (4 + 16 / 8) + 3 * 10 * (3 + 9 / 8)
    low, high = Outlook(250, variance).interval()
    assert target["interval"] == [60 + math.floor(low), 60 + math.ceil(high)]
    assert target["probability"] == pytest.approx(0.5, abs=0.03)
    assert target["verdict"] == "open"


async def test_the_goal_backwards() -> None:
    needs = (await answer("{stage: payment, period: 2025-03, goal: 310}"))["needs"]
    assert needs is not None
    click, payment = needs
    assert (click["stage"], click["entries"], click["still"], click["still_per_day"]) == ("click", 3100, 2500, 100)
    assert (payment["stage"], payment["entries"], payment["interval"]) == ("payment", 310, None)
    low, high = click["interval"] or (0, 0)
    assert low < 3100 < high


async def test_revenue_is_asked_in_major_units_and_answered_in_minor_ones() -> None:
    target = await answer('{stage: Payment, of: revenue, period: 2025-W10, goal: "650.50"}')
    assert (target["goal"], target["fact"], target["expected"]) == (650_50, 40_00 * 10, 700_00)
    assert (target["interval"], target["probability"], target["verdict"]) == ([700_00, 700_00], 1, "likely")
    assert (target["needs"] or [])[0]["entries"] == pytest.approx(650.5)


@rows(
    ("text", "verdict"),
    [
        ("{stage: payment, period: 2025-02, goal: 280}", "made"),
        ("{stage: payment, period: 2025-02, goal: 281}", "missed"),
        ("{stage: payment, period: 2025-03, goal: 60}", "made"),
        ("{stage: payment, period: 2025-03, goal: 250}", "likely"),
        ("{stage: payment, period: 2025-03, goal: 400}", "unlikely"),
    ],
)
async def test_verdicts(text: str, verdict: str) -> None:
    assert (await answer(text))["verdict"] == verdict


async def test_a_team_is_one_value() -> None:
    days: dict[int, Day | dict[str, Day]] = {
        number: {"google": (100, 10, 0), "mail": (50, 20, 0)} for number in range(60)
    }
    target = await answer("{stage: payment, period: 2025-02, goal: 500, team: channel= Mail}", days)
    assert (target["team"], target["fact"], target["verdict"]) == ("channel=mail", 560, "made")
    assert (target["needs"] or [])[0]["entries"] == 1250
    # a manager has other people at each stage: no conversion to go backwards with
    nobody = await answer("{stage: payment, period: 2025-03, goal: 5, team: manager=ann}", days)
    assert (nobody["fact"], nobody["expected"], nobody["needs"]) == (0, 0, None)


async def test_without_history_nothing_is_promised() -> None:
    target = await answer("{stage: payment, period: 2025-03, goal: 310}", {58: (100, 10, 0), 59: (100, 10, 0)})
    assert (target["fact"], target["expected"], target["interval"], target["verdict"]) == (20, None, None, "unknown")
    assert target["plan_by_now"] == pytest.approx(60)


async def test_only_targets_of_the_funnel_are_answered_and_people_see_them() -> None:
    shown = await document(
        "history: 4w\ntargets:\n  - {stage: payment, period: 2025-03, goal: 310, funnel: shop}\n"
        "  - {stage: nothing, period: 2025-03, goal: 1, funnel: other}"
    )
    assert (len(shown["targets"]), shown["history_days"]) == (1, 28)
    console = Console(file=io.StringIO(), record=True, width=160)
    console.print(render_targets(shown))
    text = console.export_text()
    assert "payment 2025-03 needs 3,100" in text
    assert "open, 5" in text


@rows(
    ("text", "says"),
    [
        ("[]", "must be a mapping"),
        ("targets: []", "is empty; write at least one, e.g. targets:"),
        ("targets: [{stage: payment, period: 2025-01}]", r"targets\[0\].goal: is missing"),
        ("targets: [{stage: payment, period: 2025-13, goal: 1}]", "'2025-13' is no period; write 2025, 2025-Q1"),
        ("targets: [{stage: payment, period: 2025-01-02..2025-01-01, goal: 1}]", "ends before it begins"),
        ("targets: [{stage: payment, period: 2025, goal: 0}]", "is no goal"),
        ("targets: [{stage: payment, period: 2025, goal: nan}]", "is no goal"),
        ("targets: [{stage: payment, period: 2025, goal: 1, teem: a}]", "did you mean 'team'"),
        ("targets: [{stage: payment, period: 2025, goal: 1, of: money}]", "'entries', 'orders' or 'revenue'"),
        ("targets: [{stage: payment, period: 2025, goal: 1}]\nhistory: 1d", "between 7d and 730d"),
        ("targets: [", "neither YAML nor JSON"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(TargetsError, match=says):
        parse_targets(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetsError, match=r"nowhere\.yaml"):
        load_targets(tmp_path / "nowhere.yaml")


@rows(
    ("text", "says"),
    [
        ("{stage: paymnt, period: 2025, goal: 1}", "it has click, payment .did you mean 'payment'"),
        ("{stage: click, of: revenue, period: 2025, goal: 1}", "of order stages: payment"),
        ("{stage: click, period: 2025, goal: 1, team: channel}", "write e.g. channel=ann"),
        ("{stage: click, period: 2025, goal: 1, team: city=athens}", "is not counted"),
    ],
)
async def test_a_target_of_what_is_not_counted_is_refused(text: str, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        await answer(text)


@rows(
    ("text", "dates"),
    [
        ("2024", ("2024-01-01", "2024-12-31")),
        ("2025-Q2", ("2025-04-01", "2025-06-30")),
        ("2024-02", ("2024-02-01", "2024-02-29")),
        ("2025-W01", ("2024-12-30", "2025-01-05")),
        ("2025-01-31", ("2025-01-31", "2025-01-31")),
        ("2025-01-06..2025-01-20", ("2025-01-06", "2025-01-20")),
    ],
)
def test_periods(text: str, dates: tuple[str, str]) -> None:
    assert parse_period(text).dates() == dates


def test_quantiles_are_those_of_the_tables() -> None:
    # chi-square with 10 degrees of freedom has the mean 10 and the variance 20: 3.247 and 20.483
    low, high = Outlook(10, 20).interval()
    assert (low, high) == pytest.approx((3.247, 20.483), rel=0.01)
    assert Outlook(10, 20).at_least(high) == pytest.approx(0.025)
    assert (Outlook(5, 0).interval(), Outlook(5, 0).at_least(5), Outlook(0, 0).at_least(1)) == ((5, 5), 1, 0)


def poisson(random: Random, mean: float) -> int:
    count, product = 0, random.random()
    while product > math.exp(-mean):
        count, product = count + 1, product * random.random()
    return count


@rows("kind", ["counts", "money"])
def test_intervals_hold_as_many_ends_as_they_say(kind: str) -> None:
    """Eight weeks of days with quiet weekends, then 20 days: the sum lies in the interval in about 95 % of 600 runs."""
    random, held, runs = Random(11), 0, 600

    def day(number: int) -> float:
        count = poisson(random, 2.0 if number % 7 > 4 else 6.0)
        return count if kind == "counts" else sum(random.expovariate(1 / 50) for _ in range(count))

    for _ in range(runs):
        pace = Pace.of({MONDAY + number: day(number) for number in range(56)}, is_count=kind == "counts")
        assert pace is not None
        low, high = pace.outlook({MONDAY + number: 1.0 for number in range(56, 76)}).interval()
        held += math.floor(low) <= sum(day(number) for number in range(56, 76)) <= math.ceil(high)
    assert 0.93 <= held / runs <= 0.985
