"""Recorded requests of real clients, and a way to send them to a collector in memory."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import orjson

import producers
from producers.access.keys import StoredKey, hash_key, members
from producers.ingest.verdicts import Scope
from tests.support.collector import CollectorInMemory

DIRECTORY = Path(producers.__file__).parent / "samples"
KEY = "WRITE_KEY"
"""The write key of every sample."""
PAGE_KEY = "PAGE_KEY"
"""That of samples of pages."""
SOURCE = "samples"


@dataclass(frozen=True)
class Sample:
    """One request as it was recorded."""

    name: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    async def send(self, collector: CollectorInMemory) -> httpx.Response:
        """Send it as it is."""
        path = f"{self.path}?{self.query}" if self.query else self.path
        return await collector.request(self.method, path, self.body, self.headers)


def sample(name: str) -> Sample:
    """A recorded request by its name."""
    members: dict[str, Any] = orjson.loads((DIRECTORY / f"{name}.json").read_bytes())
    packed = members.get("body_base64")
    body = base64.b64decode(packed) if packed is not None else members.get("body", "").encode()
    whole = Sample(name, members["method"], members["path"], members.get("query", ""), members["headers"], body)
    return whole if "origin" not in {header.lower() for header in whole.headers} else _of_a_page(whole)


def _of_a_page(sample: Sample) -> Sample:
    """With a browser's key: a page may have no other."""
    basic, own = (base64.b64encode(f"{key}:".encode()).decode() for key in (KEY, PAGE_KEY))
    headers = {name: value.replace(KEY, PAGE_KEY).replace(basic, own) for name, value in sample.headers.items()}
    body = sample.body.replace(KEY.encode(), PAGE_KEY.encode())
    return replace(sample, query=sample.query.replace(KEY, PAGE_KEY), headers=headers, body=body)


def names(*formats: str) -> list[str]:
    """The samples of these formats."""
    return sorted(one.stem for one in DIRECTORY.glob("*.json") if one.stem.startswith(formats))


def collector_of_samples(directory: Path, **options: Any) -> CollectorInMemory:
    """A collector that knows the key of the samples."""
    keys = [
        StoredKey(key, hash_key(key), SOURCE, scope, "2025-01-01T00:00:00+00:00")
        for key, scope in ((KEY, Scope.SERVER), (PAGE_KEY, Scope.BROWSER))
    ]
    (directory / "keys.json").write_bytes(
        orjson.dumps({"keys": [members(key) for key in keys]})
    )  # not synced: tests ask for hundreds
    return CollectorInMemory(directory, options)
