"""The collector that requests are sent to: one that runs, or one of our own on the embedded stack."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import yaml

from funnelcast.fuzz.requests import recorded
from funnelcast.processes.child import Child
from funnelcast.processes.deployment import ANY_PORT, Deployment
from funnelcast.processes.listening import HEALTH_LISTENING
from funnelcast.processes.supervise import Supervisor
from funnelcast.settings import SettingsError
from funnelcast.stack.embedded import EmbeddedStack
from producers.access.keys import StoredKey, hash_key, write_keys
from producers.ingest.verdicts import Scope
from schemas.topics import Topics
from streams.admin import ensure_topics

READY_SECONDS = 60.0
PARTITIONS = 4
_CREATED = "2025-01-01T00:00:00+00:00"
_KEYS = {
    "WRITE_KEY": Scope.SERVER,
    "BROWSER_KEY": Scope.BROWSER,
    "HISTORICAL_KEY": Scope.HISTORICAL,
    "READ_KEY": Scope.READ,
}


@dataclass(frozen=True, slots=True)
class Target:
    """A collector. What is known of it only when it is ours is None."""

    host: str
    port: int
    key: bytes | None = None
    child: Child | None = None
    kafka: str | None = None
    space: str = ""
    metrics: str | None = None
    """Address of its /metrics; None: the counts are not checked."""


def target_of(url: str, *, key: str | None, metrics: str | None) -> Target:
    """Raises SettingsError."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise SettingsError(f"--url {url}: write http://host:port; it speaks no TLS, so go to the collector itself")
    return Target(parts.hostname, parts.port or 80, (key or "").encode() or None, metrics=metrics)


async def page_of(url: str) -> httpx.Response | None:
    """What a GET answers; None where nobody does."""
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return await client.get(url)
        except httpx.TransportError:
            return None


@asynccontextmanager
async def own_collector(directory: Path, say: Callable[[str], None]) -> AsyncIterator[Target]:
    """On the embedded stack, with keys of every scope, every webhook and no rate limit."""
    keys, hooks = directory / "keys.json", directory / "webhooks.yaml"
    write_settings(keys, hooks)
    async with EmbeddedStack(directory, report=say) as stack, Supervisor(directory, report=say) as services:
        space = f"fuzz-{uuid.uuid4().hex[:10]}"
        await ensure_topics(stack.kafka, Topics(space), partitions=PARTITIONS)
        deployment = Deployment(stack.kafka, stack.redis, space, ("sales",), directory, keys=keys, contact_key="fuzz")
        spec = deployment.collector()
        argv = (*spec.argv, "--webhooks", str(hooks), "--health-port", str(ANY_PORT), *_WITHOUT_LIMITS)
        child = await services.start(replace(spec, argv=argv))
        await child.ready(READY_SECONDS)
        port, health_port = child.listening.port() or 0, child.listening.port(HEALTH_LISTENING)
        say(f"collector on port {port}, pid {child.pid}, log {child.log}")
        metrics = f"http://127.0.0.1:{health_port}/metrics"
        yield Target("127.0.0.1", port, None, child, stack.kafka, space, metrics)


_WITHOUT_LIMITS = ("--rate-limit-address", "0", "--rate-limit-key", "0")


def write_settings(keys: Path, hooks: Path) -> None:
    """Keys of every scope, and the webhooks of the recorded deliveries."""
    stored = [
        StoredKey(name.lower(), hash_key(name), name.lower(), scope.value, _CREATED) for name, scope in _KEYS.items()
    ]
    revoked = StoredKey(
        "revoked", hash_key("REVOKED_KEY"), "revoked", Scope.SERVER.value, _CREATED, revoked_at=_CREATED
    )
    write_keys(keys, [*stored, revoked])
    by_name = {one.hook["name"]: dict(one.hook) for one in recorded() if one.hook is not None}
    hooks.write_text(yaml.safe_dump({"hooks": list(by_name.values())}))
