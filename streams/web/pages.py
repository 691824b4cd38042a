"""Pages of a process's own beside the three that every server has: what they are asked and what they answer. Values.

Errors are JSON, `{"code", "message", "detail"}`, as the collector's are.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import xxhash

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A GET or HEAD."""

    query: str = ""
    """As it stands in the address."""
    if_none_match: str | None = None
    """ETags that the client has."""


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """What is answered."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """What is answered piece by piece, for as long as the client stays."""

    pieces: AsyncIterator[bytes]
    content_type: str


Page = Callable[[PageRequest], Awaitable[PageAnswer | StreamedAnswer]]


def error_page(
    status: int, *, code: str, message: str, detail: str = "", headers: Mapping[str, str] | None = None
) -> PageAnswer:
    """An error in the one shape all errors have."""
    body = json.dumps({"code": code, "message": message, "detail": detail}, ensure_ascii=False)
    return PageAnswer(body.encode("utf-8", "replace"), status=status, headers=headers or {})


def revalidated(request: PageRequest, answer: PageAnswer) -> PageAnswer:
    """The answer with its ETag, or 304 where the client has it already. Only the client may keep it, and it asks again
    each time. The ETag is weak: the same document may be sent compressed."""
    tag = f'W/"{xxhash.xxh3_128_hexdigest(answer.body)}"'
    headers = {**answer.headers, "etag": tag, "cache-control": "private, no-cache"}
    if _has(request.if_none_match, tag):
        return PageAnswer(b"", answer.content_type, 304, headers)
    return PageAnswer(answer.body, answer.content_type, answer.status, headers)


def _has(known: str | None, tag: str) -> bool:
    if known is None:
        return False
    tags = [each.strip() for each in known.split(",")]
    return "*" in tags or tag.removeprefix("W/") in [each.removeprefix("W/") for each in tags]
