"""A collector in this process over a log in memory, and ways to ask it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson

from producers.access.keys import KeyRing, StoredKey, create_key, members, read_keys
from producers.collector.admission import Admission
from producers.collector.app import Collector
from producers.collector.routes import all_routes
from producers.dead_letters.limit import DeadLetterLimit
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.verdicts import Scope, Sender
from producers.sink.port import MemorySink
from schemas.record import decode_any
from schemas.topics import Topics
from tests.support.asgi import ask

NOW = 1_735_725_600_000
TOPICS = Topics("t")


def new_keys(browser: Mapping[str, Any]) -> tuple[dict[Scope, str], list[StoredKey]]:
    """A write key of each scope, and what a file holds of them. `browser`: options of the browser's (StoredKey)."""
    keys: dict[Scope, str] = {}
    with TemporaryDirectory() as directory:
        path = Path(directory) / "keys.json"
        for scope in Scope:
            options = browser if scope is Scope.BROWSER else {}
            created_at = "2025-01-01T00:00:00+00:00"
            keys[scope], _ = create_key(path, source=f"source-{scope}", scope=scope, created_at=created_at, **options)
        return keys, read_keys(path)


@cache
def _keys_of_all() -> tuple[dict[Scope, str], list[StoredKey]]:
    """Keys without options, made once: a key file is synced to the disk, and a thousand tests want one."""
    return new_keys({})


@dataclass
class CollectorInMemory:
    """`post` a body, look at what stands in the log."""

    directory: Path
    options: dict[str, Any] = field(default_factory=dict)
    is_open: bool = False
    sink: MemorySink = field(default_factory=MemorySink)
    admission: Admission | None = None
    dead_letter_limit: DeadLetterLimit | None = None
    now_ms: Callable[[], int] = lambda: NOW
    address: str = "127.0.0.1"
    """Of the client."""
    browser: dict[str, Any] = field(default_factory=dict)
    """What limits the browser's key: see StoredKey."""

    def __post_init__(self) -> None:
        path = self.directory / "keys.json"
        self.keys, stored = new_keys(self.browser) if self.browser else _keys_of_all()
        in_file = read_keys(path)
        ids = {key.id for key in in_file}
        all_keys = [*in_file, *(key for key in stored if key.id not in ids)]
        path.write_bytes(orjson.dumps({"keys": [members(key) for key in all_keys]}))
        self._ring = KeyRing(path, open_sender=Sender() if self.is_open else None)
        self._start()

    def renew(self) -> None:
        """As it was at first: for the next row of a table (tests/support/rows.py)."""
        self.sink = MemorySink()
        self._start()

    def _start(self) -> None:
        ingest = Ingest(contacts=Contacts(b"secret"), **self.options)
        self.app = Collector(
            sink=self.sink,
            ingest=ingest,
            keys=self._ring,
            topics=TOPICS,
            routes=all_routes(ingest),
            admission=self.admission,
            dead_letter_limit=self.dead_letter_limit,
            now_ms=lambda: self.now_ms(),
        )

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Ask without anything added."""
        return await ask(self.app, method, path, body=body, headers=headers, client=(self.address, 123))

    async def post(
        self,
        body: Any,
        path: str = "/v1/events",
        *,
        scope: Scope | None = Scope.SERVER,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """POST a body (bytes as they are, else as JSON) with the key of a scope."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        key = {} if scope is None else {"X-Write-Key": self.keys[scope]}
        return await self.request("POST", path, content, key | (headers or {}))

    def events(self) -> list[dict[str, Any]]:
        """Records of the events topic, decoded, without the links that they claim."""
        records = [decode_any(one.value) for one in self.sink.records(TOPICS.events)]
        return [record for record in records if "link" not in record]

    def links(self) -> list[tuple[str, str]]:
        """(lower, higher) of the claims in the events topic."""
        records = [(one.key, decode_any(one.value)) for one in self.sink.records(TOPICS.events)]
        return [((key or b"").decode(), record["link"]) for key, record in records if "link" in record]

    def dead_letters(self) -> list[dict[str, Any]]:
        """Dead letters, decoded."""
        return [decode_any(one.value) for one in self.sink.records(TOPICS.rejected)]

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric that have these labels."""
        families = self.app.metrics.registry.collect()
        samples = [one for family in families for one in family.samples if one.name == f"funnelcast_collector_{name}"]
        return sum(one.value for one in samples if labels.items() <= one.labels.items())


def event(number: int = 1, **members: Any) -> dict[str, Any]:
    """A native event."""
    return {"id": f"e-{number}", "name": "click", "anonymous_id": "v1", "occurred_at_ms": NOW - 5} | members


def basic(key: str) -> dict[str, str]:
    """A write key as Segment's clients send it."""
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
