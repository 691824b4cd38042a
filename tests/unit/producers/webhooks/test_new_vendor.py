"""A vendor is one value: a CRM that nobody has heard of, added by one value and one row, works from end to end."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from producers.formats.port import Request
from producers.ingest.checks import Ingest
from producers.sink.port import MemorySink
from producers.webhooks.config import WebhooksError
from producers.webhooks.crm import CrmClient, Details
from producers.webhooks.crms import crms_of
from producers.webhooks.delivery import Delivery, RawDelivery, WebhookEvent, parse_object, text
from producers.webhooks.enricher import Enricher
from producers.webhooks.enricher_metrics import EnricherMetrics
from producers.webhooks.provider import Credentials, Provider
from producers.webhooks.providers import PROVIDERS
from producers.webhooks.signatures import Check, is_any_equal, verdict
from schemas.record import decode_any
from tests.support.collector import TOPICS
from tests.support.fake_crm import TOKEN, FakeCrm
from tests.support.webhooks import CONTACTS, HookedCollector, hooks_of

ROOT = Path(__file__).parents[4]
HOOK = {"name": "acme", "provider": "acme", "secrets": ["s3cret"], "public_url": "https://c.example.com/acme"}
WON = {"number": 7, "stage": "closed", "amount": "19.90"}


def read(raw: RawDelivery) -> Delivery:
    body = parse_object(raw.body)
    number = text(body.get("number")) or "unknown"
    event = WebhookEvent(
        id=f"acme:{number}:{body.get('stage')}",
        type=raw.header(b"x-acme-kind") or "deal",
        element=raw.body,
        subject=f"acme:{raw.account}:deal:{number}",
        keys=(text(body.get("stage")) or "",),
        is_stage=True,
        properties={"value": body.get("amount"), "currency": "EUR"},
        deal=number,
    )
    return Delivery([event], event.id)


def check(request: Request, credentials: Credentials) -> Check:
    signed = credentials.public_url.encode() + request.raw_body
    expected = [hmac.digest(secret, signed, "sha1").hex().encode() for secret in credentials.secrets]
    return verdict(is_any_equal(expected, [request.headers.get(b"x-acme-signature", b"")]))


class Api:
    def __init__(self, client: CrmClient) -> None:
        self._client = client

    async def details(self, event: WebhookEvent) -> Details | None:
        contact = await self._client.get("/api/v4/contacts/{}", event.deal)
        return Details(email=contact["custom_fields_values"][0]["values"][0]["value"])


ACME = Provider(
    name="acme",
    read=read,
    check=check,
    stages={"closed": "payment"},
    headers=(b"x-acme-kind",),
    needs_public_url=True,
    api=Api,
    rate=500.0,
)


@pytest.fixture(autouse=True)
def acme(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row in the table."""
    monkeypatch.setitem(PROVIDERS, ACME.name, ACME)


def headers(body: bytes, secret: bytes = b"s3cret") -> dict[str, str]:
    signed = HOOK["public_url"].encode() + body  # type: ignore[attr-defined]
    return {"x-acme-signature": hmac.new(secret, signed, hashlib.sha1).hexdigest(), "x-acme-kind": "deal"}


async def test_a_signed_delivery_of_it_becomes_an_event() -> None:
    collector, body = HookedCollector(hooks_of(HOOK)), orjson.dumps(WON)
    answer = await collector.post("/v1/webhooks/acme", body, headers(body))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1), answer.text
    [event] = collector.events()
    assert (event["name"], event["source"], event["contact_id"]) == ("payment", "acme", "acme:acme:deal:7")
    assert event["properties"] == {"value": "19.90", "currency": "EUR"}


async def test_a_forged_delivery_of_it_is_refused() -> None:
    collector, body = HookedCollector(hooks_of(HOOK)), orjson.dumps(WON)
    answer = await collector.post("/v1/webhooks/acme", body, headers(body, b"other"))
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert collector.events() == []


async def test_a_stage_that_the_map_does_not_have_becomes_a_dead_letter_with_its_headers() -> None:
    collector, body = HookedCollector(hooks_of(HOOK)), orjson.dumps({**WON, "stage": "asleep"})
    await collector.post("/v1/webhooks/acme", body, headers(body))
    [dead_letter] = collector.dead_letters()
    assert (dead_letter["reason"], dead_letter["headers"]) == ("unknown_stage", {"x-acme-kind": "deal"})


def test_the_file_asks_for_what_the_value_needs() -> None:
    with pytest.raises(WebhooksError, match="needs public_url"):
        hooks_of({name: value for name, value in HOOK.items() if name != "public_url"})
    with pytest.raises(WebhooksError, match="api needs a token"):
        hooks_of({**HOOK, "api": {"url": "https://acme.example.com"}})


@pytest.fixture
def crm() -> Iterator[FakeCrm]:
    with FakeCrm() as server:
        yield server


async def test_its_api_is_asked_by_the_enricher(crm: FakeCrm) -> None:
    webhooks = hooks_of({**HOOK, "api": {"url": crm.url, "token": TOKEN}})
    collector, body, metrics, sink = HookedCollector(webhooks), orjson.dumps(WON), EnricherMetrics(), MemorySink()
    await collector.post("/v1/webhooks/acme", body, headers(body))
    [record] = collector.sink.records(TOPICS.hooks)
    crms, ingest = crms_of(webhooks, metrics), Ingest(contacts=CONTACTS)
    enricher = Enricher(webhooks=webhooks, ingest=ingest, crms=crms, sink=sink, topics=TOPICS, metrics=metrics)
    await enricher.work_on(record.value)
    await crms["acme"].close()
    [event] = [decode_any(one.value) for one in sink.records(TOPICS.events)]
    assert (event["name"], event["contact_id"]) == ("payment", CONTACTS.of_email("c7@example.com"))


def test_nothing_but_its_own_file_and_the_table_names_a_vendor() -> None:
    modules = {path.stem: path for path in (ROOT / "producers" / "webhooks").glob("*.py")}
    own: set[Any] = {provider.read.__module__.rpartition(".")[2] for provider in PROVIDERS.values()}
    others = [path for name, path in modules.items() if name not in own]
    for path in [*others, ROOT / "funnelcast" / "commands" / "webhooks.py"]:
        source = path.read_text()
        assert [name for name in PROVIDERS if f'"{name}"' in source] == [], path
