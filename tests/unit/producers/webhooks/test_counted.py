"""Recorded webhooks through the real core: numbers computed by hand, by manager, product and reason."""

from __future__ import annotations

from typing import Any

import orjson

from schemas.funnel.load import parse_funnel
from tests.support.collector import NOW, TOPICS
from tests.support.counting import document_of
from tests.support.webhooks import HookedCollector, hooks_of, load

FUNNEL = parse_funnel(
    """
name: deals
version: 1
currency: EUR
conversion_window: 30d
stages:
  - {name: lead, on: [lead_created], abandon_after: 7d}
  - {name: offer, on: [offer_sent], abandon_after: 14d}
  - {name: payment, on: [payment, order_paid], order: true}
lost:
  - {on: [deal_lost, order_cancelled]}
dimensions:
  - {name: manager, attribution: stage}
  - {name: product, attribution: stage}
"""
)
PIPEDRIVE = {
    **load("pipedrive-deal-won")["webhook"],
    "stages": {"3": "offer_sent"},
    "managers": {"12": "Ann", "13": "Bob"},
}
STRIPE = load("stripe-session-completed")["webhook"]


async def counted(collector: HookedCollector, stage_dim: str = "") -> Any:
    records = [(one.key, one.value, one.timestamp_ms) for one in collector.sink.records(TOPICS.events)]
    document = await document_of(records, FUNNEL, until_ms=NOW + 60_000)
    return document["counters"]["total"]["all"][stage_dim]


def pipedrive(sample: str, number: int, **data: Any) -> dict[str, Any]:
    """A recorded delivery of Pipedrive's about another deal."""
    recorded = load(sample)
    body = orjson.loads(recorded["body"])
    body["data"] |= {"id": number, "person_id": 300 + number, **data}
    body["meta"]["id"] = f"{sample}-{number}"
    return {**recorded, "body": orjson.dumps(body)}


async def test_deals_by_manager_with_their_values_and_reasons() -> None:
    """Ann: two deals, one offer of 1,200.50 that is paid. Bob: two deals, an offer, lost for the price, one left."""
    collector = HookedCollector(hooks_of(PIPEDRIVE))
    for sample, number, owner in (
        ("pipedrive-deal-created", 1, 12),
        ("pipedrive-deal-created", 2, 12),
        ("pipedrive-deal-created", 3, 13),
        ("pipedrive-deal-created", 4, 13),
        ("pipedrive-deal-stage", 1, 12),
        ("pipedrive-deal-stage", 3, 13),
        ("pipedrive-deal-won", 1, 12),
        ("pipedrive-deal-lost", 3, 13),
    ):
        times = {"won_time": "2025-01-01T09:59:58Z", "lost_time": "2025-01-01T09:59:58Z"}
        answer = await collector.send(pipedrive(sample, number, owner_id=owner, **times))
        assert answer.json()["accepted"] == 1, answer.text
    ann, bob, all_of_them = [await counted(collector, dim) for dim in ("manager=ann", "manager=bob", "")]
    assert (ann["lead"]["entries"], ann["offer"]["entries"], ann["payment"]["orders"]) == (2, 1, {"EUR": 1})
    assert ann["payment"]["revenue"] == {"EUR": 120_050}
    assert ann["offer"]["value"] == {"EUR": 120_050}
    assert ann["lead"]["open"] == 1
    assert (bob["lead"]["entries"], bob["offer"]["entries"]) == (2, 1)
    assert bob["offer"]["lost.cohort"] == {"too expensive": 1}
    assert "payment" not in bob
    assert all_of_them["lead"]["entries"] == 4
    assert all_of_them["lead"]["advanced.cohort"] == 2
    assert all_of_them["payment"]["revenue"] == {"EUR": 120_050}


async def test_a_sale_that_stripe_tells_four_times_is_one_order() -> None:
    """Session, intent, invoice and charge of one payment intent: 19.99 once, for Ann's blue lamp; 10.00 come back."""
    collector = HookedCollector(hooks_of(STRIPE))
    buyer = {"user_id": "u-17"}
    await collector.send(load("stripe-session-completed"))
    intent = {
        "id": "pi_Test1",
        "object": "payment_intent",
        "amount_received": 1999,
        "currency": "eur",
        "metadata": buyer,
    }
    invoice = {"id": "in_9", "object": "invoice", "amount_paid": 1999, "currency": "eur", "payment_intent": "pi_Test1"}
    charge = {"id": "ch_Test1", "object": "charge", "amount": 1999, "currency": "eur", "payment_intent": "pi_Test1"}
    for number, (kind, thing) in enumerate(
        [
            ("payment_intent.succeeded", intent),
            ("invoice.paid", {**invoice, "metadata": buyer}),
            ("charge.succeeded", {**charge, "metadata": buyer}),
        ]
    ):
        event = {"id": f"evt_{number}", "type": kind, "created": NOW // 1000 - 1, "data": {"object": thing}}
        assert (await collector.stripe(event)).json()["accepted"] == 1
    await collector.send(load("stripe-charge-refunded"))
    everyone = await counted(collector)
    assert everyone["payment"]["orders"] == {"EUR": 1}
    assert everyone["payment"]["revenue"] == {"EUR": 1_999}
    assert everyone["payment"]["events"] == 3
    assert everyone["payment"]["refunds"] == {"EUR": 1_000}
    lamp = await counted(collector, "product=blue lamp")
    ann = await counted(collector, "manager=ann")
    assert lamp["payment"]["revenue"] == ann["payment"]["revenue"] == {"EUR": 1_999}
