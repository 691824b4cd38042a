"""No e-mail and no phone number leaves the checks in clear, whatever the format and wherever it stood, unless the
installation says so. A format that is added to the table must be added here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import producers
from producers.formats.formats import FORMATS, routes_of_formats
from producers.formats.port import Request
from producers.formats.routing import EventRoute
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.event import Event
from producers.ingest.verdicts import Accepted, Sender
from producers.webhooks.endpoint import HookEndpoint
from schemas.record import decode_any
from tests.support.webhooks import hooks_of

NOW = 1_735_725_600_000
CONTACTS = Contacts(b"key")
EMAIL, PHONE = "Ann.Secret@Example.com", "+4930123456789"
SECRETS = ("ann.secret", "30123456789")
HASHES = {CONTACTS.of_email(EMAIL), CONTACTS.of_phone(PHONE)}
INGEST, KEEPING = Ingest(contacts=CONTACTS), Ingest(contacts=CONTACTS, keep_contacts=True)
ROUTES = {ingest: routes_of_formats(ingest) for ingest in (INGEST, KEEPING)}
HOOK = hooks_of({"name": "h", "provider": "generic", "secrets": ["whsec_b3RoZXIgc2VjcmV0IG9mIHR3ZW50eSBmb3Vy"]}).hooks[
    0
]
_contact = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("email", "Email", "EMAIL"), st.sampled_from([EMAIL, f" {EMAIL} ", EMAIL.upper()])),
        **dict.fromkeys(("phone", "Phone", "PHONE"), st.sampled_from([PHONE, f" {PHONE}"])),
    },
)
_other = st.dictionaries(st.sampled_from(["value", "channel", "page", "plan", "n"]), st.sampled_from([1, "x", None]))


@dataclass(frozen=True)
class Said:
    """What a client says of a person, by where it says it."""

    properties: dict[str, Any]
    context: dict[str, Any]
    traits: dict[str, Any]
    top: dict[str, Any]

    @property
    def whole_context(self) -> dict[str, Any]:
        return {**self.context, **({"traits": self.traits} if self.traits else {})}


@dataclass(frozen=True)
class Sent:
    """A request that says it."""

    path: str
    body: Any = b""
    method: str = "POST"
    query: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def request(self) -> Request:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return Request(
            self.method, self.path, self.headers, self.query.encode(), body=body, raw_body=body, received_at_ms=NOW
        )


def _with(members: dict[str, Any], **known: Any) -> dict[str, Any]:
    return {**{name.lower(): value for name, value in members.items()}, **known}


def native(said: Said) -> list[Sent]:
    event = _with(said.top, id="1", name="a", user_id="u", properties=said.properties, context=said.whole_context)
    return [Sent("/v1/events", event), Sent("/v1/events", [event])]


def snippet(said: Said) -> list[Sent]:
    context = {**said.whole_context, "last_touch": {"utm_source": "news"}}
    event = _with(said.top, id="1", name="a", user_id="u", properties=said.properties, context=context)
    return [Sent("/v1/browser", {"events": [event], "sent_at_ms": NOW}), Sent("/v1/browser", event)]


def segment(said: Said) -> list[Sent]:
    context = {**said.whole_context, "page": {"url": "https://x.example/?utm_source=a"}}
    message = {"messageId": "1", "userId": "u", "properties": said.properties, "context": context}
    message |= {"event": "Order Completed", "traits": said.traits}
    sent = [Sent(f"/v1/{kind}", message) for kind in ("track", "identify", "page", "group", "alias")]
    shared = {"batch": [{**message, "type": "track", "context": {}}], "context": context}
    return [*sent, Sent("/v1/batch", shared), Sent("/v1/batch", {"batch": [{**message, "type": "identify"}]})]


def pixel(said: Said) -> list[Sent]:
    short = {"u": "u", **{name.lower(): value for name, value in said.top.items()}}
    short |= {f"p.{name}": value for name, value in said.properties.items()}
    dotted = {"userId": "u", "event": "a"}
    for place, members in (("properties", said.properties), ("context", said.context), ("context.traits", said.traits)):
        dotted |= {f"{place}.{name}": value for name, value in members.items()}
    return [
        Sent("/pixel.gif", method="GET", query=urlencode(short)),
        Sent("/pixel/v1/track", method="GET", query=urlencode(dotted)),
        Sent("/pixel/v1/page", urlencode(dotted).encode()),
    ]


def cloudevents(said: Said) -> list[Sent]:
    attributes = _with(said.top, id="1", source="/s", type="a", specversion="1.0", userid="u")
    typed = {b"content-type": b"application/cloudevents+json"}
    headers = {b"ce-" + name.encode(): quote(str(value)).encode() for name, value in attributes.items()}
    return [
        Sent("/v1/cloudevents", {**attributes, "data": said.properties}, headers=typed),
        Sent("/v1/cloudevents", said.properties, headers=headers | {b"content-type": b"application/json"}),
    ]


def snowplow(said: Said) -> list[Sent]:
    def wrapped(name: str, data: Any) -> dict[str, Any]:
        return {"schema": f"iglu:com.acme/{name}/jsonschema/1-0-0", "data": data}

    form = [{"name": name.lower(), "value": value} for name, value in said.properties.items()]
    fields = {"e": "ue", "eid": "1", "duid": "d", "co": json.dumps(wrapped("contexts", [wrapped("user", said.traits)]))}
    path = "/com.snowplowanalytics.snowplow/tp2"
    bodies = [wrapped("signed_up", said.properties), wrapped("submit_form", {"elements": form})]
    posts = [Sent(path, {"data": [{**fields, "ue_pr": json.dumps(wrapped("unstruct", body))}]}) for body in bodies]
    return [*posts, Sent("/i", method="GET", query=urlencode({**fields, "e": "pv"}))]


def posthog(said: Said) -> list[Sent]:
    event = {"uuid": "1", "event": "a", "distinct_id": "u", "$set": said.context}
    event["properties"] = {**said.properties, "$set": said.traits, "$set_once": said.top, "$group_set": said.traits}
    return [Sent("/e", event), Sent("/batch", {"batch": [{**event, "event": "$identify"}]})]


def ga4(said: Said) -> list[Sent]:
    hit = {"client_id": "c", "user_properties": {name: {"value": value} for name, value in said.traits.items()}}
    return [Sent("/mp/collect", {**hit, "events": [{"name": "a", "params": said.properties}]})]


CLIENTS: dict[str, Callable[[Said], list[Sent]]] = {
    "native": native,
    "snippet": snippet,
    "segment": segment,
    "pixel": pixel,
    "cloudevents": cloudevents,
    "snowplow": snowplow,
    "posthog": posthog,
    "ga4": ga4,
}
_said = st.builds(
    Said,
    properties=st.builds(lambda one, other: {**other, **one}, _contact, _other),
    context=st.builds(lambda one, other: {**other, **one}, _contact, _other),
    traits=_contact,
    top=_contact,
)


def stored(sent: Sent, ingest: Ingest) -> list[bytes]:
    """Records of the events of a request, all of which must be taken."""
    request = sent.request()
    route = (ROUTES[ingest].methods_of(sent.path) or {})[sent.method]
    assert isinstance(route, EventRoute)
    request.body = route.endpoint.body_of(request)
    verdicts = route.endpoint.read(request, Sender()).verdicts
    assert verdicts
    values = [verdict.value for verdict in verdicts if isinstance(verdict, Accepted)]
    assert len(values) == len(verdicts), verdicts
    return values


def test_every_format_is_here() -> None:
    assert CLIENTS.keys() == FORMATS.keys()


@pytest.mark.parametrize("format", CLIENTS)
@settings(max_examples=60, deadline=None)
@given(said=_said)
def test_no_contact_is_stored_in_clear(format: str, said: Said) -> None:
    for sent in CLIENTS[format](said):
        for value in stored(sent, INGEST):
            assert not [secret for secret in SECRETS if secret in value.decode().lower()], (sent, value)
            assert decode_any(value).get("contact_id") in HASHES | {None}


@pytest.mark.parametrize("format", CLIENTS)
def test_an_e_mail_and_a_phone_become_the_contact_id(format: str) -> None:
    """Else the law above would hold for a format that never looked."""
    for contact in ({"email": EMAIL}, {"phone": PHONE}):
        said = Said(contact, {}, contact, {})
        hashed = [
            decode_any(value).get("contact_id") for sent in CLIENTS[format](said) for value in stored(sent, INGEST)
        ]
        assert HASHES & set(hashed), contact


@pytest.mark.parametrize("format", sorted(CLIENTS))
def test_an_installation_may_keep_them(format: str) -> None:
    said = Said({"email": EMAIL}, {}, {"email": EMAIL}, {})
    values = [value for sent in CLIENTS[format](said) for value in stored(sent, KEEPING)]
    assert any(EMAIL.encode() in value for value in values)


@settings(max_examples=60, deadline=None)
@given(_said)
def test_no_contact_of_a_webhook_is_stored_in_clear(said: Said) -> None:
    endpoint = HookEndpoint(HOOK, INGEST)
    body = _with(said.top, type="payment", data=said.properties)
    request = Sent(HOOK.path, body, headers={b"webhook-id": b"m"}).request()
    [verdict] = endpoint.read(request, Sender()).verdicts
    assert isinstance(verdict, Accepted)
    assert not [secret for secret in SECRETS if secret in verdict.value.decode().lower()]


@pytest.mark.parametrize(
    "said",
    [
        {"properties_json": {"email": EMAIL}},
        {"context_json": {"phone": PHONE}},
        {"context_json": {"traits": {"email": EMAIL}}},
    ],
)
def test_json_that_comes_without_values_is_looked_at_all_the_same(said: dict[str, Any]) -> None:
    """A format cannot forget to say what its bytes hold."""
    json_of: dict[str, Any] = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in said.items()}
    verdict = INGEST.checked(Event(id="1", name="a", **json_of), sender=Sender(), received_at_ms=NOW)
    assert isinstance(verdict, Accepted)
    assert not [secret for secret in SECRETS if secret in verdict.value.decode().lower()]
    assert decode_any(verdict.value)["contact_id"] in HASHES


@pytest.mark.parametrize("folder", ["formats", "webhooks", "collector"])
def test_nothing_but_the_checks_makes_a_record_of_an_event(folder: str) -> None:
    for path in (Path(producers.__file__).parent / folder).glob("*.py"):
        source = path.read_text()
        assert "EventRecord" not in source, path
        assert "encode_event" not in source, path
        assert "Accepted(" not in source, path
