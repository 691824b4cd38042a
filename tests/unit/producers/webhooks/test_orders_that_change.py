"""Deals and orders that change at the vendor, told through the collector and counted by the real core: each story has
the money that was really earned, and what a vendor tells twice is booked once."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson

from schemas.funnel.load import parse_funnel
from tests.support.collector import NOW, TOPICS
from tests.support.counting import document_of
from tests.support.webhooks import HookedCollector, hooks_of, load, of_sample, sign_shopify

FUNNEL = parse_funnel(
    """
name: deals
version: 1
currency: EUR
conversion_window: 30d
stages:
  - {name: lead, on: [lead_created]}
  - {name: payment, on: [payment, order_paid], order: true}
lost:
  - {on: [deal_lost, order_cancelled]}
"""
)
INVOICE = "in_1MtHbELkdIwHu7ixl4OzzPMv"
DAY = 86_400_000
SHOPIFY = {"name": "shopify", "provider": "shopify", "secrets": ["shopify-secret"], "currency": "EUR"}
STRIPE = load("stripe-session-completed")["webhook"]


async def money(collector: HookedCollector) -> tuple[int, int, int]:
    """(orders, revenue, refunds), revenue and refunds in cents."""
    records = [(one.key, one.value, one.timestamp_ms) for one in collector.sink.records(TOPICS.events)]
    document = await document_of(records, FUNNEL, until_ms=collector.now_ms + 60_000)
    total = document["counters"].get("total", {}).get("all", {})
    payment = total.get("", {}).get("payment", {})
    orders, revenue, refunds = (payment.get(name, {}).get("EUR", 0) for name in ("orders", "revenue", "refunds"))
    return orders, revenue, refunds


def names(collector: HookedCollector) -> list[str]:
    """Of the events that were written."""
    return [one["name"] for one in collector.events()]


class Pipedrive:
    """Deliveries about one deal, a second apart."""

    def __init__(self) -> None:
        self.recorded = load("pipedrive-deal-won")
        self.collector = HookedCollector(hooks_of(self.recorded["webhook"]))
        self.told = 0

    async def tell(self, previous: dict[str, Any], *, after_days: int = 0, **data: Any) -> None:
        self.told += 1
        body = orjson.loads(self.recorded["body"])
        at_ms = NOW - 30_000 + self.told * 1_000 + after_days * DAY
        self.collector.now_ms = NOW + after_days * DAY
        body["data"] |= {"value": 100, **data}
        body["meta"] |= {"id": f"delivery-{self.told}", "timestamp": at_ms // 1000}
        body["previous"] = previous
        if data.get("status") == "deleted":
            body = {"data": None, "previous": body["data"] | previous, "meta": body["meta"] | {"action": "delete"}}
        await self.collector.send({**self.recorded, "body": orjson.dumps(body)})


async def test_a_pipedrive_deal_that_is_reopened_revalued_won_again_and_deleted() -> None:
    deal = Pipedrive()
    await deal.tell({"status": "open"}, status="won")
    assert await money(deal.collector) == (1, 10_000, 0)
    await deal.tell({"value": 100}, status="won", value=80)
    assert await money(deal.collector) == (1, 8_000, 0)
    await deal.tell({"status": "won"}, status="open", value=80)
    assert await money(deal.collector) == (0, 0, 0)
    await deal.tell({"value": 80}, status="open", value=120)
    await deal.tell({"status": "open"}, status="won", value=120)
    assert await money(deal.collector) == (1, 12_000, 0)
    await deal.tell({"status": "won"}, status="deleted")
    assert await money(deal.collector) == (0, 0, 0)
    assert {one["contact_id"] for one in deal.collector.events()} == {"pipedrive:1:person:301"}
    assert {one["properties"]["deal_id"] for one in deal.collector.events()} == {"77"}


async def test_a_pipedrive_deal_that_is_reopened_long_after_it_was_won_is_a_refund() -> None:
    deal = Pipedrive()
    await deal.tell({"status": "open"}, status="won")
    await deal.tell({"status": "won"}, status="lost", after_days=60)
    assert await money(deal.collector) == (1, 10_000, 10_000)


async def test_a_deal_that_was_never_won_is_withdrawn_by_nothing() -> None:
    deal = Pipedrive()
    await deal.tell({"status": "lost"}, status="open")
    await deal.tell({"value": 5}, status="open", value=6)
    await deal.tell({"status": "open"}, status="deleted")
    assert not {"order_withdrawn", "order_restated"} & set(names(deal.collector))


async def test_a_hubspot_deal_that_moves_back_changes_its_amount_and_is_deleted() -> None:
    recorded = load("hubspot-deals")
    collector = HookedCollector(hooks_of({**recorded["webhook"], "legacy_signatures": True, "currency": "EUR"}))

    async def change(number: int, **members: Any) -> None:
        said = {"eventId": number, "objectId": 901, "portalId": 1, "occurredAt": NOW - 60_000 + number, **members}
        body = orjson.dumps([{"subscriptionType": "deal.propertyChange", **said}])
        await collector.post("/v1/webhooks/hubspot", body, _hubspot(recorded, body))

    await change(1, propertyName="amount", propertyValue="250")
    await change(2, propertyName="dealstage", propertyValue="closedwon")
    assert await money(collector) == (1, 25_000, 0)
    await change(3, propertyName="amount", propertyValue="300")
    assert await money(collector) == (1, 30_000, 0)
    await change(4, propertyName="dealstage", propertyValue="contractsent")
    assert await money(collector) == (0, 0, 0)
    await change(5, propertyName="dealstage", propertyValue="closedwon")
    await change(6, propertyName="amount", propertyValue="310")
    assert await money(collector) == (1, 31_000, 0)
    await change(7, subscriptionType="deal.deletion")
    assert await money(collector) == (0, 0, 0)


def _hubspot(recorded: dict[str, Any], body: bytes) -> dict[str, str]:
    import hashlib

    [secret] = recorded["webhook"]["secrets"]
    signature = hashlib.sha256(secret.encode() + body).hexdigest()
    return {"x-hubspot-signature": signature, "x-hubspot-signature-version": "v1"}


async def test_an_amocrm_lead_that_is_reopened_revalued_restored_and_deleted() -> None:
    collector = of_sample("amocrm-leads-status")

    async def tell(action: str, second: int, status: str, price: int, **members: str) -> None:
        lead = {"id": "7", "status_id": status, "price": str(price), "last_modified": str(NOW // 1000 - 60 + second)}
        pairs = {f"leads[{action}][0][{name}]": value for name, value in {**lead, **members}.items()}
        body = urlencode(pairs | {"account[subdomain]": "example"})
        await collector.send(load("amocrm-leads-status"), body=body)

    await tell("status", 1, "142", 50, old_status_id="1003")
    await tell("update", 1, "142", 50)
    await tell("update", 2, "142", 70)
    assert await money(collector) == (1, 7_000, 0)
    await tell("status", 3, "143", 70, old_status_id="142")
    assert await money(collector) == (0, 0, 0)
    await tell("status", 4, "142", 80, old_status_id="143")
    assert await money(collector) == (1, 8_000, 0)
    await tell("delete", 5, "142", 80)
    assert await money(collector) == (0, 0, 0)
    assert {one["anonymous_id"] for one in collector.events()} == {"amocrm:example:lead:7"}


class Shop:
    """Deliveries of Shopify about one order of 400 without a customer, a second apart."""

    def __init__(self) -> None:
        self.collector = HookedCollector(hooks_of(SHOPIFY))
        self.told = 0

    async def tell(self, topic: str, *, after_days: int = 0, **members: Any) -> None:
        self.told += 1
        at = f"2025-{'01' if not after_days else '03'}-01T09:59:{10 + self.told}Z"
        self.collector.now_ms = NOW + (59 * DAY if after_days else 0)
        order = {"id": 1, "total_price": "400.00", "currency": "EUR", "financial_status": "paid", "updated_at": at}
        order |= {"current_total_price": "400.00", "total_outstanding": "0.00", "cancelled_at": None, "refunds": []}
        body = orjson.dumps({**order, "created_at": at, **members})
        headers = {"x-shopify-topic": topic, **sign_shopify(body, "shopify-secret")}
        answer = await self.collector.post("/v1/webhooks/shopify", body, headers)
        assert answer.status_code == 200, answer.text

    def back(self, amount: str) -> dict[str, Any]:
        paid = {"kind": "refund", "status": "success", "amount": amount, "currency": "EUR"}
        return {"id": 9, "order_id": 1, "transactions": [paid]}


async def test_a_cancelled_shopify_order_and_its_refund_are_booked_once() -> None:
    for is_refund_first in (False, True):
        shop = Shop()
        await shop.tell("orders/paid")
        told = [("refunds/create", shop.back("400.00")), ("orders/cancelled", {"cancel_reason": "customer"})]
        for topic, members in told if is_refund_first else reversed(told):
            await shop.tell(topic, **members)
        await shop.tell("orders/updated", cancelled_at="2025-01-01T09:59:50Z", financial_status="refunded")
        assert await money(shop.collector) == (0, 0, 0)


async def test_a_refund_that_names_nobody_reaches_the_buyer_of_the_cancelled_order() -> None:
    """The order is linked to its buyer, who came as a visitor; so cancellation and refund meet, in front of the horizon
    and behind it."""
    buyer: dict[str, Any] = {"email": "a@example.com", "note_attributes": [{"name": "anonymous_id", "value": "v-1"}]}
    for after_days, expected in ((0, (0, 0, 0)), (59, (1, 40_000, 40_000))):
        shop = Shop()
        await shop.tell("orders/paid", **buyer)
        await shop.tell("orders/cancelled", after_days=after_days, **buyer)
        await shop.tell("refunds/create", after_days=after_days, **shop.back("400.00"))
        assert await money(shop.collector) == expected


async def test_a_shopify_order_that_is_cancelled_behind_the_horizon_is_one_refund() -> None:
    shop = Shop()
    await shop.tell("orders/paid")
    await shop.tell("orders/cancelled", after_days=59)
    await shop.tell("refunds/create", after_days=59, **shop.back("400.00"))
    assert await money(shop.collector) == (1, 40_000, 40_000)


async def test_an_edited_shopify_order_and_its_refund_are_booked_once() -> None:
    for after_days in (0, 59):
        shop = Shop()
        await shop.tell("orders/paid")
        await shop.tell("orders/updated", current_total_price="350.00", total_outstanding="-50.00")
        assert await money(shop.collector) == (1, 40_000, 0)  # the customer has not got it back yet
        await shop.tell("refunds/create", after_days=after_days, **shop.back("50.00"))
        after = {"current_total_price": "350.00", "refunds": [shop.back("50.00")]}
        await shop.tell("orders/updated", after_days=after_days, financial_status="partially_refunded", **after)
        assert await money(shop.collector) == (1, 40_000, 5_000)


async def test_a_shopify_order_that_grows_is_worth_what_was_paid() -> None:
    shop = Shop()
    await shop.tell("orders/paid")
    grown: dict[str, Any] = {"total_price": "450.00", "current_total_price": "450.00"}
    await shop.tell("orders/updated", financial_status="partially_paid", total_outstanding="50.00", **grown)
    assert await money(shop.collector) == (1, 40_000, 0)
    await shop.tell("orders/updated", **grown)
    assert await money(shop.collector) == (1, 45_000, 0)


async def test_a_shopify_order_that_is_edited_before_it_is_paid_is_worth_what_was_paid() -> None:
    shop = Shop()
    await shop.tell("orders/paid", current_total_price="380.00")
    assert await money(shop.collector) == (1, 38_000, 0)


async def test_a_paid_shopify_order_whose_open_amount_is_out_of_date_is_worth_its_total() -> None:
    for open_, status in (("400.00", "paid"), ("150.00", "pending")):
        shop = Shop()
        await shop.tell("orders/paid", total_outstanding=open_, financial_status=status)
        assert await money(shop.collector) == (1, 40_000, 0)


async def test_a_shopify_order_that_is_deleted_is_withdrawn() -> None:
    shop = Shop()
    await shop.tell("orders/paid")
    body = orjson.dumps({"id": 1})
    headers = {"x-shopify-topic": "orders/delete", **sign_shopify(body, "shopify-secret")}
    await shop.collector.post("/v1/webhooks/shopify", body, headers)
    assert await money(shop.collector) == (0, 0, 0)


async def test_a_shopify_chargeback_takes_the_money_once_it_is_lost() -> None:
    """Its deliveries have neither a time nor a version. It may be lost when it is told for the first time."""
    later: tuple[tuple[str, str], ...]
    later = (("create", "needs_response"), ("update", "under_review"), *(("update", "lost"),) * 2)
    at_once = (("create", "accepted"), ("update", "accepted"))
    lost, kept = (1, 40_000, 40_000), (1, 40_000, 0)
    cases = [("chargeback", later, lost), ("inquiry", later, kept), ("chargeback", at_once, lost)]
    cases += [("chargeback", at_once[:1], lost), ("inquiry", at_once, kept)]
    for kind, told, expected in cases:
        shop = Shop()
        await shop.tell("orders/paid")
        dispute = {"id": 5, "order_id": 1, "type": kind, "amount": "400.00", "currency": "EUR", "reason": "fraudulent"}
        for topic, status in told:
            body = orjson.dumps({**dispute, "status": status})
            headers = {"x-shopify-topic": f"disputes/{topic}", **sign_shopify(body, "shopify-secret")}
            await shop.collector.post("/v1/webhooks/shopify", body, headers)
        assert await money(shop.collector) == expected


async def test_an_invoice_and_its_payment_intent_are_one_order() -> None:
    """Before API 2025-03-31 the invoice names the intent; from then on only the intent names the invoice."""
    paid = {"currency": "eur", "customer": "cus_1"}
    intent = {"id": "pi_1", "object": "payment_intent", "amount_received": 1999, **paid}
    intent |= {"payment_details": {"customer_reference": None, "order_reference": INVOICE}}
    invoice = {"id": INVOICE, "object": "invoice", "amount_paid": 1999, "amount_due": 1999, **paid}
    for of_intent, of_invoice in (({"invoice": INVOICE}, {"payment_intent": "pi_1"}), ({}, {})):
        collector = HookedCollector(hooks_of({**STRIPE, "anonymous_payments": True}))
        for kind, thing in (("payment_intent.succeeded", intent | of_intent), ("invoice.paid", invoice | of_invoice)):
            event = {"id": f"evt_{kind}", "type": kind, "created": NOW // 1000 - 9, "data": {"object": thing}}
            await collector.stripe(event)
        assert await money(collector) == (1, 1_999, 0)


async def test_a_seller_s_own_reference_is_no_invoice() -> None:
    """`order_reference` holds any text of the seller's, the same one on many intents."""
    collector = HookedCollector(hooks_of({**STRIPE, "anonymous_payments": True}))
    for number in range(2):
        intent = {"id": f"pi_{number}", "object": "payment_intent", "amount_received": 1999, "currency": "eur"}
        intent |= {"customer": "cus_1", "payment_details": {"order_reference": "in_store"}}
        event = {"id": f"evt_{number}", "type": "payment_intent.succeeded", "created": NOW // 1000 - 9 + number}
        await collector.stripe({**event, "data": {"object": intent}})
    assert await money(collector) == (2, 3_998, 0)


async def test_an_invoice_that_is_paid_in_cash_is_paid_and_a_trial_is_not() -> None:
    for is_cash, expected in ((True, (1, 500, 0)), (False, (0, 0, 0))):
        collector = HookedCollector(hooks_of(STRIPE))
        thing = {"id": "in_1", "object": "invoice", "amount_paid": 0, "amount_due": 500, "currency": "eur"}
        thing |= {"customer": "cus_1", "paid_out_of_band": is_cash}
        event = {"id": "evt_1", "type": "invoice.paid", "created": NOW // 1000 - 9, "data": {"object": thing}}
        await collector.stripe(event)
        assert await money(collector) == expected


async def stripe_dispute(status: str, *, after_days: int = 0) -> HookedCollector:
    """A payment of 19.99 of which all is disputed, and how it ends."""
    collector = HookedCollector(hooks_of({**STRIPE, "anonymous_payments": True}))
    intent = {"id": "pi_1", "object": "payment_intent", "amount_received": 1999, "currency": "eur"}
    dispute = {"id": "dp_1", "object": "dispute", "amount": 1999, "currency": "eur", "payment_intent": "pi_1"}
    kinds = ("created", "funds_withdrawn", *(("funds_reinstated",) if status == "won" else ()), "closed")
    told = [("payment_intent.succeeded", intent, 0)]
    told += [(f"charge.dispute.{kind}", {**dispute, "status": status}, after_days) for kind in kinds]
    for number, (kind, thing, days) in enumerate(told):
        collector.now_ms = NOW + days * DAY
        seconds = collector.now_ms // 1000 - 60 + number
        await collector.stripe({"id": f"evt_{number}", "type": kind, "created": seconds, "data": {"object": thing}})
    return collector


async def test_a_stripe_dispute_takes_the_money_once_it_is_lost() -> None:
    for after_days in (0, 60):
        assert await money(await stripe_dispute("lost", after_days=after_days)) == (1, 1_999, 1_999)
        assert await money(await stripe_dispute("won", after_days=after_days)) == (1, 1_999, 0)
    assert await money(await stripe_dispute("warning_closed")) == (1, 1_999, 0)


async def test_a_voided_invoice_withdraws_what_was_booked_of_it() -> None:
    collector = HookedCollector(hooks_of({**STRIPE, "stages": {"invoice.finalized": "payment"}}))
    thing = {"id": "in_1", "object": "invoice", "total": 500, "amount_due": 500, "currency": "eur", "customer": "cus_1"}
    for number, kind in enumerate(("invoice.finalized", "invoice.voided")):
        event = {"id": f"evt_{number}", "type": kind, "created": NOW // 1000 - 9 + number, "data": {"object": thing}}
        await collector.stripe(event)
        assert (await money(collector))[:2] == ((1, 500) if number == 0 else (0, 0))


async def test_an_order_of_a_visitor_is_linked_to_the_buyer_by_an_event_of_its_own() -> None:
    """`refunds/create` names nobody but the order."""
    collector = of_sample("shopify-orders-paid")
    await collector.send(load("shopify-orders-paid"))
    paid, link = collector.events()
    order = "shopify:example.myshopify.com:order:820982911946154508"
    assert (paid["anonymous_id"], link["anonymous_id"]) == ("v-20", order)
    assert paid["contact_id"] == link["contact_id"]
    refunded = of_sample("shopify-refunds-create")
    await refunded.send(load("shopify-refunds-create"))
    [refund] = refunded.events()
    assert (refund["anonymous_id"], refund.get("contact_id")) == (order, None)
