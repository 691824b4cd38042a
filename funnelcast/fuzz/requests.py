"""What the fuzzer sends: recorded requests, and requests made of them, down to the bytes on the wire. Sends nothing."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import orjson

Header = tuple[bytes, bytes]
KEY: Final = b"WRITE_KEY"
"""The write key of every recorded request."""
PAGE_KEY: Final = b"BROWSER_KEY"
WHOLE, SLOW, ABORTED, STALLED, CHUNKED, QUEUED, RAW = "whole", "slow", "aborted", "stalled", "chunked", "queued", "raw"
"""How it travels: at once, in pieces with pauses, cut off, never to its end, in chunks, behind others that were sent
without waiting; or as bytes that need not even be HTTP."""
BEFORE: Final = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" * 2
"""What a queued request stands behind."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request that a real client sent, its body in clear."""

    name: str
    method: bytes
    target: bytes
    headers: tuple[Header, ...]
    body: bytes
    hook: Mapping[str, Any] | None = None
    """The webhook it belongs to, as a file of webhooks says it."""

    @property
    def is_from_page(self) -> bool:
        """Whether a browser sent it."""
        return self.target == b"/v1/browser" or any(name == b"origin" for name, _ in self.headers)

    @property
    def format(self) -> str:
        """What the table of results calls it: `posthog`, `webhook-stripe`."""
        return "-".join(self.name.split("-")[: 2 if self.hook is not None else 1])


@dataclass(frozen=True, slots=True)
class FuzzRequest:
    """One request to be sent."""

    number: int
    format: str
    method: bytes
    target: bytes
    headers: tuple[Header, ...]
    body: bytes
    hook: Mapping[str, Any] | None = None
    is_signed: bool = False
    """To be signed anew when it is sent: signatures hold the time."""
    way: str = WHOLE
    may_be_no_http: bool = False
    """The server may close the connection without an answer."""
    mutations: tuple[str, ...] = ()

    def wire(self) -> bytes:
        """Every byte of it."""
        if self.way == RAW:
            return self.body
        lines = [self.method + b" " + self.target + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers]
        names = {name.lower() for name, _ in self.headers}
        if self.way == CHUNKED:
            lines.append(b"transfer-encoding: chunked")
        elif b"content-length" not in names and b"transfer-encoding" not in names:
            lines.append(b"content-length: %d" % len(self.body))
        body = _chunked(self.body) if self.way == CHUNKED else self.body
        wire = b"\r\n".join([*lines, b"", body])
        return BEFORE + wire if self.way == QUEUED else wire


def _chunked(body: bytes) -> bytes:
    pieces = [body[index : index + 1000] for index in range(0, len(body), 1000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def recorded(*, page_key: bytes = PAGE_KEY) -> tuple[Sample, ...]:
    """Every recorded request that is shipped, by name; those of pages with a browser's key."""
    directory = resources.files("producers") / "samples"
    files = sorted((path for path in directory.iterdir() if path.name.endswith(".json")), key=lambda path: path.name)
    samples = (_sample(path.name.removesuffix(".json"), orjson.loads(path.read_bytes())) for path in files)
    return tuple(with_key(one, page_key) if one.is_from_page else one for one in samples)


def _sample(name: str, recorded: dict[str, Any]) -> Sample:
    packed, query = recorded.get("body_base64"), recorded.get("query")
    body = base64.b64decode(packed) if packed is not None else recorded.get("body", "").encode()
    headers = {key.lower(): value for key, value in recorded["headers"].items()}
    if body[:2] == b"\x1f\x8b":
        body = zlib.decompress(body, 31)
        headers.pop("content-encoding", None)
    headers.pop("content-length", None)
    headers["host"] = "127.0.0.1"
    target = recorded["path"] + (f"?{query}" if query else "")
    return Sample(
        name,
        recorded["method"].encode(),
        target.encode(),
        tuple((key.encode(), value.encode()) for key, value in headers.items()),
        body,
        recorded.get("webhook"),
    )


def with_key(sample: Sample, key: bytes) -> Sample:
    """The sample with a write key of one's own."""
    basic, own = (base64.b64encode(one + b":") for one in (KEY, key))
    headers = tuple((name, value.replace(KEY, key).replace(basic, own)) for name, value in sample.headers)
    return Sample(
        sample.name,
        sample.method,
        sample.target.replace(KEY, key),
        headers,
        sample.body.replace(KEY, key),
        sample.hook,
    )
