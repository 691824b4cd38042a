"""The simulated shop and the shipped history: deterministic, and what they say they are."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Rejected, Scope, Sender
from producers.simulator.cdnow import cdnow_events
from producers.simulator.simulator import START_MS, simulate
from schemas.funnel.load import load_funnel
from tests.support.rows import rows
from tests.support.thorough import cases

EVENTS = cases(20_000, few=8_000)
HISTORICAL = Sender("web", Scope.HISTORICAL)


def events(count: int = EVENTS, **options: Any) -> list[dict[str, Any]]:
    return list(simulate(**{"seed": 1, "events": count} | options))


@rows("messy", [False, True])
def test_the_same_seed_gives_the_same_events(messy: bool) -> None:
    first = events(1_000, messy=messy)
    assert first == events(1_000, messy=messy)
    assert first != events(1_000, messy=messy, seed=2)
    assert len(first) == 1_000


@rows("count", [0, 1, 7])
def test_any_number_of_events(count: int) -> None:
    assert len(events(count)) == count
    assert len(events(count, messy=True)) == count


def test_a_shop_with_every_stage_of_the_funnel() -> None:
    simulated = events()
    names = Counter(one["name"] for one in simulated)
    assert names["impression"] > names["click"] > names["lead_created"] > names["offer_sent"] > names["payment"] > 50
    assert all(names[one] for one in ("lead_lost", "offer_declined", "payment_error"))
    known = {rule.event for stage in load_funnel("sales").stages for rule in stage.on}
    known |= {rule.event for lost in load_funnel("sales").lost for rule in lost.on}
    assert names.keys() <= known
    assert {one["source"] for one in simulated} == {"web", "crm", "billing"}
    times = [one["occurred_at_ms"] for one in simulated]
    assert times == sorted(times)
    assert times[0] >= START_MS
    assert 40 < (times[-1] - times[0]) / 86_400_000 < 80
    orders = [one["properties"] for one in simulated if one["name"] == "payment"]
    assert len({one["order_id"] for one in orders}) == len(orders)
    assert all(Decimal(one["value"]) > 0 and one["currency"] in ("USD", "EUR") for one in orders)


def test_every_clean_event_is_accepted() -> None:
    ingest = Ingest()
    for event in events(cases(5_000, few=1_500)):
        assert isinstance(ingest.native(orjson.dumps(event), sender=HISTORICAL, received_at_ms=None), Accepted)


def test_messy_events() -> None:
    simulated = events(messy=True)
    received = [one["received_at_ms"] for one in simulated]
    assert received == sorted(received)
    copies = len(simulated) - len({one["id"] for one in simulated})
    assert 0.07 < copies / len(simulated) < 0.11
    disorder = sum(a["occurred_at_ms"] > b["occurred_at_ms"] for a, b in pairwise(simulated))
    assert disorder > 0.05 * len(simulated)
    late = sum(one["received_at_ms"] - one["occurred_at_ms"] > 3 * 86_400_000 for one in simulated)
    assert 5 < late < 0.01 * len(simulated)
    ingest = Ingest()
    verdicts = [ingest.native(orjson.dumps(one), sender=HISTORICAL, received_at_ms=None) for one in simulated]
    assert sum(one.placeholder_ids for one in verdicts if isinstance(one, Accepted)) > 50
    rejected = [one.reason.value for one in verdicts if isinstance(one, Rejected)]
    assert set(rejected) == {"missing_person"}
    assert len(rejected) < 0.005 * len(simulated)


def test_messy_sales() -> None:
    simulated = events(20_000, messy=True)
    names = Counter(one["name"] for one in simulated)
    assert all(names[name] for name in ("refund", "order_withdrawn", "order_restated"))
    deals: dict[str, set[str]] = {}
    for event in simulated:
        if "deal_id" in event["properties"]:
            deals.setdefault(str(event.get("contact_id") or event["anonymous_id"]), set()).add(
                event["properties"]["deal_id"]
            )
    assert Counter(len(ids) for ids in deals.values())[2] > 10


def test_another_file_of_the_same_form(tmp_path: Path) -> None:
    path = tmp_path / "h.txt"
    path.write_text(" customer_id date cds value\n 2 19970102 1 5.00\n 1 19970101 2 0.00\n\n")
    assert [one["id"] for one in cdnow_events(path)] == ["cdnow-1-19970101-1", "cdnow-2-19970102-1"]
