"""Snowplow's and PostHog's own Python clients, pointed at the collector: what arrives is what was sent, once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest
from posthog import Posthog
from snowplow_tracker.emitters import AsyncEmitter, Emitter
from snowplow_tracker.events.page_view import PageView
from snowplow_tracker.events.self_describing import SelfDescribing
from snowplow_tracker.events.structured_event import StructuredEvent
from snowplow_tracker.self_describing_json import SelfDescribingJson
from snowplow_tracker.subject import Subject
from snowplow_tracker.tracker import Tracker

from producers.ingest.verdicts import Scope
from tests.integration.conftest import There
from tests.support.http import plain_client
from tests.support.rows import rows
from tests.support.served_collector import ServedCollector

NUMBERS = range(25)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    for name in ("posthog", "snowplow_tracker.emitters"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def emitter(url: str, kind: type[Emitter] = Emitter, **options: Any) -> Emitter:
    """An emitter for a collector at `url`."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return kind(parts.hostname, protocol="http", port=parts.port, **options)


def tracker(sending: Emitter, app_id: str, **options: Any) -> Tracker:
    """A tracker of one known visitor."""
    subject = Subject().set_user_id("u1").set_domain_user_id("d1").set_platform("web")
    return Tracker("shop", sending, subject=subject, app_id=app_id, **options)


def leads(tracking: Tracker) -> None:
    """Numbered leads of Ann."""
    for number in NUMBERS:
        about = {"number": number, "email": "ann@example.com", "value": "10.50"}
        tracking.track(SelfDescribing(SelfDescribingJson("iglu:com.example/lead_created/jsonschema/1-0-0", about)))


async def accounts(there: There) -> Counter[str]:
    """Events received, and events accepted, all sources."""
    async with plain_client() as client:
        text = (await client.get(f"{there.running.health_url}/metrics")).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    received = sum(float(value) for name, value in lines if name.startswith("funnelcast_collector_events_received_tot"))
    became = [(name, float(value)) for name, value in lines if name.startswith("funnelcast_collector_events_total{")]
    return Counter(received=int(received), accepted=int(sum(value for name, value in became if 'accepted"' in name)))


class TestSnowplow:
    @rows(("method", "is_packed"), list(product(("post", "get"), (True, False))))
    async def test_every_event_arrives_on_the_broker_once(self, there: There, method: str, is_packed: bool) -> None:
        before = await accounts(there)

        def send() -> None:
            tracking = tracker(emitter(there.running.url, method=method), there.key, encode_base64=is_packed)
            tracking.track(PageView("https://shop.example.com/?utm_source=google", page_title="Shop"))
            tracking.track(StructuredEvent(category="cart", action="add to cart", value=9.5))
            leads(tracking)
            tracking.flush()

        before_ms = time.time_ns() // 1_000_000
        await asyncio.to_thread(send)
        events = await there.new_events(len(NUMBERS) + 2)
        assert await accounts(there) - before == {"received": len(NUMBERS) + 2, "accepted": len(NUMBERS) + 2}
        assert len({one["id"] for one in events}) == len(events)
        assert {(one["source"], one["user_id"], one["anonymous_id"]) for one in events} == {("shop", "u1", "d1")}
        about = [one for one in events if one["name"] == "lead_created"]
        assert sorted(one["properties"]["number"] for one in about) == list(NUMBERS)
        assert {one["properties"]["value"] for one in about} == {"10.50"}
        assert len({one["contact_id"] for one in about}) == 1
        assert "example.com" not in str([one["properties"] for one in about])
        (page,) = (one for one in events if one["name"] == "page_view")
        assert page["properties"] == {"source": "google", "channel": "organic search"}
        now_ms = time.time_ns() // 1_000_000
        assert all(before_ms - 1_000 <= one["occurred_at_ms"] <= now_ms for one in events)

    async def test_threads_that_send_lose_nothing(self, here: ServedCollector) -> None:
        sending = emitter(here.url, AsyncEmitter, batch_size=4, thread_count=3)
        await asyncio.to_thread(leads, tracker(sending, here.memory.keys[Scope.SERVER]))
        await asyncio.to_thread(sending.flush)
        events = await here.until_events(len(NUMBERS))
        assert sorted(one["properties"]["number"] for one in events) == list(NUMBERS)

    @pytest.mark.parametrize("fault", [503, 429, "lost"])
    async def test_a_retry_sends_the_same_ids(self, here: ServedCollector, fault: int | str) -> None:
        here.faults = [fault]
        sending = emitter(here.url, batch_size=len(NUMBERS))
        await asyncio.to_thread(leads, tracker(sending, here.memory.keys[Scope.SERVER]))
        copies = 2 if fault == "lost" else 1
        events = await here.until_events(copies * len(NUMBERS))
        assert [status for *_, status in here.requests] == [503 if fault == "lost" else fault, 200]
        assert len({event["id"] for event in events}) == len(NUMBERS)
        for event in events:
            assert [other for other in events if other["id"] == event["id"]] == [event] * copies

    async def test_a_wrong_key_is_said_once(self, here: ServedCollector) -> None:
        unsent: list[Any] = []
        sending = emitter(here.url, batch_size=1, on_failure=lambda count, events: unsent.extend(events))
        wrong = tracker(sending, "nobody")
        await asyncio.to_thread(wrong.track, StructuredEvent(category="a", action="b"))
        assert [status for *_, status in here.requests] == [401]
        assert [one["se_ac"] for one in unsent] == ["b"]
        assert here.memory.events() == []


def posthog(url: str, key: str, **options: Any) -> Posthog:
    """A client of the collector at `url`."""
    return Posthog(key, host=url, disable_geoip=True, **options)


def orders(client: Posthog) -> list[str | None]:
    """Numbered orders of one account; the ids that the client gave them."""
    return [
        client.capture(
            "order completed",
            distinct_id="u1",
            properties={"order_id": f"o{number}", "value": "19.99", "currency": "EUR", "email": "ann@example.com"},
        )
        for number in NUMBERS
    ]


class TestPostHog:
    @rows("options", [{"sync_mode": True}, {"flush_at": 10}, {"flush_at": 10, "gzip": True}])
    async def test_every_event_arrives_on_the_broker_once(self, there: There, options: dict[str, Any]) -> None:
        before = await accounts(there)

        def send() -> list[str | None]:
            client = posthog(there.running.url, there.key, **options)
            sent = orders(client)
            client.flush()
            client.shutdown()
            return sent

        before_ms = time.time_ns() // 1_000_000
        sent = await asyncio.to_thread(send)
        events = await there.new_events(len(NUMBERS))
        assert await accounts(there) - before == {"received": len(NUMBERS), "accepted": len(NUMBERS)}
        assert sorted(one["id"] for one in events) == sorted(str(one) for one in sent)
        assert {(one["name"], one["source"], one["user_id"]) for one in events} == {("order_completed", "shop", "u1")}
        assert sorted(one["properties"]["order_id"] for one in events) == sorted(f"o{number}" for number in NUMBERS)
        assert all(one["properties"].keys() == {"order_id", "value", "currency"} for one in events)
        assert len({one["contact_id"] for one in events}) == 1
        now_ms = time.time_ns() // 1_000_000
        assert all(before_ms <= one["occurred_at_ms"] <= now_ms for one in events)

    @pytest.mark.parametrize("fault", [503, 429, "lost"])
    async def test_a_retry_sends_the_same_ids(self, here: ServedCollector, fault: int | str) -> None:
        here.faults = [fault]
        client = posthog(here.url, here.memory.keys[Scope.SERVER], flush_at=len(NUMBERS))

        def send() -> list[str | None]:
            sent = orders(client)
            client.flush(timeout_seconds=20)
            client.shutdown()
            return sent

        sent = await asyncio.to_thread(send)
        copies = 2 if fault == "lost" else 1
        events = await here.until_events(copies * len(NUMBERS))
        assert sorted(event["id"] for event in events) == sorted(str(event) for event in sent * copies)
        for event in events:
            assert [other for other in events if other["id"] == event["id"]] == [event] * copies

    async def test_a_wrong_key_is_said_once(self, here: ServedCollector) -> None:
        errors: list[Any] = []
        client = posthog(here.url, "nobody", flush_at=1, on_error=lambda error, batch: errors.append(error))

        def send() -> None:
            client.capture("x", distinct_id="u1")
            client.flush()
            client.shutdown()

        await asyncio.to_thread(send)
        assert [status for *_, status in here.requests] == [401]
        assert [getattr(one, "status", None) for one in errors] == [401]
        assert here.memory.events() == []

    async def test_flags_are_none_and_not_asked_for_again(self, here: ServedCollector) -> None:
        client = posthog(here.url, here.memory.keys[Scope.SERVER], sync_mode=True)
        flags = await asyncio.to_thread(client.evaluate_flags, "u1")
        assert flags.keys == []
        assert [status for *_, status in here.requests] == [200]

    async def test_who_somebody_is(self, here: ServedCollector) -> None:
        client = posthog(here.url, here.memory.keys[Scope.SERVER], sync_mode=True)

        def send() -> None:
            client.alias("visitor-1", "u1")
            client.set(distinct_id="u1", properties={"email": "ann@example.com", "name": "Ann"})
            client.group_identify("company", "acme", {"name": "Acme"})
            client.capture("looked around")

        await asyncio.to_thread(send)
        events = {one["name"]: one for one in here.memory.events()}
        assert (events["alias"]["user_id"], events["alias"]["anonymous_id"]) == ("u1", "visitor-1")
        assert events["set"]["context"]["traits"] == {"name": "Ann"}
        assert events["set"]["contact_id"]
        assert events["group"]["properties"]["name"] == "Acme"
        assert "user_id" not in events["looked_around"]
        assert here.memory.dead_letters() == []
