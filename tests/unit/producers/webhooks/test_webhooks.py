"""What each vendor's recorded delivery becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from producers.access.keys import KeyRing, create_key
from producers.ingest.verdicts import Scope
from tests.support.collector import NOW
from tests.support.rows import rows
from tests.support.webhooks import CONTACTS, EVERY_SAMPLE, HookedCollector, hooks_of, load, of_sample, told_by

NOW_S = 1_735_725_600
STRIPE = {"name": "stripe", "provider": "stripe", "secrets": ["whsec_test_0123456789abcdef"]}


def properties(event: dict[str, Any], *names: str) -> dict[str, Any]:
    """Some of them."""
    return {name: event["properties"].get(name) for name in names}


def paid(**members: Any) -> dict[str, Any]:
    """A payment intent of Stripe's that succeeded."""
    thing = {"id": "pi_1", "object": "payment_intent", "amount_received": 100, "currency": "usd", **members}
    return {"id": "evt_1", "type": "payment_intent.succeeded", "created": NOW_S, "data": {"object": thing}}


@rows(
    ("sample", "name", "expected"),
    [
        ("stripe-session-completed", "payment", {"order_id": "pi_Test1", "value": "19.99", "currency": "EUR"}),
        ("stripe-session-completed", "payment", {"manager": "ann", "product": "Blue lamp"}),
        ("stripe-invoice-paid", "payment", {"order_id": "pi_Test3", "value": "50000", "currency": "JPY"}),
        ("stripe-intent-failed", "payment_failed", {"reason": "insufficient_funds", "order_id": "pi_Test2"}),
        ("stripe-charge-refunded", "refund", {"refund_id": "ch_Test1:1500", "order_id": "pi_Test1", "value": "10.00"}),
        ("stripe-dispute-created", "dispute", {"reason": "fraudulent", "order_id": "pi_Test1", "value": "19.99"}),
        ("stripe-quote-finalized", "offer_sent", {"value": "1200.50", "currency": "USD", "manager": "bob"}),
        ("stripe-subscription-deleted", "subscription_cancelled", {"reason": "too_expensive"}),
        ("shopify-orders-paid", "order_paid", {"order_id": "820982911946154508", "value": "403.00", "currency": "USD"}),
        (
            "shopify-orders-paid",
            "order_paid",
            {"product": "Blue lamp", "channel": "organic search", "campaign": "spring"},
        ),
        ("shopify-orders-cancelled", "order_cancelled", {"reason": "customer"}),
        ("shopify-orders-create", "shopify_orders_create", {"order_id": "820982911946154508"}),
        ("shopify-refunds-create", "refund", {"order_id": "820982911946154508", "value": "199.00", "currency": "USD"}),
        ("shopify-checkouts-create", "checkout_started", {"value": "398.00", "product": "Blue lamp"}),
        ("shopify-customers-create", "lead_created", {}),
        ("pipedrive-deal-created", "lead_created", {"deal_id": "77", "manager": "12", "stage": "2", "pipeline": "1"}),
        ("pipedrive-deal-won", "payment", {"order_id": "pipedrive:deal:77", "value": "1200.5", "currency": "EUR"}),
        ("pipedrive-deal-lost", "deal_lost", {"reason": "Too expensive"}),
        ("pipedrive-v1-won", "payment", {"order_id": "pipedrive:deal:79", "value": "10", "manager": "Ann"}),
        ("amocrm-leads-add", "lead_created", {"deal_id": "25399015", "manager": "109", "pipeline": "7"}),
        ("amocrm-contacts-add", "amocrm_contacts_add", {}),
        ("bitrix24-deal-add", "lead_created", {"deal_id": "759"}),
        ("bitrix24-deal-update", "bitrix24_deal_update", {"deal_id": "759"}),
        ("bitrix24-lead-add", "lead_created", {}),
        ("generic-payment", "payment", {"order_id": "g-1", "value": "10.50", "manager": "ann", "product": "Lamp"}),
    ],
)
async def test_a_delivery_becomes(sample: str, name: str, expected: dict[str, Any]) -> None:
    event = (await told_by(sample))[0]
    assert event["name"] == name
    assert properties(event, *expected) == expected


async def test_every_sample_is_taken() -> None:
    for name in EVERY_SAMPLE:
        collector = of_sample(name.removeprefix("webhook-"))
        answer = await collector.send(load(name.removeprefix("webhook-")))
        assert answer.status_code == 200, name
        assert len(collector.events()) + len(collector.dead_letters()) == len(answer.json()["results"]) > 0


@rows(
    ("sample", "ids"),
    [
        (
            "stripe-session-completed",
            {"user_id": "u-17", "anonymous_id": "v-17", "contact_id": CONTACTS.of_email("buyer@example.com")},
        ),
        ("stripe-subscription-deleted", {"contact_id": "stripe:stripe:customer:cus_Test3"}),
        (
            "shopify-orders-paid",
            {"anonymous_id": "v-20", "contact_id": CONTACTS.of_email("order@example.com")},
        ),
        ("shopify-refunds-create", {"anonymous_id": "shopify:example.myshopify.com:order:820982911946154508"}),
        ("pipedrive-deal-won", {"contact_id": "pipedrive:1:person:301", "anonymous_id": "pipedrive:1:deal:77"}),
        ("amocrm-leads-add", {"anonymous_id": "amocrm:example:lead:25399015"}),
        ("amocrm-contacts-add", {"contact_id": CONTACTS.of_email("c@example.com")}),
        ("bitrix24-deal-add", {"anonymous_id": "bitrix24:a223c6b3710f85df22e9377d6c4f7553:deal:759"}),
        ("generic-payment", {"user_id": "u-30", "contact_id": CONTACTS.of_email("gen@example.com")}),
    ],
)
async def test_whose_it_is(sample: str, ids: dict[str, str]) -> None:
    event = (await told_by(sample))[0]
    assert {name: event[name] for name in ("user_id", "anonymous_id", "contact_id") if name in event} == ids
    assert "@" not in str(event)


async def test_amocrm_tells_of_several_leads_at_once() -> None:
    won, lost = await told_by("amocrm-leads-status")
    assert (won["name"], lost["name"]) == ("payment", "deal_lost")
    assert properties(won, "value", "currency", "order_id") == {
        "value": "5000",
        "currency": "EUR",
        "order_id": "amocrm:lead:25399013",
    }
    assert won["occurred_at_ms"] == (NOW_S - 20) * 1000


async def test_hubspot_tells_of_many_changes_and_why_a_deal_was_lost() -> None:
    events = [event for event in await told_by("hubspot-deals") if event["name"] != "order_withdrawn"]
    assert [event["name"] for event in events] == [
        "lead_created",
        "offer_sent",
        "hubspot_deal_closed_lost_reason",
        "deal_lost",
        "payment",
    ]
    assert events[3]["properties"]["reason"] == "Price"


async def test_the_managers_of_the_file_have_names() -> None:
    [event] = await told_by("pipedrive-deal-won", managers={12: "Ann"})
    assert event["properties"]["manager"] == "Ann"


async def test_the_stage_map_says_what_a_stage_is() -> None:
    [event] = await told_by("pipedrive-deal-stage", stages={"3": "offer_sent"})
    assert event["name"] == "offer_sent"
    [event] = await told_by("pipedrive-deal-stage", stages={"3": "offer_sent", "1/3": "invoice_sent"})
    assert event["name"] == "invoice_sent"
    [event] = await told_by("pipedrive-deal-stage", stages={"3": None})
    assert event["name"] == "pipedrive_deal_change"
    [event] = await told_by("pipedrive-deal-stage", stages={"*": "negotiation"})
    assert event["name"] == "negotiation"


async def test_a_payment_that_does_not_say_who_paid_is_left_to_the_others_of_its_sale() -> None:
    collector = HookedCollector(hooks_of(STRIPE))
    await collector.stripe(paid(customer="cus_1"))
    await collector.stripe(paid(id="pi_2", receipt_email="a@example.com") | {"id": "evt_2"})
    assert sorted(event["name"] for event in collector.events()) == ["payment", "stripe_payment_intent_succeeded"]
    collector = HookedCollector(hooks_of({**STRIPE, "anonymous_payments": True}))
    await collector.stripe(paid(customer="cus_1"))
    assert [event["name"] for event in collector.events()] == ["payment"]


@rows(
    ("thing", "kind"),
    [
        ({"object": "checkout.session", "payment_status": "unpaid", "payment_intent": "pi_1"}, "completed"),
        (
            {"object": "checkout.session", "payment_status": "paid", "mode": "subscription", "invoice": "in_1"},
            "completed",
        ),
        ({"object": "checkout.session", "payment_status": "no_payment_required"}, "completed"),
    ],
)
async def test_a_session_without_a_payment_of_its_own_is_none(thing: dict[str, Any], kind: str) -> None:
    collector = HookedCollector(hooks_of(STRIPE))
    whole = {**thing, "id": "cs_1", "amount_total": 5, "currency": "eur", "client_reference_id": "u1"}
    await collector.stripe({"id": "evt_1", "type": f"checkout.session.{kind}", "data": {"object": whole}})
    assert [event["name"] for event in collector.events()] == ["stripe_checkout_session_completed"]


async def test_an_invoice_of_newer_interfaces_names_its_payment_elsewhere() -> None:
    collector = HookedCollector(hooks_of(STRIPE))
    payments = {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_9"}}]}
    thing = {"id": "in_1", "object": "invoice", "amount_paid": 5, "currency": "eur", "customer_email": "a@example.com"}
    event = {"id": "evt_1", "type": "invoice.paid", "data": {"object": {**thing, "payments": payments}}}
    await collector.stripe(event)
    await collector.stripe({**event, "id": "evt_2", "data": {"object": thing}})
    await collector.stripe({**event, "id": "evt_3", "data": {"object": {**thing, "amount_paid": 0}}})
    orders = {event["id"]: (event["name"], event["properties"]["order_id"]) for event in collector.events()}
    assert orders == {
        "evt_1": ("payment", "pi_9"),
        "evt_2": ("payment", "in_1"),
        "evt_3": ("stripe_invoice_paid", "in_1"),
    }


@rows(
    ("currency", "minor", "major"),
    [("usd", 5, "0.05"), ("jpy", 500, "500"), ("kwd", 5120, "5.120"), ("isk", 500, "5.00"), ("ugx", 500, "5.00")],
)
async def test_minor_units_of_every_kind_are_exact(currency: str, minor: int, major: str) -> None:
    collector = HookedCollector(hooks_of(STRIPE))
    await collector.stripe(paid(currency=currency, amount_received=minor, receipt_email="a@example.com"))
    [event] = collector.events()
    assert event["properties"]["value"] == major
    assert event["properties"]["currency"] == currency.upper()


async def test_what_nobody_maps_keeps_the_vendors_name() -> None:
    collector = HookedCollector(hooks_of(STRIPE))
    thing = {"id": "po_1", "object": "payout", "amount": 5, "currency": "eur"}
    await collector.stripe({"id": "evt_1", "type": "payout.paid", "data": {"object": thing}})
    [event] = collector.events()
    assert (event["name"], event["contact_id"]) == ("stripe_payout_paid", "stripe:stripe:payout:po_1")


async def test_an_element_of_a_dead_letter_reads_as_the_same_event_again() -> None:
    collector = of_sample("amocrm-leads-status", stages={"142": None})
    await collector.send(load("amocrm-leads-status"), path="/v1/webhooks/amocrm/amocrm-secret-0123456789abc")
    first = collector.events()
    again = of_sample("amocrm-leads-status", stages={"142": None})
    from producers.webhooks.amocrm import read
    from producers.webhooks.delivery import RawDelivery

    events = read(RawDelivery(load("amocrm-leads-status")["body"].encode(), {}, "x", "EUR")).events
    for event in events:
        await again.post("/v1/webhooks/amocrm/amocrm-secret-0123456789abc", event.element)
    assert sorted(map(str, again.events())) == sorted(map(str, first))


async def test_a_hook_of_a_crm_with_access_is_left_to_the_enricher() -> None:
    api = {"url": "https://example.amocrm.com", "token": "t"}
    collector = of_sample("amocrm-leads-status", api=api)
    answer = await collector.send(load("amocrm-leads-status"))
    assert [one["status"] for one in answer.json()["results"]] == ["accepted", "accepted"]
    assert collector.events() == []
    assert {one["hook"] for one in collector.hooks()} == {"amocrm"}
    collector = of_sample("bitrix24-deal-update", api={"url": "https://example.bitrix24.com/rest/1/s"})
    await collector.send(load("bitrix24-deal-update"))
    [hook] = collector.hooks()
    assert load("bitrix24-deal-update")["webhook"]["secrets"][0] not in str(hook)


async def test_a_dead_letter_of_an_unknown_stage_can_be_sent_again_once_the_stage_is_mapped(tmp_path: Path) -> None:
    collector = of_sample("pipedrive-deal-stage")
    await collector.send(load("pipedrive-deal-stage"))
    [dead_letter] = collector.dead_letters()
    path = tmp_path / "keys.json"
    key, _ = create_key(path, source="ops", scope=Scope.HISTORICAL, created_at="2025-01-01T00:00:00+00:00")
    fixed = of_sample("pipedrive-deal-stage", keys=KeyRing(path), stages={"3": "offer_sent"})
    headers = {"X-Write-Key": key, "X-Funnelcast-Replayed": f"{dead_letter['received_at_ms']};{dead_letter['source']}"}
    answer = await fixed.post(dead_letter["route"], dead_letter["payload"], headers)
    assert answer.json()["accepted"] == 1, answer.text
    [event] = fixed.events()
    assert (event["name"], event["source"], event["received_at_ms"]) == ("offer_sent", "pipedrive", NOW)
