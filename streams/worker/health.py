"""The worker's own small HTTP: /healthz, /readyz, /metrics. Runs on the main loop: it is silent when that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
REQUEST_SECONDS = 5.0
Check = Callable[[], Mapping[str, Any]]
"""State as JSON; its `ok` says whether the answer is 200 or 503."""


class HealthServer:
    """Start with `start`, stop with `stop`. Port 0 lets the system choose (see `port`)."""

    def __init__(self, *, live: Check, ready: Check, metrics: Callable[[], bytes], host: str = "127.0.0.1") -> None:
        self._checks = {"/healthz": live, "/readyz": ready}
        self._metrics = metrics
        self._host = host
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, self._host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 1)

    def answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body) of a request."""
        if method not in ("GET", "HEAD"):
            return 405, _TEXT, b"only GET\n"
        if path == "/metrics":
            return 200, _TEXT, self._metrics()
        check = self._checks.get(path)
        if check is None:
            return 404, _TEXT, b"/healthz, /readyz or /metrics\n"
        state = check()
        return 200 if state["ok"] else 503, "application/json", json.dumps(dict(state)).encode() + b"\n"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_SECONDS)
            method, target, *_ = head.decode("latin-1").split(" ", 2)
            status, kind, body = self.answer(method, target.partition("?")[0])
            lines = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            writer.write(lines.encode() + b"Connection: close\r\n\r\n" + (b"" if method == "HEAD" else body))
            await writer.drain()
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()
