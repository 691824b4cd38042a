"""What was spent on advertising: which statement stands, what keeps two apart, what is none."""

from __future__ import annotations

import json
from typing import Any

from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from tests.oracle.build import T0
from tests.support.counting import count_records
from tests.support.rows import rows

FUNNEL = """
name: shop
currency: EUR
timezone: Pacific/Auckland
conversion_window: 1d
sources: [web, ads]
stages: [{name: click, on: [click]}, {name: payment, on: [payment], order: true}]
dimensions: [{name: channel, attribution: first, cap: 1}]
"""


def statement(value: Any, *, at: int = 0, **properties: Any) -> dict[str, Any]:
    members = {"id": properties.pop("id", "s"), "source": properties.pop("source", "ads")}
    stated = {"day": "2025-01-03", "channel": "google", "value": value} | properties
    return {**members, "name": "Ad-Spend", "occurred_at_ms": T0 + at, "received_at_ms": T0 + at, "properties": stated}


def spent(*statements: dict[str, Any]) -> dict[str, Any]:
    """{day: {channel: cents}} with the total under ""."""
    from asyncio import run

    from streams.report.document.counters import build_document
    from tests.support.counting import CountedReader

    funnel: Funnel = parse_funnel(FUNNEL)
    records = [(None, json.dumps(one).encode(), one["received_at_ms"]) for one in statements]
    counted = count_records([funnel], records, batch_sizes=[1, 2], dump_and_load=True)
    document = run(build_document(CountedReader(counted), funnel))
    days = document["counters"].get("day", {})
    return {day: {dim: stages[""]["spend"] for dim, stages in cells.items()} for day, cells in days.items()}


def whole(cents: int, **more: int) -> dict[str, Any]:
    return {"2025-01-03": {"": {"EUR": cents}, **{f"channel={name}": {"EUR": part} for name, part in more.items()}}}


@rows(
    ("statements", "counted"),
    [
        ((statement("10"), statement("12.50", at=1)), whole(1250, google=1250)),  # corrected
        ((statement("12.50", at=1), statement("10")), whole(1250, google=1250)),  # and told in the other order
        ((statement(1, id="a"), statement(2, id="b")), whole(200, google=200)),  # of one moment the greater id
        ((statement(1), statement(2)), whole(100, google=100)),  # a copy, whatever it says
        ((statement(1, campaign="x"), statement(2, campaign="y")), whole(300, google=300)),
        ((statement(1), statement(2, source="web")), whole(300, google=300)),
        ((statement(5), statement(0, at=1)), {}),  # taken back
        ((statement(1), statement(2, channel="a"), statement(3, channel="b")), whole(600, google=100, other=500)),
        ((statement(1, day="no day"), statement("free"), statement(1, currency="euro")), {}),
        ((statement(1, source="till"),), {}),  # no source of this funnel
        ((statement(1, day=None, at=43_200_000),), {"2025-01-02": whole(100, google=100)["2025-01-03"]}),
    ],
)
def test_what_counts(statements: tuple[dict[str, Any], ...], counted: dict[str, Any]) -> None:
    assert spent(*statements) == counted


def test_amounts_of_two_currencies_are_two_statements() -> None:
    assert spent(statement(1), statement(2, currency="USD"))["2025-01-03"][""] == {"EUR": 100, "USD": 200}
