"""What a vendor marks as not real is kept apart: answered 200, named, counted, no event, unless the hook takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson

from tests.support.collector import NOW
from tests.support.rows import rows
from tests.support.webhooks import HookedCollector, hooks_of, load, sign_shopify, standard_headers

NOW_S = NOW // 1000
Send = Callable[[HookedCollector], Awaitable[httpx.Response]]


def stripe(**marks: Any) -> Send:
    """A paid session."""
    thing: dict[str, Any] = {
        "id": "cs_1",
        "object": "checkout.session",
        "payment_status": "paid",
        "payment_intent": "pi_1",
    }
    thing |= {"amount_total": 5000, "currency": "eur", "client_reference_id": "u2"}
    event = {"id": "evt_1", "type": "checkout.session.completed", "created": NOW_S, "data": {"object": thing}, **marks}
    return lambda collector: collector.stripe(event)


def shopify(topic: str, headers: dict[str, str] | None = None, **marks: Any) -> Send:
    """An order or a refund."""
    body = orjson.dumps(
        {"id": 1, "order_id": 1, "total_price": "5.00", "currency": "EUR", "email": "a@b.example", **marks}
    )
    signed = sign_shopify(body, load("shopify-orders-paid")["webhook"]["secrets"][0])
    return lambda collector: collector.post(
        "/v1/webhooks/shopify", body, {"x-shopify-topic": topic, **signed, **(headers or {})}
    )


def generic(**marks: Any) -> Send:
    """A payment."""
    body = orjson.dumps({"type": "payment", "data": {"user_id": "u1", "value": 5, "currency": "EUR"}, **marks})
    return lambda collector: collector.post("/v1/webhooks/generic", body, standard_headers(body, b"0" * 24, NOW_S))


HOOKS = (
    load("stripe-session-completed")["webhook"],
    {**load("shopify-orders-paid")["webhook"], "name": "shopify"},
    {"name": "generic", "provider": "generic", "secrets": ["whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"]},
)
transaction = {"kind": "refund", "status": "success", "amount": "5.00", "currency": "EUR", "test": True}
TEST = {
    "stripe": stripe(livemode=False),
    "shopify paid": shopify("orders/paid", test=True),
    "shopify cancelled": shopify("orders/cancelled", test=True),
    "shopify created": shopify("orders/create", test=True),
    "shopify refund": shopify("refunds/create", transactions=[transaction]),
    "shopify trial": shopify("orders/paid", {"X-Shopify-Test": "true"}),
    "generic livemode": generic(livemode=False),
    "generic test": generic(test=True),
    "generic meta": generic(meta={"test_mode": True}),
    "generic data": generic(data={"user_id": "u1", "value": 5, "currency": "EUR", "is_sandbox": True}),
}
REAL = {
    "stripe": stripe(livemode=True),
    "stripe says nothing": stripe(),
    "shopify": shopify("orders/paid", test=False),
    "shopify says nothing": shopify("orders/paid"),
    "generic": generic(test=False, livemode=True),
    "generic says nothing": generic(mode="payment", environment="live", sandbox=None, test=0),
    "generic business fields": generic(data={"user_id": "u1", "mode": "test", "environment": "sandbox", "test": True}),
}


def collector_of(**options: Any) -> HookedCollector:
    """A collector with all of the hooks."""
    return HookedCollector(hooks_of(*({**hook, **options} for hook in HOOKS)))


@rows("name", TEST)
async def test_what_is_not_real_is_kept_apart(name: str) -> None:
    collector = collector_of()
    answer = await TEST[name](collector)
    result = answer.json()["results"][0]
    assert (answer.status_code, result["status"], result["reason"]) == (200, "rejected", "test_event")
    assert "`test: true`" in result["detail"]
    assert result["id"]
    assert not collector.events()
    assert {one["reason"] for one in collector.dead_letters()} == {"test_event"}
    page = collector.app.metrics.render().decode()
    assert 'outcome="rejected",reason="test_event"' in page


@rows("name", TEST)
async def test_a_hook_can_take_it(name: str) -> None:
    collector = collector_of(test=True)
    answer = await TEST[name](collector)
    assert answer.json()["accepted"] == len(answer.json()["results"]) == len(collector.events()) > 0
    assert not collector.dead_letters()


@rows("name", REAL)
async def test_what_is_real_counts(name: str) -> None:
    for options in ({}, {"test": True}):
        collector = collector_of(**options)
        assert (await REAL[name](collector)).json()["accepted"] == 1
        assert len(collector.events()) == 1
