"""Laws of Segment's messages, CloudEvents and pixels: whatever is sent has a verdict or a refusal, never an exception,
and what is accepted can be read again."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.formats.cloudevents import CloudEvents
from producers.formats.pixel import Pixel, RudderPixel
from producers.formats.port import Endpoint, Request
from producers.formats.segment import SegmentBatches, SegmentSingle
from producers.formats.segment_message import Segment
from producers.http.body import RequestError
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.verdicts import Accepted, Rejected, Sender
from schemas.record import decode_any
from tests.support.noise import VALUES, json_of, members

NOW = 1_735_725_600_000
INGEST = Ingest(contacts=Contacts(b"key"))
SEGMENT = Segment(INGEST, lambda: "made")
TIMES = st.sampled_from(["2025-01-01T10:00:00Z", "2025-1-1", "never", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
SAID = members(
    *("email", "phone", "revenue", "total", "value", "order_id", "orderId", "id", "products", "product", "name"),
    *("channel", "campaign", "page", "search", "url", "source", "traits", "ip"),
    also=st.sampled_from(["ann@example.com", "+4930123456", "?utm_source=a&gclid=b", [{"name": "Tea"}], {"name": "x"}]),
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["track", "page", "identify", "alias", "group", "screen"]) | VALUES,
        "event": st.sampled_from(["Order Completed", "Completed Order", "Viewed Product"]) | VALUES,
        "messageId": st.text(max_size=4) | VALUES,
        "userId": st.text(max_size=3) | VALUES,
        "anonymousId": st.text(max_size=3) | VALUES,
        "previousId": st.text(max_size=3) | VALUES,
        "groupId": VALUES,
        "timestamp": TIMES | VALUES,
        "originalTimestamp": TIMES | VALUES,
        "sentAt": TIMES | VALUES,
        "properties": SAID | VALUES,
        "traits": SAID | VALUES,
        "context": SAID | VALUES,
    },
)
CLOUD_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "specversion": st.just("1.0") | VALUES,
        "id": st.text(max_size=4) | VALUES,
        "source": st.text(max_size=4) | VALUES,
        "type": st.text(max_size=4) | VALUES,
        "time": TIMES | VALUES,
        "userid": st.text(max_size=3) | VALUES,
        "subject": VALUES,
        "data": SAID | VALUES,
        "data_base64": VALUES,
    },
)
PARAMETERS = ["e", "a", "u", "t", "i", "p.x", "email", "phone", "utm_source", "a.b", ".", "context.page.url"]
HEADERS = st.dictionaries(
    st.sampled_from([b"ce-id", b"ce-source", b"ce-type", b"ce-specversion", b"ce-time", b"ce-userid", b"content-type"]),
    st.binary(max_size=6)
    | st.sampled_from([b"1.0", b"%FF", b'"a\\', b"application/json", b"text/plain", b"application/cloudevents+json"]),
)


def check(
    endpoint: Endpoint, body: bytes, *, headers: dict[bytes, bytes] | None = None, query: bytes | None = None
) -> None:
    """Read, and compare what came of it with the law."""
    method = "POST" if query is None else "GET"
    request = Request(method, "/x", headers or {}, query or b"", body=body, raw_body=body, received_at_ms=NOW)
    try:
        reading = endpoint.read(request, Sender())
    except RequestError:
        return
    assert len(reading.elements) == len(reading.verdicts)
    for verdict in reading.verdicts:
        assert isinstance(verdict, Accepted | Rejected)
        if isinstance(verdict, Accepted):
            record = decode_any(verdict.value)
            assert (record["id"], record["name"]) == (verdict.id, verdict.name)
            assert 0 <= record["occurred_at_ms"] <= NOW + 60_000
            assert orjson.loads(json.dumps(record["properties"])) == record["properties"]
    endpoint.answer(reading)


@settings(max_examples=200, deadline=None)
@given(MESSAGES | VALUES, st.sampled_from(["track", "page", "screen", "identify", "group", "alias"]))
def test_segment_singles(message: Any, kind: str) -> None:
    check(SegmentSingle(SEGMENT, kind), json_of(message))


@settings(max_examples=200, deadline=None)
@given(st.lists(MESSAGES | VALUES, max_size=3), SAID | VALUES, TIMES | VALUES, st.binary(max_size=6))
def test_segment_batches(messages: list[Any], context: Any, sent_at: Any, header: bytes) -> None:
    body = json_of({"batch": messages, "context": context, "sentAt": sent_at, "timestamp": sent_at})
    check(SegmentBatches(SEGMENT, 100), body, headers={b"anonymousid": header})


@settings(max_examples=200, deadline=None)
@given(st.lists(CLOUD_EVENTS | VALUES, max_size=3), st.sampled_from(["", "-batch"]), HEADERS)
def test_cloudevents(events: list[Any], mode: str, headers: dict[bytes, bytes]) -> None:
    typed = {b"content-type": f"application/cloudevents{mode}+json".encode()}
    for body in (events, events[0] if events else None):
        check(CloudEvents(INGEST), json_of(body), headers=typed)
        check(CloudEvents(INGEST), json_of(body), headers=headers)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30), HEADERS)
def test_binary_cloudevents_of_noise(body: bytes, headers: dict[bytes, bytes]) -> None:
    given_all = {b"ce-id": b"1", b"ce-source": b"/a", b"ce-type": b"t", b"ce-specversion": b"1.0", b"ce-userid": b"u"}
    check(CloudEvents(INGEST), body, headers=given_all | headers)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "e",
                    "a",
                    "u",
                    "t",
                    "i",
                    "p.x",
                    "email",
                    "phone",
                    "utm_source",
                    "properties.a",
                    "a.b",
                    ".",
                    "context.page.url",
                ]
            ),
            st.text(max_size=5) | st.sampled_from(["ann@example.com", "2025-01-01", "5"]),
        ),
        max_size=6,
    ),
    st.binary(max_size=20),
)
def test_pixels(pairs: list[tuple[str, str]], noise: bytes) -> None:
    spelled = "&".join(f"{quote(name)}={quote(value, errors='replace')}" for name, value in pairs).encode()
    for query in (spelled, spelled + b"&" + noise, noise):
        check(Pixel(INGEST, lambda: "made"), b"", query=query)
        check(RudderPixel(SEGMENT, "track"), b"", query=query)
        check(RudderPixel(SEGMENT, "page"), query)
