"""Segment's and RudderStack's paths and messages, beyond what the collector's tests say of them."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from producers.formats.segment_mapping import V2_NAMES
from producers.ingest.verdicts import Scope
from tests.support.collector import NOW, CollectorInMemory, basic
from tests.support.rows import rows

TIME = "2025-01-01T10:00:00.000Z"


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return CollectorInMemory(tmp_path)


def message(**members: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "messageId": "m-1", "anonymousId": "v1"} | members


async def only_event(
    collector: CollectorInMemory, body: Any, path: str = "/v1/track", **options: Any
) -> dict[str, Any]:
    answer = await collector.post(body, path, **options)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 1, answer.text
    return collector.events()[-1]


def who(event: dict[str, Any]) -> dict[str, str]:
    return {name: event[name] for name in ("anonymous_id", "user_id", "contact_id") if name in event}


class TestPaths:
    @rows("path", ["/v1/batch", "/v1/batch/", "/v1/b", "/v1/import", "/beacon/v1/batch"])
    async def test_batches(self, collector: CollectorInMemory, path: str) -> None:
        body = orjson.dumps({"batch": [message()], "sentAt": TIME})
        url = f"{path}?writeKey={collector.keys[Scope.BROWSER]}"
        answer = await collector.request("POST", url, body, {"content-type": "text/plain;charset=UTF-8"})
        assert answer.json()["accepted"] == 1
        assert collector.events()[0]["source"] == "source-browser"

    async def test_a_gzip_body_that_calls_itself_a_form(self, collector: CollectorInMemory) -> None:
        """As RudderStack's node client sends it."""
        told = {"originalTimestamp": "2025-01-01T09:59:50Z", "sentAt": "2025-01-01T09:59:55Z", "channel": "server"}
        body = {"batch": [message(**told)], "timestamp": TIME, "sentAt": TIME}
        headers = {"content-type": "application/x-www-form-urlencoded", "content-encoding": "gzip"}
        headers |= basic(collector.keys[Scope.SERVER])
        answer = await collector.request("POST", "/v1/batch", gzip.compress(orjson.dumps(body)), headers)
        assert answer.json()["accepted"] == 1
        assert collector.events()[0]["occurred_at_ms"] == NOW - 5_000

    @rows("body", [b'{"series":[]}', b"", b"{"])
    async def test_telemetry_is_swallowed(self, collector: CollectorInMemory, body: bytes) -> None:
        answer = await collector.request("POST", "/v1/m", body)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        assert collector.events() == []
        assert collector.metric("events_received_total") == 0

    @rows(
        ("headers", "host", "protocol"),
        [
            ({"host": "127.0.0.1:8080"}, "127.0.0.1:8080/v1", "http"),
            ({"host": "localhost"}, "localhost/v1", "http"),
            ({"host": "collect.example.com"}, "collect.example.com/v1", "https"),
            ({"host": "collect.example.com", "x-forwarded-proto": "http"}, "collect.example.com/v1", "http"),
            ({"host": "[::1]:80"}, "[::1]:80/v1", "http"),
        ],
    )
    async def test_settings(
        self, collector: CollectorInMemory, headers: dict[str, str], host: str, protocol: str
    ) -> None:
        answer = await collector.request("GET", "/v1/projects/KEY/settings", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {
            "integrations": {"Segment.io": {"apiKey": "KEY", "apiHost": host, "protocol": protocol}}
        }

    @rows(
        ("path", "headers"),
        [
            ("/v1/projects/KEY/plan", {}),
            ("/v1/projects//settings", {}),
            ("/v1/projects/a%20b/settings", {}),
            ("/v1/projects/KEY/settings", {"host": "x/evil"}),
            ("/analytics.js/v1/KEY/analytics.min.js", {}),
            ("/sourceConfig/", {}),
            ("/sourceConfig/?writeKey=%3Cscript%3E", {}),
        ],
    )
    async def test_what_is_not_there_says_what_to_do(
        self, collector: CollectorInMemory, path: str, headers: dict[str, str]
    ) -> None:
        answer = await collector.request("GET", path, headers=headers)
        assert answer.status_code == 404
        assert answer.json().keys() == {"code", "message", "detail"}

    async def test_the_source_of_a_rudderstack_browser_client(self, collector: CollectorInMemory) -> None:
        answer = await collector.request("GET", "/sourceConfig/?p=npm&v=3.0.0&writeKey=KEY")
        source = answer.json()["source"]
        assert (source["writeKey"], source["enabled"], source["destinations"]) == ("KEY", True, [])

    async def test_an_oversize_message_is_400_alone_and_costs_no_other_in_a_batch(
        self, collector: CollectorInMemory
    ) -> None:
        large = message(messageId="large", properties={"text": "x" * 33_000})
        answer = await collector.post(large, "/v1/track")
        assert (answer.status_code, answer.json()["code"]) == (400, "event_too_large")
        answer = await collector.post({"batch": [large, message()]}, "/v1/batch")
        assert [one.get("reason") for one in answer.json()["results"]] == ["event_too_large", None]
        answer = await collector.post({"batch": [large] * 40}, "/v1/batch")
        assert (answer.status_code, answer.json()["code"]) == (400, "body_too_large")

    @rows(
        ("context", "code"),
        [({"text": "x" * 8_200}, "event_too_large"), (orjson.loads(b"[" * 40 + b"]" * 40), "too_deep")],
    )
    async def test_a_shared_context_cannot_be_multiplied(
        self, collector: CollectorInMemory, context: Any, code: str
    ) -> None:
        body = {"batch": [message()] * 100, "context": {"a": context}}
        answer = await collector.post(body, "/v1/batch")
        assert (answer.status_code, answer.json()["code"]) == (400, code)

    async def test_what_else_a_batch_shares_is_short_or_nothing(self, collector: CollectorInMemory) -> None:
        body = {"batch": [{"type": "track", "userId": "u"}] * 2, "sentAt": "x" * 9_000}
        await collector.post(body, "/v1/batch", headers={"AnonymousId": base64.b64encode(b"v" * 300).decode()})
        assert [one["bytes"] for one in collector.dead_letters()] == [29, 29]


class TestWho:
    @rows(
        ("path", "members", "expected", "properties"),
        [
            ("/v1/identify", {"userId": "u"}, {"anonymous_id": "v1", "user_id": "u"}, {}),
            (
                "/v1/alias",
                {"userId": "u", "anonymousId": None, "previousId": "v"},
                {"anonymous_id": "v", "user_id": "u"},
                {},
            ),
            (
                "/v1/alias",
                {"userId": "u", "anonymousId": None, "previousId": "u"},
                {"user_id": "u"},
                {"previous_id": "u"},
            ),
            (
                "/v1/alias",
                {"userId": "u", "previousId": "old"},
                {"anonymous_id": "v1", "user_id": "u"},
                {"previous_id": "old"},
            ),
            ("/v1/alias", {"userId": "u", "previousId": "v1"}, {"anonymous_id": "v1", "user_id": "u"}, {}),
            ("/v1/group", {"userId": "u", "groupId": "g"}, {"anonymous_id": "v1", "user_id": "u"}, {"group_id": "g"}),
        ],
    )
    async def test_links(
        self,
        collector: CollectorInMemory,
        path: str,
        members: dict[str, Any],
        expected: dict[str, str],
        properties: dict[str, Any],
    ) -> None:
        record = await only_event(collector, message(**members), path)
        assert who(record) == expected
        assert record["properties"] == properties

    @rows(
        "members",
        [
            {"traits": {"email": "ann@example.com"}},
            {"context": {"traits": {"email": "ANN@example.com"}}},
            {"properties": {"email": "ann@example.com"}},
        ],
    )
    async def test_an_email_anywhere_is_one_contact(
        self, collector: CollectorInMemory, members: dict[str, Any]
    ) -> None:
        first = await only_event(collector, message(traits={"email": "ann@example.com"}), "/v1/identify")
        second = await only_event(collector, message(**members), "/v1/identify")
        assert first["contact_id"] == second["contact_id"]
        assert b"example.com" not in b"".join(one.value for one in collector.sink.records("funnelcast.t.events"))

    @rows(("traits", "properties"), [({"plan": "team", "email": "ann@example.com"}, {"plan": "team"}), ("none", {})])
    async def test_rudderstack_keeps_traits_in_the_context(
        self, collector: CollectorInMemory, traits: Any, properties: dict[str, Any]
    ) -> None:
        record = await only_event(collector, message(context={"traits": traits}), "/v1/identify")
        assert record["properties"] == properties
        assert ("contact_id" in record) == isinstance(traits, dict)

    async def test_the_address_of_a_group_is_nobodys_contact(self, collector: CollectorInMemory) -> None:
        body = message(groupId="g", traits={"email": "office@example.com", "phone": "+4930123456", "plan": "team"})
        record = await only_event(collector, body, "/v1/group")
        assert who(record) == {"anonymous_id": "v1"}
        assert record["properties"] == {"plan": "team", "group_id": "g"}

    @rows(
        ("members", "header", "expected"),
        [
            ({"anonymousId": None}, base64.b64encode(b"v9").decode(), {"anonymous_id": "v9"}),
            ({}, base64.b64encode(b"v9").decode(), {"anonymous_id": "v1"}),
            ({"anonymousId": None, "userId": "u"}, base64.b64encode(b"v9").decode(), {"user_id": "u"}),
            ({}, "no base64", {"anonymous_id": "v1"}),
            ({}, base64.b64encode(b"\xff").decode(), {"anonymous_id": "v1"}),
        ],
    )
    async def test_rudderstacks_header(
        self, collector: CollectorInMemory, members: dict[str, Any], header: str, expected: dict[str, str]
    ) -> None:
        record = await only_event(collector, message(**members), headers={"AnonymousId": header})
        assert who(record) == expected
        record = await only_event(
            collector, {"batch": [message(**members)]}, "/v1/batch", headers={"AnonymousId": header}
        )
        assert who(record) == expected


class TestNamesAndOrders:
    @rows(("sent", "name"), [*sorted(V2_NAMES.items()), ("Completed  Order", "completed__order")])
    async def test_first_version_names(self, collector: CollectorInMemory, sent: str, name: str) -> None:
        record = await only_event(
            collector, message(event=sent.replace("_", " ").title() if "__" not in name else sent)
        )
        assert record["name"] == name

    async def test_a_name_that_a_funnel_looks_at_is_kept(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, {"known_names": {"added_product"}})
        assert (await only_event(collector, message(event="Added Product")))["name"] == "added_product"
        assert (await only_event(collector, message(event="Removed Product")))["name"] == "product_removed"

    @rows(
        ("event", "sent", "added"),
        [
            ("Order Completed", {"revenue": 19.9}, {"value": 19.9}),
            ("Order Completed", {"revenue": None, "total": "25.00"}, {"value": "25.00"}),
            ("Order Completed", {"revenue": 1, "value": 2}, {}),
            ("Order Completed", {"orderId": "o1"}, {"order_id": "o1"}),
            ("Order Completed", {"transaction_id": 7, "order_id": "o1"}, {}),
            ("Completed Order", {"id": "o1", "total": 5}, {"order_id": "o1", "value": 5}),
            ("Order Completed", {"id": "x"}, {}),
            ("Order Completed", {"products": [{"name": "Tea", "sku": "t"}]}, {"product": "Tea"}),
            ("Order Completed", {"products": [{"sku": "t"}, {"sku": "u"}]}, {}),
            ("Order Completed", {"products": "tea"}, {}),
            ("Order Completed", {"products": [3]}, {}),
            ("Product Viewed", {"product_id": "p1", "name": "Tea"}, {"product": "Tea"}),
            ("Added Product", {"sku": "t"}, {"product": "t"}),
            ("Product List Viewed", {"name": "Teas"}, {}),
            ("Signed Up", {"name": "Ann"}, {}),
            ("Product Viewed", {"name": "Tea", "product": None}, {}),
        ],
    )
    async def test_orders(
        self, collector: CollectorInMemory, event: str, sent: dict[str, Any], added: dict[str, Any]
    ) -> None:
        record = await only_event(collector, message(event=event, properties=sent))
        assert record["properties"] == sent | added

    async def test_money_keeps_its_digits(self, collector: CollectorInMemory) -> None:
        body = orjson.dumps(message())[:-1] + b',"properties":{ "revenue" : 19.990 , "tax":1.10 } }'
        await only_event(collector, body)
        value = collector.sink.records("funnelcast.t.events")[0].value
        assert b'"properties":{ "revenue" : 19.990 , "tax":1.10 ,"value":19.990}' in value

    async def test_a_null_gives_way(self, collector: CollectorInMemory) -> None:
        context = {"campaign": {"source": "news", "name": "may"}}
        record = await only_event(collector, message(properties={"channel": None, "x": 1}, context=context))
        assert record["properties"] == {"source": "news", "campaign": "may", "channel": "unassigned", "x": 1}
        assert collector.sink.records("funnelcast.t.events")[0].value.count(b'"channel"') == 1

    @rows(
        ("page", "channel"),
        [
            ({"search": "?gclid=1"}, "paid search"),
            ({"url": "https://example.com/?fbclid=1#x"}, "organic social"),
            ({"search": "", "url": "https://example.com/?yclid=1"}, "paid search"),
            ({"search": "?utm_source=news&gclid=1"}, "unassigned"),
            ({"search": "?x=1"}, None),
        ],
    )
    async def test_click_ids(self, collector: CollectorInMemory, page: dict[str, str], channel: str | None) -> None:
        record = await only_event(collector, message(context={"page": page}))
        assert record["properties"].get("channel") == channel


class TestLetters:
    async def test_a_message_of_a_batch_takes_along_what_it_shared(self, collector: CollectorInMemory) -> None:
        bad = {"messageId": "m", "type": "track", "userId": "u", "context": {"a": 1}}
        body = {"batch": [bad, 5], "sentAt": TIME, "context": {"library": {"name": "x"}}}
        answer = await collector.post(body, "/v1/batch", headers={"AnonymousId": "djk="})
        assert [one["reason"] for one in answer.json()["results"]] == ["missing_name", "not_an_object"]
        first, second = sorted(collector.dead_letters(), key=lambda one: str(one["payload"]), reverse=True)
        assert orjson.loads(first["payload"]) == bad | {"sentAt": TIME}
        assert second["payload"] == "5"

    async def test_one_without_a_context_gets_the_shared_one(self, collector: CollectorInMemory) -> None:
        body = {"batch": [{"type": "track", "messageId": "m"}], "context": {"library": {"name": "x"}}}
        await collector.post(body, "/v1/batch", headers={"AnonymousId": base64.b64encode(b"v9").decode()})
        (dead_letter,) = collector.dead_letters()
        expected = body["batch"][0] | {"context": body["context"], "anonymousId": "v9"}  # type: ignore[index]
        assert orjson.loads(dead_letter["payload"]) == expected


@rows("time", ["1970-01-01T00:00:01Z", "1999-12-31T23:59:59Z"])
async def test_a_time_before_there_was_anything_to_count_is_no_time(collector: CollectorInMemory, time: str) -> None:
    record = await only_event(collector, message(timestamp=time))
    assert record["occurred_at_ms"] == NOW
    assert collector.metric("times_clamped_total") == 1
