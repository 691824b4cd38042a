"""What the tables call a number is what it is, by numbers computed by hand."""

from __future__ import annotations

import io

from rich.console import Console

from schemas.funnel.load import parse_funnel
from streams.report.document.rates import ratio
from streams.report.document.shapes import NamedCell
from streams.report.questions.reasons import reasons_of
from streams.report.tables import texts
from streams.report.tables.report import render_cell

SHOP = parse_funnel(
    """
name: shop
currency: EUR
conversion_window: 30d
stages: [{name: lead, on: [lead]}, {name: offer, on: [offer]}, {name: paid, on: [paid], order: true},
         {name: again, on: [paid], nth: 2}]
lost: [{on: [refused]}]
"""
)
CELL: NamedCell = {
    "": {"spend": {"USD": 700}},
    "lead": {"entries": 50, "open": 10, "advanced.cohort": 20, "abandoned.cohort": 8,
             "lost.cohort": {"price": 9, "timing": 3}, "lost_late.cohort": {"timing": 2}},
    "offer": {"entries": 60, "started": 40, "open": 60},
    "paid": {"entries": 12, "orders": {"EUR": 10, "USD": 2}, "revenue": {"EUR": 100_000, "USD": 3_000},
             "refunds": {"USD": 1_000}},
    "again": {"entries": 3, "orders": {"EUR": 3}, "revenue": {"EUR": 30_000}},
}  # fmt: skip


def shown() -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(render_cell(SHOP, CELL))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_ratio_above_one_is_no_share() -> None:
    assert texts.share(ratio(60, 50)) == "×1.20"
    assert texts.share(ratio(50, 50)) == "100.0 %"
    offer = next(line.split() for line in shown().splitlines() if line.startswith("offer"))
    assert offer[1:3] == ["60", "×1.20"]
    assert "120" not in shown()


def test_overall_ends_at_the_first_order_and_the_bottleneck_is_who_left_of_those_with_an_outcome() -> None:
    text = shown()
    assert "overall 24.0 %" in text
    assert "12 of 50 · lead -> paid" in text
    assert "bottleneck lead: 20 of 40 left, 50.0 %" in text  # 8 abandoned and 12 lost, of 50 without 10 open


def test_amounts_in_other_currencies_are_named() -> None:
    text = shown()
    assert "orders 13 · revenue 1,300.00 EUR" in text
    assert "not in these amounts: 2 orders in USD, revenue 30.00 USD, refunds 10.00 USD, spend 7.00 USD" in text


def test_the_loss_rate_by_reason_is_of_entries_with_an_outcome() -> None:
    reasons = reasons_of(SHOP, CELL)
    assert [(each["reason"], each["lost"], each["lost_late"]) for each in reasons] == [
        ("price", 9, 0),
        ("timing", 3, 2),
    ]
    price, timing = (each["rate"] for each in reasons)
    assert price is not None
    assert (price["numerator"], price["denominator"], price["rate"]) == (9, 40, 0.225)
    assert timing is not None
    assert timing["rate"] == 0.075
