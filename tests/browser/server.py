"""A small HTTP server on a port of its own, in a thread: it asks its subclass for every answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, NamedTuple, Self


class Answer(NamedTuple):
    """What goes back; the length is added."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class PageServer:
    """`with PageServer() as server: server.url`."""

    _server: ThreadingHTTPServer | None = field(default=None, init=False, repr=False)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """For one request; `path` has its query."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        outer: PageServer = self

        class Handler(_Handler):
            pages = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages: ClassVar[PageServer]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        status, headers, content = self.pages.answer(self.command, self.path, dict(self.headers), body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass
