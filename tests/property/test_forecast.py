"""The forecast by hand on a few entries, and on a simulated shop: what is foretold against what comes."""

from __future__ import annotations

import asyncio
import functools
from datetime import date
from random import Random
from typing import Any, Unpack

import pytest
from rich.console import Console

from schemas.funnel.load import parse_funnel
from streams.report.document.cell import CellView
from streams.report.document.question import QuestionError, QuestionTexts, ReportQuestion
from streams.report.document.shapes import NamedCell
from streams.report.forecasting.curves import Curves
from streams.report.services.forecast import ForecastDocument, report_forecast
from streams.report.tables.forecast import render_forecast
from streams.store.memory import MemoryCounterReader
from tests.support.processing import counted_reader
from tests.support.shop import shop_event

FUNNEL = parse_funnel(
    """
name: deals
currency: EUR
conversion_window: 20d
stages:
  - {name: lead, on: [lead], abandon_after: 10d}
  - {name: offer, on: [offer], abandon_after: 10d}
  - {name: payment, on: [payment], order: true}
lost: [{on: [deal_lost]}]
dimensions: [{name: channel, attribution: first}, {name: manager, attribution: stage}]
"""
)
DAY = 86_400_000
START = 1_735_689_600_000


def simulated(random: Random, days: int, leads_a_day: int) -> list[dict[str, Any]]:
    """Leads, of which 9 of 10 from the fair and 3 of 10 from the web get an offer within days. Half of these pay, a
    fifth is lost, the others stay silent."""
    events: list[dict[str, Any]] = []
    for number in range(days * leads_a_day):
        channel = "fair" if number % 2 else "web"
        at = START + int((number + random.random()) * DAY / leads_a_day)
        path: list[tuple[str, int, dict[str, Any]]] = [("lead", at, {})]
        if random.random() < (0.9 if channel == "fair" else 0.3):
            at += int(random.expovariate(1 / 2.5) * DAY)
            path.append(("offer", at, {}))
            at += int(random.expovariate(1 / 4) * DAY)
            if (luck := random.random()) < 0.5:
                path.append(("payment", at, {"value": round(random.lognormvariate(4, 0.5), 2)}))
            elif luck < 0.7:
                path.append(("deal_lost", at, {}))
        for name, time_ms, more in path:
            events.append(shop_event(name, number, time_ms, {"channel": channel, "order_id": f"o{number}", **more}))
    return sorted(events, key=lambda event: int(event["received_at_ms"]))


EVENTS = simulated(Random(7), 130, 15)
LATER_MS = START + 100 * DAY


@functools.cache
def counted(days: int) -> MemoryCounterReader:
    """The first days of the events."""
    now_ms = START + days * DAY
    seen = [event for event in EVENTS if event["received_at_ms"] < now_ms]
    return asyncio.run(counted_reader(FUNNEL, seen, now_ms=now_ms + 60_000))


def foretold(days: int, *, with_back_test: bool = False, **texts: Unpack[QuestionTexts]) -> ForecastDocument:
    now_ms = START + days * DAY
    question = ReportQuestion.parse(FUNNEL, texts, now_ms=now_ms)
    document = asyncio.run(report_forecast(counted(days), question, with_back_test=with_back_test, now_ms=now_ms))
    Console(quiet=True).print(render_forecast(document))
    return document


def came(now_ms: int, *, days: int, channel: str | None = None) -> tuple[int, float]:
    """(orders, revenue in minor units) within days of those whose lead was before."""
    begun = {event["user_id"] for event in EVENTS if event["name"] == "lead" and event["received_at_ms"] < now_ms}
    paid = [
        event["properties"]
        for event in EVENTS
        if event["name"] == "payment"
        and event["user_id"] in begun
        and now_ms <= event["received_at_ms"] < now_ms + days * DAY
        and channel in (None, event["properties"]["channel"])
    ]
    return len(paid), sum(100 * each["value"] for each in paid)


def test_who_is_still_there_by_hand() -> None:
    # of 100 leads 40 pay after one to three days, 20 are lost within a day: after two days 20 have paid, 60 are there
    cell: NamedCell = {
        "lead": {"entries": 100, "won": 40, "durations": {"payment 259200": 40}, "loss_time": {"86400": 20}},
        "payment": {"entries": 40, "lead_time": {"259200": 40}},
    }
    curves = Curves.of(FUNNEL, CellView(cell))
    assert curves.leaving[0].there(2) == pytest.approx(60)
    going_on = curves.going_on(0, 2)
    assert going_on is not None
    assert going_on[2][:3] == pytest.approx([20 / 60, 0, 0])
    assert [curves.win_rate(0), curves.win_rate(2), curves.won] == pytest.approx([0.4, 1, 40])
    assert curves.ordered[0][:4] == pytest.approx([0, 0.2, 0.2, 0])


def test_what_is_foretold_comes_when_it_is_said() -> None:
    (cell,) = foretold(100)["cells"]
    assert cell["learned_orders"] > 300
    for when, days in zip(cell["when"], (7, 14, 20), strict=True):
        orders, revenue = came(LATER_MS, days=days)
        assert abs(orders - when["orders"]) < 2.5 * when["orders"] ** 0.5
        assert when["interval"][0] <= revenue <= when["interval"][1]
        assert when["interval"][1] < 4 * when["interval"][0]
    assert sum(stage["expected"] for stage in cell["stages"]) == pytest.approx(cell["expected"])
    lead, offer = cell["stages"]
    assert (lead["stage"], offer["stage"]) == ("lead", "offer")
    rates = {age["least_days"]: age["win_rate"] or 0.0 for age in lead["ages"]}
    assert rates[0] > rates[3] > rates[7]  # who has waited a week for an offer hardly gets one


def test_each_channel_has_a_future_of_its_own() -> None:
    cells = foretold(100, dim="channel")["cells"]
    assert [cell["dim"] for cell in cells] == ["channel=fair", "channel=web"]
    for cell in cells:
        _, revenue = came(LATER_MS, days=20, channel=cell["dim"].removeprefix("channel="))
        low, high = cell["interval"] or (0, 0)
        assert (cell["learned_from"], low <= revenue <= high) == (cell["dim"], True)
    assert (cells[0]["orders"] or 0) > 1.5 * (cells[1]["orders"] or 0)


def test_the_back_test_says_how_often_the_interval_held() -> None:
    test = foretold(130, with_back_test=True)["back_test"]
    assert test is not None
    assert (test["horizon_days"], len(test["dates"])) == (20, 11)
    assert (test["coverage"] or 0) >= 0.85
    assert test["bias"] == pytest.approx(1, abs=0.1)
    for each in test["dates"]:
        then = START + (date.fromisoformat(each["date"]) - date(2025, 1, 1)).days * DAY
        assert each["actual"] == pytest.approx(came(then, days=20)[0], abs=6)


def test_without_settled_cohorts_nothing_is_foretold() -> None:
    document = foretold(10, with_back_test=True)
    assert [cell["expected"] for cell in document["cells"]] == [None]
    assert document["back_test"] == {"horizon_days": 20, "dates": [], "inside": 0, "coverage": None, "bias": None}


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"since": "7d"}, "under way now"),
        ({"grain": "day"}, "under way now"),
        ({"dim": "manager"}, "attribution stage"),
    ],
)
def test_what_has_no_future_is_refused(texts: QuestionTexts, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        foretold(10, **texts)
