"""Snowplow's protocol as trackers speak it, over a collector in memory."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.access.keys import create_key
from producers.formats.port import Request
from producers.formats.snowplow import GIF, Snowplow
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Rejected, Scope, Sender
from tests.support.collector import NOW, CollectorInMemory
from tests.support.noise import VALUES, json_of, members
from tests.support.rows import rows
from tests.support.samples import SOURCE, collector_of_samples, sample
from tests.support.thorough import cases

TP2 = "/com.snowplowanalytics.snowplow/tp2"
UNSTRUCT = "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0"
CONTEXTS = "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1"
CONTACT_OF_ANN = "beac5748fe881f214ea8b8f7b35dd2452f728e8939045499f8fbe659da95f40f"


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return collector_of_samples(tmp_path)


def fields(**members: Any) -> dict[str, Any]:
    """A page view's fields."""
    return {"e": "pv", "eid": "e1", "duid": "d1", "dtm": str(NOW - 9_000), "stm": str(NOW - 5_000)} | members


def described(name: str, about: Any) -> dict[str, Any]:
    """A self-describing event of a schema."""
    schema = f"iglu:com.example/{name}/jsonschema/1-0-0"
    return {"schema": UNSTRUCT, "data": {"schema": schema, "data": about}}


def entities(*pairs: tuple[str, dict[str, Any]]) -> str:
    """The entities of an event, as plain JSON."""
    listed = [{"schema": f"iglu:com.example/{name}/jsonschema/1-0-0", "data": about} for name, about in pairs]
    return orjson.dumps({"schema": CONTEXTS, "data": listed}).decode()


def packed(value: Any, *, is_url_safe: bool = True) -> str:
    """Base64 of a value's JSON."""
    encode = base64.urlsafe_b64encode if is_url_safe else base64.b64encode
    return encode(orjson.dumps(value)).decode()


async def post(collector: CollectorInMemory, *events: Any, **headers: str) -> list[dict[str, Any]]:
    """What a batch leaves in the log."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await collector.post({"schema": "payload_data", "data": list(events)}, TP2, headers=names)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    return sorted(collector.events(), key=lambda one: str(one["id"]))


async def only_event(collector: CollectorInMemory, **members: Any) -> dict[str, Any]:
    """The record of one event."""
    (record,) = await post(collector, fields(**members))
    return record


class TestSamples:
    @rows(
        "name",
        ["snowplow-python-post", "snowplow-python-post-plain", "snowplow-node-post", "snowplow-node-post-plain"],
    )
    async def test_a_batch_of_a_real_tracker_arrives_whole(self, collector: CollectorInMemory, name: str) -> None:
        recorded = sample(name)
        sent = {one["eid"]: one for one in orjson.loads(recorded.body)["data"]}
        assert (await recorded.send(collector)).json() == {"success": True}
        records = {one["id"]: one for one in collector.events()}
        assert records.keys() == sent.keys()
        assert {one["source"] for one in records.values()} == {SOURCE}
        assert {(one["user_id"], one["anonymous_id"]) for one in records.values()} == {("u1", "d1")}
        lead = next(one for one in records.values() if one["name"] == "lead_created")
        assert lead["properties"]["value"] == "10.50"
        assert lead["contact_id"] == CONTACT_OF_ANN
        assert lead["context"]["contexts"][0]["data"] == {"offer": "a"}
        names = {"page_view", "add_to_cart", "lead_created"}
        names |= {"page_ping", "screen_view"} if "python" in name else {"order_completed", "order_item"}
        assert {one["name"] for one in records.values()} == names

    @rows("name", ["snowplow-python-get-self-describing", "snowplow-node-get"])
    async def test_a_get_of_a_real_tracker_is_answered_with_a_pixel(
        self, collector: CollectorInMemory, name: str
    ) -> None:
        answer = await sample(name).send(collector)
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/gif", GIF)
        (record,) = collector.events()
        assert (record["name"], record["user_id"]) == ("lead_created", "u1")

    async def test_a_page_view_carries_channel_page_and_time(self, collector: CollectorInMemory) -> None:
        await sample("snowplow-python-get-page").send(collector)
        (record,) = collector.events()
        assert record["properties"] == {
            "source": "google",
            "campaign": "spring",
            "channel": "organic search",
        }
        assert record["context"]["page"] == {
            "url": "https://shop.example.com/?utm_source=google&utm_campaign=spring",
            "title": "Shop",
            "referrer": "https://search.example.com",
        }
        assert record["context"]["ip"] == "192.0.2.0"


class TestKinds:
    async def test_a_structured_event_is_named_by_its_action(self, collector: CollectorInMemory) -> None:
        record = await only_event(collector, e="se", se_ca="c", se_ac="Add To Cart", se_la="l", se_pr="p", se_va="9.50")
        assert record["name"] == "add_to_cart"
        assert record["properties"] == {"category": "c", "label": "l", "property": "p", "value": "9.50"}

    async def test_an_old_transaction_is_an_order_and_its_items(self, collector: CollectorInMemory) -> None:
        order = fields(e="tr", eid="1", tr_id="o1", tr_tt="20.50", tr_cu="EUR", tr_tx=1)
        item = fields(e="ti", eid="2", ti_id="o1", ti_sk="s", ti_nm="lamp", ti_pr="20.50", ti_qu="1", ti_cu="EUR")
        first, second = await post(collector, order, item)
        assert first["name"] == "order_completed"
        assert first["properties"] == {"order_id": "o1", "value": "20.50", "currency": "EUR", "tax": 1}
        assert second["name"] == "order_item"
        assert second["properties"]["order_id"] == "o1"
        assert "value" not in second["properties"]

    @rows("is_url_safe", [True, False])
    @rows("is_padded", [True, False])
    async def test_base64_of_both_alphabets(
        self, collector: CollectorInMemory, is_url_safe: bool, is_padded: bool
    ) -> None:
        about = {"text": "??>>~~ÿÿ", "n": [1, {"a": None}]}
        text = packed(described("offer_sent", about), is_url_safe=is_url_safe)
        record = await only_event(collector, e="ue", ue_px=text if is_padded else text.rstrip("="))
        assert (record["name"], record["properties"]) == ("offer_sent", about)

    async def test_a_plain_self_describing_event(self, collector: CollectorInMemory) -> None:
        record = await only_event(collector, e="ue", ue_pr=orjson.dumps(described("offer_sent", None)).decode())
        assert (record["name"], record["properties"]) == ("offer_sent", {})

    async def test_a_purchase_of_the_commerce_plug_in(self, collector: CollectorInMemory) -> None:
        about = {"transaction_id": "t1", "revenue": 50.25, "currency": "EUR", "payment_method": "card"}
        action = orjson.dumps(described("snowplow_ecommerce_action", {"type": "transaction"})).decode()
        record = await only_event(collector, e="ue", ue_pr=action, co=entities(("transaction", about)))
        assert record["name"] == "order_completed"
        assert record["properties"] == {"type": "transaction", "order_id": "t1", "value": 50.25, "currency": "EUR"}

    async def test_a_refund_of_the_commerce_plug_in(self, collector: CollectorInMemory) -> None:
        about = {"transaction_id": "t1", "refund_amount": 20, "currency": "EUR", "refund_reason": "broken"}
        action = orjson.dumps(described("snowplow_ecommerce_action", {"type": "refund"})).decode()
        record = await only_event(collector, e="ue", ue_pr=action, co=entities(("refund", about)))
        assert record["name"] == "refund"
        assert record["properties"]["order_id"] == "t1"
        assert (record["properties"]["value"], record["properties"]["reason"]) == (20, "broken")

    async def test_contacts_of_an_entity_become_the_contact(self, collector: CollectorInMemory) -> None:
        record = await only_event(collector, co=entities(("user", {"email": "Ann@example.com", "plan": "pro"})))
        assert record["contact_id"] == CONTACT_OF_ANN
        assert record["context"]["contexts"][0]["data"] == {"plan": "pro"}
        assert "example.com" not in str(record["context"].get("traits"))

    @rows(
        ("name", "about", "left"),
        [
            (
                "submit_form",
                {
                    "formId": "f",
                    "elements": [{"name": "n", "value": "x"}, {"name": "Email", "value": "ann@example.com"}],
                },
                {"formId": "f", "elements": [{"name": "n", "value": "x"}, {"name": "Email"}]},
            ),
            (
                "submit_form",
                {"elements": [{"type": "email", "value": "ann@example.com"}]},
                {"elements": [{"type": "email"}]},
            ),
            ("change_form", {"elementId": "email", "value": "ann@example.com"}, {"elementId": "email"}),
            ("change_form", {"type": "email", "value": "ann@example.com"}, {"type": "email"}),
        ],
    )
    async def test_contacts_of_a_form_become_the_contact(
        self, collector: CollectorInMemory, name: str, about: dict[str, Any], left: dict[str, Any]
    ) -> None:
        record = await only_event(collector, e="ue", ue_px=packed(described(name, about)))
        assert (record["name"], record["contact_id"], record["properties"]) == (name, CONTACT_OF_ANN, left)

    @rows("elements", [None, 7, [], [7, None], [{"type": None, "value": 7}], {"a": 1}])
    async def test_a_form_of_whatever_shape_is_taken(self, collector: CollectorInMemory, elements: Any) -> None:
        record = await only_event(collector, e="ue", ue_px=packed(described("submit_form", {"elements": elements})))
        assert record["properties"] == {"elements": elements}

    async def test_entities_that_cannot_be_read_cost_nothing(self, collector: CollectorInMemory) -> None:
        record = await only_event(collector, cx="%%%")
        assert record["context"]["contexts"] == "%%%"

    @rows(
        ("changed", "reason"),
        [
            ({"e": "zz"}, "unsupported_type"),
            ({"e": None}, "unsupported_type"),
            ({"e": "se"}, "missing_name"),
            ({"e": "ue"}, "missing_name"),
            ({"e": "ue", "ue_px": "%%"}, "malformed_json"),
            ({"e": "ue", "ue_pr": "{"}, "malformed_json"),
            ({"e": "ue", "ue_pr": '{"data":{"schema":"iglu:a/b/c/d","data":[]}}'}, "wrong_type"),
            ({"e": "ue", "ue_pr": '{"data":{"schema":"b","data":{}}}'}, "missing_name"),
            ({"e": "ue", "ue_pr": "[" * 40 + "]" * 40}, "too_deep"),
            ({"eid": ""}, "missing_id"),
            ({"eid": None}, "missing_id"),
            ({"eid": "undefined"}, "missing_id"),
            ({"duid": "null"}, "missing_person"),
            ({"duid": ""}, "missing_person"),
        ],
    )
    async def test_what_is_rejected(self, collector: CollectorInMemory, changed: dict[str, Any], reason: str) -> None:
        sent = fields(**changed)
        assert [one["id"] for one in await post(collector, sent, fields(eid="good"))] == ["good"]
        (dead_letter,) = collector.dead_letters()
        assert dead_letter["reason"] == reason
        assert orjson.loads(dead_letter["payload"]) == sent


class TestPerson:
    @rows(
        ("ids", "anonymous_id"),
        [
            ({"duid": "d", "nuid": "n", "tnuid": "t", "sid": "s"}, "d"),
            ({"duid": None, "nuid": "n", "tnuid": "t", "sid": "s"}, "n"),
            ({"duid": None, "tnuid": "t", "sid": "s"}, "t"),
            ({"duid": None, "sid": "s"}, "s"),
            ({"duid": None, "sid": "s", "co": entities(("client_session", {"userId": "phone-1"}))}, "phone-1"),
        ],
    )
    async def test_the_visitor(self, collector: CollectorInMemory, ids: dict[str, Any], anonymous_id: str) -> None:
        assert (await only_event(collector, **ids))["anonymous_id"] == anonymous_id

    async def test_an_anonymous_request_leaves_no_address_and_no_network_id(self, collector: CollectorInMemory) -> None:
        sent = fields(duid=None, nuid="n", sid="s", ip="192.0.2.7")
        (record,) = await post(collector, sent, SP_Anonymous="*")
        assert record["anonymous_id"] == "s"
        assert "ip" not in record["context"]

    async def test_no_cookie_is_set(self, collector: CollectorInMemory) -> None:
        answer = await collector.post({"data": [fields()]}, TP2)
        assert "set-cookie" not in answer.headers


class TestTimes:
    @rows(
        ("dtm", "stm", "ttm", "occurred"),
        [
            (NOW - 9_000, NOW - 5_000, None, NOW - 4_000),
            (NOW + 3_600_362, NOW + 3_600_000, None, NOW),  # cut to whole seconds: no negative age
            (NOW - 9_000, None, None, NOW - 9_000),
            (NOW - 9_000, NOW - 5_000, NOW - 100_000, NOW - 100_000),
            (None, NOW - 5_000, None, NOW),
            ("soon", NOW - 5_000, None, NOW),
            (NOW, NOW - 60_000, None, NOW),  # absurd
            ("9" * 30, None, None, NOW),
        ],
    )
    async def test_the_clock_of_the_tracker_is_corrected(
        self, collector: CollectorInMemory, dtm: Any, stm: Any, ttm: Any, occurred: int
    ) -> None:
        stated = {name: str(value) for name, value in (("dtm", dtm), ("stm", stm), ("ttm", ttm)) if value is not None}
        (record,) = await post(collector, {"e": "pv", "eid": "1", "duid": "d"} | stated)
        assert record["occurred_at_ms"] == occurred


class TestSenders:
    async def test_an_app_id_stands_for_the_key_it_is_registered_for(self, tmp_path: Path) -> None:
        create_key(
            tmp_path / "keys.json", source="site", scope=Scope.BROWSER, created_at="2025-01-01", app_ids=("shop",)
        )
        collector = CollectorInMemory(tmp_path)
        body = {"data": [fields(aid="shop")]}
        assert (await collector.post(body, TP2, scope=None)).status_code == 200
        assert collector.events()[0]["source"] == "site"
        assert (await collector.request("GET", "/i?e=pv&eid=2&duid=d&aid=shop")).status_code == 200
        assert (await collector.post({"data": [fields(aid="other")]}, TP2, scope=None)).status_code == 401

    async def test_a_link_for_pages_without_scripts_gets_an_id(self, collector: CollectorInMemory) -> None:
        path = f"/i?e=pv&p=web&aid={collector.keys[Scope.BROWSER]}&uid=u1&page=Home"
        for _ in range(2):
            assert (await collector.request("GET", path)).status_code == 200
        first, second = collector.events()
        assert (first["name"], first["user_id"]) == ("page_view", "u1")
        assert first["id"] != second["id"]

    async def test_a_write_key_as_app_id_is_not_stored(self, collector: CollectorInMemory) -> None:
        key = collector.keys[Scope.BROWSER]
        assert (await collector.post({"data": [fields(aid=key)]}, TP2, scope=None)).status_code == 200
        assert key not in str(collector.events())

    async def test_no_key_is_401_in_json(self, collector: CollectorInMemory) -> None:
        for answer in (
            await collector.post({"data": [fields()]}, TP2, scope=None),
            await collector.request("GET", "/i?e=pv&eid=1&duid=d"),
        ):
            assert answer.status_code == 401
            assert answer.json().keys() == {"code", "message", "detail"}

    async def test_a_path_of_ones_own(self, collector: CollectorInMemory) -> None:
        assert (await collector.post({"data": [fields()]}, "/com.example/track")).status_code == 200
        assert len(collector.events()) == 1

    @rows("body", [b"", b"{", b"[]", b"7", b'{"data":7}', b'{"data":"x"}', b"\xff\xfe"])
    async def test_a_body_that_is_no_payload_is_400(self, collector: CollectorInMemory, body: bytes) -> None:
        answer = await collector.post(body, TP2)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")

    async def test_an_event_alone_is_read_as_a_dead_letter_holds_it(self, collector: CollectorInMemory) -> None:
        assert (await collector.post(fields(), TP2)).status_code == 200
        assert [one["id"] for one in collector.events()] == ["e1"]


FIELDS = members(
    *("e", "eid", "uid", "duid", "dtm", "stm", "ttm", "ue_px", "ue_pr", "co", "cx", "url", "se_ac", "aid", "tr_id"),
    also=st.sampled_from(["pv", "ue", "se", "tr", '{"data":{"schema":"iglu:a/b/c","data":{}}}', "e30="]),
)


@settings(max_examples=cases(200), deadline=None)
@given(st.lists(FIELDS | VALUES, max_size=4))
def test_any_json_gives_verdicts(events: list[Any]) -> None:
    body = json_of({"data": events})
    request = Request("POST", TP2, {}, b"", body=body, raw_body=body, received_at_ms=NOW)
    reading = Snowplow(Ingest()).read(request, Sender())
    assert len(reading.verdicts) == len(reading.elements) == len(events)
    assert all(isinstance(one, Accepted | Rejected) for one in reading.verdicts)
