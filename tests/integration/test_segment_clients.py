"""Segment's and RudderStack's own Python clients, pointed at the collector: what arrives is what was sent, once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from rudderstack.analytics.client import Client as RudderClient
from segment.analytics.client import Client as SegmentClient

from producers.ingest.verdicts import Scope
from tests.integration.conftest import There
from tests.support.rows import rows
from tests.support.served_collector import ServedCollector

NUMBERS = range(25)
Make = Callable[..., Any]
BOTH = pytest.mark.parametrize("make", [SegmentClient, RudderClient], ids=["segment", "rudderstack"])


@pytest.fixture(autouse=True)
def _quiet() -> None:
    for name in ("segment", "rudderstack", "backoff"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def client(make: Make, url: str, key: str, errors: list[Any], **options: Any) -> Any:
    """A client of the collector at `url`."""
    return make(key, host=url, on_error=lambda error, batch: errors.append(error), **options)


def orders(sending: Any) -> None:
    """Numbered orders of one account."""
    for number in NUMBERS:
        about = {"order_id": f"o{number}", "revenue": 10.25 + number, "currency": "EUR"}
        sending.track("u1", "Completed Order", about, anonymous_id="v1")


@rows(("make", "gzip", "sync_mode"), list(product((SegmentClient, RudderClient), (False, True), (False, True))))
async def test_every_order_arrives_on_the_broker_once(there: There, make: Make, gzip: bool, sync_mode: bool) -> None:
    errors: list[Any] = []

    def send() -> None:
        sending = client(make, there.running.url, there.key, errors, gzip=gzip, sync_mode=sync_mode)
        orders(sending)
        if not sync_mode:
            sending.flush()
            sending.join()

    before_ms = time.time_ns() // 1_000_000
    await asyncio.to_thread(send)
    assert errors == []
    events = await there.new_events(len(NUMBERS))
    assert sorted(one["properties"]["order_id"] for one in events) == sorted(f"o{number}" for number in NUMBERS)
    assert sorted(one["properties"]["value"] for one in events) == [10.25 + number for number in NUMBERS]
    assert len({one["id"] for one in events}) == len(NUMBERS)
    assert {(one["name"], one["source"], one["user_id"], one["anonymous_id"]) for one in events} == {
        ("order_completed", "shop", "u1", "v1")
    }
    now_ms = time.time_ns() // 1_000_000
    assert all(before_ms - 1_000 <= one["occurred_at_ms"] <= now_ms + 1_000 for one in events)


@BOTH
async def test_who_is_who(here: ServedCollector, make: Make) -> None:
    errors: list[Any] = []

    def send() -> None:
        sending = client(make, here.url, here.memory.keys[Scope.SERVER], errors, gzip=True, sync_mode=True)
        sending.identify("u1", {"email": "ann@example.com", "plan": "team"}, anonymous_id="v1")
        sending.alias("v1", "u1")
        sending.group("u1", "g1", {"email": "office@example.com", "size": 3})
        sending.page("u1", "Shop", "Home", {"url": "https://shop.example.com/?gclid=1"})
        sending.screen("u1", "Shop", "Start")
        sending.track("u1", "Signed Up", context={"traits": {"email": "Ann@example.com"}})

    await asyncio.to_thread(send)
    assert errors == []
    identify, alias, group, page, screen, signed_up = here.memory.events()
    contact = identify["contact_id"]
    assert who(identify) == {"anonymous_id": "v1", "contact_id": contact, "user_id": "u1"}
    assert identify["properties"] == {"plan": "team"}
    assert who(alias) == {"anonymous_id": "v1", "user_id": "u1"}
    assert who(group) == {"user_id": "u1"}
    assert group["properties"] == {"size": 3, "group_id": "g1"}
    assert page["name"] == "page"
    assert page["properties"] | {"name": "Home", "category": "Shop"} == page["properties"]
    assert screen["properties"] == {"name": "Start", "category": "Shop"}
    assert who(signed_up) == {"contact_id": contact, "user_id": "u1"}
    assert "@" not in str(here.memory.events())


def who(event: dict[str, Any]) -> dict[str, str]:
    return {name: event[name] for name in ("anonymous_id", "contact_id", "user_id") if name in event}


@BOTH
async def test_history_keeps_its_times(here: ServedCollector, make: Make) -> None:
    here.memory.now_ms = lambda: time.time_ns() // 1_000_000
    before_ms = time.time_ns() // 1_000_000
    long_ago = datetime.now(UTC) - timedelta(days=400)
    sending = client(make, here.url, here.memory.keys[Scope.SERVER], [], sync_mode=True)
    await asyncio.to_thread(sending.track, "u1", "Order Completed", {"order_id": "o1"}, timestamp=long_ago)
    (event,) = here.memory.events()
    # The way to the collector counts as the error of a clock.
    way_ms = time.time_ns() // 1_000_000 - before_ms
    assert -1 <= event["occurred_at_ms"] - long_ago.timestamp() * 1_000 <= way_ms + 1_000


@BOTH
@pytest.mark.parametrize("fault", [503, 429, "lost"])
async def test_a_retry_sends_the_same_ids(here: ServedCollector, make: Make, fault: int | str) -> None:
    here.faults = [fault]
    errors: list[Any] = []

    def send() -> None:
        sending = client(make, here.url, here.memory.keys[Scope.SERVER], errors, upload_interval=0.1)
        orders(sending)
        sending.flush()
        sending.join()

    await asyncio.to_thread(send)
    assert errors == []
    events = here.memory.events()
    assert len({one["id"] for one in events}) == len(NUMBERS)
    assert len(events) >= len(NUMBERS) + (fault == "lost")


@BOTH
async def test_a_wrong_key_is_said_once(here: ServedCollector, make: Make) -> None:
    errors: list[Any] = []

    def send() -> None:
        sending = client(make, here.url, "wrong", errors, upload_interval=0.1)
        sending.track("u1", "Order Completed", {})
        sending.flush()
        sending.join()

    await asyncio.to_thread(send)
    assert [status for *_, status in here.requests] == [401]
    assert len(errors) == 1
    assert here.memory.events() == []


async def test_an_event_that_is_too_large_costs_no_other_and_is_not_sent_again(here: ServedCollector) -> None:
    """Segment's client refuses such an event itself."""
    errors: list[Any] = []
    sending = client(RudderClient, here.url, here.memory.keys[Scope.SERVER], errors, sync_mode=True)
    await asyncio.to_thread(sending.track, "u1", "Order Completed", {"text": "x" * 40_000})
    await asyncio.to_thread(sending.track, "u1", "Order Completed", {"order_id": "o1"})
    assert [status for *_, status in here.requests] == [200, 200]
    assert [one["reason"] for one in here.memory.dead_letters()] == ["event_too_large"]
    assert [one["properties"] for one in here.memory.events()] == [{"order_id": "o1"}]
