"""GA4's Measurement Protocol over a collector in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.formats.ga4 import DebugProtocol, MeasurementProtocol
from producers.formats.port import Request
from producers.http.body import RequestError
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Rejected, Scope, Sender
from tests.support.collector import NOW, CollectorInMemory
from tests.support.noise import VALUES, json_of, members
from tests.support.rows import rows
from tests.support.samples import SOURCE, collector_of_samples, sample
from tests.support.thorough import cases

CONTACT_OF_ANN = "beac5748fe881f214ea8b8f7b35dd2452f728e8939045499f8fbe659da95f40f"


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return collector_of_samples(tmp_path)


def hit(*events: Any, **changed: Any) -> dict[str, Any]:
    """A request of one visitor."""
    return {"client_id": "c1", "events": list(events)} | changed


def event(name: Any = "view_item", **params: Any) -> dict[str, Any]:
    """One event of it."""
    return {"name": name, "params": params}


async def send(collector: CollectorInMemory, body: Any) -> list[dict[str, Any]]:
    """What a request leaves in the log."""
    path = f"/mp/collect?measurement_id=G-1&api_secret={collector.keys[Scope.SERVER]}"
    answer = await collector.post(body, path, scope=None)
    assert (answer.status_code, answer.json() | {"late": 0}) == (200, {"success": True, "late": 0})
    return collector.events()


async def messages(collector: CollectorInMemory, body: Any) -> list[dict[str, str]]:
    """What the debug endpoint says; nothing may be stored."""
    path = f"/debug/mp/collect?measurement_id=G-1&api_secret={collector.keys[Scope.SERVER]}"
    answer = await collector.post(body, path, scope=None)
    assert answer.status_code == 200
    assert collector.events() == collector.dead_letters() == []
    complaints: list[dict[str, str]] = answer.json()["validationMessages"]
    return complaints


class TestSamples:
    async def test_a_purchase(self, collector: CollectorInMemory) -> None:
        for _ in range(2):
            answer = await sample("ga4-purchase").send(collector)
            assert (answer.status_code, answer.json()) == (200, {"success": True})
        first, again = collector.events()
        assert first == again
        assert (first["name"], first["source"]) == ("purchase", SOURCE)
        assert (first["user_id"], first["anonymous_id"]) == ("u1", "1234567.7654321")
        order = first["properties"]
        assert (order["order_id"], order["value"], order["currency"]) == ("T_12345", 30.03, "EUR")
        assert order["items"][0]["item_id"] == "SKU_12345"
        assert first["context"] == {
            "traits": {"customer_tier": "premium"},
            "consent": {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"},
            "session": {"id": "1795540000"},
        }

    async def test_a_page_and_a_lead(self, collector: CollectorInMemory) -> None:
        await sample("ga4-page-and-lead").send(collector)
        page, lead = collector.events()
        assert (page["name"], lead["name"]) == ("page_view", "generate_lead")
        assert (page["properties"]["source"], page["properties"]["campaign"]) == ("google", "spring")
        assert page["context"]["page"]["title"] == "Shop"
        assert "page_location" not in page["properties"]

    async def test_an_app(self, collector: CollectorInMemory) -> None:
        await sample("ga4-app").send(collector)
        (record,) = collector.events()
        assert record["anonymous_id"] == "0123456789abcdef0123456789abcdef"
        assert record["properties"]["order_id"] == "T_12345"


class TestIds:
    async def test_a_purchase_is_named_by_its_transaction(self, collector: CollectorInMemory) -> None:
        for value in (1, 2):
            await send(collector, hit(event("purchase", transaction_id="t1", value=value)))
        await send(collector, hit(event("purchase", transaction_id="t2")))
        assert len({one["id"] for one in collector.events()}) == 2

    async def test_what_states_a_time_is_named_by_its_content(self, collector: CollectorInMemory) -> None:
        timed = hit(event(), event(), event(page="other"), timestamp_micros=(NOW - 1000) * 1000)
        for _ in range(2):
            await send(collector, timed)
        await send(collector, timed | {"client_id": "c2"})
        assert len({one["id"] for one in collector.events()}) == 6

    async def test_what_states_none_is_another_event_each_time(self, collector: CollectorInMemory) -> None:
        for _ in range(2):
            await send(collector, hit(event(), event("purchase", transaction_id="")))
        assert len({one["id"] for one in collector.events()}) == 4

    @rows("nothing", ["(not set)", "undefined", "null", "-", " ", "0", r"\N", 0])
    async def test_a_transaction_that_stands_for_nothing_hides_no_purchase(
        self, collector: CollectorInMemory, nothing: object
    ) -> None:
        for _ in range(2):
            await send(collector, hit(event("purchase", transaction_id=nothing, value=5)))
        assert len({one["id"] for one in collector.events()}) == 2

    async def test_a_device_that_stands_for_nothing_hides_no_other(self, collector: CollectorInMemory) -> None:
        await send(collector, hit(event()) | {"client_id": "(not set)", "app_instance_id": "app-1"})
        assert collector.events()[0]["anonymous_id"] == "app-1"

    async def test_a_refund_is_not_the_purchase(self, collector: CollectorInMemory) -> None:
        both = hit(event("purchase", transaction_id="t1"), event("refund", transaction_id="t1"))
        assert len({one["id"] for one in await send(collector, both)}) == 2


class TestMapping:
    @rows(
        ("micros", "occurred"),
        [
            ((NOW - 1000) * 1000 + 999, NOW - 1000),
            (str((NOW - 1000) * 1000), NOW - 1000),
            (None, NOW),
            ("soon", NOW),
            (-5, NOW),
            (True, NOW),
            ("9" * 40, NOW),
        ],
    )
    async def test_times(self, collector: CollectorInMemory, micros: Any, occurred: int) -> None:
        await send(collector, hit(event(), timestamp_micros=micros))
        await send(collector, hit(event() | {"timestamp_micros": micros}, timestamp_micros=5))
        shared, own = collector.events()
        assert shared["occurred_at_ms"] == occurred
        assert own["occurred_at_ms"] == (occurred if micros is not None else 0)

    async def test_contacts_among_user_properties(self, collector: CollectorInMemory) -> None:
        sent = hit(event(), user_properties={"email": {"value": "ann@example.com"}, "tier": {"value": 1}, "odd": 3})
        (record,) = await send(collector, sent)
        assert record["contact_id"] == CONTACT_OF_ANN
        assert record["context"]["traits"] == {"tier": 1, "odd": None}

    @rows(
        ("params", "channel", "campaign"),
        [
            ({"source": "news", "medium": "email", "campaign": "june"}, "email", "june"),
            ({"gclid": "x"}, "paid search", None),
            ({"page_location": "https://example.com/?fbclid=x"}, "organic social", None),
            ({"channel": "own", "source": "news"}, "own", None),
        ],
    )
    async def test_channels(
        self, collector: CollectorInMemory, params: dict[str, Any], channel: str, campaign: str | None
    ) -> None:
        (record,) = await send(collector, hit(event(**params)))
        assert (record["properties"].get("channel"), record["properties"].get("campaign")) == (channel, campaign)

    @rows(
        ("body", "reason"),
        [
            (hit({"params": {}}), "missing_name"),
            (hit(event(7)), "missing_name"),
            (hit(event(), client_id=None), "missing_person"),
            (hit(event(), client_id="null"), "missing_person"),
            (hit(7), "not_an_object"),
        ],
    )
    async def test_what_is_rejected_can_be_sent_again(
        self, collector: CollectorInMemory, body: dict[str, Any], reason: str
    ) -> None:
        assert await send(collector, body | {"user_properties": {"tier": {"value": 1}}}) == []
        (dead_letter,) = collector.dead_letters()
        assert (dead_letter["reason"], dead_letter["route"]) == (reason, "/mp/collect")
        assert orjson.loads(dead_letter["payload"]) == body | {"user_properties": {"tier": {"value": 1}}}

    async def test_more_than_google_takes_is_taken(self, collector: CollectorInMemory) -> None:
        long = event("n" * 60, **{f"p{number}": "x" * 200 for number in range(40)})
        assert len(await send(collector, hit(*[long] * 30))) == 30

    @rows("body", [b"", b"[]", b"7", b'{"events":7}', b"{", b'{"events":"x"}'])
    async def test_a_body_that_is_none_is_400(self, collector: CollectorInMemory, body: bytes) -> None:
        for path in ("/mp/collect", "/debug/mp/collect"):
            answer = await collector.post(body, path)
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")

    async def test_a_member_that_cannot_be_told_again(self, collector: CollectorInMemory) -> None:
        """No UTF-8, beside an event that is rejected: its dead letter could not be sent again."""
        body = b'{"c\xc0": 1, "client_id": "1", "events": [{"name": 7}]}'
        for path in ("/mp/collect", "/debug/mp/collect"):
            answer = await collector.post(body, path)
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")

    @rows("query", ["", "?api_secret=", "?api_secret=no"])
    async def test_a_wrong_secret_is_401(self, collector: CollectorInMemory, query: str) -> None:
        for path in ("/mp/collect", "/debug/mp/collect"):
            assert (await collector.post(hit(event()), path + query, scope=None)).status_code == 401

    async def test_no_events_is_nothing(self, collector: CollectorInMemory) -> None:
        assert await send(collector, {"client_id": "c1"}) == []


class TestDebug:
    async def test_what_is_right_needs_no_words(self, collector: CollectorInMemory) -> None:
        right = event("purchase", transaction_id="t", value=1.5, currency="EUR")
        assert await messages(collector, hit(right, timestamp_micros=NOW * 1000)) == []

    @rows(
        ("body", "path", "code"),
        [
            (hit(), "events", "VALUE_REQUIRED"),
            (hit(*[event()] * 26), "events", "EXCEEDED_MAX_ENTITIES"),
            (hit(event("in-valid")), "events[0].name", "NAME_INVALID"),
            (hit(event(), event("n" * 41)), "events[1].name", "NAME_INVALID"),
            (hit(event("ga_thing")), "events[0].name", "NAME_RESERVED"),
            (hit(event(**{f"p{n}": 1 for n in range(26)})), "events[0].params", "EXCEEDED_MAX_ENTITIES"),
            (hit(event(a="x" * 101)), "events[0].params.a", "VALUE_OUT_OF_BOUNDS"),
            (hit(event(value=1)), "events[0].params.currency", "VALUE_REQUIRED"),
            (hit(event(), timestamp_micros=1), "events[0].timestamp_micros", "VALUE_OUT_OF_BOUNDS"),
            (
                hit(event(), user_properties={f"p{n}": {} for n in range(26)}),
                "user_properties",
                "EXCEEDED_MAX_ENTITIES",
            ),
            (hit(event(), client_id=None), "client_id", "VALUE_REQUIRED"),
            (hit(event(None)), "events[0]", "VALUE_INVALID"),
        ],
    )
    async def test_what_is_wrong_is_said(
        self, collector: CollectorInMemory, body: dict[str, Any], path: str, code: str
    ) -> None:
        complaints = [(one["fieldPath"], one["validationCode"]) for one in await messages(collector, body)]
        assert complaints == [(path, code)]

    async def test_nothing_is_counted(self, collector: CollectorInMemory) -> None:
        await messages(collector, hit(event(None)))
        assert collector.metric("events_received_total") == 0


EVENTS = members("name", "params", "timestamp_micros", also=members("transaction_id", "session_id", "value", "items"))
BODIES = members("client_id", "user_id", "timestamp_micros", "user_properties", "consent", "device").flatmap(
    lambda body: st.lists(EVENTS | VALUES, max_size=4).map(lambda events: body | {"events": events})
)


@settings(max_examples=cases(200), deadline=None)
@given(BODIES | VALUES)
def test_any_json_gives_verdicts_or_is_refused(body: Any) -> None:
    raw = json_of(body)
    request = Request("POST", "/mp/collect", {}, b"", body=raw, raw_body=raw, received_at_ms=NOW)
    try:
        reading = MeasurementProtocol(Ingest()).read(request, Sender())
        debug = DebugProtocol(Ingest())
        debug.answer(debug.read(request, Sender()))
    except RequestError:
        return
    assert len(reading.verdicts) == len(reading.elements)
    assert all(isinstance(one, Accepted | Rejected) for one in reading.verdicts)
