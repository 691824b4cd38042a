"""What is left of the money, and what customers bring against what they cost."""

from __future__ import annotations

from typing import Any, Unpack

from rich.console import Console

from schemas.funnel.load import parse_funnel
from streams.report.document.question import QuestionTexts, ReportQuestion
from streams.report.questions.profit import ProfitCell, profit_cell
from streams.report.services.report import report_profit
from streams.report.tables.profit import render_profit
from tests.support.processing import counted_reader
from tests.support.shop import shop_event

FUNNEL = parse_funnel(
    """
name: f
currency: EUR
conversion_window: 30d
allowed_lateness: 400d
stages: [{name: click, on: [click]}, {name: paid, on: [paid], order: true}, {name: again, on: [paid], nth: 2}]
dimensions: [{name: channel, attribution: first}, {name: product, attribution: stage}]
"""
)
DAY = 86_400_000
START = 1_735_689_600_000
"""2025-01-01."""


def paid(person: int, day: int, value: int, channel: str = "google", **more: Any) -> dict[str, Any]:
    properties = {"channel": channel, "value": value, "order_id": f"{person}-{day}", **more}
    return shop_event("paid", person, START + day * DAY, properties) | {"id": f"{person}-{day}"}


def spent(channel: str, value: int) -> dict[str, Any]:
    properties = {"channel": channel, "day": "2025-01-01", "value": value}
    return shop_event("ad_spend", -1, START, properties) | {"user_id": None, "id": channel}


EVENTS = [
    spent("google", 90),
    spent("fair", 500),
    paid(1, 0, 50, cost=20, product="lamp"),
    paid(2, 0, 30, cost=10, discount=5, product="desk"),
    paid(3, 1, 70, "fair", product="lamp"),
    paid(1, 40, 25, cost=5, product="desk"),
    shop_event("refund", 2, START + 2 * DAY, {"order_id": "2-0", "refund_id": "r", "value": 10}),
]


async def asked(**texts: Unpack[QuestionTexts]) -> dict[str, ProfitCell]:
    events = sorted(EVENTS, key=lambda event: event["received_at_ms"])
    now_ms = START + 60 * DAY
    reader = await counted_reader(FUNNEL, events, now_ms=now_ms)
    document = await report_profit(reader, ReportQuestion.parse(FUNNEL, texts, now_ms=now_ms))
    console = Console(width=250)
    with console.capture() as shown:
        console.print(render_profit(document))
    assert "what is left" in shown.get()
    return {cell["dim"]: cell for cell in document["cells"]}


async def test_margin_and_what_is_left_after_the_spend() -> None:
    by_channel = await asked(dim="channel")
    google, fair = by_channel["channel=google"], by_channel["channel=fair"]
    assert (google["revenue"], google["refunds"], google["cost"], google["discount"]) == (10_500, 1_000, 3_500, 500)
    assert (google["margin"], google["spend"], google["left"]) == (6_000, 9_000, -3_000)
    assert (google["orders"], google["cost_per_sale"]) == (3, 3_000)
    assert (fair["margin"], fair["left"]) == (None, -43_000)  # nobody has said what its orders cost


async def test_margin_of_a_product_is_that_of_its_orders() -> None:
    by_product = await asked(dim="product")
    assert by_product["product=desk"]["margin"] == 3_000 + 2_500 - 1_000 - 1_000 - 500
    assert (by_product["product=desk"]["spend"], by_product["product=desk"]["left"]) == (None, None)


async def test_customers_by_age_and_when_they_have_paid_back() -> None:
    by_channel = await asked(dim="channel", since="2025-01-01", until="2025-01-03")
    google, fair = by_channel["channel=google"], by_channel["channel=fair"]
    assert (google["customers"], google["acquisition_cost"]) == (2, 4_500)
    brought = {age["days"]: age["revenue"] for age in google["lifetime"]}
    assert brought == {0: 8_000, 30: 8_000, 60: 10_500, 90: 10_500, 180: 10_500, 365: 10_500, None: 10_500}
    complete = [age["days"] for age in google["lifetime"] if age["is_complete"]]
    assert complete == [0, 30]  # the youngest are 57 days old
    assert (google["payback_days"], fair["payback_days"]) == (60, None)


async def test_of_all_time_only_the_first_order_is_told_for_sure() -> None:
    whole = (await asked())[""]
    assert [age["days"] for age in whole["lifetime"] if age["is_complete"]] == [0]


def test_of_nothing_nothing_is_told() -> None:
    cell = profit_cell(FUNNEL, {}, dim="", oldest_age_ms=0)
    assert (cell["margin"], cell["left"], cell["cost_per_sale"], cell["payback_days"]) == (None, None, None, None)
    assert (cell["lifetime"], cell["acquisition_cost"]) == ([], None)
