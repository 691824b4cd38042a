"""The shipped purchases: what is known of them, by the reader of the product and by that of the tests."""

from __future__ import annotations

from decimal import Decimal
from itertools import takewhile
from pathlib import Path

from producers.simulator.cdnow import CUSTOMERS, PURCHASES, cdnow_events
from tests.oracle.cdnow import Facts, facts_of


def test_the_shipped_history() -> None:
    history = list(cdnow_events())
    assert len(history) == len({one["id"] for one in history}) == PURCHASES
    assert len({one["user_id"] for one in history}) == CUSTOMERS
    assert sum(Decimal(one["properties"]["value"]) for one in history) == Decimal("2500315.63")
    times = [one["occurred_at_ms"] for one in history]
    assert times == sorted(times)
    first = next(iter(history))
    assert first == {
        "id": "cdnow-00001-19970101-1",
        "name": "payment",
        "occurred_at_ms": 852_120_000_000,
        "user_id": "00001",
        "source": "cdnow",
        "properties": {"order_id": "00001-19970101-1", "value": "11.77", "currency": "USD", "cds": 1},
    }
    same_day = [one for one in takewhile(lambda one: one["user_id"] != "x", history) if one["user_id"] == "00002"]
    assert [one["occurred_at_ms"] % 1000 for one in same_day] == [0, 1]


def test_the_shipped_purchase_history_has_its_known_facts() -> None:
    file = Path(__file__).parents[2] / "producers" / "data" / "cdnow_master.txt.gz"
    assert facts_of(file) == Facts(23_570, 69_659, 250_031_563, 11_662, 8_998)
