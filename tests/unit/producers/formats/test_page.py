"""The page of an event has one name in funnels, whichever client sent it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from producers.ingest.verdicts import Scope
from schemas.places import in_context
from tests.support.collector import NOW, CollectorInMemory
from tests.support.samples import collector_of_samples

URL = "https://shop.example/checkout?step=2#pay"
PAGE = {"url": URL, "title": "Pay", "referrer": "https://shop.example/cart"}
SERVER = "key"
REQUESTS: dict[str, tuple[str, Any]] = {
    "native": ("/v1/events", {"id": "1", "name": "page_view", "anonymous_id": "v", "context": {"page": PAGE}}),
    "segment": (
        "/v1/page",
        {"messageId": "1", "type": "page", "anonymousId": "v", "context": {"page": PAGE | {"path": "/checkout"}}},
    ),
    "posthog": (
        "/e/",
        {
            "event": "$pageview",
            "distinct_id": "v",
            "uuid": "1",
            "properties": {
                "$current_url": URL,
                "$pathname": "/checkout",
                "title": "Pay",
                "$referrer": PAGE["referrer"],
                "$device_type": "Mobile",
            },
        },
    ),
    "ga4": (
        f"/mp/collect?measurement_id=G-1&api_secret={SERVER}",
        {
            "client_id": "v",
            "device": {"category": "mobile"},
            "events": [
                {
                    "name": "page_view",
                    "params": {"page_location": URL, "page_title": "Pay", "page_referrer": PAGE["referrer"]},
                }
            ],
        },
    ),
    "snowplow": (
        "/com.snowplowanalytics.snowplow/tp2",
        {
            "schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
            "data": [
                {
                    "e": "pv",
                    "eid": "1",
                    "duid": "v",
                    "url": URL,
                    "page": "Pay",
                    "refr": PAGE["referrer"],
                    "dtm": str(NOW - 9_000),
                    "stm": str(NOW - 5_000),
                }
            ],
        },
    ),
}


@pytest.mark.parametrize("client", REQUESTS)
async def test_a_page_is_found_by_one_name(client: str, tmp_path: Path) -> None:
    collector: CollectorInMemory = collector_of_samples(tmp_path)
    path, body = REQUESTS[client]
    await collector.post(body, path.replace(SERVER, collector.keys[Scope.SERVER]))
    (event,) = collector.events()
    values = {name: in_context(name, event["context"]) for name in ("page.path", "page.url", "page.title", "referrer")}
    assert values == {
        "page.path": "/checkout",
        "page.url": URL,
        "page.title": "Pay",
        "referrer": PAGE["referrer"],
    }
    device = in_context("device", event["context"])
    assert device == {"posthog": "Mobile", "ga4": "mobile"}.get(client)
