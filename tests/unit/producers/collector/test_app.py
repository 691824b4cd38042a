"""The collector over HTTP, with a log in memory: statuses, bodies, verdicts, dead letters, counts."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from producers.access.keys import revoke_key
from producers.formats.native import Native
from producers.ingest.limits import Limits
from producers.ingest.verdicts import Scope
from producers.sink.port import SinkUnavailableError
from tests.support.collector import NOW, TOPICS, CollectorInMemory, basic, event
from tests.support.rows import rows


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return CollectorInMemory(tmp_path)


def balanced(collector: CollectorInMemory) -> bool:
    """Whether what became of the events adds up, source by source."""
    text = collector.app.metrics.render().decode()
    received: Counter[str] = Counter()
    became: Counter[str] = Counter()
    for sample in (one for family in text_string_to_metric_families(text) for one in family.samples):
        if sample.name == "funnelcast_collector_events_received_total":
            received[sample.labels["source"]] += int(sample.value)
        if sample.name == "funnelcast_collector_events_total":
            assert sample.labels["outcome"] in ("accepted", "rejected", "deduplicated")
            became[sample.labels["source"]] += int(sample.value)
    return +received == +became


class TestVerdicts:
    async def test_one_event(self, collector: CollectorInMemory) -> None:
        answer = await collector.post(event())
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"accepted": 1, "results": [{"id": "e-1", "status": "accepted"}]}
        (record,) = collector.sink.records(TOPICS.events)
        assert (record.key, record.timestamp_ms) == (b"a:v1", NOW)
        assert collector.events()[0]["source"] == "source-server"

    async def test_a_rejected_event_is_named_by_its_id_when_it_can_be_read(self, collector: CollectorInMemory) -> None:
        answer = await collector.post([event(1, user_id=["x"]), event(2, occurred_at_ms="soon"), event(3, id={})])
        assert [one["id"] for one in answer.json()["results"]] == ["e-1", "e-2", None]
        assert {one["reason"] for one in answer.json()["results"]} == {"wrong_type"}

    async def test_a_bad_event_of_a_batch_is_rejected_alone(self, collector: CollectorInMemory) -> None:
        answer = await collector.post([event(1), event(2, name=None), 3, event(4)])
        assert answer.status_code == 200
        assert answer.json() == {
            "accepted": 2,
            "results": [
                {"id": "e-1", "status": "accepted"},
                {"id": "e-2", "status": "rejected", "reason": "missing_name", "detail": "name is missing"},
                {"id": None, "status": "rejected", "reason": "not_an_object", "detail": "an event is a JSON object"},
                {"id": "e-4", "status": "accepted"},
            ],
        }
        assert [one["id"] for one in collector.events()] == ["e-1", "e-4"]
        dead_letters = {one["reason"]: one for one in collector.dead_letters()}
        assert dead_letters["not_an_object"] == {
            "reason": "not_an_object",
            "detail": "an event is a JSON object",
            "source": "source-server",
            "route": "/v1/events",
            "received_at_ms": NOW,
            "bytes": 1,
            "payload": "3",
        }
        assert {one.headers for one in collector.sink.records(TOPICS.rejected)} == {
            (("reason", b"missing_name"),),
            (("reason", b"not_an_object"),),
        }
        assert collector.metric("events_total", outcome="rejected", reason="missing_name") == 1
        assert balanced(collector)

    async def test_ndjson_with_a_broken_line(self, collector: CollectorInMemory) -> None:
        lines = [orjson.dumps(event(1)), b'{"id": "e-2"', b"", orjson.dumps(event(3)) + b"\r"]
        answer = await collector.post(b"\n".join(lines) + b"\n", headers={"Content-Type": "text/plain"})
        results = answer.json()["results"]
        assert [one["status"] for one in results] == ["accepted", "rejected", "accepted"]
        assert results[1]["reason"] == "malformed_json"
        assert collector.dead_letters()[0]["payload"] == '{"id": "e-2"'

    async def test_pretty_json_is_one_event(self, collector: CollectorInMemory) -> None:
        answer = await collector.post(orjson.dumps(event(), option=orjson.OPT_INDENT_2))
        assert answer.json()["accepted"] == 1

    async def test_an_empty_array(self, collector: CollectorInMemory) -> None:
        assert (await collector.post([])).json() == {"accepted": 0, "results": []}

    async def test_order_is_kept_within_a_partition(self, collector: CollectorInMemory) -> None:
        await collector.post([event(n, anonymous_id=f"v{n % 7}") for n in range(100)])
        for person in range(7):
            ids = [one["id"] for one in collector.events() if one["anonymous_id"] == f"v{person}"]
            assert ids == [f"e-{n}" for n in range(100) if n % 7 == person]

    async def test_bytes_that_are_no_text_are_kept_as_base64(self, collector: CollectorInMemory) -> None:
        await collector.post(b'[{"id":"\xff"}]')
        assert collector.dead_letters()[0]["payload_base64"] == "eyJpZCI6Iv8ifQ=="

    async def test_a_long_payload_is_cut_in_its_dead_letter(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, options={"limits": Limits(dead_letter_bytes=10)})
        await collector.post([{"x": "y" * 100}])
        (dead_letter,) = collector.dead_letters()
        assert (dead_letter["payload"], dead_letter["is_cut"], dead_letter["bytes"]) == ('{"x":"yyyy', True, 108)

    async def test_counts_of_what_was_repaired(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, options={"known_names": {"payment"}})
        await collector.post([event(1, occurred_at_ms=NOW + 61_000), event(2, user_id="null", name="payment")])
        assert collector.metric("times_clamped_total") == 1
        assert collector.metric("placeholder_ids_total") == 1
        assert collector.metric("unknown_names_total") == 1


class TestBodies:
    @rows(
        "body",
        [
            gzip.compress(orjson.dumps(event()), mtime=0),
            gzip.compress(b"[", mtime=0) + gzip.compress(orjson.dumps(event()) + b"]", mtime=0),
        ],
    )
    @rows("headers", [{"Content-Encoding": "gzip"}, {"Content-Type": "application/json"}])
    async def test_gzip_with_and_without_its_header(
        self, collector: CollectorInMemory, body: bytes, headers: dict[str, str]
    ) -> None:
        assert (await collector.post(body, headers=headers)).json()["accepted"] == 1

    async def test_deflate_and_a_header_that_a_proxy_left_behind(self, collector: CollectorInMemory) -> None:
        body = orjson.dumps(event())
        assert (await collector.post(zlib.compress(body), headers={"Content-Encoding": "deflate"})).status_code == 200
        assert (await collector.post(body, headers={"Content-Encoding": "gzip"})).status_code == 200

    @rows("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png", ""])
    async def test_the_content_type_decides_nothing(self, collector: CollectorInMemory, kind: str) -> None:
        assert (await collector.post(event(), headers={"Content-Type": kind})).json()["accepted"] == 1

    async def test_a_byte_order_mark(self, collector: CollectorInMemory) -> None:
        assert (await collector.post(b"\xef\xbb\xbf" + orjson.dumps(event()))).json()["accepted"] == 1

    @rows(
        ("body", "headers", "code", "message"),
        [
            (b"", {}, "malformed_json", "the body is empty"),
            (b" \n ", {}, "malformed_json", "the body is empty"),
            (b'{"id": "a"', {}, "malformed_json", "the body is not valid JSON"),
            (b'[{"id": "a"}', {}, "malformed_json", "the body is not valid JSON"),
            (b"[" * 100_000, {}, "malformed_json", "the body is not valid JSON"),
            (b"hello", {}, "malformed_json", "the body is neither an event nor an array of events"),
            (b"hello\nworld", {}, "malformed_json", "the body is not valid JSON"),
            (b'"text"', {}, "malformed_json", "the body is neither an event nor an array of events"),
            (b"\x00\x01\x02", {}, "malformed_json", "the body is neither an event nor an array of events"),
            (b"\x1f\x8bnot gzip", {}, "bad_encoding", "the compressed body is broken"),
            (gzip.compress(b"{}" * 1000, mtime=0)[:-9], {}, "bad_encoding", "the compressed body is cut off"),
            (b"{}", {"Content-Encoding": "br"}, "bad_encoding", "Content-Encoding 'br' is not supported"),
            (b"[" + b"1," * 2000 + b"1]", {}, "too_many_events", "too many events in one request"),
            (b"1\n" * 2001, {}, "too_many_events", "too many events in one request"),
            (b" " * 1_048_577, {}, "body_too_large", "the body is too large"),
            (gzip.compress(b" " * 50_000_000, 1, mtime=0), {}, "body_too_large", "the body is too large"),
        ],
    )
    async def test_a_body_that_cannot_be_read(
        self, collector: CollectorInMemory, body: bytes, headers: dict[str, str], code: str, message: str
    ) -> None:
        answer = await collector.post(body, headers=headers)
        assert answer.status_code == 400
        assert answer.json().keys() == {"code", "message", "detail"}
        assert (answer.json()["code"], answer.json()["message"]) == (code, message)
        (dead_letter,) = collector.dead_letters()
        assert dead_letter["reason"] == code
        assert collector.metric("events_total", outcome="rejected", reason=code) == 1
        assert collector.metric("requests_total", code="400", route="/v1/events") == 1
        assert balanced(collector)

    async def test_a_bomb_is_not_inflated(self, collector: CollectorInMemory) -> None:
        bomb = gzip.compress(gzip.compress(b"0" * 20_000_000, 1), 9)
        assert (await collector.post(bomb)).status_code == 400  # one layer is taken off, and no more


class TestKeys:
    async def test_every_place_for_a_key(self, collector: CollectorInMemory) -> None:
        key = collector.keys[Scope.BROWSER]
        bare = {"Authorization": "basic " + base64.b64encode(key.encode()).decode().rstrip("=")}
        for headers in (basic(key), bare, {"Authorization": f"Bearer {key}"}, {"X-Write-Key": key}):
            assert (await collector.post(event(), scope=None, headers=headers)).status_code == 200
        for name in ("writeKey", "api_secret", "token", "key"):
            assert (await collector.post(event(), f"/v1/events?v=1&{name}={key}", scope=None)).status_code == 200
        for name in ("writeKey", "api_key", "token"):
            assert (await collector.post(event() | {name: key}, scope=None)).status_code == 200
        assert {one["source"] for one in collector.events()} == {"source-browser"}

    @rows(
        "headers",
        [
            {},
            {"X-Write-Key": "fcs_wrong"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic %%%"},
            {"Authorization": "Basic /w=="},
            {"Authorization": "Digest x"},
        ],
    )
    async def test_a_bad_key(self, collector: CollectorInMemory, headers: dict[str, str]) -> None:
        answer = await collector.post(event(), scope=None, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == "bad_key"
        assert answer.json()["message"] == "the write key is missing or unknown"
        assert collector.events() == []
        assert collector.dead_letters()[0]["source"] == "unknown"
        assert collector.metric("events_total", reason="bad_key") == 1

    async def test_a_dead_letter_holds_no_write_key(self, collector: CollectorInMemory) -> None:
        await collector.post(event(writeKey="fcs_mistyped"), scope=None)
        await collector.post(event(name=None, writeKey=collector.keys[Scope.SERVER]), scope=None)
        assert all(
            '"writeKey":"***"' in letter["payload"] and "fcs_" not in letter["payload"]
            for letter in collector.dead_letters()
        )

    async def test_strangers_cannot_fill_the_topic_of_dead_letters(self, collector: CollectorInMemory) -> None:
        for _ in range(30):
            assert (await collector.post(event(), scope=None)).status_code == 401
        assert len(collector.dead_letters()) == 10
        assert collector.metric("events_total", reason="bad_key") == 30

    async def test_a_revoked_key_stops_working(
        self, collector: CollectorInMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (await collector.post(event())).status_code == 200
        path = tmp_path / "keys.json"
        stored = orjson.loads(path.read_bytes())["keys"]
        assert collector.keys[Scope.SERVER] not in path.read_text()
        assert revoke_key(path, next(one["id"] for one in stored if one["scope"] == "server"))
        monkeypatch.setattr("producers.access.keys._RELOAD_SECONDS", 0.0)
        assert (await collector.post(event())).status_code == 401
        path.write_text("broken")
        assert (await collector.post(event(), scope=Scope.BROWSER)).status_code == 200

    async def test_an_open_collector_takes_events_without_a_key(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, is_open=True)
        assert (await collector.post(event(), scope=None)).status_code == 200
        assert collector.events()[0]["source"] == "default"


class TestHistory:
    async def test_ticks_go_to_every_partition(self, collector: CollectorInMemory) -> None:
        body = [event(1), {"tick": NOW, "marker": "end"}]
        headers = {"X-Funnelcast-Sequence": "import-1:40"}
        answer = await collector.post(body, scope=Scope.HISTORICAL, headers=headers)
        assert answer.json() == {
            "accepted": 2,
            "results": [{"id": "e-1", "status": "accepted"}, {"id": None, "status": "accepted", "tick": NOW}],
        }
        ticks = [one for one in collector.events() if "tick" in one]
        session = ticks[0]["seq"][0]
        assert session.endswith("/import-1")
        assert ticks == [{"tick": NOW, "marker": "end", "seq": [session, 41]}] * 4
        assert [one["seq"] for one in collector.events() if "id" in one] == [[session, 40]]
        assert collector.metric("ticks_total") == 1
        assert balanced(collector)

    async def test_sessions_of_two_keys_are_two_sessions(self, collector: CollectorInMemory) -> None:
        for number, scope in enumerate((Scope.SERVER, Scope.HISTORICAL)):
            await collector.post(event(number), scope=scope, headers={"X-Funnelcast-Sequence": "1:5"})
        await collector.post(event(3), headers={"X-Funnelcast-Sequence": "1:6"})
        sessions = [one["seq"][0] for one in sorted(collector.events(), key=lambda one: str(one["id"]))]
        assert sessions[0] == sessions[2] != sessions[1]

    async def test_reception_is_the_log_time(self, collector: CollectorInMemory) -> None:
        await collector.post(event(occurred_at_ms=5_000), scope=Scope.HISTORICAL)
        assert collector.sink.records(TOPICS.events)[0].timestamp_ms == 5_000

    @rows("header", ["", "x", ":1", "s:", "s:-1", "s:1.5", "s" * 65 + ":1", "s:" + "9" * 20])
    async def test_a_sequence_that_cannot_be_read(self, collector: CollectorInMemory, header: str) -> None:
        answer = await collector.post(event(), headers={"X-Funnelcast-Sequence": header})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_sequence")
        assert collector.events() == []

    async def test_a_browser_has_no_sequence(self, collector: CollectorInMemory) -> None:
        answer = await collector.post(event(), scope=Scope.BROWSER, headers={"X-Funnelcast-Sequence": "s:1"})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_sequence")


class TestTrouble:
    async def test_503_while_kafka_is_away_then_recovery(self, collector: CollectorInMemory) -> None:
        collector.sink.failure = SinkUnavailableError("Kafka does not acknowledge", 5)
        answer = await collector.post([event(1), event(2, name=None)])
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json() == {
            "code": "unavailable",
            "message": "events cannot be taken now; send the same again",
            "detail": "Kafka does not acknowledge",
        }
        assert (await collector.request("GET", "/readyz")).status_code == 503
        assert (await collector.request("GET", "/healthz")).status_code == 200
        assert collector.metric("events_received_total") == 0
        assert collector.metric("events_unacknowledged_total") == 2
        assert (await collector.post(b"broken")).status_code == 503  # its letter cannot be written
        assert (await collector.post(event(), scope=None)).status_code == 401
        collector.sink.failure = None
        assert (await collector.post([event(1), event(2, name=None)])).status_code == 200
        assert (await collector.request("GET", "/readyz")).json() == {"ready": True, "reason": ""}
        assert balanced(collector)

    async def test_a_bug_costs_one_request(self, collector: CollectorInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Native, "read", lambda native, request, sender: 1 / 0)
        answer = await collector.post(event())
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")


class TestBounds:
    async def test_a_body_that_does_not_arrive(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, options={"limits": Limits(body_seconds=0.05)})
        status, body = await ask(collector, [{"type": "http.request", "body": b"[", "more_body": True}])
        assert (status, body["code"]) == (408, "body_timeout")

    async def test_a_body_that_is_cut_off(self, collector: CollectorInMemory) -> None:
        part = {"type": "http.request", "body": b"[", "more_body": True}
        status, body = await ask(collector, [part, {"type": "http.disconnect"}])
        assert (status, body["message"]) == (400, "the connection ended before the body did")

    async def test_a_body_that_is_too_large_is_not_read_to_its_end(self, collector: CollectorInMemory) -> None:
        part = {"type": "http.request", "body": b"x" * 600_000, "more_body": True}
        status, body = await ask(collector, [part, part])
        assert (status, body["code"]) == (400, "body_too_large")
        (dead_letter,) = collector.sink.records("funnelcast.t.rejected")
        assert dead_letter.timestamp_ms == NOW

    async def test_halves_of_bodies_are_bounded_together(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, options={"limits": Limits(unfinished_bytes=1000, body_seconds=5)})
        half = {"type": "http.request", "body": b"x" * 600, "more_body": True}
        waiting = asyncio.create_task(ask(collector, [half]))
        await asyncio.sleep(0)
        assert await ask(collector, [half]) == (
            503,
            {
                "code": "unavailable",
                "message": "events cannot be taken now; send the same again",
                "detail": "too many unfinished bodies at once",
            },
        )
        assert (await collector.post(event())).status_code == 200, "a whole body needs no room"
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        status, body = await ask(collector, [half, {"type": "http.disconnect"}])
        assert (status, body["code"]) == (400, "malformed_json"), "the room of who left is free again"

    async def test_requests_under_way_are_bounded(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, options={"limits": Limits(requests=1, body_seconds=5)})
        waiting = asyncio.create_task(ask(collector, []))
        await asyncio.sleep(0)
        answer = await collector.post(event())
        assert (answer.status_code, answer.json()["detail"]) == (503, "too many requests at once")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (await collector.post(event())).status_code == 200


async def ask(collector: CollectorInMemory, messages: list[dict[str, Any]]) -> tuple[int, Any]:
    """An ASGI request whose body comes in these parts, and then nothing more."""
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"x-write-key", collector.keys[Scope.SERVER].encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/events", "headers": headers, "query_string": b""}
    await collector.app(scope, receive, send)
    return sent[0]["status"], orjson.loads(sent[1]["body"])


class TestHttp:
    async def test_preflight(self, collector: CollectorInMemory) -> None:
        headers = {"Origin": "https://shop.example", "Access-Control-Request-Headers": "authorization,x-retry-count"}
        answer = await collector.request("OPTIONS", "/v1/t", headers=headers)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
        assert answer.headers["access-control-allow-headers"] == "authorization,x-retry-count"
        assert answer.headers["access-control-max-age"] == "86400"
        assert answer.headers["vary"] == "Origin"
        assert "*" not in "".join(answer.headers.values())

    async def test_a_preflight_without_a_list_allows_what_clients_send(self, collector: CollectorInMemory) -> None:
        answer = await collector.request("OPTIONS", "/v1/t", headers={"Origin": "null"})
        allowed = answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-allow-origin"] == "null"
        for header in ("authorization", "content-type", "x-retry-count", "anonymousid", "sp-anonymous"):
            assert header in allowed

    async def test_the_handshake_of_cloudevents_webhooks(self, collector: CollectorInMemory) -> None:
        headers = {"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"}
        answer = await collector.request("OPTIONS", "/v1/events", headers=headers)
        assert answer.status_code == 204
        assert answer.headers["webhook-allowed-origin"] == "events.example.com"
        assert answer.headers["webhook-allowed-rate"] == "120"
        assert "access-control-allow-origin" not in answer.headers
        del headers["WebHook-Request-Rate"]
        answer = await collector.request("OPTIONS", "/v1/events", headers=headers)
        assert answer.headers["webhook-allowed-rate"] == "*"

    async def test_a_page_on_another_origin_may_read_when_to_come_back(self, collector: CollectorInMemory) -> None:
        answer = await collector.post(event(), headers={"Origin": "https://shop.example"})
        assert "Retry-After" in answer.headers["access-control-expose-headers"]

    async def test_caches_are_told_that_pages_differ_by_origin(self, collector: CollectorInMemory) -> None:
        assert (await collector.request("GET", "/funnelcast.js")).headers["access-control-allow-origin"] == "*"
        assert (await collector.request("POST", "/flags")).headers["vary"] == "Origin"

    async def test_head_is_for_pages(self, collector: CollectorInMemory) -> None:
        assert (await collector.request("HEAD", "/healthz")).status_code == 200
        assert (await collector.request("HEAD", "/v1/events")).status_code == 405

    async def test_pages_may_read_what_events_are_answered_and_nothing_else(self, collector: CollectorInMemory) -> None:
        page = {"Origin": "https://shop.example"}
        for path in ("/v1/events", "/v1/track", "/batch", "/flags"):
            for answer in (
                await collector.post(event(), path, headers=page),
                await collector.request("OPTIONS", path, headers=page),
            ):
                assert answer.headers["access-control-allow-origin"] == "https://shop.example", path
        for path in ("/healthz", "/readyz", "/_readiness", "/nowhere"):
            for method in ("GET", "POST", "OPTIONS"):
                answer = await collector.request(method, path, headers=page)
                assert "access-control-allow-origin" not in answer.headers, path

    @rows(
        ("method", "path", "status", "code"),
        [
            ("GET", "/v1/events", 405, "method_not_allowed"),
            ("POST", "/healthz", 405, "method_not_allowed"),
            ("POST", "/v1/nowhere", 404, "not_found"),
            ("GET", "/", 404, "not_found"),
        ],
    )
    async def test_paths_and_methods(
        self, collector: CollectorInMemory, method: str, path: str, status: int, code: str
    ) -> None:
        answer = await collector.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    async def test_metrics_are_there_from_the_start(self, collector: CollectorInMemory) -> None:
        assert (await collector.request("GET", "/metrics")).status_code == 404, "on a port of its own"
        transport = httpx.ASGITransport(app=collector.app.health)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:
            answer = await client.get("/metrics", headers={"Origin": "https://shop.example"})
            assert (await client.get("/readyz")).json() == {"ready": True, "reason": ""}
            assert (await client.post("/metrics")).status_code == 405
            assert (await client.get("/v1/events")).status_code == 404
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
        assert 'funnelcast_collector_requests_total{code="200",route="/v1/events"} 0.0' in answer.text
        assert "funnelcast_collector_up 1.0" in answer.text
        await collector.post(event())
        assert collector.metric("request_seconds_count", route="/v1/events") == 1


SEGMENT_TIME = "2025-01-01T10:00:00.000Z"


def message(**members: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "messageId": "m-1", "anonymousId": "v1"} | members


class TestSegment:
    async def only_event(self, collector: CollectorInMemory, body: Any, path: str = "/v1/track") -> dict[str, Any]:
        answer = await collector.post(body, path)
        assert answer.status_code == 200, answer.text
        assert answer.json()["success"] is True
        assert answer.json()["accepted"] == 1, answer.text
        return collector.events()[-1]

    async def test_track(self, collector: CollectorInMemory) -> None:
        record = await self.only_event(
            collector, message(userId="u1", properties={"value": 19.990}, integrations={"All": True})
        )
        assert record == {
            "id": "m-1",
            "name": "order_completed",
            "occurred_at_ms": NOW,
            "received_at_ms": NOW,
            "source": "source-server",
            "anonymous_id": "v1",
            "user_id": "u1",
            "properties": {"value": 19.99},
        }

    async def test_page_carries_name_channel_and_campaign(self, collector: CollectorInMemory) -> None:
        context = {"page": {"search": "?utm_source=google&utm_campaign=spring%20sale&gclid=x"}}
        body = {"messageId": "m", "anonymousId": "v", "name": "Home", "category": "Main", "context": context}
        record = await self.only_event(collector, body, "/v1/page")
        assert record["name"] == "page"
        assert record["properties"] == {
            "source": "google",
            "medium": "cpc",
            "campaign": "spring sale",
            "click_id": "x",
            "click_id_type": "gclid",
            "channel": "paid search",
            "name": "Home",
            "category": "Main",
        }
        assert record["context"] == context

    async def test_a_campaign_of_the_context_goes_before_the_page_and_after_the_properties(
        self, collector: CollectorInMemory
    ) -> None:
        context = {"campaign": {"source": "news", "name": "june"}, "page": {"url": "https://x.y/?utm_source=google"}}
        record = await self.only_event(collector, message(context=context, properties={"campaign": "mine"}))
        assert record["properties"] == {"campaign": "mine", "source": "news", "channel": "unassigned"}
        record = await self.only_event(collector, message(context={"page": {"url": "https://x.y/?utm_source=google"}}))
        assert record["properties"] == {"source": "google", "channel": "organic search"}
        for odd in (
            {"campaign": 3},
            {"page": "utm_"},
            {"page": {"title": "http://[utm_"}},
            {"campaign": {"source": 1}},
        ):
            assert (await self.only_event(collector, message(context=odd)))["properties"] == {}

    async def test_identify_makes_a_contact_of_the_email(self, collector: CollectorInMemory) -> None:
        body = {"messageId": "m", "anonymousId": "v", "traits": {"email": "ann@example.com", "plan": "team"}}
        record = await self.only_event(collector, body, "/v1/identify")
        assert (record["name"], record["properties"]) == ("identify", {"plan": "team"})
        assert len(record["contact_id"]) == 64

    @rows("path", ["/v1/t", "/v1/track/"])
    async def test_short_paths(self, collector: CollectorInMemory, path: str) -> None:
        assert (await self.only_event(collector, message(), path))["name"] == "order_completed"

    async def test_alias_group_and_screen(self, collector: CollectorInMemory) -> None:
        record = await self.only_event(collector, {"messageId": "m", "userId": "u", "previousId": "v"}, "/v1/alias")
        assert (record["name"], record["user_id"], record["anonymous_id"]) == ("alias", "u", "v")
        record = await self.only_event(collector, {"messageId": "m", "userId": "u", "traits": {"n": 1}}, "/v1/g")
        assert (record["name"], record["properties"]) == ("group", {"n": 1})
        record = await self.only_event(collector, {"messageId": "m", "userId": "u", "name": "Start"}, "/v1/screen")
        assert (record["name"], record["properties"]) == ("screen", {"name": "Start"})

    async def test_revenue_is_the_value_where_there_is_none(self, collector: CollectorInMemory) -> None:
        record = await self.only_event(collector, message(properties={"revenue": 19.9, "total": 25}))
        assert record["properties"] == {"revenue": 19.9, "total": 25, "value": 19.9}
        assert (await self.only_event(collector, message(properties={"total": "25"})))["properties"]["value"] == "25"
        record = await self.only_event(collector, message(properties={"revenue": 19.9, "value_minor": 5}))
        assert "value" not in record["properties"]

    async def test_a_message_without_an_id_gets_one(self, collector: CollectorInMemory) -> None:
        record = await self.only_event(collector, message(messageId=None))
        assert record["id"].startswith("api-")

    @rows(
        ("times", "expected", "clamped"),
        [
            ({}, NOW, 0),
            ({"timestamp": SEGMENT_TIME}, NOW, 0),
            # the client's clock is an hour slow, the event 10 s old
            ({"timestamp": "2025-01-01T08:59:50Z", "sentAt": "2025-01-01T09:00:00Z"}, NOW - 10_000, 0),
            (
                {"originalTimestamp": "2025-01-01T08:59:50Z", "timestamp": "x", "sentAt": "2025-01-01T09:00:00Z"},
                NOW - 10_000,
                0,
            ),
            # an import: an old time, sent now
            ({"timestamp": "2024-01-01T10:00:00Z", "sentAt": SEGMENT_TIME}, NOW - 366 * 86_400_000, 0),
            # sent before it happened: whole seconds are rounding, more is nonsense
            ({"timestamp": "2025-01-01T10:00:00.900Z", "sentAt": SEGMENT_TIME}, NOW + 900, 0),
            ({"timestamp": "2025-01-01T10:00:06Z", "sentAt": SEGMENT_TIME}, NOW, 1),
            ({"timestamp": "2024-12-01T10:00:00Z", "sentAt": "2024-12-01T10:00:00Z"}, NOW, 1),
            ({"timestamp": "2025-02-01T10:00:00Z"}, NOW, 1),
            ({"timestamp": "not a date", "sentAt": SEGMENT_TIME}, NOW, 1),
            ({"timestamp": 17, "sentAt": {}}, NOW, 1),
        ],
    )
    async def test_clocks(
        self, collector: CollectorInMemory, times: dict[str, Any], expected: int, clamped: int
    ) -> None:
        record = await self.only_event(collector, message(**times))
        assert record["occurred_at_ms"] == expected
        assert collector.metric("times_clamped_total") == clamped

    async def test_batch(self, collector: CollectorInMemory) -> None:
        body = {
            "batch": [
                message(messageId="1", timestamp="2025-01-01T09:00:00Z"),
                {"type": "page", "messageId": "2", "userId": "u", "context": {"campaign": {"name": "own"}}},
                {"type": "dance", "messageId": "3", "userId": "u"},
                {"messageId": "4", "userId": "u"},
                message(messageId="5", event=None),
                message(messageId="6", anonymousId=None),
                7,
            ],
            "sentAt": "2025-01-01T09:00:10Z",
            "context": {"library": {"name": "x"}, "campaign": {"name": "shared"}},
            "writeKey": collector.keys[Scope.SERVER],
        }
        answer = await collector.post(body, "/v1/batch", scope=None)
        assert answer.status_code == 200
        assert [(one["id"], one.get("reason")) for one in answer.json()["results"]] == [
            ("1", None),
            ("2", None),
            ("3", "unsupported_type"),
            ("4", "unsupported_type"),
            ("5", "missing_name"),
            ("6", "missing_person"),
            (None, "not_an_object"),
        ]
        first, second = sorted(collector.events(), key=lambda one: str(one["id"]))
        assert first["occurred_at_ms"] == NOW - 10_000
        assert first["context"] == body["context"]
        assert first["properties"] == {"campaign": "shared"}
        assert second["properties"] == {"campaign": "own"}
        assert balanced(collector)

    @rows(
        ("path", "body"),
        [
            ("/v1/batch", b"{"),
            ("/v1/batch", b"[]"),
            ("/v1/batch", b"{}"),
            ("/v1/batch", b'{"batch": 3}'),
            ("/v1/track", b"{"),
            ("/v1/track", b""),
        ],
    )
    async def test_broken_bodies(self, collector: CollectorInMemory, path: str, body: bytes) -> None:
        answer = await collector.post(body, path)
        assert answer.status_code == 400
        assert answer.json()["code"] == "malformed_json"

    async def test_an_array_is_no_message(self, collector: CollectorInMemory) -> None:
        answer = await collector.post([message()], "/v1/track")
        assert answer.status_code == 200
        assert answer.json()["results"][0]["reason"] == "not_an_object"
