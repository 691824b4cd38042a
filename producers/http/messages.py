"""HTTP as the collector speaks it: bodies, write keys, CORS, answers. ASGI messages and headers only, no events."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import msgspec

from producers.http.body import NoRoomError, RequestError, too_large
from schemas.reasons import RejectReason

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HttpScope = MutableMapping[str, Any]
Headers = dict[bytes, bytes]
Header = tuple[bytes, bytes]


class Answer(NamedTuple):
    """What a request is answered."""

    status: int
    body: bytes
    headers: Sequence[Header] = ()


JSON: Final = (b"content-type", b"application/json")
SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""On every answer: nothing here is a page, and nothing may be taken for another thing than it says it is."""
ANY_SITE: Final = (b"cross-origin-resource-policy", b"cross-origin")
"""On what pages of other sites embed: the snippet, a pixel."""
_encode = msgspec.json.Encoder().encode


class BodyReader:
    """Reads bodies within bounds: `seconds` for each, `room_bytes` for all that have not arrived whole.

    One timer for all of them, because a timer for each would cost more than reading a small body.
    """

    def __init__(self, seconds: float, room_bytes: int) -> None:
        self._seconds = seconds
        self._room_bytes = room_bytes
        self._held_bytes = 0
        self._since: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def read_body(self, receive: Receive, limit: int) -> bytes:
        """The whole body, at most `limit` bytes. Raises RequestError, without reading the rest, and
        NoRoomError while the halves of other bodies leave no room for this one's."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - an application runs in a task
        self._since[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop)
        try:
            parts, is_whole = await self._read_parts(receive, limit)
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel():
                raise
            detail = f"within {self._seconds:.0f} s"
            raise RequestError(RejectReason.BODY_TIMEOUT, "the body did not arrive in time", detail) from None
        finally:
            del self._since[task]
            self._late.discard(task)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(body) > limit:
            raise too_large(limit)
        if not is_whole:
            raise RequestError(RejectReason.MALFORMED_JSON, "the connection ended before the body did")
        return body

    async def _read_parts(self, receive: Receive, limit: int) -> tuple[list[bytes], bool]:
        """(what arrived, up to one part beyond the limit; whether that is all)."""
        parts: list[bytes] = []
        size = 0
        try:
            while (message := await receive())["type"] == "http.request":
                part = message.get("body", b"")
                parts.append(part)
                if not message.get("more_body") or size + len(part) > limit:
                    return parts, True
                size += len(part)
                self._held_bytes += len(part)
                if self._held_bytes > self._room_bytes:
                    raise NoRoomError("too many unfinished bodies at once")
            return parts or [b""], False
        finally:
            self._held_bytes -= size

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """The oldest stands first: cancel what is late, and look again when the next one would be."""
        self._timer = None
        now = loop.time()
        for task, since in self._since.items():
            if now - since < self._seconds:
                self._timer = loop.call_later(self._seconds - (now - since), self._look, loop)
                return
            if task not in self._late:
                self._late.add(task)
                task.cancel()


_QUERY_KEYS: Final = ("writeKey", "api_secret", "token", "key")


def key_of(headers: Headers, query: bytes, body: bytes) -> str | None:
    """The write key, wherever clients put it: Authorization (Basic user or Bearer), X-Write-Key, the query (`writeKey`,
    `api_secret`, `token`, `key`), the body (`writeKey`, `api_key`, `token`)."""
    authorization = headers.get(b"authorization")
    if authorization:
        scheme, _, credentials = authorization.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return credentials.strip()
        if scheme.lower() == "basic":
            return _basic_user(credentials.strip())
    if header := headers.get(b"x-write-key"):
        return header.decode("latin-1").strip()
    if query and (key := _query_key(query)):
        return key
    return _body_key(body) if _may_hold_key(body) else None


def _may_hold_key(body: bytes) -> bool:
    """Whether it is worth parsing the body for its key. Three searches take half the time of one for three words."""
    if body[:1] == b"[":
        return False
    return body.find(b'"writeKey"') >= 0 or body.find(b'"api_key"') >= 0 or body.find(b'"token"') >= 0


def _query_key(query: bytes) -> str | None:
    try:
        values = parse_qs(query.decode("latin-1"), max_num_fields=200)
    except ValueError:
        return None
    return next((values[name][0] for name in _QUERY_KEYS if name in values), None)


class _WithKey(msgspec.Struct):
    write_key: str | None = msgspec.field(default=None, name="writeKey")
    api_key: str | None = None
    token: str | None = None


def _body_key(body: bytes) -> str | None:
    try:
        members = msgspec.json.decode(body, type=_WithKey)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return members.write_key or members.api_key or members.token


def _basic_user(encoded: str) -> str | None:
    """The user of Basic credentials, with or without the colon behind it."""
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return text.partition(":")[0]


def error_body(code: str, message: str, detail: str) -> bytes:
    """The body of every error; some clients retry without end where `code` and `message` are missing."""
    return _encode({"code": code, "message": message, "detail": detail})


_EXPOSED: Final = b"Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
_USUAL_HEADERS: Final = (
    b"authorization, content-type, content-encoding, x-write-key, x-retry-count, anonymousid, sp-anonymous"
)
VARY: Final = (b"vary", b"Origin")


def cors(headers: Headers) -> tuple[Header, ...]:
    """Any page may read the answer: the write key decides who may send, not the origin. Echoed instead of `*`, because
    some clients send credentials."""
    origin = headers.get(b"origin")
    if origin is None:
        return ()
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", _EXPOSED),
        VARY,
    )


ALLOWED: Final = ((b"allow", b"GET, POST, OPTIONS"),)


def preflight(headers: Headers) -> tuple[Header, ...]:
    """What OPTIONS answers: CORS, and the handshake by which a sender of CloudEvents asks whether it may send here."""
    headers_out: list[Header] = list(ALLOWED)
    if b"origin" in headers:
        headers_out += cors(headers)
        headers_out.append((b"access-control-allow-methods", b"GET, POST, OPTIONS"))
        wanted = headers.get(b"access-control-request-headers", _USUAL_HEADERS)
        headers_out.append((b"access-control-allow-headers", wanted))
        headers_out.append((b"access-control-max-age", b"86400"))
    hook_origin = headers.get(b"webhook-request-origin")
    if hook_origin is not None:
        headers_out.append((b"webhook-allowed-origin", hook_origin))
        headers_out.append((b"webhook-allowed-rate", headers.get(b"webhook-request-rate", b"*")))
    return tuple(headers_out)


async def respond(send: Send, status: int, body: bytes, headers: Iterable[Header]) -> None:
    """Send one whole answer."""
    length = () if status == 204 else ((b"content-length", b"%d" % len(body)),)
    await send({"type": "http.response.start", "status": status, "headers": (*length, *SECURITY, *headers)})
    await send({"type": "http.response.body", "body": body})
