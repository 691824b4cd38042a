"""What-if by hand-worked numbers (docs/semantics.md 9), and its laws."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from streams.report.document.question import QuestionError
from streams.report.document.shapes import NamedCell
from streams.report.questions.what_if import Lifts, WhatIfCell, what_if
from streams.report.services.report import report_what_if
from streams.report.tables.what_if import render_what_if
from tests.support.days import SHOP, days_reader, question
from tests.support.rows import rows


def funnel_of(*stages: str, order: int | None = None) -> Funnel:
    """A funnel of these stages; that of the number `order` has orders."""
    lines = (
        f"  - {{name: {name}, on: [{name}]{', order: true' if number == order else ''}}}"
        for number, name in enumerate(stages)
    )
    return parse_funnel("name: f\ncurrency: USD\nconversion_window: 30d\nstages:\n" + "\n".join(lines))


def cell_of(*entries: int, stages: tuple[str, ...], revenue: int = 0) -> NamedCell:
    """These entries; at the last stage as many orders, of `revenue` minor units together."""
    cell: dict[str, Any] = {name: {"entries": number} for name, number in zip(stages, entries, strict=True)}
    cell[stages[0]]["started"] = entries[0]
    if revenue:
        cell[stages[-1]] |= {"orders": {"USD": entries[-1]}, "revenue": {"USD": revenue}}
    return cell


def asked(text: str, stages: tuple[str, ...], *entries: int, revenue: int = 0) -> WhatIfCell:
    funnel = funnel_of(*stages, order=len(stages) - 1 if revenue else None)
    return what_if(funnel, cell_of(*entries, stages=stages, revenue=revenue), lifts=Lifts.parse(funnel, text))


def expected(answer: WhatIfCell) -> list[float]:
    return [stage["expected_entries"] for stage in answer["stages"]]


def test_ten_times_the_traffic_is_ten_times_the_sales() -> None:
    assert expected(asked("top=+900%", ("visitor", "call", "sale"), 200, 4, 1)) == [2000, 40, 10]


def test_twice_as_many_calls_that_reach_the_decision_maker_are_twice_the_sales() -> None:
    stages = ("call", "decision_maker", "sale")
    before = asked("each=+0%", stages, 30, 10, 2)["stages"][1]["conversion"]
    answer = asked("decision_maker=+100%", stages, 30, 10, 2)
    assert (round(before or 0, 3), round(answer["stages"][1]["expected_conversion"] or 0, 3)) == (0.333, 0.667)
    assert expected(answer) == [30, 20, 4]


@rows("text", ["payment=60%", "payment=+20%"])
def test_invoices_paid_at_60_percent_in_place_of_50_bring_100_000_more(text: str) -> None:
    answer = asked(text, ("invoice", "payment"), 100, 50, revenue=50 * 10_000_00)
    assert answer["gain"] == {"entries": 10, "orders": 10, "revenue": 100_000_00}
    payment = answer["stages"][1]
    assert (payment["orders"], payment["expected_orders"], payment["expected_revenue"]) == (50, 60, 600_000_00)


def test_small_uplifts_compound() -> None:
    stages = tuple("abcdefgh")
    text = ",".join(f"{name}=+{lift}%" for name, lift in zip(stages[1:], (7, 2, 1, 4, 5, 0.5, 1), strict=True))
    answer = asked(text, stages, 2**21, 2**18, 2**15, 2**12, 2**9, 2**6, 2**3, 1)
    assert round(100 * (answer["stages"][-1]["expected_entries"] - 1), 1) == 22.2


def test_each_lifts_every_stage_and_a_named_one_as_it_says() -> None:
    assert expected(asked("each=+10%", ("a", "b", "c"), 1000, 100, 10)) == [1000, 110, 12.1]
    assert expected(asked("each=+10%,c=+50%", ("a", "b", "c"), 1000, 100, 10)) == [1000, 110, 16.5]


def test_nothing_converts_above_100_percent() -> None:
    answer = asked("b=+50%", ("a", "b", "c"), 100, 80, 40)
    assert expected(answer) == [100, 100, 50]
    assert [stage["is_saturated"] for stage in answer["stages"]] == [False, True, False]


def test_those_who_start_midway_do_not_depend_on_what_is_before_them() -> None:
    stages = ("a", "b", "c")
    funnel = funnel_of(*stages)
    cell: NamedCell = {
        "a": {"entries": 100, "started": 100},
        "b": {"entries": 40, "started": 20, "skipped": 10},  # 30 of 100 came or jumped over it, and 20 started here
        "c": {"entries": 25},
    }
    answer = what_if(funnel, cell, lifts=Lifts.parse(funnel, "top=+100%"))
    # passed b: 20 + 0.3 * 200 = 80 in place of 50; 40 in 50 of them enter it; half of them come to c
    assert expected(answer) == [200, 64, 40]


def test_the_stage_that_pays_most_and_the_one_that_converts_best() -> None:
    # the lift of b is cut at 100 %; c and d bring the same by 10 %, but a point of d (2.5 %) more than one of c (50 %)
    answer = asked("each=+10%", ("a", "b", "c", "d"), 1000, 960, 480, 12, revenue=12_000)
    gains = {gain["stage"]: gain for gain in answer["gains"]}
    assert {stage: round(gain["lift"]["revenue"], 6) for stage, gain in gains.items()} == {
        "b": 500,
        "c": 1200,
        "d": 1200,
    }
    assert round(gains["c"]["point"]["revenue"], 6) == 240
    assert round(gains["d"]["point"]["revenue"], 6) == 4800
    assert (answer["pays_most"], answer["converts_best"]) == ("d", "b")
    assert answer["lift_percent"] == 10


def test_of_nothing_nothing_comes() -> None:
    answer = asked("each=+10%", ("a", "b"), 0, 0)
    assert (answer["pays_most"], answer["converts_best"], answer["gain"]["entries"]) == (None, None, 0)
    assert answer["stages"][1]["conversion"] is None


@rows(
    ("text", "says"),
    [
        ("led=+10%", "write top, each or a stage: click, payment"),
        ("payment", "write \\+10%"),
        ("payment=10", "write \\+10%"),
        ("payment=+x%", "write \\+10%"),
        ("payment=150%", "at most 100%"),
        ("payment=-101%", "nothing falls by more than 100%"),
        ("payment=+1%,payment=+2%", "twice"),
        ("top=50%", "no conversion"),
        ("", "write top"),
    ],
)
def test_what_it_cannot_mean_is_refused_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        Lifts.parse(SHOP, text)


def test_forms() -> None:
    lifts = Lifts.parse(SHOP, " top = +50% , payment= 2.5% ")
    assert (lifts.top, lifts.stages["payment"].rate) == (Fraction(3, 2), Fraction(1, 40))
    assert Lifts.parse(SHOP, "click=+50%").top == Fraction(3, 2)
    assert Lifts.parse(SHOP, "payment=-5 %").stages["payment"].factor == Fraction(95, 100)


@st.composite
def cells(draw: st.DrawFn) -> NamedCell:
    """Any cell in which the parts of a stage fit together."""
    cell: dict[str, Any] = {}
    for number, name in enumerate(("a", "b", "c", "d")):
        entries = draw(st.integers(0, 1000))
        started = entries if number == 0 else draw(st.integers(0, entries))
        cell[name] = {"entries": entries, "started": started, "skipped": draw(st.integers(0, 100)) if number else 0}
    orders = draw(st.integers(0, 1000))
    cell["d"] |= {"orders": {"USD": orders}, "revenue": {"USD": draw(st.integers(0, 10**9))}}
    return cell


FOUR = funnel_of("a", "b", "c", "d", order=3)


@given(cell=cells(), text=st.sampled_from(["each=+0%", "top=+0%", "b=+0%,d=-0%"]))
def test_a_lift_of_nothing_changes_nothing(cell: NamedCell, text: str) -> None:
    answer = what_if(FOUR, cell, lifts=Lifts.parse(FOUR, text))
    assert answer["gain"] == {"entries": 0, "orders": 0, "revenue": 0}
    for stage in answer["stages"]:
        assert stage["expected_entries"] == stage["entries"]
        assert stage["expected_conversion"] == stage["conversion"]
        assert (stage["expected_orders"], stage["expected_revenue"]) == (stage["orders"], stage["revenue"])
        assert not stage["is_saturated"]


@given(
    cell=cells(), less=st.integers(0, 300), more=st.integers(0, 300), name=st.sampled_from(["top", "each", "b", "d"])
)
def test_a_higher_lift_never_brings_less(cell: NamedCell, less: int, more: int, name: str) -> None:
    low, high = (
        what_if(FOUR, cell, lifts=Lifts.parse(FOUR, f"{name}=+{lift}%"))["stages"] for lift in sorted((less, more))
    )
    assert all(b["expected_entries"] >= a["expected_entries"] for a, b in zip(low, high, strict=True))


async def test_of_the_live_counters_by_channel_in_a_span() -> None:
    reader = await days_reader(
        {0: {"google": (10, 4, 0), "fb": (10, 1, 0)}, 1: {"google": (20, 6, 0), "fb": (5, 5, 0)}}
    )
    document = await report_what_if(
        reader, question(dim="channel", since="2025-01-07"), lifts=Lifts.parse(SHOP, "payment=+50%")
    )
    assert [cell["dim"] for cell in document["cells"]] == ["channel=fb", "channel=google"]
    google = document["cells"][1]
    assert (google["stages"][1]["expected_entries"], google["gain"]["revenue"]) == (9, 3000)
    whole = await report_what_if(reader, question(), lifts=Lifts.parse(SHOP, "payment=+50%"))
    assert [cell["dim"] for cell in whole["cells"]] == [""]
    assert whole["cells"][0]["stages"][1]["expected_entries"] == 24
    with pytest.raises(QuestionError, match="other people"):
        await report_what_if(reader, question(dim="manager"), lifts=Lifts.parse(SHOP, "each=+1%"))
    console = Console(width=130, color_system=None)
    with console.capture() as capture:
        console.print(render_what_if(document))
    text = capture.get()
    for part in ("what if payment=+50%", "channel=google", "▲ no more than 100 %", "+30.00 EUR", "pays most: payment"):
        assert part in text, text
