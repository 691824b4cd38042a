"""The HTTP of every page off the hot path: three pages, one set of headers, and bounds that hold on real sockets."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from schemas.errors import PortTakenError
from streams.web.app import EXPOSITION, App, Message, Readiness, web_app
from streams.web.connection import MAX_HEAD_BYTES, BoundedConnection
from streams.web.server import WebServer
from tests.support.http import plain_client
from tests.support.rows import rows
from tests.support.waiting import LIMIT

PAGE = b"# HELP pages_total Pages.\n" + 200 * b"pages_total 1\n"
SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@dataclass
class Process:
    """What a process says of itself."""

    readiness: Readiness = field(default_factory=lambda: Readiness(True))
    is_alive: bool = True
    metrics: Callable[[], Awaitable[bytes]] | None = None

    def app(self) -> App:
        return web_app(metrics=self._metrics, ready=self._ready, alive=self._alive)

    async def _metrics(self, _accept: str) -> tuple[str, bytes]:
        return EXPOSITION, PAGE if self.metrics is None else await self.metrics()

    async def _ready(self) -> Readiness:
        return self.readiness

    async def _alive(self) -> bool:
        return self.is_alive


@asynccontextmanager
async def serving(process: Process, connection: type[BoundedConnection] = BoundedConnection) -> AsyncIterator[int]:
    server = WebServer(process.app(), connection=connection)
    await server.start(0)
    try:
        yield server.port
    finally:
        await server.stop()


async def get(port: int, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async with plain_client(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.request(method, path, headers=headers)


async def raw(port: int, request: bytes) -> bytes:
    """All that is answered until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), LIMIT)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_the_body_that_no_page_takes_is_read_before_the_connection_ends() -> None:
    """Else the system resets the connection, and the client may never see why."""
    taken: list[bytes] = []
    order: list[str] = []

    async def receive() -> dict[str, object]:
        taken.append(b"{}")
        order.append("read")
        return {"type": "http.request", "body": b"{}", "more_body": len(taken) < 3}

    async def send(message: Message) -> None:
        order.append(str(message["type"]))

    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": [(b"content-length", b"6")]}
    await Process().app()(scope, receive, send)
    assert order == ["read", "read", "read", "http.response.start", "http.response.body"]


async def test_health_and_readiness_have_one_shape() -> None:
    process = Process(Readiness(True, details={"partitions": [0, 1]}))
    async with serving(process) as port:
        answer = await get(port, "/readyz")
        assert (answer.status_code, answer.json()) == (200, {"ready": True, "reason": "", "partitions": [0, 1]})
        answer = await get(port, "/healthz")
        assert (answer.status_code, answer.json()) == (200, {"alive": True})
        process.readiness, process.is_alive = Readiness(False, "Redis does not answer"), False
        answer = await get(port, "/readyz")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": "Redis does not answer"})
        answer = await get(port, "/healthz")
        assert (answer.status_code, answer.json()) == (503, {"alive": False})


async def test_metrics_are_compressed_for_those_who_read_that() -> None:
    async with serving(Process()) as port:
        plain = await get(port, "/metrics", **{"accept-encoding": "identity"})
        assert (plain.content, plain.headers["content-type"]) == (PAGE, EXPOSITION)
        assert "content-encoding" not in plain.headers
        packed = await raw(
            port, b"GET /metrics HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n"
        )
        head, _, body = packed.partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head.lower()
        assert gzip.decompress(body) == PAGE


@rows(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/nothing", 404),
        ("GET", "/metrics/", 404),
        ("POST", "/metrics", 405),
        ("OPTIONS", "/readyz", 405),
    ],
)
async def test_every_answer_has_the_same_security_headers(method: str, path: str, status: int) -> None:
    async with serving(Process()) as port:
        answer = await get(port, path, method)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["date"].endswith("GMT")
    assert "server" not in answer.headers
    assert answer.content or method == "HEAD"


async def test_a_page_that_fails_is_a_500_with_the_same_headers() -> None:
    async def failing() -> bytes:
        raise RuntimeError("a secret")

    async with serving(Process(metrics=failing)) as port:
        answer = await get(port, "/metrics")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await get(port, "/healthz")).status_code == 200


@rows("header", [b"content-length: 5", b"transfer-encoding: chunked"])
async def test_a_request_with_a_body_is_refused_unread(header: bytes) -> None:
    async with serving(Process()) as port:
        answer = await raw(port, b"GET /metrics HTTP/1.1\r\nhost: x\r\n" + header + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_head_that_is_too_long_is_refused() -> None:
    async with serving(Process()) as port:
        answer = await raw(port, b"GET /metrics HTTP/1.1\r\nx: " + b"a" * (MAX_HEAD_BYTES + 1))
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_what_is_no_http_is_answered_and_logged_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Process()) as port:
        assert (await raw(port, b"\x16\x03\x01 no HTTP\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert caplog.records == []


class _Impatient(BoundedConnection):
    look_seconds = 0.05


@rows("sent", [b"", b"GET /metrics HTTP/1.1\r\nhost", b"POST /metrics HTTP/1.1\r\ncontent-length: 9\r\n"])
async def test_a_connection_that_stands_still_is_closed(sent: bytes) -> None:
    async with serving(Process(), _Impatient) as port:
        assert await raw(port, sent) == b""


async def test_an_answer_that_takes_long_to_make_is_waited_for() -> None:
    async def slow() -> bytes:
        await asyncio.sleep(10 * _Impatient.look_seconds)
        return PAGE

    async with serving(Process(metrics=slow), _Impatient) as port:
        assert (await get(port, "/metrics")).content == PAGE


class _Watched(_Impatient):
    lost: asyncio.Event

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async def large() -> bytes:
        return bytes(50_000_000)

    _Watched.lost = asyncio.Event()
    async with serving(Process(metrics=large), _Watched) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.wait_for(_Watched.lost.wait(), LIMIT)
        writer.close()


class _Few(BoundedConnection):
    max_connections = 2


async def test_connections_are_bounded() -> None:
    async with serving(Process(), _Few) as port:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        _, second = await asyncio.open_connection("127.0.0.1", port)
        assert await raw(port, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n") == b""
        first.close()
        answered = b""
        async with asyncio.timeout(LIMIT):
            while not answered:
                answered = await raw(port, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert answered.startswith(b"HTTP/1.1 200 ")
        second.close()


async def test_a_stop_answers_what_is_under_way() -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def waiting() -> bytes:
        entered.set()
        await released.wait()
        return PAGE

    server = WebServer(Process(metrics=waiting).app())
    await server.start(0)
    asking = asyncio.create_task(get(server.port, "/metrics"))
    await entered.wait()
    stopping = asyncio.create_task(server.stop())
    released.set()
    assert (await asking).content == PAGE
    await stopping
    with pytest.raises(httpx.ConnectError):
        await get(server.port, "/healthz")


async def test_a_port_that_is_taken_is_named() -> None:
    async with serving(Process()) as port:
        with pytest.raises(PortTakenError, match=f"cannot listen on 127.0.0.1:{port} "):
            await WebServer(Process().app()).start(port)


async def test_a_server_that_was_never_started_stops() -> None:
    await WebServer(Process().app()).stop()
