"""The same events as every client would send them: the requests of `bench.load`. Makes bytes, sends nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import orjson

PEOPLE: Final = 20_000
STRIPE_SECRET: Final = "whsec_bench"  # noqa: S105 - of a collector that lives for seconds
WEBHOOKS: Final = f"hooks: [{{name: bench, provider: stripe, secrets: [{STRIPE_SECRET}]}}]\n"
"""The file of webhooks that the last format needs."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request without its host."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def wire(self, host: str) -> bytes:
        """Its bytes."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Dialect:
    """One client's way. `most` events fit into a request; `distinct` requests are made before they come again."""

    make: Callable[[list[dict[str, Any]]], Sent]
    most: int = 1_000
    distinct: int = 400


_JSON: Final = {"Content-Type": "application/json"}


def events(number: int, batch: int) -> list[dict[str, Any]]:
    """The events of one request, in our own format."""
    chance = random.Random(number)
    return [_event(number * batch + at, chance) for at in range(batch)]


def _event(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "name": "click",
        "occurred_at_ms": time.time_ns() // 1_000_000,
        "anonymous_id": f"v{chance.randrange(PEOPLE)}",
        "properties": {
            "channel": "google",
            "campaign": "spring",
            "order_id": f"o{number}",
            "value": "19.99",
            "currency": "EUR",
        },
    }


def _native(events: list[dict[str, Any]]) -> Sent:
    return Sent("POST", "/v1/events", _JSON, orjson.dumps(events if len(events) > 1 else events[0]))


def _segment(events: list[dict[str, Any]]) -> Sent:
    messages = [
        {
            "type": "track",
            "event": one["name"],
            "messageId": one["id"],
            "anonymousId": one["anonymous_id"],
            "userId": None,
            "timestamp": _iso(one),
            "properties": one["properties"],
            "integrations": {},
            "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
        }
        for one in events
    ]
    return Sent("POST", "/v1/batch", _JSON, orjson.dumps({"batch": messages, "sentAt": _iso(events[-1])}))


def _snowplow(events: list[dict[str, Any]]) -> Sent:
    outer = "iglu:com.snowplowanalytics.snowplow"
    rows = []
    for one in events:
        inner = {"schema": "iglu:com.example/click/jsonschema/1-0-0", "data": one["properties"]}
        told = {"schema": f"{outer}/unstruct_event/jsonschema/1-0-0", "data": inner}
        row = {"e": "ue", "ue_px": base64.b64encode(orjson.dumps(told)).decode(), "eid": one["id"], "p": "web"}
        times = {"dtm": str(one["occurred_at_ms"]), "stm": str(one["occurred_at_ms"])}
        rows.append(row | times | {"duid": one["anonymous_id"], "tv": "py-1.1.0", "tna": "n", "aid": "bench"})
    body = {"schema": f"{outer}/payload_data/jsonschema/1-0-4", "data": rows}
    return Sent("POST", "/com.snowplowanalytics.snowplow/tp2", _JSON, orjson.dumps(body))


def _posthog(events: list[dict[str, Any]]) -> Sent:
    rows = [
        {
            "event": one["name"],
            "distinct_id": one["anonymous_id"],
            "uuid": one["id"],
            "timestamp": _iso(one),
            "properties": one["properties"] | {"$lib": "posthog-python", "$lib_version": "7.91.1"},
        }
        for one in events
    ]
    return Sent(
        "POST", "/batch/", _JSON, orjson.dumps({"api_key": "bench", "batch": rows, "sent_at": _iso(events[-1])})
    )


def _ga4(events: list[dict[str, Any]]) -> Sent:
    rows = [
        {"name": one["name"], "params": one["properties"] | {"session_id": "1795540000", "engagement_time_msec": 100}}
        for one in events
    ]
    body = {
        "client_id": events[0]["anonymous_id"],
        "timestamp_micros": events[0]["occurred_at_ms"] * 1000,
        "events": rows,
    }
    return Sent("POST", "/mp/collect?measurement_id=G-1&api_secret=bench", _JSON, orjson.dumps(body))


def _cloudevents(events: list[dict[str, Any]]) -> Sent:
    rows = [
        {
            "id": one["id"],
            "source": "/shop",
            "type": one["name"],
            "time": _iso(one),
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "data": {"anonymous_id": one["anonymous_id"], **one["properties"]},
        }
        for one in events
    ]
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    return Sent("POST", "/v1/cloudevents", headers, orjson.dumps(rows))


def _pixel(events: list[dict[str, Any]]) -> Sent:
    one = events[0]
    properties = {f"p.{name}": value for name, value in one["properties"].items()}
    query = {"e": one["name"], "a": one["anonymous_id"], "i": one["id"], **properties}
    return Sent("GET", f"/pixel.gif?{urlencode(query)}", {}, b"")


def _stripe(events: list[dict[str, Any]]) -> Sent:
    one, now = events[0], int(time.time())
    session = {
        "id": f"cs_{one['id']}",
        "object": "checkout.session",
        "amount_total": 1999,
        "currency": "eur",
        "client_reference_id": one["anonymous_id"],
        "payment_intent": f"pi_{one['id']}",
        "payment_status": "paid",
        "metadata": {"anonymous_id": one["anonymous_id"]},
    }
    told = {"id": f"evt_{one['id']}", "type": "checkout.session.completed", "created": now, "data": {"object": session}}
    body = orjson.dumps(told)
    signature = hmac.new(STRIPE_SECRET.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
    headers = _JSON | {"Stripe-Signature": f"t={now},v1={signature}"}
    return Sent("POST", "/v1/webhooks/bench", headers, body)


def _iso(event: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(event["occurred_at_ms"] / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


DIALECTS: Final = {
    "native": Dialect(_native),
    "segment": Dialect(_segment),
    "snowplow": Dialect(_snowplow),
    "posthog": Dialect(_posthog),
    "ga4": Dialect(_ga4, most=25),
    "cloudevents": Dialect(_cloudevents),
    "pixel": Dialect(_pixel, most=1),
    "stripe": Dialect(_stripe, most=1, distinct=30_000),
}
"""By name. A webhook is known by its delivery, so that one must not come twice."""
