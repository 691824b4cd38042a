"""How the collector is, and what it has counted: pages for operators, on a port of their own. Counts nothing itself.

No page of another origin may read any of it; where it runs beside the events (`/healthz`, `/readyz`), nor there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from producers.collector.metrics import CollectorMetrics
from producers.collector.peers import Peers
from producers.formats.port import Request
from producers.http.messages import JSON, Answer, HttpScope, Receive, Send, error_body, respond
from producers.sink.port import Sink

_EXPOSITION: Final = (
    (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),
    (b"cache-control", b"no-store"),
)
OWN_PAGES: Final = frozenset({"/healthz", "/readyz", "/_liveness", "/_readiness"})
"""Also where events are taken; the last two as PostHog calls them."""
_encode = msgspec.json.Encoder().encode


class Health:
    """`health(scope, receive, send)`: `/healthz`, `/readyz`, `/metrics`. `peers` are the other processes of this
    collector: what it answers is true of all."""

    def __init__(self, sink: Sink, metrics: CollectorMetrics) -> None:
        self._sink = sink
        self._metrics = metrics
        self.peers: Peers | None = None

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        pages = {"/healthz": self.healthz, "/readyz": self.readyz, "/metrics": self.exposition}
        page, request = pages.get(scope["path"]), Request(scope["method"], scope["path"], {}, b"")
        if page is None or scope["method"] not in ("GET", "HEAD"):
            body = error_body("not_found", "there is nothing at this path", "/healthz, /readyz and /metrics, by GET")
            await respond(send, 404 if page is None else 405, body, (JSON,))
            return
        status, body, headers = await page(request)
        await respond(send, status, body, headers)

    async def healthz(self, request: Request) -> Answer:
        """It lives."""
        return Answer(200, b'{"alive":true}', (JSON,))

    async def readyz(self, request: Request) -> Answer:
        """Whether it takes events, and why not."""
        trouble = self._sink.trouble
        if trouble is None and self.peers is not None:
            trouble = await self.peers.trouble()
        body = _encode({"ready": trouble is None, "reason": trouble or self._sink.note or ""})
        return Answer(200 if trouble is None else 503, body, (JSON,))

    async def exposition(self, request: Request) -> Answer:
        """The metrics of all processes."""
        if self.peers is not None:
            await self.peers.count_all()
        return Answer(200, self._metrics.render(), _EXPOSITION)
