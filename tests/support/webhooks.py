"""Webhooks for tests: a file of hooks, signed deliveries, a collector that takes them."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import yaml

from producers.access.keys import KeyRing
from producers.collector.app import Collector
from producers.collector.routes import all_routes
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.sink.port import MemorySink
from producers.webhooks.config import Webhooks, parse_webhooks
from schemas.record import decode_any
from tests.support.asgi import ask
from tests.support.collector import NOW, TOPICS
from tests.support.samples import DIRECTORY, names

STRIPE_SECRET = "whsec_test_0123456789abcdef"
CONTACTS = Contacts(b"secret")
EVERY_SAMPLE = names("webhook-")


def hooks_of(*hooks: dict[str, Any]) -> Webhooks:
    """The hooks as the file would say them."""
    return parse_webhooks(yaml.safe_dump({"hooks": list(hooks)}), {})


def load(name: str) -> dict[str, Any]:
    """A recorded delivery: `method`, `path`, `headers`, `body`, and the hook it belongs to as `webhook`."""
    delivery: dict[str, Any] = orjson.loads((DIRECTORY / f"webhook-{name}.json").read_bytes())
    return delivery


@dataclass
class HookedCollector:
    """A collector in memory that knows the hooks of `webhooks`, at a time that is set."""

    webhooks: Webhooks
    now_ms: int = NOW
    sink: MemorySink = field(default_factory=MemorySink)
    keys: KeyRing = field(default_factory=lambda: KeyRing(None))

    def __post_init__(self) -> None:
        ingest = Ingest(contacts=CONTACTS)
        self.app = Collector(
            sink=self.sink,
            ingest=ingest,
            keys=self.keys,
            topics=TOPICS,
            routes=all_routes(ingest, self.webhooks),
            now_ms=lambda: self.now_ms,
        )

    async def post(self, path: str, body: bytes | str, headers: dict[str, str] | None = None) -> httpx.Response:
        """One delivery."""
        content = body if isinstance(body, bytes) else body.encode()
        return await ask(self.app, "POST", path, body=content, headers=headers)

    async def send(self, sample: dict[str, Any], **changes: Any) -> httpx.Response:
        """A recorded delivery, with changes."""
        sent = {**sample, **changes}
        path = sent["path"] + (f"?{sent['query']}" if sent.get("query") else "")
        return await self.post(path, sent["body"], sent["headers"])

    async def stripe(self, event: dict[str, Any], *, secret: str = STRIPE_SECRET) -> httpx.Response:
        """An event of Stripe's, signed now."""
        body = orjson.dumps(event)
        return await self.post("/v1/webhooks/stripe", body, stripe_headers(body, secret, self.now_ms // 1000))

    def events(self) -> list[dict[str, Any]]:
        """Records of the events topic, decoded, without the links that they claim."""
        records = [decode_any(one.value) for one in self.sink.records(TOPICS.events)]
        return [record for record in records if "link" not in record]

    def links(self) -> list[tuple[str, str]]:
        """(lower, higher) of the claims in the events topic."""
        records = [(one.key, decode_any(one.value)) for one in self.sink.records(TOPICS.events)]
        return [((key or b"").decode(), record["link"]) for key, record in records if "link" in record]

    def hooks(self) -> list[dict[str, Any]]:
        """Records of the hooks topic, decoded."""
        return [decode_any(one.value) for one in self.sink.records(TOPICS.hooks)]

    def dead_letters(self) -> list[dict[str, Any]]:
        """Dead letters, decoded."""
        return [decode_any(one.value) for one in self.sink.records(TOPICS.rejected)]


def of_sample(name: str, *, keys: KeyRing | None = None, **options: Any) -> HookedCollector:
    """A collector that knows the hook of a recorded delivery, with more options."""
    return HookedCollector(hooks_of({**load(name)["webhook"], **options}), keys=keys or KeyRing(None))


async def told_by(name: str, **options: Any) -> list[dict[str, Any]]:
    """The events that a recorded delivery becomes."""
    collector = of_sample(name, **options)
    answer = await collector.send(load(name))
    assert answer.status_code == 200, answer.text
    return sorted(collector.events(), key=lambda one: (one["occurred_at_ms"], one["id"]))


def stripe_headers(body: bytes, secret: str, seconds: int) -> dict[str, str]:
    """Stripe's signature."""
    digest = hmac.digest(secret.encode(), f"{seconds}.".encode() + body, "sha256").hex()
    return {"stripe-signature": f"t={seconds},v1={digest}", "content-type": "application/json"}


def sign_shopify(body: bytes, secret: str) -> dict[str, str]:
    """Shopify's signature."""
    return {"x-shopify-hmac-sha256": base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()}


def standard_headers(body: bytes, key: bytes, seconds: int, identity: str = "msg_1") -> dict[str, str]:
    """The signature of Standard Webhooks."""
    digest = hmac.digest(key, f"{identity}.{seconds}.".encode() + body, "sha256")
    signature = base64.b64encode(digest).decode()
    return {"webhook-id": identity, "webhook-timestamp": str(seconds), "webhook-signature": f"v1,{signature}"}


def write_hooks(path: Path, *hooks: dict[str, Any]) -> Path:
    """The file."""
    path.write_text(yaml.safe_dump({"hooks": list(hooks)}))
    return path
