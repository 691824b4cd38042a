"""Values that no JSON parser takes, in every format and framing: they cost nobody an event. Half an emoji becomes
U+FFFD, a bare NaN null; what can still not be read is rejected alone; a body that cannot be read is never a bad key."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlencode

import httpx
import pytest

from producers.ingest.repair import MOST_REPAIRS, repair
from producers.ingest.verdicts import Scope
from tests.support.collector import NOW, CollectorInMemory
from tests.support.rows import rows
from tests.support.thorough import some
from tests.support.webhooks import load, of_sample, stripe_headers

EVENTS = 20
VALUES = {
    "half an emoji": (r'"cut \ud83d"', "cut \ufffd"),
    "the other half": (r'"\ude00 cut"', "\ufffd cut"),
    "a cut escape": (r'"cut \ud8"', "cut \ufffd"),
    "a number that is none": ("NaN", None),
    "a number without end": ("-Infinity", None),
    "a control character": ('"a\tb"', "a\tb"),
    "an escape that is none": (r'"O\'Neil \x41"', r"O\'Neil \x41"),
    "a word of another language": ("undefined", "undefined"),
    "a number that JSON writes otherwise": ("+.50", "+.50"),
    "zeros at the start": ("007", "007"),
}
HOLE = "HOLE"


def texts(make: Callable[[int, Any], dict[str, Any]], value: str) -> list[str]:
    """Twenty events as JSON, one of them with the value."""
    return [
        json.dumps(make(number, HOLE if number == 7 else "ok")).replace(f'"{HOLE}"', value) for number in range(EVENTS)
    ]


def native(number: int, x: Any) -> dict[str, Any]:
    """Of ours."""
    return {"id": f"e{number}", "name": "lead", "user_id": f"u{number}", "occurred_at_ms": NOW, "properties": {"x": x}}


def segment(number: int, x: Any) -> dict[str, Any]:
    """Of Segment."""
    track = {"type": "track", "messageId": f"e{number}", "userId": f"u{number}", "event": "lead"}
    return {**track, "properties": {"x": x}}


def posthog(number: int, x: Any) -> dict[str, Any]:
    """Of PostHog."""
    return {"uuid": f"e{number}", "event": "lead", "distinct_id": f"u{number}", "properties": {"x": x}}


def snowplow(number: int, x: Any) -> dict[str, Any]:
    """Of Snowplow, plain."""
    data = {"schema": "iglu:com.example/lead/jsonschema/1-0-0", "data": {"n": number}}
    return {"e": "ue", "eid": f"e{number}", "uid": f"u{number}", "ue_pr": json.dumps({"data": data}), "se_pr": x}


def ga4(number: int, x: Any) -> dict[str, Any]:
    """Of Google Analytics 4."""
    return {"name": "lead", "params": {"x": x, "n": number}}


def cloudevent(number: int, x: Any) -> dict[str, Any]:
    """A CloudEvent."""
    about = {"specversion": "1.0", "id": f"e{number}", "source": "/a", "type": "lead", "userid": f"u{number}"}
    return {**about, "data": {"x": x}}


Sent = tuple[str, bytes, dict[str, str]]


def in_array(path: str, make: Callable[[int, Any], dict[str, Any]], value: str, **headers: str) -> Sent:
    """A JSON array."""
    named = {name.replace("_", "-"): one for name, one in headers.items()}
    return path, f"[{','.join(texts(make, value))}]".encode(), named


def in_member(path: str, make: Callable[[int, Any], dict[str, Any]], value: str, member: str, beside: str = "") -> Sent:
    """An array in a member of an object."""
    return path, f'{{{beside}"{member}":[{",".join(texts(make, value))}]}}'.encode(), {}


def zipped(sent: Sent) -> Sent:
    """The same in gzip."""
    path, body, headers = sent
    return path, gzip.compress(body), headers | {"Content-Encoding": "gzip"}


def packed(value: str) -> Sent:
    """A form of PostHog's."""
    body = in_member("", posthog, value, "batch")[1]
    return "/e", b"data=" + quote(base64.b64encode(body)).encode(), {}


FRAMINGS: dict[str, Callable[[str], Sent]] = {
    "native array": lambda value: in_array("/v1/events", native, value),
    "native lines": lambda value: ("/v1/events", "\n".join(texts(native, value)).encode(), {}),
    "native gzip": lambda value: zipped(in_array("/v1/events", native, value)),
    "snippet": lambda value: in_member("/v1/browser", native, value, "events", f'"sent_at_ms":{NOW},'),
    "segment": lambda value: in_member("/v1/batch", segment, value, "batch"),
    "segment gzip": lambda value: zipped(in_member("/v1/batch", segment, value, "batch")),
    "posthog array": lambda value: in_array("/e", posthog, value),
    "posthog batch": lambda value: in_member("/batch", posthog, value, "batch"),
    "posthog gzip": lambda value: zipped(in_member("/batch", posthog, value, "batch")),
    "posthog form": packed,
    "posthog plain form": lambda value: (
        "/e",
        urlencode({"data": in_array("", posthog, value)[1].decode()}).encode(),
        {},
    ),
    "snowplow": lambda value: in_member("/com.snowplowanalytics.snowplow/tp2", snowplow, value, "data"),
    "ga4": lambda value: in_member("/mp/collect", ga4, value, "events", '"client_id":"c",'),
    "cloudevents": lambda value: in_array(
        "/v1/cloudevents", cloudevent, value, Content_Type="application/cloudevents-batch+json"
    ),
}


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return CollectorInMemory(tmp_path)


def in_body(key: str, name: str, body: bytes) -> bytes:
    """A body with its key in it."""
    return body.replace(b"{", b'{"%s":"%s",' % (name.encode(), key.encode()), 1)


@rows("framing", FRAMINGS)
@rows("kind", some(VALUES, every=3))
async def test_one_such_value_of_twenty_events_costs_none(
    collector: CollectorInMemory, framing: str, kind: str
) -> None:
    value, becomes = VALUES[kind]
    path, body, headers = FRAMINGS[framing](value)
    scope = Scope.BROWSER if framing == "snippet" else Scope.SERVER
    answer = await collector.post(body, path, scope=scope, headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(collector.events()) == EVENTS
    assert collector.metric("values_repaired_total") == 1
    assert not collector.dead_letters()
    if framing != "snowplow":  # there the value stands in a field that no event of this kind has
        assert [one["properties"]["x"] for one in collector.events()].count("ok") == EVENTS - 1
        assert [one["properties"].get("x") for one in collector.events()].count(becomes) == 1


@rows("framing", [one for one in FRAMINGS if one != "native lines"])
async def test_a_line_end_in_a_text_costs_none_where_events_are_no_lines(
    collector: CollectorInMemory, framing: str
) -> None:
    path, body, headers = FRAMINGS[framing]('"two\r\nlines"')
    scope = Scope.BROWSER if framing == "snippet" else Scope.SERVER
    await collector.post(body, path, scope=scope, headers=headers)
    assert len(collector.events()) == EVENTS
    assert collector.metric("values_repaired_total") == 1


@rows(
    ("framing", "name"),
    [("snippet", "writeKey"), ("posthog batch", "api_key"), ("posthog batch", "token"), ("segment", "writeKey")],
)
async def test_a_key_in_such_a_body_is_found(collector: CollectorInMemory, framing: str, name: str) -> None:
    path, body, headers = FRAMINGS[framing](r'"\ud83d"')
    body = in_body(collector.keys[Scope.BROWSER], name, body)
    answer = await collector.post(body, path, scope=None, headers=headers)
    assert (answer.status_code, len(collector.events())) == (200, EVENTS)


async def test_a_token_in_the_events_of_such_a_body_is_found(collector: CollectorInMemory) -> None:
    key = collector.keys[Scope.BROWSER]
    body = in_array("/e", posthog, "NaN")[1].replace(b'"properties": {', b'"properties": {"token":"%s",' % key.encode())
    answer = await collector.post(body, "/e", scope=None)
    assert (answer.status_code, len(collector.events())) == (200, EVENTS)


@rows("path", ["/v1/events", "/v1/browser", "/v1/batch", "/batch", "/mp/collect", "/v1/cloudevents"])
@rows("body", [b'{"id":"e-1","name":"lead", ', b'[{"id":1},', b'{"a":"\\ud83d", '])
async def test_a_body_that_cannot_be_read_is_no_bad_key(collector: CollectorInMemory, path: str, body: bytes) -> None:
    answer = await collector.post(body, path, scope=None)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert collector.dead_letters()[0]["payload"] == body.decode()


@rows("body", [b"{}", b'{"x":"\\ud83d"}', b'{"a":1}\n{"a":2}', b"a=b", b""])
async def test_a_body_that_can_be_read_has_no_key(collector: CollectorInMemory, body: bytes) -> None:
    answer = await collector.post(body, scope=None)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_key")


async def test_an_unknown_key_outside_the_body_is_one_whatever_the_body_is(collector: CollectorInMemory) -> None:
    answer = await collector.post(b"{", scope=None, headers={"X-Write-Key": "fcs_x"})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_key")


async def test_what_cannot_be_repaired_costs_its_own_event(collector: CollectorInMemory) -> None:
    lines = texts(native, r'"\ud83d"')
    lines[3] = '{"id":"e3", '
    lines[4] = lines[4].replace("ok", "\udcff")
    body = "\n".join(lines).encode(errors="surrogateescape")
    answer = await collector.post(body)
    assert answer.json()["accepted"] == EVENTS - 2
    assert {one["reason"] for one in collector.dead_letters()} == {"malformed_json"}
    assert (len(collector.events()), collector.metric("values_repaired_total")) == (EVENTS - 2, 1)


def unread(envelope: str, *, is_packed: bool) -> bytes:
    """Twenty events of Snowplow; the JSON within one of them holds half an emoji."""
    events = [snowplow(number, "") for number in range(EVENTS)]
    inner = envelope
    events[7].pop("ue_pr")
    events[7] |= {"ue_px": base64.b64encode(inner.encode()).decode()} if is_packed else {"ue_pr": inner}
    return json.dumps({"data": events}).encode()


@rows("is_packed", [True, False])
async def test_json_within_a_field_is_repaired_too(collector: CollectorInMemory, is_packed: bool) -> None:
    inner = r'{"data":{"schema":"iglu:com.example/lead/jsonschema/1-0-0","data":{"x":"cut \ud83d","y":NaN}}}'
    await collector.post(unread(inner, is_packed=is_packed), "/com.snowplowanalytics.snowplow/tp2")
    assert len(collector.events()) == EVENTS
    (last,) = [one for one in collector.events() if one["id"] == "e7"]
    assert last["properties"] == {"x": "cut \ufffd", "y": None}
    assert collector.metric("values_repaired_total") == 2


async def test_json_in_a_query_is_repaired_too(collector: CollectorInMemory) -> None:
    inner = r'{"data":{"schema":"iglu:com.example/lead/jsonschema/1-0-0","data":{"x":"\ud83d"}}}'
    query = urlencode({"e": "ue", "eid": "e1", "uid": "u1", "ue_pr": inner})
    key = {"X-Write-Key": collector.keys[Scope.SERVER]}
    answer: httpx.Response = await collector.request("GET", f"/i?{query}", headers=key)
    assert answer.status_code == 200
    assert collector.events()[0]["properties"] == {"x": "\ufffd"}


async def test_a_signed_webhook_is_read_too() -> None:
    collector = of_sample("stripe-session-completed")
    text = load("stripe-session-completed")["body"].replace("{", r'{"note":"\ud83d","n":NaN,', 1)
    body, path = text.encode(), load("stripe-session-completed")["path"]
    secret = load("stripe-session-completed")["webhook"]["secrets"][0]
    answer = await collector.post(path, body, stripe_headers(body, secret, collector.now_ms // 1000))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    assert collector.events()[0]["name"] == "payment"


@rows(
    "part",
    [
        b'"',
        b'\\"',
        b"nan ",
        b"-",
        b'""NaN,',
        b"a",
        b"a ",
        b",a ",
        b"\\",
        b'"\\x',
        b"1e",
        b",-1.",
        b'"\\ud83d",',
        b'"\n',
        b'"\\u',
        b'"n"n',
    ],
)
def test_a_text_full_of_them_is_left_as_it_is_or_repaired_whole(part: bytes) -> None:
    text = part * (100_000 // len(part))
    repaired, count, _ = repair(text)
    assert (repaired == text) == (count == 0)
    assert count <= MOST_REPAIRS


@rows("framing", some(FRAMINGS, every=2))
@rows("depth", [300, 20_000])
async def test_one_event_that_is_nested_too_deep_costs_no_other(
    collector: CollectorInMemory, framing: str, depth: int
) -> None:
    path, body, headers = FRAMINGS[framing]('{"a":' * depth + "1" + "}" * depth)
    scope = Scope.BROWSER if framing == "snippet" else Scope.SERVER
    answer = await collector.post(body, path, scope=scope, headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(collector.events()) >= EVENTS - 1
    assert {one["reason"] for one in collector.dead_letters()} <= {"too_deep", "event_too_large"}


@rows("framing", ["native array", "native lines", "segment", "posthog batch", "posthog form", "snippet"])
async def test_a_dead_letter_holds_what_was_sent(collector: CollectorInMemory, framing: str) -> None:
    """Not what it was repaired to."""
    path, body, _ = FRAMINGS[framing](r'"caf\u00e9 \ud83d"')
    scope = Scope.BROWSER if framing == "snippet" else Scope.SERVER
    if framing == "posthog form":
        body = b"data=" + base64.b64encode(base64.b64decode(unquote_to_bytes(body[5:])).replace(b'"u7"', b'"null"'))
    await collector.post(body.replace(b'"u7"', b'"null"'), path, scope=scope)
    make = segment if framing == "segment" else posthog if framing.startswith("posthog") else native
    (dead_letter,) = collector.dead_letters()
    assert dead_letter["payload"] == texts(make, r'"caf\u00e9 \ud83d"')[7].replace('"u7"', '"null"')
    assert len(collector.events()) == EVENTS - 1


async def test_a_dead_letter_holds_what_was_sent_with_what_the_request_says(collector: CollectorInMemory) -> None:
    """An event that needs members of its batch is completed; its own text stays as it was sent."""
    value = r'"caf\u00e9 \ud83d"'
    path, body, _ = in_member("/v1/batch", segment, value, "batch", '"context":{"page":{"path":"/a"}},')
    await collector.post(body.replace(b'"u7"', b'"null"'), path)
    own = texts(segment, value)[7].replace('"u7"', '"null"')
    assert collector.dead_letters()[0]["payload"] == own[:-1] + ',"context":{"page":{"path":"/a"}}}'
    path, body, _ = in_member("/mp/collect", ga4, value, "events", '"client_id":"null",')
    await collector.post(body, path)
    payload = f'{{"client_id":"null","events":[{texts(ga4, value)[7]}]}}'
    assert payload in [one["payload"] for one in collector.dead_letters()]
