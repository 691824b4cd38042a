"""The collector in memory behind a real port, so that a client library talks HTTP to it, and faults on the way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from tests.support.collector import CollectorInMemory
from tests.support.waiting import LIMIT


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the test runner's."""
        yield


@dataclass
class ServedCollector:
    """`faults` are taken one a request: a status that is answered instead of the collector's, without asking it; or
    "lost": the collector takes the request, and its client hears 503."""

    memory: CollectorInMemory
    url: str = ""
    faults: list[int | str] = field(default_factory=list)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """(method, path, status) of every answer that was sent."""
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        fault = self.faults.pop(0) if self.faults else None

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                if fault == "lost":
                    message = message | {"status": 503}
                self.requests.append((scope["method"], scope["path"], message["status"]))
                self._answered.set()
            await send(message)

        if isinstance(fault, int):
            while (await receive()).get("more_body"):
                pass
            body = b'{"code":"unavailable","message":"try again","detail":"a fault of the test"}'
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await answer({"type": "http.response.start", "status": fault, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await self.memory.app(scope, receive, answer)

    async def until_events(self, count: int) -> list[dict[str, Any]]:
        """The events, once there are so many."""
        async with asyncio.timeout(LIMIT):
            while len(self.memory.events()) < count:
                self._answered.clear()
                await self._answered.wait()
        return self.memory.events()


@contextlib.asynccontextmanager
async def served(memory: CollectorInMemory) -> AsyncIterator[ServedCollector]:
    """Serve a collector on a port of the loopback while the block runs."""
    app = ServedCollector(memory)
    async with listening(app) as port:
        app.url = f"http://127.0.0.1:{port}"
        yield app


@contextlib.asynccontextmanager
async def listening(app: Any, port: int = 0) -> AsyncIterator[int]:
    """Serve an ASGI application on a port of the loopback (any, unless one is given) while the block runs."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(LIMIT):
            await server.listening.wait()
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await serving
