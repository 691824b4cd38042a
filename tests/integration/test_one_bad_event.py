"""Real clients that send one event of twenty with values that no JSON parser takes: none is lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from posthog import Posthog
from rudderstack.analytics.client import Client as RudderClient
from segment.analytics.client import Client as SegmentClient
from snowplow_tracker.emitters import Emitter
from snowplow_tracker.events.self_describing import SelfDescribing
from snowplow_tracker.self_describing_json import SelfDescribingJson
from snowplow_tracker.subject import Subject
from snowplow_tracker.tracker import Tracker

from producers.ingest.verdicts import Scope
from tests.support.served_collector import ServedCollector

EVENTS = 20
BAD = {"number": 7, "discount": math.nan, "title": "cut in an emoji \ud83d"}
SCHEMA = "iglu:com.example/lead/jsonschema/1-0-0"


def told(number: int) -> dict[str, Any]:
    """What the event of a number says."""
    return BAD if number == BAD["number"] else {"number": number, "discount": 1.5, "title": "whole"}


def of_segment(url: str, key: str, make: Callable[..., Any]) -> None:
    """Twenty events in one batch."""
    client = make(key, host=url, upload_interval=0.1)
    for number in range(EVENTS):
        client.track(f"u{number}", "lead", told(number))
    client.flush()
    client.join()


def of_posthog(url: str, key: str) -> None:
    """Likewise."""
    client = Posthog(key, host=url, disable_geoip=True, flush_at=EVENTS)
    for number in range(EVENTS):
        client.capture("lead", distinct_id=f"u{number}", properties=told(number))
    client.flush()
    client.shutdown()


def of_snowplow(url: str, key: str) -> None:
    """Likewise."""
    parts = urlsplit(url)
    sending = Emitter(str(parts.hostname), protocol="http", port=parts.port, batch_size=EVENTS)
    tracker = Tracker("shop", sending, subject=Subject().set_user_id("u1"), app_id=key)
    for number in range(EVENTS):
        about = {**told(number), "title": "whole"}  # the client itself fails on half an emoji
        tracker.track(SelfDescribing(SelfDescribingJson(SCHEMA, about)))
    tracker.flush()


CLIENTS: dict[str, Callable[[str, str], None]] = {
    "segment": lambda url, key: of_segment(url, key, SegmentClient),
    "rudderstack": lambda url, key: of_segment(url, key, RudderClient),
    "posthog": of_posthog,
    "snowplow": of_snowplow,
}


@pytest.mark.parametrize("name", CLIENTS)
async def test_one_bad_event_of_twenty_costs_none(here: ServedCollector, name: str) -> None:
    await asyncio.to_thread(CLIENTS[name], here.url, here.memory.keys[Scope.SERVER])
    events = await here.until_events(EVENTS)
    assert sorted(one["properties"]["number"] for one in events) == list(range(EVENTS))
    assert not here.memory.dead_letters()
