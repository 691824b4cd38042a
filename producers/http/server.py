"""Runs an ASGI application on uvicorn: says where it listens, and on `stop` drains within a bound. Counts nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, cast

import uvicorn

from producers.http.connection import Connection
from schemas.errors import PortTakenError

_DRAIN_SECONDS = 10
_BACKLOG = 2048
_EXPIRY_TICKS = 50


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: it would raise the signal again at the end, and the exit code would not
    be 0."""

    on_listening: Callable[[str, int], None]

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; every five seconds look for connections that nobody uses."""
        if counter % _EXPIRY_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast(Connection, connection).expire(now)
        return await super().on_tick(counter)

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


@dataclass(frozen=True)
class Beside:
    """A second application, on a port of its own."""

    app: Any
    host: str
    port: int
    on_listening: Callable[[str, int], None] = lambda host, port: None


async def serve(
    app: Any,
    sink: AbstractAsyncContextManager[object],
    *,
    host: str,
    port: int,
    stop: asyncio.Event,
    drain_seconds: int = _DRAIN_SECONDS,
    is_port_shared: bool = False,
    on_listening: Callable[[str, int], None] = lambda host, port: None,
    beside: Beside | None = None,
) -> None:
    """Serve until `stop` is set: then refuse new connections, answer what is under way, flush, leave.

    `sink` is open while the application is, and so is what is served `beside` it. With `is_port_shared` other processes
    may listen on the same ports. Raises PortTakenError.
    """
    servers = [_server(app, host, port, drain_seconds=drain_seconds, on_listening=on_listening)]
    if beside is not None:
        servers.append(_server(beside.app, beside.host, beside.port, drain_seconds=1, on_listening=beside.on_listening))
    _tame_gc()
    async with sink:
        serving = [asyncio.create_task(_serve(server, is_port_shared=is_port_shared)) for server in servers]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for server in servers:
            server.should_exit = True
        stopping.cancel()
        await asyncio.gather(*serving)


def _server(app: Any, host: str, port: int, *, drain_seconds: int, on_listening: Callable[[str, int], None]) -> _Server:
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="none",
            http=Connection,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=drain_seconds,
            backlog=_BACKLOG,
        )
    )
    server.on_listening = on_listening
    return server


def _shared(host: str, port: int) -> socket.socket:
    """A socket among which the kernel spreads the connections to one port. Raises PortTakenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=True)
    except OSError:
        raise _taken(host, port) from None


async def _serve(server: _Server, *, is_port_shared: bool) -> None:
    sockets = [_shared(server.config.host, server.config.port)] if is_port_shared else None
    try:
        await server.serve(sockets)
    except SystemExit:  # uvicorn's way to say that it could not listen
        raise _taken(server.config.host, server.config.port) from None


def _taken(host: str, port: int) -> PortTakenError:
    return PortTakenError(f"cannot listen on {host}:{port}; is it in use?")


def _tame_gc() -> None:
    """Objects that live as long as the process are not scanned again; requests make little garbage in cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
