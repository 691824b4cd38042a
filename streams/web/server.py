"""Serves an application on a port, within bounds, until it is stopped.

Runs on the event loop of the caller: when that hangs, nothing answers, as a probe should find. Without requests it does
no work at all.
"""

from __future__ import annotations

import logging
import socket

import uvicorn

from schemas.errors import PortTakenError
from streams.web.app import App
from streams.web.connection import MAX_HEAD_BYTES, BoundedConnection

_BACKLOG = 128
_DRAIN_SECONDS = 5


class WebServer:
    """Start with `start`, stop with `stop`. Signals are the caller's business."""

    def __init__(self, app: App, *, host: str = "127.0.0.1", connection: type[BoundedConnection] = BoundedConnection):
        self.host = host
        self.port = 0
        """The one it listens on, once started."""
        self._config = uvicorn.Config(
            app,
            http=connection,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            loop="none",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            log_level=logging.ERROR,  # a warning for each request that is no HTTP: anyone could fill the log
            proxy_headers=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            backlog=_BACKLOG,
        )
        self._server: uvicorn.Server | None = None

    async def start(self, port: int) -> None:
        """Listen. Port 0 takes a free one. Raises PortTakenError."""
        listener = _listener(self.host, port)
        self.port = listener.getsockname()[1]
        self._config.load()
        self._server = uvicorn.Server(self._config)
        self._server.lifespan = self._config.lifespan_class(self._config)
        # Not `serve`: it would take over the signals, and its main loop only writes a Date ten times a second.
        await self._server.startup([listener])

    async def stop(self) -> None:
        """Refuse new connections, answer what is under way, leave."""
        if self._server is not None:
            await self._server.shutdown()


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise PortTakenError(f"cannot listen on {host}:{port} ({error.strerror}); choose another port") from None
