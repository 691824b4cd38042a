"""The share won by temperature: of a shop in which hot people buy more often, and of a funnel without scores."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from schemas.funnel.load import parse_funnel
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.services.report import report_calibration
from streams.report.tables.calibration import render_calibration
from tests.support.processing import counted_reader
from tests.support.shop import SHOP, shop_event

FUNNEL = parse_funnel(
    """
name: f
conversion_window: 30d
allowed_lateness: 400d
stages: [{name: lead, on: [lead]}, {name: paid, on: [paid], order: true}, {name: again, on: [paid], nth: 2}]
scoring: {warm: 10, hot: 20, half_life: 1d, points: [{on: pricing, points: 10}, {on: demo, points: 20}]}
dimensions: [{name: temperature, attribution: stage}]
"""
)
DAY = 86_400_000
START = 1_735_689_600_000


def people() -> list[dict[str, Any]]:
    """Forty people cold, forty warm, forty hot when they become leads: 4, 10 and 30 of them pay."""
    events = []
    for number in range(120):
        kind, place = divmod(number, 40)
        looked = {0: [], 1: ["pricing"], 2: ["demo"]}[kind]
        events += [shop_event(name, number, START, {}) for name in looked]
        events.append(shop_event("lead", number, START + 1, {}))
        if place < (4, 10, 30)[kind]:
            events.append(shop_event("paid", number, START + 2 * DAY, {"value": 5}))
    return sorted(events, key=lambda event: event["received_at_ms"])


async def test_hot_people_win_more_often() -> None:
    now_ms = START + 60 * DAY
    reader = await counted_reader(FUNNEL, people(), now_ms=now_ms)
    document = await report_calibration(reader, ReportQuestion.parse(FUNNEL, {"since": "2025-01-01"}, now_ms=now_ms))
    lead, paid = document["stages"]
    assert [(share["temperature"], share["entries"], share["won"]) for share in lead["temperatures"]] == [
        ("cold", 40, 4),
        ("warm", 40, 10),
        ("hot", 40, 30),
    ]
    assert (lead["is_rising"], lead["hot_against_cold"]["is_significant"]) == (True, True)
    # two days later points are a quarter: 20 are 5, so that everybody pays cold
    assert [share["entries"] for share in paid["temperatures"]] == [44, 0, 0]
    assert paid["is_rising"] is None
    console = Console(width=100)
    with console.capture() as shown:
        console.print(render_calibration(document))
    assert "hot wins +65.00 points more than cold (significant: yes" in shown.get()


async def test_nothing_counted_and_no_scores() -> None:
    reader = await counted_reader(FUNNEL, [], now_ms=START)
    document = await report_calibration(reader, ReportQuestion(funnel=FUNNEL))
    assert document["stages"][0]["temperatures"][0]["win"] is None
    for funnel, texts, says in ((SHOP, {}, "has no scores"), (FUNNEL, {"dim": "temperature"}, "leave the dimension")):
        with pytest.raises(QuestionError, match=says):
            await report_calibration(reader, ReportQuestion.parse(funnel, texts, now_ms=START))  # type: ignore[arg-type]
