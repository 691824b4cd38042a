"""Whatever is sent: a verdict and never an exception; and whatever is accepted, the worker can read."""

from __future__ import annotations

import gzip
import json
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.formats.segment import decode_batch
from producers.formats.segment_message import Segment
from producers.http.body import RequestError, decompress, split_events
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.event import Event
from producers.ingest.privacy import Privacy
from producers.ingest.verdicts import Accepted, Rejected, Scope, Sender, SequenceNumber, Ticked
from producers.visitors.visitor import Visitor
from schemas.funnel.load import load_funnel
from schemas.ids import person_key
from streams.core.decode import UNREADABLE, Decoder
from streams.core.planning import plan_of

NOW = 1_735_725_600_000
INGEST = Ingest(contacts=Contacts(b"secret"))
STRICT = {
    "known_names": ["click", "order_completed"],
    "server_names": ["order_completed"],
    "privacy": Privacy(deny=["search"]),
}
DECODER = Decoder([plan_of(load_funnel("sales"))])
SENDERS = st.sampled_from([Sender("web", scope) for scope in Scope])

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["null", "u1", " ", "ann@example.com", "+30 210 1234567", "2025-01-01T10:00:00Z", "\u2028", "\x00"]
    )
)
names = st.sampled_from(
    ["email", "Phone", "value", "channel", "traits", "campaign", "page", "search", "url"]
) | st.text(max_size=8)
anything = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
objects = st.dictionaries(names, anything, max_size=5)


def usually(good: Any, *, of: int = 12) -> Any:
    """Mostly good values: events with many odd members are all rejected at the first one."""
    return st.integers(1, of).flatmap(lambda draw: anything if draw == 1 else good)


ids = st.sampled_from(["u1", " v1 ", "null", "0", 7, None])
words = st.none() | st.text(max_size=8)
contacts = st.sampled_from([None, "ann@example.com", "+30 210 1234567", "nobody"])
times = st.sampled_from([None, "2025-01-01T10:00:00Z", "2025-01-01T10:00:07.5+00:00", "soon", ""])
native = st.fixed_dictionaries(
    {
        "id": usually(st.text(min_size=1, max_size=8) | st.integers()),
        "name": usually(st.sampled_from(["click", "Order Completed", "ad_spend"]) | st.text(min_size=1, max_size=8)),
        "user_id": usually(ids),
    },
    optional={
        "occurred_at_ms": usually(st.none() | st.integers(NOW - 10**9, NOW + 10**6)),
        "occurred_at": usually(times),
        "received_at_ms": usually(st.none() | st.integers(0, NOW)),
        "anonymous_id": usually(ids),
        "contact_id": usually(ids),
        "email": usually(contacts),
        "phone": usually(contacts),
        "source": usually(words),
        "properties": usually(objects),
        "context": usually(objects),
        "tick": usually(st.none()),
    },
)
messages = st.fixed_dictionaries(
    {
        "type": usually(st.sampled_from(["track", "page", "identify", "alias"])),
        "event": usually(st.sampled_from(["Order Completed"]) | st.text(min_size=1, max_size=8)),
        "userId": usually(ids),
        "anonymousId": usually(st.just("v1")),
    },
    optional={
        "messageId": usually(ids),
        "name": usually(words),
        "category": usually(words),
        "previousId": usually(ids),
        "timestamp": usually(times),
        "originalTimestamp": usually(times),
        "sentAt": usually(times),
        "properties": usually(objects),
        "traits": usually(objects),
        "context": usually(objects),
    },
)


def check(verdict: Accepted | Ticked | Rejected) -> None:
    if not isinstance(verdict, Accepted):
        return
    try:
        record: Any = DECODER.typed(verdict.value)
    except UNREADABLE:
        record = DECODER.generic(verdict.value)
    assert record is not None
    assert record.tick is None
    assert (record.id, record.name, record.received_at_ms) == (verdict.id, verdict.name, verdict.received_at_ms)
    assert 0 <= record.occurred_at_ms <= record.received_at_ms + 60_000
    plain_record = json.loads(verdict.value)
    keys = (plain_record.get("user_id"), plain_record.get("contact_id"), plain_record.get("anonymous_id"))
    assert person_key(*keys) == verdict.key
    for where in (plain_record.get("properties", {}), plain_record.get("context", {})):
        assert not {"email", "Email", "EMAIL", "phone", "Phone", "PHONE"} & where.keys()


@settings(max_examples=300, deadline=None)
@given(native, SENDERS)
def test_native_events(event: Any, sender: Sender) -> None:
    raw = json.dumps(event).encode()
    verdict = INGEST.native(raw, sender=sender, received_at_ms=NOW)
    check(verdict)
    assert INGEST.native(raw, sender=sender, received_at_ms=NOW) == verdict


@settings(max_examples=200, deadline=None)
@given(native, st.data())
def test_broken_bytes(event: Any, data: st.DataObject) -> None:
    raw = bytearray(json.dumps(event, ensure_ascii=False).encode(errors="surrogatepass"))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(INGEST.native(bytes(raw), sender=Sender(), received_at_ms=NOW))


@settings(max_examples=200, deadline=None)
@given(messages, objects, plain)
def test_segment_messages(message: Any, context: Any, sent_at: Any) -> None:
    segment = Segment(INGEST, lambda: "made")
    raw = json.dumps(message).encode()
    check(segment.read(raw, sender=Sender(), received_at_ms=NOW, kind="track"))
    body = json.dumps({"batch": [message], "context": context, "sentAt": sent_at}).encode()
    try:
        _, shared = decode_batch(body)
    except ValueError:
        return
    check(segment.read(raw, sender=Sender(), received_at_ms=NOW, shared=shared))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.lists(native, max_size=3).map(lambda events: json.dumps(events).encode()))
def test_bodies(body: bytes) -> None:
    for sent in (body, gzip.compress(body), b"\x1f\x8b" + body):
        try:
            for raw in split_events(decompress(sent, "", 1_000), 10):
                check(INGEST.native(raw, sender=Sender(), received_at_ms=NOW))
        except RequestError:
            continue


def usual_or_not(rnd: Random) -> dict[str, Any]:
    """A usual event, or one with some members that are not."""
    event: dict[str, Any] = {"id": "e1", "name": "click", "occurred_at_ms": NOW - 5, "anonymous_id": "v1"}
    event["properties"] = {"channel": "google", "value": 12.5}
    odd: dict[str, list[Any]] = {
        "id": ["", " e1", "é", 7, None, "x" * 257, "null", "{{id}}", "${", "0"],
        "name": ["Order Completed", "other", "", None, "ad_spend", "n" * 200, "Click "],
        "occurred_at_ms": [NOW, NOW + 30_000, NOW + 90_000, NOW - 10**9, 1, -1, None, 10**16, 12.0],
        "received_at_ms": [NOW - 7, NOW - 10**9, -1, None],
        "occurred_at": ["2025-01-01T10:00:00Z", "soon"],
        "anonymous_id": ["null", "", " v1", "0", 7, None, "é", "x" * 257, "${id}", "{x"],
        "user_id": ["u1", "Guest", None, 5],
        "contact_id": ["c1", None],
        "email": ["ann@example.com", None],
        "phone": ["+30 210 1234567"],
        "source": ["crm", " crm", "", "s" * 300, None, 5],
        "properties": [
            {},
            None,
            [],
            0,
            {"email": "a@b.io"},
            {"ip": "1.2.3.4"},
            {"search": "x"},
            {"url": "a?b=c@d.ef"},
            {"traffic": "bot"},
            {"utm_source": "x"},
        ],
        "context": [{}, None, [], {"page": {"url": "https://a.b/?utm_source=x"}}, {"ip": "1.2.3.4"}, ""],
        "tick": [NOW, None],
        "extra": [1],
    }
    for member in rnd.sample(sorted(odd), rnd.choice([0, 1, 1, 2, 3])):
        event[member] = rnd.choice(odd[member])
    return event


@pytest.mark.parametrize("options", [{}, STRICT, STRICT | {"strict_names": True}], ids=["all", "known", "strict"])
def test_the_short_way_makes_the_records_that_the_checks_make(options: dict[str, Any]) -> None:
    rnd, short, long = (
        Random(1),
        Ingest(contacts=Contacts(b"secret"), **options),
        Ingest(contacts=Contacts(b"secret"), **options),
    )
    long._usual.accepted = lambda *_: None  # type: ignore[method-assign]
    senders = [Sender("web", scope) for scope in Scope] + [Sender("web", traffic="test")]
    for _ in range(4_000):
        raw, sender = json.dumps(usual_or_not(rnd)).encode(), rnd.choice(senders)
        seen: dict[str, Any] = {"sender": sender, "received_at_ms": rnd.choice([NOW, NOW, None])}
        seen["sequence"] = rnd.choice([None, SequenceNumber("s", 4)])
        assert short.native(raw, **seen) == long.native(raw, **seen), (raw, seen)


def read_event(rnd: Random) -> Event:
    """As a format reads it: usual, or with some members that are not."""
    event = Event(id="e1", name="click", anonymous_id="v1", client_ms=NOW - 5, sent_ms=NOW - 2)
    event.properties, event.context = (
        {"channel": "google", "value": 12.5},
        {"library": {"name": "x"}, "platform": "web"},
    )
    odd: dict[str, list[Any]] = {
        "id": ["", " e1", "é", 7, None, "x" * 257, "undefined", "{{id}}", "0"],
        "name": ["Order Completed", "other", None, "ad_spend", "n" * 200],
        "client_ms": [NOW + 30_000, NOW + 90_000, NOW - 10**9, 1, -1, None],
        "sent_ms": [None, NOW - 10_000, NOW + 10**9, NOW + 700, 0],
        "is_time_unreadable": [True],
        "anonymous_id": ["null", "", " v1", 7, None, "x" * 257, "%%id%%", "$x"],
        "user_id": ["u1", "Guest", 5],
        "contact_id": ["c1"],
        "email": ["ann@example.com"],
        "phone": ["+30 210 1234567"],
        "properties": [
            {},
            {"email": "a@b.io"},
            {"url": "a?b=c@d.ef"},
            {"traffic": "bot"},
            {1: 2},
            {"long": "x" * 33_000},
        ],
        "context": [
            {},
            {"page": {"url": "https://a.b/?utm_source=x"}},
            {"ip": "1.2.3.4"},
            {"traits": {"email": "a@b"}},
            {"userAgent": "curl/8.0"},
            {"campaign": {"source": "x"}},
            {"any": object()},
        ],
        "properties_json": [msgspec.Raw(b'{"value": 1.10}'), msgspec.Raw(b"{}"), msgspec.Raw(b'{"email":"a@b.io"}')],
        "context_json": [msgspec.Raw(b'{"ip": "1.2.3.4"}')],
        "knows_referrer": [False],
        "repairs": [1],
    }
    for member in rnd.sample(sorted(odd), rnd.choice([0, 1, 1, 2, 3])):
        setattr(event, member, rnd.choice(odd[member]))
    return event


@pytest.mark.parametrize("options", [{}, STRICT, STRICT | {"strict_names": True}], ids=["all", "known", "strict"])
def test_the_short_way_of_a_format_makes_the_records_that_the_checks_make(options: dict[str, Any]) -> None:
    short, long = (Ingest(contacts=Contacts(b"secret"), **options) for _ in range(2))
    long._usual.built = lambda *_: None  # type: ignore[method-assign]
    senders = [Sender("web", scope) for scope in Scope]
    senders += [Sender("web", traffic="test"), Sender("web", visitor=Visitor("curl/8.0"))]
    for number in range(4_000):
        seen: dict[str, Any] = {"sender": senders[number % len(senders)], "received_at_ms": NOW}
        event, same = (read_event(Random(number)) for _ in range(2))
        assert short.checked(event, **seen) == long.checked(same, **seen), event


def test_what_a_format_reads_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ingest, "_accepted", None)
    event = Event(id="e1", name="click", user_id="u1", context={"library": {}}, client_ms=NOW, sent_ms=NOW)
    assert isinstance(INGEST.checked(event, sender=Sender("web"), received_at_ms=NOW), Accepted)


def test_a_usual_event_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ingest, "_accepted", None)
    raw = json.dumps({"id": "e1", "name": "click", "occurred_at_ms": NOW, "user_id": "u1"}).encode()
    assert isinstance(INGEST.native(raw, sender=Sender("web"), received_at_ms=NOW), Accepted)
