"""HTTP as the collector speaks it: bodies, write keys, CORS, answers. ASGI messages and headers only, no events."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from producers.body import RequestError, too_large
from producers.ingest import Scope, Sender
from producers.sink import SinkUnavailableError
from schemas.reasons import RejectReason

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HttpScope = MutableMapping[str, Any]
Headers = dict[bytes, bytes]
Header = tuple[bytes, bytes]
Answer = tuple[int, bytes, Sequence[Header]]
"""Status, body, headers."""
JSON: Final = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


async def read_body(receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body, at most `limit` bytes, within `seconds`. Raises RequestError, without reading the rest."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - an application runs in a task
    late: list[bool] = []

    def give_up() -> None:
        late.append(True)
        task.cancel()

    handle = loop.call_later(seconds, give_up)  # half the price of asyncio.timeout, which a small request would feel
    try:
        parts, is_whole = await _read_parts(receive, limit)
    except asyncio.CancelledError:
        if not late or task.uncancel():
            raise
        raise RequestError(
            RejectReason.BODY_TIMEOUT, "the body did not arrive in time", f"within {seconds:.0f} s"
        ) from None
    finally:
        handle.cancel()
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if len(body) > limit:
        raise too_large(limit)
    if not is_whole:
        raise RequestError(RejectReason.MALFORMED_JSON, "the connection ended before the body did")
    return body


async def _read_parts(receive: Receive, limit: int) -> tuple[list[bytes], bool]:
    """(what arrived, up to one part beyond the limit; whether that is all)."""
    parts: list[bytes] = []
    size, message = 0, await receive()
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body") or size > limit:
            return parts, True
        message = await receive()
    return parts or [b""], False


def key_of(headers: Headers, query: bytes, body: bytes) -> str | None:
    """The write key: Authorization (Basic user or Bearer), X-Write-Key, query or body `writeKey`."""
    authorization = headers.get(b"authorization")
    if authorization:
        scheme, _, rest = authorization.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return rest.strip()
        if scheme.lower() == "basic":
            return _basic_user(rest.strip())
    if header := headers.get(b"x-write-key"):
        return header.decode("latin-1").strip()
    if b"writeKey=" in query and (found := parse_qs(query.decode("latin-1")).get("writeKey")):
        return found[0]
    return _body_key(body) if b'"writeKey"' in body else None


class _WithKey(msgspec.Struct, rename="camel"):
    write_key: str | None = None


def _body_key(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_WithKey).write_key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _basic_user(encoded: str) -> str | None:
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return text.partition(":")[0]


def sequence_of(headers: Headers, sender: Sender) -> tuple[str, int] | None:
    """(session, number of the first event) of an ordered sender; the key is part of the session, so that two senders
    that chose one name never pass for retries of each other."""
    header = headers.get(b"x-funnelcast-sequence")
    if header is None:
        return None
    session, _, number = header.decode("latin-1").rpartition(":")
    is_valid = 0 < len(session) <= 64 and session.isascii() and session.isprintable()
    if not is_valid or not number.isascii() or not number.isdigit() or len(number) > 15:
        raise RequestError(
            RejectReason.BAD_SEQUENCE,
            "X-Funnelcast-Sequence cannot be read",
            "write <session>:<number of the first event>",
        )
    if sender.scope is Scope.BROWSER:
        raise RequestError(RejectReason.BAD_SEQUENCE, "a sequence needs a write key of the scope server or historical")
    return f"{sender.id or sender.source}/{session}", int(number)


def unavailable(error: SinkUnavailableError) -> Answer:
    """The answer while Kafka is away or slow."""
    body = error_body("unavailable", "events cannot be taken now; send the same again", str(error))
    return 503, body, (JSON, (b"retry-after", str(max(1, error.retry_after_seconds)).encode()))


def error_body(code: str, message: str, detail: str) -> bytes:
    """The body of every error; some clients retry for ever without `code` and `message`."""
    return _encode({"code": code, "message": message, "detail": detail})


def cors(headers: Headers, *, is_preflight: bool = False) -> tuple[Header, ...]:
    """Any page may send: the write key decides, not the origin. Echoed, because some clients send credentials."""
    origin = headers.get(b"origin")
    if origin is None:
        return ()
    allowed = (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    )
    if not is_preflight:
        return allowed
    wanted = headers.get(
        b"access-control-request-headers", b"authorization, content-type, content-encoding, x-write-key"
    )
    return (
        *allowed,
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", b"86400"),
    )


async def respond(send: Send, status: int, body: bytes, headers: Iterable[Header]) -> None:
    """Send one whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
