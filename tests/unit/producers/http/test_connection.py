"""HTTP on a real socket: what uvicorn's server makes of bytes with our connection in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from producers.http.cycle import head_of
from producers.http.server import serve
from tests.support.waiting import LIMIT, until

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def post(body: bytes, path: bytes = b"/a", extra: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (path, extra, len(body), body)


@dataclass
class App:
    """Answers with what it was asked; `hold` keeps it from answering, `skip_body` from reading."""

    scopes: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    hold: asyncio.Event | None = None
    skip_body: bool = False
    disconnects: int = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        self.scopes.append(scope)
        if scope["path"] == "/bug":
            raise ValueError("a bug")
        body = b"" if self.skip_body else await self._body(receive)
        self.bodies.append(body)
        if self.hold is not None:
            await self.hold.wait()
        answer = b"%b %b" % (scope["raw_path"], body[:20])
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _body(self, receive: Any) -> bytes:
        body = b""
        while True:
            message: dict[str, Any] = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return body
            body += bytes(message["body"])
            if not message["more_body"]:
                return body


class _NoSink:
    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


@dataclass
class Server:
    app: App
    port: int
    stop: asyncio.Event

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        self.writer.write(data)
        return await self.answer()

    async def answer(self, *, has_body: bool = True) -> tuple[int, bytes]:
        async with asyncio.timeout(LIMIT):
            self.head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(self.head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            body = await self.reader.readexactly(length) if has_body else b""
        return int(self.head.split()[1]), body

    async def is_closed(self) -> bool:
        async with asyncio.timeout(LIMIT):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    app, stop, ports = App(), asyncio.Event(), asyncio.Queue[int]()
    serving = asyncio.create_task(
        serve(app, _NoSink(), host="127.0.0.1", port=0, stop=stop, on_listening=lambda _, at: ports.put_nowait(at))
    )
    yield Server(app, await asyncio.wait_for(ports.get(), LIMIT), stop)
    stop.set()
    await asyncio.wait_for(serving, LIMIT)


async def test_requests_follow_each_other_on_one_connection(server: Server) -> None:
    async with server.client() as client:
        for number in range(3):
            assert await client.ask(post(b"%d" % number)) == (200, b"/a %d" % number)
        assert b"\r\ndate: " in client.head
        assert b"connection: close" not in client.head
    scope = server.app.scopes[0]
    assert (scope["method"], scope["path"], scope["query_string"], scope["http_version"]) == ("POST", "/a", b"", "1.1")
    assert scope["client"][0] == "127.0.0.1"
    assert (b"host", b"x") in scope["headers"]


async def test_a_request_in_pieces(server: Server) -> None:
    async with server.client() as client:
        for byte in post(b"hello", b"/%C3%A9?q=1"):
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        assert await client.answer() == (200, b"/%C3%A9 hello")
    assert (server.app.scopes[0]["path"], server.app.scopes[0]["query_string"]) == ("/é", b"q=1")


async def test_requests_that_do_not_wait_are_answered_in_order(server: Server) -> None:
    async with server.client() as client:
        client.writer.write(b"".join(post(b"%d" % number) for number in range(50)))
        assert [await client.answer() for _ in range(50)] == [(200, b"/a %d" % number) for number in range(50)]
        assert await client.ask(GET) == (200, b"/a ")


async def test_a_large_and_a_chunked_body(server: Server) -> None:
    async with server.client() as client:
        assert (await client.ask(post(b"x" * 3_000_000)))[0] == 200
        client.writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await until(lambda: len(server.app.scopes) == 2)
        assert await client.ask(b"2\r\nde\r\n0\r\n\r\n") == (200, b"/a abcde")
    assert len(server.app.bodies[0]) == 3_000_000


async def test_leave_to_send_a_body(server: Server) -> None:
    async with server.client() as client:
        client.writer.write(
            b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        )
        assert (await client.answer())[0] == 100
        assert await client.ask(b"ok") == (200, b"/a ok")


async def test_head_has_a_length_and_no_body(server: Server) -> None:
    async with server.client() as client:
        client.writer.write(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer(has_body=False))[0] == 200
        assert b"content-length: 3" in client.head
        assert await client.ask(GET) == (200, b"/a ")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /a HTTP/1.0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_the_last_request_of_a_connection(server: Server, request_: bytes) -> None:
    async with server.client() as client:
        assert await client.ask(request_) == (200, b"/a ")
        assert b"\r\nconnection: close\r\n" in client.head
        assert await client.is_closed()


async def test_a_client_that_ends_its_side_gets_its_answer(server: Server) -> None:
    server.app.hold = asyncio.Event()
    async with server.client() as client:
        client.writer.write(GET)
        client.writer.write_eof()
        await until(lambda: server.app.bodies)
        server.app.hold.set()
        assert await client.answer() == (200, b"/a ")
        assert await client.is_closed()


@pytest.mark.parametrize(
    "garbage", [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET /a HTTP/9.9\r\n\r\n", b"\r\n\r\n\x00"]
)
async def test_what_is_no_request(server: Server, garbage: bytes) -> None:
    async with server.client() as client:
        status, body = await client.ask(garbage)
        assert (status, body) == (400, b'{"code":"bad_request","message":"this is no HTTP request","detail":""}')
        assert await client.is_closed()
    assert server.app.scopes == []


async def test_what_came_before_garbage_is_answered(server: Server) -> None:
    async with server.client() as client:
        assert await client.ask(post(b"1") + post(b"2") + b"garbage\r\n\r\n") == (200, b"/a 1")
        assert await client.answer() == (200, b"/a 2")
        assert await client.is_closed()


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        b"Content-Length: 3\r\nContent-Length: 4",
        b"Content-Length: +3",
        b"Content-Length: 3\r\n Content-Length: 4",
        b"Transfer-Encoding: chunked, identity",
        b"X : 1\r\nContent-Length: 3",
    ],
)
async def test_a_body_without_one_clear_length_is_refused(server: Server, headers: bytes) -> None:
    async with server.client() as client:
        assert (await client.ask(b"POST /a HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n0\r\n\r\n"))[0] == 400
        assert await client.is_closed()
    assert b"abc" not in server.app.bodies


async def test_a_body_with_an_upgrade_is_read(server: Server) -> None:
    async with server.client() as client:
        upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        whole = post(b"body" * 5, extra=upgrade)
        client.writer.write(whole[:-11])
        await until(lambda: server.app.scopes)
        assert await client.ask(whole[-11:] + GET) == (200, b"/a " + b"body" * 5)
        assert await client.is_closed()
    assert len(server.app.scopes) == 1


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"GET http://collector.example/a?b=1 HTTP/1.1", "/a"),
        (b"OPTIONS * HTTP/1.1", "*"),
        (b"GET //a HTTP/1.1", "//a"),
        (b"GET /%zz%00 HTTP/1.1", "/%zz\x00"),
    ],
)
async def test_forms_of_a_path(server: Server, line: bytes, path: str) -> None:
    async with server.client() as client:
        assert (await client.ask(line + b"\r\nHost: x\r\n\r\n"))[0] == 200
    assert server.app.scopes[0]["path"] == path


async def test_what_follows_the_last_request_is_not_served(server: Server) -> None:
    async with server.client() as client:
        assert await client.ask(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET) == (200, b"/a ")
        assert await client.is_closed()
    assert len(server.app.scopes) == 1


async def test_a_broken_body_ends_as_one_that_is_cut_off(server: Server) -> None:
    async with server.client() as client:
        broken = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"
        assert (await client.ask(broken))[0] == 200
        assert await client.is_closed()
    assert server.app.disconnects == 1


@pytest.mark.parametrize("piece", [b"X-A: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
async def test_a_head_without_end(server: Server, piece: bytes) -> None:
    async with server.client() as client:
        assert (await client.ask(b"GET /a HTTP/1.1\r\nHost: x\r\nX-B: " + piece * 66))[0] == 431
        assert await client.is_closed()
    assert server.app.scopes == []


async def test_an_answer_before_the_body_is_whole(server: Server) -> None:
    server.app.skip_body = True
    async with server.client() as client:
        client.writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        assert await client.answer() == (200, b"/a ")
        assert await client.ask(b"67890" + GET) == (200, b"/a ")


async def test_a_client_that_goes_away_is_served_to_the_end(server: Server) -> None:
    server.app.hold = asyncio.Event()
    async with server.client() as client:
        client.writer.write(post(b"1"))
        await until(lambda: server.app.bodies)
    async with server.client() as client:
        client.writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        await until(lambda: len(server.app.scopes) == 2)
    await until(lambda: server.app.disconnects == 1)
    server.app.hold.set()
    async with server.client() as client:
        assert await client.ask(GET) == (200, b"/a ")


async def test_a_bug_of_the_application(server: Server) -> None:
    async with server.client() as client:
        assert await client.ask(b"GET /bug HTTP/1.1\r\nHost: x\r\n\r\n") == (500, b"")
        assert await client.is_closed()


async def test_a_stop_answers_what_is_under_way(server: Server) -> None:
    server.app.hold = asyncio.Event()
    async with server.client() as busy, server.client() as idle:
        busy.writer.write(post(b"1"))
        await until(lambda: server.app.bodies)
        server.stop.set()
        assert await idle.is_closed()
        server.app.hold.set()
        assert await busy.answer() == (200, b"/a 1")
        assert await busy.is_closed()


@pytest.mark.parametrize("sent", [b"", b"GET /a HTTP/1.1\r\nHo", GET, GET + b"GET"])
async def test_who_says_nothing_for_too_long_is_left(
    server: Server, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server.client() as client:
        client.writer.write(sent)
        if sent.startswith(GET):
            assert (await client.answer())[0] == 200
        monkeypatch.setattr("producers.http.server._EXPIRY_TICKS", 1)
        monkeypatch.setattr("producers.http.connection.HEAD_SECONDS", -1.0)
        monkeypatch.setattr("producers.http.connection.IDLE_SECONDS", -1.0)
        assert await client.is_closed()


async def test_who_is_served_is_not_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.app.hold = asyncio.Event()
    async with server.client() as client, server.client() as other:
        client.writer.write(GET)
        await until(lambda: server.app.bodies)
        monkeypatch.setattr("producers.http.server._EXPIRY_TICKS", 1)
        monkeypatch.setattr("producers.http.connection.HEAD_SECONDS", -1.0)
        monkeypatch.setattr("producers.http.connection.IDLE_SECONDS", -1.0)
        assert await other.is_closed()
        server.app.hold.set()
        assert await client.answer() == (200, b"/a ")


async def test_a_header_cannot_become_two() -> None:
    with pytest.raises(RuntimeError, match="would be two headers"):
        head_of(200, [(b"x", b"a\r\nset-cookie: b")], is_last=False)
