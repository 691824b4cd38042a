"""One HTTP/1.1 connection: what uvicorn's server needs to run an ASGI application, at half the price of its own.

httptools parses; this module decides no status except 400 and 431 for what is no request. It speaks the part of ASGI
that our applications use: an answer states its length and comes in one piece, so head and body take one system call.
Bounds that a public server needs are here: size of a head, time for a head, idle time, a client that does not read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.server import ServerState

from producers.http.cycle import RequestResponse, head_of
from producers.http.messages import JSON, SECURITY, Header

HEAD_BYTES: Final = 65_536
"""Of the line and the headers of one request."""
HEAD_SECONDS: Final = 30.0
"""Within this a head must be whole, a refused body at its end, an answer taken."""
IDLE_SECONDS: Final = 75.0
"""A connection without a request is kept for so long."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST: Final = b'{"code":"bad_request","message":"this is no HTTP request","detail":""}'
_HEAD_TOO_LARGE: Final = b'{"code":"head_too_large","message":"the headers are too large","detail":""}'
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


class Connection(asyncio.Protocol):
    """uvicorn makes one for each connection; it keeps `server_state.connections` and `.tasks` true."""

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None
    ) -> None:
        self.app: Any = config.loaded_app
        self.loop: asyncio.AbstractEventLoop = _loop or asyncio.get_running_loop()
        self.state = server_state
        self.is_closing = False
        self.writable: asyncio.Event | None = None
        """While the client does not read: set when it does."""
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._server: tuple[str, int] | None = None
        self._client: tuple[str, int] | None = None
        self._url = b""
        self._headers: list[Header] = []
        self._expects_continue = False
        self._head_bytes = 0
        self._raw_left = 0
        self._since = self.loop.time()
        """When the present state began: idle, a head that is read, an answer that is not taken."""
        self._is_idle = True
        self._incoming: RequestResponse | None = None
        self._serving: RequestResponse | None = None
        self._queue: deque[RequestResponse] = deque()

    # -- the transport ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        self._transport = transport
        self._client = _address(transport.get_extra_info("peername"))
        self._server = _address(transport.get_extra_info("sockname"))
        self.state.connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol. What is being served goes on: it is stored, whether its client waits or not."""
        self.is_closing = True
        self.state.connections.discard(self)
        self._queue.clear()
        for cycle in (self._incoming, self._serving):
            if cycle is not None:
                cycle.on_disconnect()
        self.resume_writing()
        self._parser = None

    def eof_received(self) -> bool:
        """See asyncio.Protocol. A client that ends its own side still gets its answer."""
        self._end_after_answer()
        return self._serving is not None

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._raw_left:
            self._read_raw(data)
            return
        if self._parser is None or self.is_closing:
            return
        if self._incoming is None:
            self._begin_head(len(data))
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_raw(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, _BAD_REQUEST)
        else:
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, _HEAD_TOO_LARGE)

    def _read_raw(self, data: bytes) -> None:
        """The body of a request that asks for another protocol: none is spoken here, and the parser leaves it."""
        part = data[: self._raw_left]
        self._raw_left -= len(part)
        if part and self._incoming is not None:
            self._incoming.on_body(part)
        if not self._raw_left:
            if self._incoming is not None:
                self._incoming.on_end()
                self._incoming = None
            self._end_after_answer()

    def _begin_head(self, size: int) -> None:
        self._head_bytes += size
        if self._is_idle:
            self._is_idle = False
            self._since = self.loop.time()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.writable = asyncio.Event()
        self._since = self.loop.time()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        writable, self.writable = self.writable, None
        if writable is not None:
            writable.set()

    # -- the parser ---------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """See httptools."""
        self._url, self._headers, self._expects_continue = b"", [], False

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """See httptools: a request begins, and waits for those before it."""
        self._head_bytes = 0
        if self._parser.should_upgrade():
            self._raw_left = _length_in(self._headers)
        scope = self._scope()
        is_last = scope["http_version"] == "1.0" or not self._parser.should_keep_alive()
        self._incoming = cycle = RequestResponse(self, scope, is_last=is_last, expects_continue=self._expects_continue)
        if self._serving is None:
            self._serve(cycle)
        else:
            self._queue.append(cycle)
            self.pause_reading()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        if self._incoming is not None:
            self._incoming.on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._raw_left:
            return
        if self._incoming is not None:
            self._incoming.on_end()
            self._incoming = None
        if self._serving is None:  # it was answered before it was whole
            self._wait_for_next()

    def _scope(self) -> dict[str, Any]:
        url = self._url
        if url[:1] != b"/":
            url = _origin_form(url)
        raw_path, _, query = url.partition(b"?")
        path = raw_path.decode("latin-1")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": self._parser.get_http_version(),
            "method": self._parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "client": self._client,
            "server": self._server,
        }

    # -- requests -----------------------------------------------------------------------------------------------------

    def _serve(self, cycle: RequestResponse) -> None:
        self._serving = cycle
        cycle.task = task = self.loop.create_task(cycle.run())
        self.state.tasks.add(task)

    def answer(self, cycle: RequestResponse, data: bytes) -> None:
        """Send an answer; then go on with the next request, or wait for one."""
        self.state.total_requests += 1
        self._serving = None
        if self.is_closing:
            return
        self._transport.write(data)
        if cycle.is_last:
            self.close()
        elif self._queue:
            self._serve(self._queue.popleft())
        else:
            self._wait_for_next()
            self._transport.resume_reading()

    def _wait_for_next(self) -> None:
        self._is_idle = self._incoming is None and not self._head_bytes
        self._since = self.loop.time()

    def send_continue(self) -> None:
        """The client waits for leave to send its body."""
        if not self.is_closing:
            self._transport.write(_CONTINUE)

    def pause_reading(self) -> None:
        """Let the client wait."""
        if not self.is_closing:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self.is_closing:
            self._transport.resume_reading()

    def close(self) -> None:
        """Send what is written, then leave."""
        self.is_closing = True
        self._transport.close()

    def _end_after_answer(self) -> None:
        """Nothing more can come: answer what is being served, and leave."""
        self._parser = None
        if self._incoming is not None:
            self._incoming.on_disconnect()
        last = self._queue[-1] if self._queue else self._serving
        if last is not None:
            last.is_last = True

    def _refuse(self, status: int, body: bytes) -> None:
        """What came is no request; what came before it is answered first."""
        self._end_after_answer()
        if self._serving is None:
            length = (b"content-length", str(len(body)).encode())
            self._transport.write(head_of(status, (length, JSON, *SECURITY), is_last=True) + body)
            self.close()

    def shutdown(self) -> None:
        """uvicorn stops: answer what is under way, take nothing more."""
        if self._serving is None:
            self.close()
        else:
            (self._queue[-1] if self._queue else self._serving).is_last = True

    def expire(self, now: float) -> None:
        """Close what has been idle, half a request, or unread for too long; not a client that is being served."""
        if self._serving is not None and self.writable is None:
            return
        if now - self._since > (IDLE_SECONDS if self._is_idle else HEAD_SECONDS):
            self._transport.abort()


def _length_in(headers: list[Header]) -> int:
    """What the parser has found to be a number."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def _origin_form(url: bytes) -> bytes:
    """Path and query of what a client sends to a proxy, or asks of the whole server."""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        return b"/"
    return (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")


def _address(peer: Any) -> tuple[str, int] | None:
    return (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) and len(peer) >= 2 else None
