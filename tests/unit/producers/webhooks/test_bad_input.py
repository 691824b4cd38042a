"""Deliveries that are not taken: exact status and body; and noise, which never is more than that."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from hubspot.utils.signature import Signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.formats.port import Request
from producers.http.body import RequestError
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Deferred, Rejected, Sender
from producers.webhooks.endpoint import HookEndpoint
from producers.webhooks.providers import PROVIDERS
from tests.support.collector import NOW
from tests.support.rows import rows
from tests.support.thorough import cases
from tests.support.webhooks import (
    CONTACTS,
    HookedCollector,
    hooks_of,
    load,
    of_sample,
    standard_headers,
    stripe_headers,
)

FORGED = {
    "code": "bad_signature",
    "message": "the delivery does not prove that it is genuine",
}
SIGNED = (
    "stripe-session-completed",
    "shopify-orders-paid",
    "hubspot-deals",
    "generic-payment",
)
SHARED = ("pipedrive-deal-won", "pipedrive-v1-won", "amocrm-leads-add", "bitrix24-deal-add")


async def refused(collector: HookedCollector, sample: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a 401."""
    answer = await collector.send(sample, **changes)
    assert answer.status_code == 401
    assert collector.events() == collector.hooks() == []
    body: dict[str, Any] = answer.json()
    return body


@rows("name", SIGNED)
async def test_a_body_that_was_tampered_with_is_refused(name: str) -> None:
    sample = load(name)
    body = await refused(of_sample(name), sample, body=sample["body"].replace("e", "E", 1))
    assert body == {**FORGED, "detail": f"check the secrets of the hook {sample['webhook']['name']!r}"}


@rows("name", [*SIGNED, *SHARED])
async def test_a_wrong_secret_is_refused_and_a_rotated_one_taken(name: str) -> None:
    sample = load(name)
    [secret] = sample["webhook"]["secrets"]
    other = "whsec_b3RoZXIgc2VjcmV0IG9mIHR3ZW50eSBmb3Vy"
    await refused(of_sample(name, secrets=[other]), sample)
    answer = await of_sample(name, secrets=[other, secret]).send(sample)
    assert answer.status_code == 200


@rows("name", [*SIGNED, *SHARED])
async def test_a_delivery_without_any_proof_is_refused(name: str) -> None:
    sample = load(name)
    bare = {
        "path": f"/v1/webhooks/{sample['webhook']['name']}",
        "query": "",
        "headers": {"x-shopify-topic": "orders/paid"},
    }
    body = sample["body"].split("&auth")[0]
    await refused(of_sample(name), sample, body=body, **bare)


async def test_a_secret_in_the_address_is_taken_from_path_and_query() -> None:
    sample, secret = load("amocrm-leads-add"), "amocrm-secret-0123456789abc"
    for path in (
        f"/v1/webhooks/amocrm/{secret}",
        f"/v1/webhooks/amocrm/{secret}/",
        f"/v1/webhooks/amocrm?secret={secret}",
    ):
        assert (await of_sample("amocrm-leads-add").send(sample, path=path)).status_code == 200
    for path in (f"/v1/webhooks/amocrm/{secret}x", "/v1/webhooks/amocrm/", "/v1/webhooks/amocrm?secret="):
        await refused(of_sample("amocrm-leads-add"), sample, path=path)


@rows("name", ["stripe-session-completed", "hubspot-deals", "generic-payment"])
@rows("minutes", [6, -6])
async def test_a_delivery_outside_the_replay_window_is_stale(name: str, minutes: int) -> None:
    collector = of_sample(name)
    collector.now_ms += minutes * 60_000
    answer = await collector.send(load(name))
    assert answer.status_code == 400
    assert answer.json() == {
        "code": "stale_delivery",
        "message": "the delivery is outside the replay window",
        "detail": "its signed time is more than 5 minutes from this clock",
    }
    assert [dead_letter["reason"] for dead_letter in collector.dead_letters()] == ["stale_delivery"]


@rows("name", [*SIGNED, *SHARED])
async def test_a_replayed_delivery_is_answered_and_not_stored_again(name: str) -> None:
    collector, sample = of_sample(name), load(name)
    first = await collector.send(sample)
    stored = len(collector.events())
    again = await collector.send(sample)
    assert again.status_code == 200
    assert again.json() == {
        "accepted": 0,
        "results": [{"id": one["id"], "status": "deduplicated"} for one in first.json()["results"]],
    }
    assert len(collector.events()) == stored


async def test_hubspots_older_signatures_are_taken_only_where_they_are_asked_for() -> None:
    sample, url = load("hubspot-deals"), "https://collect.example.com/v1/webhooks/hubspot"
    [secret] = sample["webhook"]["secrets"]
    for version in ("v1", "v2"):
        signature = Signature.get_signature(secret, sample["body"], version, url, "POST")
        headers = {"x-hubspot-signature": signature, "x-hubspot-signature-version": version}
        await refused(of_sample("hubspot-deals"), sample, headers=headers)
        answer = await of_sample("hubspot-deals", legacy_signatures=True).send(sample, headers=headers)
        assert answer.json()["accepted"] == 7
        # a newer signature that is wrong is not made good by an older one
        both = {**headers, "x-hubspot-signature-v3": "AAAA", "x-hubspot-request-timestamp": str(NOW)}
        await refused(of_sample("hubspot-deals", legacy_signatures=True), sample, headers=both)


async def test_an_unknown_stage_is_rejected_alone_and_kept() -> None:
    collector = of_sample("pipedrive-deal-stage")
    answer = await collector.send(load("pipedrive-deal-stage"))
    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 0,
        "results": [
            {
                "id": "1a2b3c4d-0000-4000-8000-000000000002",
                "status": "rejected",
                "reason": "unknown_stage",
                "detail": "the stage '1/3' has no event; add it to `stages` of the hook 'pipedrive', "
                "e.g. stages: {'3': offer_sent}, or null for a stage of no step of a funnel",
            }
        ],
    }
    [dead_letter] = collector.dead_letters()
    assert (dead_letter["reason"], dead_letter["source"], dead_letter["route"]) == (
        "unknown_stage",
        "pipedrive",
        "/v1/webhooks/pipedrive",
    )


async def test_a_hook_of_no_name_is_not_there() -> None:
    collector = of_sample("stripe-session-completed")
    for path in ("/v1/webhooks/other", "/v1/webhooks/stripe/extra", "/v1/webhooks/", "/v1/webhooks"):
        answer = await collector.send(load("stripe-session-completed"), path=path)
        assert answer.status_code == 404
        assert answer.json()["code"] == "not_found"


@rows(
    ("body", "code"),
    [
        (b"{", "malformed_json"),
        (b"", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b"[]", "not_an_object"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "too_deep"),
    ],
)
async def test_a_signed_body_that_cannot_be_read_is_refused(body: bytes, code: str) -> None:
    collector = of_sample("stripe-session-completed")
    answer = await collector.post(
        "/v1/webhooks/stripe", body, stripe_headers(body, "whsec_test_0123456789abcdef", NOW // 1000)
    )
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_a_form_that_cannot_be_read_is_refused() -> None:
    collector = of_sample("amocrm-leads-add")
    answer = await collector.post("/v1/webhooks/amocrm/amocrm-secret-0123456789abc", b"leads%5Badd%5D=%FF")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_an_event_without_an_id_is_rejected() -> None:
    collector = HookedCollector(
        hooks_of({"name": "stripe", "provider": "stripe", "secrets": ["whsec_test_0123456789abcdef"]})
    )
    answer = await collector.stripe(
        {"type": "invoice.paid", "data": {"object": {"object": "invoice", "amount_paid": 1}}}
    )
    assert answer.json()["results"][0]["reason"] == "missing_id"


async def test_an_empty_list_of_changes_is_an_answer() -> None:
    hook = {"name": "g", "provider": "amocrm", "secrets": ["a-secret-of-the-address"]}
    answer = await HookedCollector(hooks_of(hook)).post("/v1/webhooks/g/a-secret-of-the-address", b"account[id]=1")
    assert answer.json() == {"accepted": 0, "results": []}


async def test_a_negative_amount_is_taken_without_being_an_amount() -> None:
    key = b"a test secret of 24 bytes"
    body = orjson.dumps({"type": "payment", "data": {"user_id": "u", "value": "-5", "currency": "EUR"}})
    collector = of_sample("generic-payment")
    answer = await collector.post("/v1/webhooks/generic", body, standard_headers(body, key, NOW // 1000))
    assert answer.json()["accepted"] == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
WORDS = [
    "id",
    "type",
    "object",
    "data",
    "created",
    "currency",
    "amount_total",
    "payment_intent",
    "customer_details",
    "email",
    "metadata",
    "payment_status",
    "amount_paid",
    "payments",
    "lines",
    "refunds",
    "previous_attributes",
    "meta",
    "entity",
    "action",
    "status",
    "stage_id",
    "person_id",
    "previous",
    "current",
    "subscriptionType",
    "objectId",
    "propertyName",
    "propertyValue",
    "occurredAt",
    "portalId",
    "customer",
    "line_items",
    "landing_site",
    "transactions",
    "note_attributes",
    "leads",
    "add",
    "status",
    "0",
    "status_id",
    "custom_fields",
    "values",
    "account",
    "event",
    "FIELDS",
    "ID",
    "auth",
    "ts",
]
shaped = st.recursive(
    values | st.sampled_from(["dealstage", "won", "invoice", "charge", "refund", "deal.creation", "ONCRMDEALADD"]),
    lambda inner: st.dictionaries(st.sampled_from(WORDS), inner, max_size=6) | st.lists(inner, max_size=3),
    max_leaves=30,
)
forms = st.lists(st.tuples(st.text("abc[]0=&%", max_size=12), st.text(max_size=6)), max_size=8).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode("utf-8", "replace")
)
INGEST = Ingest(contacts=CONTACTS)


def endpoint_of(provider: str) -> HookEndpoint:
    hook = {"name": "h", "provider": provider, "secrets": ["whsec_b3RoZXIgc2VjcmV0IG9mIHR3ZW50eSBmb3Vy"]}
    if provider == "hubspot":
        hook["public_url"] = "https://collect.example.com/h"
    if provider in ("amocrm", "bitrix24", "hubspot"):
        hook["api"] = {"url": "https://crm.example.com", "token": "t"}  # type: ignore[assignment]
    return HookEndpoint(hooks_of(hook).hooks[0], INGEST)


ENDPOINTS = {provider: endpoint_of(provider) for provider in PROVIDERS}


@settings(max_examples=cases(400), suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(PROVIDERS)),
    shaped.map(lambda value: orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS) if _fits(value) else b"1")
    | st.binary(max_size=80)
    | forms,
    st.sampled_from([b"orders/paid", b"refunds/create", b"", b"\xff", b"customers/create", b"x"]),
)
def test_whatever_a_genuine_delivery_holds_it_gets_verdicts(provider: str, body: bytes, topic: bytes) -> None:
    endpoint = ENDPOINTS[provider]
    headers = {b"x-shopify-topic": topic, b"webhook-id": topic, b"x-shopify-shop-domain": topic}
    request = Request("POST", "/v1/webhooks/h", headers, b"", "/v1/webhooks/h")
    request.body = request.raw_body = body
    request.received_at_ms = NOW
    try:
        reading = endpoint.read(request, Sender())
    except RequestError:
        return
    assert len(reading.elements) == len(reading.verdicts)
    assert all(isinstance(one, Accepted | Rejected | Deferred) for one in reading.verdicts)
    assert all(isinstance(one, bytes) for one in reading.elements)
    orjson.loads(endpoint.answer(reading).body)


def _fits(value: object) -> bool:
    try:
        orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def test_two_copies_at_once_are_stored_once() -> None:
    async def both() -> tuple[int, int]:
        collector, sample = of_sample("stripe-session-completed"), load("stripe-session-completed")
        answers = await asyncio.gather(collector.send(sample), collector.send(sample))
        return sum(one.json()["accepted"] for one in answers), len(collector.events())

    assert asyncio.run(both()) == (2, 2)  # the payment, and the link of its order to the buyer
