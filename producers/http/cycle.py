"""One request and its answer on an HTTP connection, as ASGI sees them. Parses nothing, closes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog
from uvicorn.server import ServerState

from producers.http.messages import SECURITY, Header

log = structlog.get_logger("funnelcast.http")
HELD_BODY_BYTES: Final = 262_144
"""Of a body that the application has not asked for yet; more has to wait at the client's."""
_SHORT: Final = 128
_STATUS_LINES: Final = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n".encode() for one in HTTPStatus}


class Wire(Protocol):
    """What a cycle needs of its connection."""

    app: Any
    loop: asyncio.AbstractEventLoop
    state: ServerState
    writable: asyncio.Event | None

    def answer(self, cycle: RequestResponse, data: bytes) -> None:
        """Send an answer, and go on."""

    def send_continue(self) -> None:
        """Tell the client to send its body."""

    def pause_reading(self) -> None:
        """Let the client wait."""

    def resume_reading(self) -> None:
        """Read on."""


class RequestResponse:
    """One request and its answer, as ASGI sees them."""

    __slots__ = (
        "_body",
        "_connection",
        "_expects_continue",
        "_head",
        "_is_answered",
        "_is_gone",
        "_is_whole",
        "_scope",
        "_size",
        "_waiter",
        "is_last",
        "task",
    )

    def __init__(self, connection: Wire, scope: dict[str, Any], *, is_last: bool, expects_continue: bool) -> None:
        self.is_last = is_last
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._scope = scope
        self._expects_continue = expects_continue
        self._body: list[bytes] = []
        self._size = 0
        self._is_whole = self._is_gone = self._is_answered = False
        self._waiter: asyncio.Future[None] | None = None
        self._head: bytes | None = None

    def on_body(self, part: bytes) -> None:
        """A part of the body; what comes after the answer is nobody's."""
        if self._is_answered:
            return
        self._body.append(part)
        self._size += len(part)
        if self._size > HELD_BODY_BYTES:
            self._connection.pause_reading()
        self._wake()

    def on_end(self) -> None:
        """The body is whole."""
        self._is_whole = True
        self._wake()

    def on_disconnect(self) -> None:
        """Nothing more will come."""
        self._is_gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def run(self) -> None:
        """The application's part. Whatever it leaves unanswered is a 500, or a 503 where it was cut off by a stop."""
        connection, status = self._connection, 500
        try:
            await connection.app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            status = 503
            raise
        except Exception:
            log.exception("application_failed")  # without the path: a webhook's secret may stand in it
        finally:
            connection.state.tasks.discard(self.task)
            if not self._is_answered:
                self.is_last = self._is_answered = True
                connection.answer(self, head_of(status, ((b"content-length", b"0"), *SECURITY), is_last=True))

    async def receive(self) -> dict[str, Any]:
        """See ASGI: what has come of the body; waits while that is nothing."""
        if self._expects_continue and not self._body:
            self._connection.send_continue()
        self._expects_continue = False
        while not (self._body or self._is_whole or self._is_gone):
            self._connection.resume_reading()
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        if self._is_answered or (self._is_gone and not self._is_whole):
            return {"type": "http.disconnect"}
        parts, self._body, self._size = self._body, [], 0
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return {"type": "http.request", "body": body, "more_body": not self._is_whole}

    async def send(self, message: dict[str, Any]) -> None:
        """See ASGI: the head is kept until its body comes, and that in one piece."""
        connection = self._connection
        if self._head is None:
            headers = (*connection.state.default_headers, *message.get("headers", ()))
            self._head = head_of(message["status"], headers, is_last=self.is_last)
            return
        if self._is_answered or message.get("more_body"):
            raise RuntimeError("an answer comes once, and in one piece")
        if connection.writable is not None:
            await connection.writable.wait()
        self._is_answered = True
        self._body = []
        body = b"" if self._scope["method"] == "HEAD" else message.get("body", b"")
        connection.answer(self, self._head + body)


def head_of(status: int, headers: Iterable[Header], *, is_last: bool) -> bytes:
    """The bytes before the body of an answer."""
    lines = [_STATUS_LINES[status], *[_line(one) for one in headers]]
    if is_last:
        lines.append(b"connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _line(header: Header) -> bytes:
    return _short_line(header) if len(header[1]) <= _SHORT else _new_line(header)


def _new_line(header: Header) -> bytes:
    name, value = header
    if b"\r" in value or b"\n" in value or b"\0" in value:
        raise RuntimeError(f"the value of the header {name!r} would be two headers")
    return b"%b: %b\r\n" % header


_short_line = lru_cache(maxsize=1024)(_new_line)  # most answers have the same headers
