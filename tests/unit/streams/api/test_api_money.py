"""Money over HTTP: customers that pay back what was spent on them, and amounts in several currencies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from schemas.funnel.load import parse_funnel
from streams.store.port import CounterReader
from tests.support.processing import counted_reader
from tests.support.served_reports import served
from tests.support.shop import shop_event

FUNNEL = parse_funnel(
    """
name: f
currency: EUR
conversion_window: 30d
allowed_lateness: 400d
stages: [{name: click, on: [click]}, {name: paid, on: [paid], order: true}]
dimensions: [{name: channel, attribution: first}]
"""
)
DAY = 86_400_000
START = 1_735_689_600_000
"""2025-01-01."""


def _paid(person: int, day: int, value: str, currency: str) -> dict[str, Any]:
    properties = {"channel": "ads", "value": value, "currency": currency, "order_id": f"{person}-{day}"}
    return shop_event("paid", person, START + day * DAY, properties) | {"id": f"{person}-{day}"}


def _spent(number: int, value: str, currency: str) -> dict[str, Any]:
    properties = {"channel": "ads", "day": "2025-01-01", "value": value, "currency": currency}
    return shop_event("ad_spend", -1, START + number, properties) | {"user_id": None, "id": f"spend-{number}"}


EVENTS = [
    _spent(0, "999", "EUR"),
    _spent(1, "60", "EUR"),  # stated again: this one stands
    _spent(2, "7000", "JPY"),
    _paid(1, 0, "19.995", "EUR"),  # half to even: 20.00
    _paid(1, 1, "10000", "JPY"),
    _paid(2, 2, "1.2345", "KWD"),  # three decimals: 1.234
    _paid(1, 40, "45.00", "EUR"),
]


async def _reader() -> CounterReader:
    return await counted_reader(FUNNEL, EVENTS, now_ms=START + 60 * DAY)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served(_reader, funnels=[FUNNEL]) as url, httpx.Client(base_url=url) as http:
        yield http


def test_customers_pay_back_in_the_currency_of_the_funnel(client: httpx.Client) -> None:
    (cell,) = client.get("/v1/profit", params={"dim": "channel"}).json()["cells"]
    assert (cell["orders"], cell["revenue"], cell["spend"], cell["left"]) == (2, 6_500, 6_000, 500)
    assert (cell["customers"], cell["acquisition_cost"]) == (2, 3_000)
    assert {age["days"]: age["per_customer"] for age in cell["lifetime"]} == {
        0: 1_000,
        30: 1_000,
        **dict.fromkeys((60, 90, 180, 365, None), 3_250),
    }
    assert cell["payback_days"] == 60


def test_other_currencies_are_counted_and_never_added(client: httpx.Client) -> None:
    document = client.get("/v1/reports", params={"grain": "total", "dim": "channel"}).json()
    cell = document["counters"]["total"]["all"]["channel=ads"]
    assert cell[""]["spend"] == {"EUR": 6_000, "JPY": 7_000}
    assert cell["paid"]["revenue"] == {"EUR": 6_500, "JPY": 10_000, "KWD": 1_234}
    assert cell["paid"]["orders"] == {"EUR": 2, "JPY": 1, "KWD": 1}
    assert cell["paid"]["lifetime"] == {"EUR 0": 2_000, "EUR 60": 4_500, "JPY 30": 10_000, "KWD 0": 1_234}
    money = document["rates"][0]["money"]
    assert (money["orders"], money["revenue"], money["spend"]) == (2, 6_500, 6_000)
    assert money["aov"] == 3_250
    assert money["roas"] == 6_500 / 6_000
    rows = client.get("/v1/reports/counters.csv", params={"grain": "total", "dim": "channel"}).text
    assert "paid,revenue,JPY,10000" in rows
