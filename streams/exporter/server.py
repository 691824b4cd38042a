"""Runs the exporter on uvicorn: starts, says where it listens, and leaves when `stop` is set."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

from schemas.errors import PortTakenError

App = Callable[..., Awaitable[None]]
"""An ASGI application."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: it would raise the signal again at the end, and the exit code would not
    be 0."""

    on_listening: Callable[[str, int], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.on_listening(host, port)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield


async def serve(
    app: App,
    *,
    host: str,
    port: int,
    stop: asyncio.Event,
    on_listening: Callable[[str, int], None] = lambda host, port: None,
) -> None:
    """Serve until `stop` is set. Port 0 takes a free one. Raises PortTakenError."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    server.on_listening = on_listening
    serving = asyncio.create_task(_serve(server))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving


async def _serve(server: uvicorn.Server) -> None:
    try:
        await server.serve()
    except SystemExit:  # uvicorn's way to say that it could not listen
        raise PortTakenError(f"cannot listen on {server.config.host}:{server.config.port}; is it in use?") from None
