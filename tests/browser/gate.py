"""A proxy before the collector that answers the first events in its place, as a collector in trouble would."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "date", "server", "content-encoding"}


@dataclass
class Gate:
    """`left` more POSTs are answered with `status` and `headers`; the others, and every GET, go through."""

    target: str
    status: int = 503
    left: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    """Of every POST."""
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where a page finds the collector."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Gate:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                gate._pass(self, b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gate.bodies.append(body)
                if gate.left > 0:
                    gate.left -= 1
                    allowed = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
                    _answer(self, gate.status, {**allowed, **gate.headers}, b"{}")
                else:
                    gate._pass(self, body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _pass(self, asked: BaseHTTPRequestHandler, body: bytes) -> None:
        sent = {name: value for name, value in asked.headers.items() if name.lower() not in ("host", "connection")}
        answer = httpx.request(asked.command, self.target + asked.path, headers=sent, content=body, timeout=30)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        _answer(asked, answer.status_code, headers, answer.content)


def _answer(asked: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    asked.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        asked.send_header(name, value)
    asked.end_headers()
    asked.wfile.write(body)
