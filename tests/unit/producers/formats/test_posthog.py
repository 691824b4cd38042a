"""PostHog's capture API as its clients speak it, over a collector in memory."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.formats.port import Request
from producers.formats.posthog import PostHog
from producers.formats.posthog_person import ids_of
from producers.http.body import RequestError
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Rejected, Scope, Sender
from tests.support.collector import NOW, CollectorInMemory
from tests.support.noise import VALUES, json_of, members
from tests.support.rows import rows
from tests.support.samples import SOURCE, collector_of_samples, names, sample
from tests.support.thorough import cases

CONTACT_OF_ANN = "beac5748fe881f214ea8b8f7b35dd2452f728e8939045499f8fbe659da95f40f"
DEVICE = "01a20ec7-e1e2-73df-bfe6-9ac2e20dff3e"


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return collector_of_samples(tmp_path)


def event(**changed: Any) -> dict[str, Any]:
    """An event of a server."""
    return {"event": "viewed", "distinct_id": "u1", "uuid": "e1", "properties": {}} | changed


async def send(collector: CollectorInMemory, body: Any, path: str = "/e/") -> list[dict[str, Any]]:
    """What a request leaves in the log."""
    answer = await collector.post(body, path)
    assert (answer.status_code, answer.json() | {"late": 0}) == (200, {"status": "Ok", "late": 0})
    return sorted(collector.events(), key=lambda one: str(one["id"]))


async def only_event(collector: CollectorInMemory, **changed: Any) -> dict[str, Any]:
    """The record of one event."""
    (record,) = await send(collector, event(**changed))
    return record


class TestSamples:
    @rows("name", names("posthog"))
    async def test_whatever_a_real_client_sent_is_accepted(self, collector: CollectorInMemory, name: str) -> None:
        answer = await sample(name).send(collector)
        assert (answer.status_code, answer.json()) == (200, {"status": "Ok"})
        assert collector.dead_letters() == []
        assert collector.events()
        assert {one["source"] for one in collector.events()} == {SOURCE}
        assert "WRITE_KEY" not in str(collector.events())

    async def test_a_browser_before_and_after_it_knows_who(self, collector: CollectorInMemory) -> None:
        for name in ("pageview", "identify", "batch"):
            await sample(f"posthog-js-{name}").send(collector)
        records = {one["name"]: one for one in collector.events()}
        assert records.keys() == {"page_view", "product_viewed", "identify", "order_completed"}
        visitor = records["page_view"]["anonymous_id"]
        assert records["product_viewed"]["anonymous_id"] == visitor
        assert "user_id" not in records["page_view"]
        for name in ("identify", "order_completed"):
            assert (records[name]["user_id"], records[name]["anonymous_id"]) == ("u1", visitor)
        assert records["identify"]["contact_id"] == CONTACT_OF_ANN
        assert records["page_view"]["properties"]["source"] == "google"
        assert records["page_view"]["properties"]["campaign"] == "spring"
        assert records["page_view"]["context"]["page"]["url"].startswith("https://shop.example.com/deal")
        order = records["order_completed"]["properties"]
        assert (order["order_id"], order["value"], order["currency"]) == ("o1", "19.99", "EUR")

    async def test_a_server(self, collector: CollectorInMemory) -> None:
        for name in ("capture", "set", "alias", "group", "personless"):
            await sample(f"posthog-python-{name}").send(collector)
        records = {one["name"]: one for one in collector.events()}
        assert records.keys() == {"order_completed", "set", "alias", "group", "looked_around"}
        assert records["order_completed"]["contact_id"] == records["set"]["contact_id"] == CONTACT_OF_ANN
        assert records["set"]["context"]["traits"] == {"name": "Ann"}
        assert (records["alias"]["user_id"], records["alias"]["anonymous_id"]) == ("u1", "anon-1")
        assert records["group"]["properties"]["name"] == "Acme"
        assert "user_id" not in records["looked_around"]

    async def test_old_times_of_a_batch_are_kept(self, collector: CollectorInMemory) -> None:
        await sample("posthog-python-gzip").send(collector)
        assert [one["properties"] for one in collector.events()] == [{"n": 0}, {"n": 1}, {"n": 2}]


class TestBodies:
    @rows("path", ["/batch", "/e", "/i/v0/e", "/capture", "/track", "/engage"])
    @rows("slash", ["", "/"])
    async def test_every_path(self, collector: CollectorInMemory, path: str, slash: str) -> None:
        assert len(await send(collector, event(), path + slash)) == 1

    @rows(
        "body",
        [
            event(),
            [event()],
            {"batch": [event()], "api_key": "x"},
            {"data": [event()]},
        ],
    )
    async def test_every_shape_in_every_packing(self, collector: CollectorInMemory, body: Any) -> None:
        plain = orjson.dumps(body)
        form = b"data=" + quote(base64.b64encode(plain)).encode()
        for packing in (plain, gzip.compress(plain, mtime=0), form, b"data=" + quote(plain).encode()):
            await send(collector, packing, "/e/?compression=gzip-js")
        assert [one["id"] for one in collector.events()] == ["e1"] * 4

    async def test_a_plus_that_became_a_blank(self, collector: CollectorInMemory) -> None:
        text = base64.b64encode(orjson.dumps(event(properties={"a": "~~~???>>>"})))
        assert b"+" in text or b"/" in text
        assert (await send(collector, b"data=" + text))[0]["properties"] == {"a": "~~~???>>>"}

    async def test_an_event_in_the_query(self, collector: CollectorInMemory) -> None:
        text = quote(base64.b64encode(orjson.dumps(event(api_key=collector.keys[Scope.SERVER]))))
        answer = await collector.request("GET", f"/e/?ip=1&data={text}")
        assert (answer.status_code, answer.json()) == (200, {"status": "Ok"})
        assert len(collector.events()) == 1

    @rows("body", [b"", b"{", b"7", b"data=", b"data=%%%", b"data=e30%3D%3D%3D%3Dx", b"[", b"x=1"])
    async def test_what_is_no_body_is_400(self, collector: CollectorInMemory, body: bytes) -> None:
        answer = await collector.post(body, "/e/")
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
        assert answer.json().keys() == {"code", "message", "detail"}

    async def test_a_bomb_in_base64_is_refused(self, collector: CollectorInMemory) -> None:
        bomb = base64.b64encode(gzip.compress(b"[" * 3_000_000, mtime=0))
        answer = await collector.post(b"data=" + quote(bomb).encode(), "/e/")
        assert (answer.status_code, answer.json()["code"]) == (400, "body_too_large")


class TestKeys:
    @rows(
        "place",
        [
            lambda key: {"api_key": key, "batch": [event()]},
            lambda key: {"token": key, "batch": [event()]},
            lambda key: event(api_key=key),
            lambda key: event(**{"$token": key}),
            lambda key: event(properties={"token": key}),
            lambda key: [event(properties={"token": key}), event(uuid="e2")],
            lambda key: {"batch": [event(properties={"token": key})]},
        ],
    )
    async def test_wherever_a_client_puts_it(self, collector: CollectorInMemory, place: Any) -> None:
        key = collector.keys[Scope.BROWSER]
        answer = await collector.post(place(key), "/batch/", scope=None)
        assert answer.status_code == 200
        assert {one["source"] for one in collector.events()} == {"source-browser"}
        assert key not in str(collector.events())

    @rows("body", [event(), [event()], [], {"api_key": "no", "batch": []}, {"api_key": 7}])
    async def test_none_or_a_wrong_one_is_401(self, collector: CollectorInMemory, body: Any) -> None:
        answer = await collector.post(body, "/batch/", scope=None)
        assert answer.status_code == 401
        assert answer.json().keys() == {"code", "message", "detail"}


class TestPerson:
    @rows(
        ("name", "distinct_id", "properties", "user_id", "anonymous_id"),
        [
            ("x", "u1", {}, "u1", None),
            ("x", 17, {}, 17, None),
            ("x", DEVICE, {"$is_identified": False, "$device_id": DEVICE}, None, DEVICE),
            ("x", "u1", {"$is_identified": True, "$device_id": DEVICE}, "u1", DEVICE),
            ("x", "u1", {"$user_id": "u1", "$device_id": DEVICE}, "u1", DEVICE),
            ("x", "u1", {"$user_id": "u1", "$process_person_profile": False}, "u1", None),
            ("x", DEVICE, {"$device_id": DEVICE}, None, DEVICE),
            ("x", DEVICE, {"$process_person_profile": False}, None, DEVICE),
            ("$identify", "u1", {"$anon_distinct_id": DEVICE, "$device_id": "other"}, "u1", DEVICE),
            ("$identify", "u1", {"$device_id": DEVICE}, "u1", DEVICE),
            ("$create_alias", DEVICE, {"alias": "u1"}, "u1", DEVICE),
            ("$create_alias", "u1", {"alias": DEVICE}, "u1", DEVICE),
            ("$create_alias", "visitor", {"alias": "u1"}, "u1", "visitor"),
            ("$create_alias", "u1", {"alias": "visitor", "$lib": "posthog-node"}, "u1", "visitor"),
            ("$create_alias", "u1", {}, "u1", None),
            ("$groupidentify", "$company_acme", {}, None, "$company_acme"),
            ("$groupidentify", "u1", {}, "u1", None),
            ("x", "$posthog_cookieless", {"$cookieless_mode": True}, None, None),
            ("x", None, {"distinct_id": "u1"}, "u1", None),
            ("x", {"a": 1}, {}, None, None),
        ],
    )
    def test_who_a_distinct_id_is(
        self, name: str, distinct_id: Any, properties: dict[str, Any], user_id: Any, anonymous_id: Any
    ) -> None:
        assert ids_of({"distinct_id": distinct_id}, properties, name=name) == (user_id, anonymous_id)

    async def test_people_updates_of_the_old_path(self, collector: CollectorInMemory) -> None:
        body = {"$token": "t", "$distinct_id": "u1", "$set": {"email": "ann@example.com"}, "timestamp": "2025-01-01"}
        (record,) = await send(collector, body, "/engage/")
        assert (record["name"], record["user_id"], record["contact_id"]) == ("set", "u1", CONTACT_OF_ANN)
        assert "example.com" not in str(record)


class TestEvents:
    @rows(
        ("sent", "name"),
        [
            ("$pageview", "page_view"),
            ("$pageleave", "page_leave"),
            ("$identify", "identify"),
            ("$create_alias", "alias"),
            ("$groupidentify", "group"),
            ("$screen", "screen"),
            ("Order Completed", "order_completed"),
        ],
    )
    async def test_names(self, collector: CollectorInMemory, sent: str, name: str) -> None:
        assert (await only_event(collector, event=sent))["name"] == name

    async def test_own_members_go_to_the_context(self, collector: CollectorInMemory) -> None:
        sent = {
            "$current_url": "https://shop.example.com/?yclid=5",
            "$lib": "web",
            "$session_id": "s1",
            "$browser": "Firefox",
            "$referrer": None,
            "revenue": "10.50",
            "transactionId": "o1",
        }
        record = await only_event(collector, properties=sent)
        assert record["properties"] == {
            "revenue": "10.50",
            "transactionId": "o1",
            "order_id": "o1",
            "value": "10.50",
            "source": "yandex",
            "medium": "cpc",
            "click_id": "5",
            "click_id_type": "yclid",
            "channel": "paid search",
        }
        assert record["context"] == {
            "page": {"url": "https://shop.example.com/?yclid=5"},
            "library": {"name": "web"},
            "session": {"id": "s1"},
            "$browser": "Firefox",
        }

    async def test_an_event_without_an_id_is_named_by_its_content_where_it_has_a_time(
        self, collector: CollectorInMemory
    ) -> None:
        timed = event(uuid=None, timestamp="2025-01-01T09:59:00Z")
        for _ in range(2):
            await collector.post({"batch": [timed, timed]}, "/batch/")
        assert len({one["id"] for one in collector.events()}) == 2
        for _ in range(2):
            await collector.post(event(uuid=None), "/batch/")
        assert len({one["id"] for one in collector.events()}) == 4

    @rows(
        ("changed", "reason"),
        [
            ({"event": None}, "missing_name"),
            ({"event": 7}, "missing_name"),
            ({"event": "$"}, "missing_name"),
            ({"distinct_id": None}, "missing_person"),
            ({"distinct_id": "anonymous"}, "missing_person"),
            ({"distinct_id": "$posthog_cookieless"}, "missing_person"),
            ({"distinct_id": "x" * 300}, "id_too_long"),
            ({"properties": {"a": "x" * 40_000}}, "event_too_large"),
        ],
    )
    async def test_one_event_that_is_rejected_leaves_the_others(
        self, collector: CollectorInMemory, changed: dict[str, Any], reason: str
    ) -> None:
        sent = event(**changed)
        assert [one["id"] for one in await send(collector, {"batch": [sent, event(uuid="ok")]})] == ["ok"]
        (dead_letter,) = collector.dead_letters()
        assert dead_letter["reason"] == reason
        again = await collector.post(dead_letter["payload"].encode(), dead_letter["route"])
        assert again.status_code == 200 or reason == "event_too_large"


def iso(milliseconds: int) -> str:
    """A time as a client writes it: NOW is 2025-01-01T10:00:00Z."""
    seconds = (milliseconds - NOW) // 1000 + 36_000
    return f"2025-01-01T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.000Z"


class TestTimes:
    @rows(
        ("changed", "sent_at", "query", "occurred"),
        [
            ({"timestamp": iso(NOW - 9_000)}, iso(NOW - 5_000), "", NOW - 4_000),
            ({"timestamp": iso(NOW - 9_000)}, None, f"?_={NOW - 5_000}", NOW - 4_000),
            ({"timestamp": iso(NOW - 9_000)}, None, f"?sent_at={NOW - 5_000}", NOW - 4_000),
            ({"timestamp": iso(NOW - 9_000)}, None, "?_=later", NOW - 9_000),
            ({"timestamp": iso(NOW - 9_000)}, None, "", NOW - 9_000),
            ({"timestamp": iso(NOW - 9_000), "sent_at": iso(NOW - 6_000)}, None, "", NOW - 3_000),
            ({"timestamp": (NOW - 9_000) / 1000}, None, "", NOW - 9_000),
            ({"timestamp": NOW - 9_000}, None, "", NOW - 9_000),
            ({"properties": {"$time": (NOW - 9_000) / 1000}}, None, "", NOW - 9_000),
            ({"offset": 7_000}, None, "", NOW - 7_000),
            ({"offset": -7_000}, None, "", NOW),
            ({"offset": True}, None, "", NOW),
            ({"timestamp": "soon"}, iso(NOW), "", NOW),
            ({"timestamp": {"a": 1}}, iso(NOW), "", NOW),
            ({}, iso(NOW - 5_000), "", NOW),
        ],
    )
    async def test_the_clock_of_the_client_is_corrected(
        self, collector: CollectorInMemory, changed: dict[str, Any], sent_at: str | None, query: str, occurred: int
    ) -> None:
        body: Any = {"batch": [event(**changed)], "sent_at": sent_at}
        (record,) = await send(collector, body, f"/batch/{query}")
        assert record["occurred_at_ms"] == occurred

    async def test_a_migration_says_true_times(self, collector: CollectorInMemory) -> None:
        body = {
            "batch": [event(timestamp="2024-05-06T07:08:09Z")],
            "sent_at": iso(NOW - 60_000),
            "historical_migration": True,
        }
        (record,) = await send(collector, body, "/batch/")
        assert record["occurred_at_ms"] == 1_714_979_289_000


class TestPages:
    @rows("path", ["/flags/?v=2", "/flags", "/decide/?v=3"])
    async def test_nobody_has_a_flag(self, collector: CollectorInMemory, path: str) -> None:
        answer = await collector.request("POST", path, b'{"token":"x"}')
        assert answer.status_code == 200
        assert answer.json()["flags"] == answer.json()["featureFlags"] == {}
        assert answer.json()["errorsWhileComputingFlags"] is False

    async def test_the_settings_switch_everything_else_off(self, collector: CollectorInMemory) -> None:
        answer = await collector.request("GET", "/array/phc_x/config?ip=1")
        assert answer.json()["token"] == "phc_x"
        assert answer.json()["sessionRecording"] is answer.json()["hasFeatureFlags"] is False
        script = await collector.request("GET", "/array/phc_x/config.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.text.endswith(f'["phc_x"]={{"config":{answer.text},"siteApps":[]}};')

    @rows("path", ["/array/", "/array/x/array.js", "/array/%22;alert(1)//x/config.js", "/array/x/y"])
    async def test_nothing_else_is_there(self, collector: CollectorInMemory, path: str) -> None:
        answer = await collector.request("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    @rows(("path", "member"), [("/_liveness", "alive"), ("/_readiness", "ready")])
    async def test_the_names_of_its_probes(self, collector: CollectorInMemory, path: str, member: str) -> None:
        answer = await collector.request("GET", path)
        assert (answer.status_code, answer.json()[member]) == (200, True)


EVENTS = members(
    *("event", "distinct_id", "uuid", "timestamp", "offset", "sent_at", "$set", "properties", "$distinct_id"),
    also=members("$set", "$set_once", "$group_set", "alias", "$device_id", "token", "$current_url", "email", "$lib"),
)
BODIES = st.fixed_dictionaries({"batch": st.lists(EVENTS | VALUES, max_size=3), "sent_at": VALUES}) | EVENTS


@settings(max_examples=cases(200), deadline=None)
@given(BODIES | st.lists(EVENTS, max_size=3) | VALUES)
def test_any_json_gives_verdicts_or_is_refused(body: Any) -> None:
    raw = json_of(body)
    request = Request("POST", "/e/", {}, b"", body=raw, raw_body=raw, received_at_ms=NOW)
    try:
        reading = PostHog(Ingest()).read(request, Sender())
    except RequestError:
        return
    assert len(reading.verdicts) == len(reading.elements)
    assert all(isinstance(one, Accepted | Rejected) for one in reading.verdicts)
