"""CloudEvents over HTTP, made by the `cloudevents` package, and what no package would make."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.support.collector import NOW, CollectorInMemory
from tests.support.rows import rows

PATH = "/v1/cloudevents"
BATCH = {"content-type": "application/cloudevents-batch+json"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return CollectorInMemory(tmp_path)


def cloud_event(data: Any = None, **attributes: Any) -> CloudEvent:
    given = {
        "id": "1",
        "source": "/shop",
        "type": "com.example.order.paid",
        "time": datetime.fromtimestamp((NOW - 5_000) / 1000, UTC),
        "datacontenttype": "application/json",
    }
    return CloudEvent(
        attributes={name: value for name, value in (given | attributes).items() if value is not None}, data=data
    )


def plain(**members: Any) -> dict[str, Any]:
    given = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid", "userid": "u1"}
    return {name: value for name, value in (given | members).items() if value is not None}


async def send(collector: CollectorInMemory, event: CloudEvent, mode: Any) -> Any:
    message = mode(event, JSONFormat())
    return await collector.post(message.body, PATH, headers=message.headers)


@rows("mode", [to_binary, to_structured])
async def test_both_modes_of_the_package_make_the_same_event(collector: CollectorInMemory, mode: Any) -> None:
    data = {"order_id": "o1", "value": "19.90", "user_id": "u1", "name": "Zoë"}
    answer = await send(collector, cloud_event(data, subject="orders/o1 ünïcode", traceparent="00-x"), mode)
    assert answer.json() == {"accepted": 1, "results": [{"id": "/shop#1", "status": "accepted"}]}
    (event,) = collector.events()
    assert event["name"] == "com.example.order.paid"
    assert event["id"] == "/shop#1"
    assert event["user_id"] == "u1"
    assert event["occurred_at_ms"] == NOW - 5_000
    assert event["properties"] == data
    assert event["context"]["cloudevent"] == {
        "source": "/shop",
        "type": "com.example.order.paid",
        "subject": "orders/o1 ünïcode",
        "traceparent": "00-x",
    }


async def test_a_batch_with_a_bad_one_takes_the_others(collector: CollectorInMemory) -> None:
    batch = [
        orjson.loads(to_structured(cloud_event({"user_id": "u1"}, id=str(n)), JSONFormat()).body) for n in range(3)
    ]
    del batch[1]["type"]
    answer = await collector.post([*batch, "x"], PATH, headers=BATCH)
    assert [one.get("reason") for one in answer.json()["results"]] == [None, "missing_name", None, "not_an_object"]
    assert [one["id"] for one in collector.events()] == ["/shop#0", "/shop#2"]


@rows(
    ("members", "reason"),
    [
        ({"id": None}, "missing_id"),
        ({"id": ""}, "missing_id"),
        ({"id": "${id}"}, "missing_id"),
        ({"id": 5}, "wrong_type"),
        ({"source": None}, "missing_id"),
        ({"type": None}, "missing_name"),
        ({"type": "x" * 200}, "name_too_long"),
        ({"specversion": None}, "unsupported_type"),
        ({"specversion": "0.3"}, "unsupported_type"),
        ({"userid": None}, "missing_person"),
        ({"userid": "null"}, "missing_person"),
        ({"userid": "u" * 300}, "id_too_long"),
        ({"data": {"a": "x" * 40_000}}, "event_too_large"),
    ],
)
async def test_what_is_missing_or_wrong_is_said(
    collector: CollectorInMemory, members: dict[str, Any], reason: str
) -> None:
    answer = await collector.post(plain(**members), PATH, headers=STRUCTURED)
    assert answer.status_code == 200
    assert [one["reason"] for one in answer.json()["results"]] == [reason]
    assert [one["reason"] for one in collector.dead_letters()] == [reason]


@rows(
    ("headers", "body"),
    [
        ({"content-type": "application/cloudevents+avro"}, b"x"),
        ({"content-type": "application/cloudevents-batch+protobuf"}, b"x"),
        ({"content-type": "application/json"}, b'{"id": "1"}'),
        ({}, b""),
    ],
)
async def test_an_encoding_that_is_not_spoken(
    collector: CollectorInMemory, headers: dict[str, str], body: bytes
) -> None:
    answer = await collector.post(body, PATH, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_content_type")


@rows(
    "content_type",
    [
        "application/cloudevents+json; charset=utf-8",
        "Application/CloudEvents+JSON",
        "application/cloudevents",
        "text/plain",
    ],
)
async def test_spellings_of_the_structured_mode(collector: CollectorInMemory, content_type: str) -> None:
    answer = await collector.post(plain(), PATH, headers={"content-type": content_type})
    assert answer.json()["accepted"] == 1


@rows(
    ("data", "expected"),
    [
        ({"data": {"a": 1}}, {"a": 1}),
        ({"data": [1, 2]}, {"data": [1, 2]}),
        ({"data": "text"}, {"data": "text"}),
        ({"data": None}, {}),
        ({"data_base64": "AAE="}, {"data_base64": "AAE="}),
        ({"data": {"a": 1}, "data_base64": "AAE="}, {"a": 1}),
    ],
)
async def test_data_of_every_kind(collector: CollectorInMemory, data: Any, expected: Any) -> None:
    await collector.post(plain() | data, PATH, headers=STRUCTURED)
    assert collector.events()[0].get("properties", {}) == expected


@rows(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a": 19.990}', {"a": 19.99}),
        ("application/vnd.example+json; charset=utf-8", b"[1]", {"data": [1]}),
        (None, b'{"a": 1}', {"a": 1}),
        ("text/plain", "Zoë".encode(), {"data": "Zoë"}),
        ("text/plain", b"\xff", {"data_base64": "/w=="}),
        ("application/xml", b"<a/>", {"data": "<a/>"}),
        ("application/octet-stream", b"\x00\x01", {"data_base64": "AAE="}),
        ("application/json", b"", {}),
    ],
)
async def test_binary_data_of_every_kind(
    collector: CollectorInMemory, content_type: str | None, body: bytes, expected: Any
) -> None:
    headers = {f"ce-{name}": value for name, value in plain().items()}
    answer = await collector.post(
        body, PATH, headers=headers | ({"content-type": content_type} if content_type else {})
    )
    assert answer.json()["accepted"] == 1
    assert collector.events()[0].get("properties", {}) == expected


async def test_money_is_kept_as_it_was_sent(collector: CollectorInMemory) -> None:
    await collector.post(orjson.dumps(plain())[:-1] + b',"data":{"value":19.990}}', PATH, headers=STRUCTURED)
    assert b'"value":19.990' in collector.sink.records("funnelcast.t.events")[0].value


async def test_binary_json_that_is_none_is_400_and_an_incomplete_one_a_dead_letter(
    collector: CollectorInMemory,
) -> None:
    headers = {f"ce-{name}": value for name, value in plain().items()} | {"content-type": "application/json"}
    answer = await collector.post(b"{", PATH, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    answer = await collector.post(b'{"a":1}', PATH, headers=headers | {"ce-type": ""})
    assert answer.json()["results"] == [
        {"id": "1", "status": "rejected", "reason": "missing_name", "detail": "the attribute type is missing"}
    ]
    dead_letter = orjson.loads(collector.dead_letters()[-1]["payload"])
    assert dead_letter == plain(type="") | {"data": {"a": 1}}
    answer = await collector.post(dead_letter | {"type": "fixed"}, PATH)
    assert answer.json()["accepted"] == 1


async def test_binary_json_that_is_deep_is_rejected_with_a_dead_letter(collector: CollectorInMemory) -> None:
    headers = {f"ce-{name}": value for name, value in plain().items()} | {"content-type": "application/json"}
    body = b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"
    answer = await collector.post(body, PATH, headers=headers)
    assert [one["reason"] for one in answer.json()["results"]] == ["too_deep"]
    assert body.decode() in collector.dead_letters()[-1]["payload"]


@rows(
    ("value", "source"),
    [
        ("%2Fshop%20one", "/shop one"),
        ('"/shop \\"one\\""', '/shop "one"'),
        ("Euro%20%E2%82%AC", "Euro €"),
        ("100%25", "100%"),
        ("/a%2525", "/a%25"),
    ],
)
async def test_headers_are_decoded_once(collector: CollectorInMemory, value: str, source: str) -> None:
    headers = {f"ce-{name}": one for name, one in plain().items()} | {"ce-source": value}
    await collector.post(b"", PATH, headers=headers)
    assert collector.events()[0]["context"]["cloudevent"]["source"] == source


async def test_a_header_that_is_no_utf_8_is_rejected(collector: CollectorInMemory) -> None:
    headers = {f"ce-{name}": one for name, one in plain().items()} | {"ce-subject": "%FF"}
    answer = await collector.post(b"", PATH, headers=headers)
    assert answer.json()["results"][0]["reason"] == "wrong_type"


async def test_the_id_is_of_source_and_id_and_no_two_pairs_share_one(collector: CollectorInMemory) -> None:
    pairs = [("/a", "b#c"), ("/a#b", "c"), ("/a%23b", "c"), ("/a", "x" * 300), ("/b", "x" * 300)]
    batch = [plain(source=source, id=own) for source, own in pairs]
    await collector.post(batch, PATH, headers=BATCH)
    ids = [one["id"] for one in collector.events()]
    assert len(set(ids)) == len(pairs)
    assert ids[0] == "/a#b#c"
    assert ids[3].startswith("sha256:")


@rows(
    ("members", "expected"),
    [
        ({"userid": "u1", "anonymousid": "a1"}, {"user_id": "u1", "anonymous_id": "a1"}),
        ({"userid": None, "data": {"userId": 7}}, {"user_id": "7"}),
        ({"userid": None, "data": {"anonymous_id": "a1"}, "subject": "s"}, {"anonymous_id": "a1"}),
        ({"userid": None, "subject": "customer-1"}, {"user_id": "customer-1"}),
        ({"userid": "u2", "subject": "orders/1"}, {"user_id": "u2"}),
    ],
)
async def test_who(collector: CollectorInMemory, members: dict[str, Any], expected: dict[str, str]) -> None:
    await collector.post(plain(**members), PATH, headers=STRUCTURED)
    (event,) = collector.events()
    assert {name: event[name] for name in event if name.endswith("_id")} == expected


async def test_an_email_of_the_data_is_the_contact_and_is_not_kept(collector: CollectorInMemory) -> None:
    answer = await collector.post(plain(userid=None, data={"email": "Ann@example.com"}), PATH, headers=STRUCTURED)
    assert answer.json()["accepted"] == 1
    (event,) = collector.events()
    assert len(event["contact_id"]) == 64
    assert "email" not in event.get("properties", {})


async def test_an_email_among_the_attributes_is_the_contact_too(collector: CollectorInMemory) -> None:
    told: list[dict[str, Any]] = [{"email": "ann@example.com"}, {"data": {"email": "ANN@example.com"}}]
    for number, where in enumerate(told):
        await collector.post(plain(id=str(number), userid=None, subject="o-1", **where), PATH, headers=STRUCTURED)
    first, second = collector.events()
    assert first["contact_id"] == second["contact_id"]
    assert "user_id" not in first
    assert "@" not in str(first)


@rows("time", ["no time", 5, "1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_an_absurd_time_is_the_time_of_reception(collector: CollectorInMemory, time: Any) -> None:
    await collector.post(plain(time=time), PATH, headers=STRUCTURED)
    assert collector.events()[0]["occurred_at_ms"] == NOW
    assert collector.metric("times_clamped_total") == 1


async def test_a_batch_in_base64_keeps_every_byte(collector: CollectorInMemory) -> None:
    blob = bytes(range(256))
    event = cloud_event(blob, datacontenttype="application/octet-stream", userid="u1")
    for mode in (to_binary, to_structured):
        await send(collector, event, mode)
    assert {base64.b64decode(one["properties"]["data_base64"]) for one in collector.events()} == {blob}
