"""When a webhook's event happened: when the delivery says that this change happened, never by a date that the thing had
before, or that people and imports can set. And deals that are closed when they are created."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from schemas.funnel.load import parse_funnel
from tests.support.collector import NOW, TOPICS
from tests.support.counting import document_of
from tests.support.rows import rows
from tests.support.webhooks import HookedCollector, hooks_of, load, sign_shopify

SHOPIFY = {"name": "shopify", "provider": "shopify", "secrets": ["shopify-secret"], "source": "shop"}
LONG_AGO = "2024-12-01T00:00:00Z"
LONG_AGO_S = 1_733_011_200
AT = "2025-01-01T09:59:50Z"
AT_MS = NOW - 10_000
AT_S = AT_MS // 1000


async def of_shopify(topic: str, **dates: Any) -> dict[str, Any]:
    """The event of a delivery with these dates."""
    collector = HookedCollector(hooks_of(SHOPIFY))
    body = orjson.dumps({"id": 1, "total_price": "1.00", "currency": "EUR", "email": "a@example.com", **dates})
    headers = {"x-shopify-topic": topic, **sign_shopify(body, "shopify-secret")}
    answer = await collector.post("/v1/webhooks/shopify", body, headers)
    assert answer.json()["accepted"] == len(collector.events()), answer.text
    assert len({one["occurred_at_ms"] for one in collector.events()}) == 1
    return collector.events()[0]


@rows(
    ("topic", "dates"),
    [
        ("orders/paid", {"created_at": LONG_AGO, "updated_at": AT}),
        ("orders/updated", {"created_at": LONG_AGO, "updated_at": AT}),
        ("orders/fulfilled", {"created_at": LONG_AGO, "updated_at": AT}),
        ("orders/cancelled", {"created_at": LONG_AGO, "cancelled_at": AT, "updated_at": "2025-01-01T09:59:55Z"}),
        ("orders/create", {"created_at": AT, "updated_at": "2025-01-01T09:59:55Z"}),
        ("customers/create", {"created_at": AT}),
        ("checkouts/create", {"created_at": AT}),
        ("draft_orders/create", {"created_at": AT}),
        ("refunds/create", {"created_at": AT}),
        ("orders/edited", {"created_at": AT}),
    ],
)
async def test_shopify(topic: str, dates: dict[str, str]) -> None:
    event = await of_shopify(topic, processed_at=LONG_AGO, **dates)
    assert event["occurred_at_ms"] == AT_MS


async def test_shopify_says_nothing_of_when() -> None:
    event = await of_shopify("orders/paid", processed_at=LONG_AGO, created_at=LONG_AGO)
    assert event["occurred_at_ms"] == NOW


@rows("kind", ["checkout.session.completed", "invoice.paid", "charge.refunded", "payout.paid"])
async def test_stripe(kind: str) -> None:
    collector = HookedCollector(hooks_of(load("stripe-session-completed")["webhook"]))
    thing = {"id": "x_1", "object": "charge", "created": LONG_AGO_S, "effective_at": LONG_AGO_S, "customer": "cus_1"}
    event = {"id": "evt_1", "type": kind, "livemode": True, "created": AT_S, "data": {"object": thing}}
    assert (await collector.stripe(event)).json()["accepted"] == 1
    assert collector.events()[0]["occurred_at_ms"] == AT_MS


async def of_pipedrive(sample: str, data: dict[str, Any], **meta: Any) -> list[dict[str, Any]]:
    """The events of a recorded delivery with other data."""
    recorded = load(sample)
    body = orjson.loads(recorded["body"])
    body["data" if "data" in body else "current"] |= data
    body["meta"] |= meta
    collector = HookedCollector(hooks_of(recorded["webhook"]))
    await collector.send({**recorded, "body": orjson.dumps(body)})
    return sorted(collector.events(), key=lambda one: str(one["id"]))


@rows("sample", ["pipedrive-deal-created", "pipedrive-deal-won", "pipedrive-deal-lost", "pipedrive-v1-won"])
async def test_pipedrive(sample: str) -> None:
    dates = dict.fromkeys(("won_time", "lost_time", "add_time", "close_time"), LONG_AGO)
    stated = AT_S if "v1" in sample else AT
    [event] = await of_pipedrive(sample, dates, timestamp=stated)
    assert event["occurred_at_ms"] == AT_MS
    [event] = await of_pipedrive(sample, {**dates, "update_time": AT}, timestamp=None, timestamp_micro=None)
    assert event["occurred_at_ms"] == AT_MS


@rows("sample", ["amocrm-leads-add", "amocrm-leads-status", "amocrm-contacts-add"])
async def test_amocrm(sample: str) -> None:
    recorded = load(sample)
    pairs = [
        (name, str(AT_S) if "last_modified" in name else str(LONG_AGO_S) if "date_create" in name else value)
        for name, value in parse_qsl(recorded["body"])
    ]
    collector = HookedCollector(hooks_of(recorded["webhook"]))
    await collector.send({**recorded, "body": urlencode(pairs)})
    assert {one["occurred_at_ms"] for one in collector.events()} == {AT_MS}


async def test_hubspot_and_the_hooks_of_bitrix24_state_when_it_changed() -> None:
    for sample in ("hubspot-deals", "bitrix24-deal-add"):
        recorded = load(sample)
        collector = HookedCollector(hooks_of(recorded["webhook"]))
        await collector.send(recorded)
        assert all(NOW - 3_600_000 < one["occurred_at_ms"] <= NOW for one in collector.events()), sample


FUNNEL = parse_funnel(
    """
name: deals
version: 1
currency: EUR
conversion_window: 30d
stages:
  - {name: lead, on: [lead_created], abandon_after: 7d}
  - {name: payment, on: [payment], order: true}
lost:
  - {on: [deal_lost]}
"""
)


async def test_a_deal_that_is_created_as_won_is_paid_once() -> None:
    """100.00 at the moment of the creation, whatever `won_time` says; the same deal edited later adds nothing."""
    recorded = load("pipedrive-deal-created")
    collector = HookedCollector(hooks_of(recorded["webhook"]))
    body = orjson.loads(recorded["body"])
    body["data"] |= {"id": 601, "value": 100, "status": "won", "won_time": LONG_AGO}
    answer = await collector.send({**recorded, "body": orjson.dumps(body)})
    assert answer.json()["accepted"] == 2
    edited = {**body, "previous": {"value": 90}, "meta": {**body["meta"], "action": "change", "id": "another"}}
    await collector.send({**recorded, "body": orjson.dumps(edited)})
    records = [(one.key, one.value, one.timestamp_ms) for one in collector.sink.records(TOPICS.events)]
    document = await document_of(records, FUNNEL, until_ms=NOW + 60_000)
    stages = document["counters"]["total"]["all"][""]
    assert stages["lead"]["entries"] == 1
    assert (stages["payment"]["orders"], stages["payment"]["revenue"]) == ({"EUR": 1}, {"EUR": 10_000})


async def test_a_deal_that_is_created_as_lost_is_lost() -> None:
    created, lost = await of_pipedrive("pipedrive-deal-created", {"status": "lost", "lost_reason": "Price"})
    assert (created["name"], lost["name"], lost["properties"]["reason"]) == ("lead_created", "deal_lost", "Price")


async def test_an_edit_of_a_won_deal_is_not_won_again_in_v1() -> None:
    recorded = load("pipedrive-v1-won")
    body = orjson.loads(recorded["body"])
    body["previous"] = {**body["current"], "title": "Older"}
    collector = HookedCollector(hooks_of(recorded["webhook"]))
    await collector.send({**recorded, "body": orjson.dumps(body)})
    assert [one["name"] for one in collector.events()] == ["pipedrive_deal_change"]


@rows(("status", "name"), [("142", "payment"), ("143", "deal_lost")])
async def test_a_lead_that_is_added_as_closed(status: str, name: str) -> None:
    recorded = load("amocrm-leads-add")
    body = recorded["body"].replace("status_id%5D=1001", f"status_id%5D={status}").replace("price%5D=0", "price%5D=70")
    collector = HookedCollector(hooks_of(recorded["webhook"]))
    for _ in range(2):
        await collector.send({**recorded, "body": body})
    added, closed = sorted(collector.events(), key=lambda one: one["name"] == name)
    assert (added["name"], closed["name"]) == ("lead_created", name)
    assert (closed["properties"]["value"], closed["properties"]["order_id"]) == ("70", "amocrm:lead:25399015")
