"""What every such server has: /healthz, /readyz, /metrics, and the same headers on all of it. Knows no process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from types import MappingProxyType
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from streams.web.compression import Compression
from streams.web.pages import Page, PageAnswer, PageRequest, StreamedAnswer, error_page

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""An ASGI application."""
Metrics = Callable[[str], Awaitable[tuple[str, bytes]]]
"""(content type, body) of the metrics, for an Accept header."""

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of Prometheus' text format."""
_DEFAULTS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""On every answer, as the collector has them, unless a page states its own."""

_BODY_BYTES, _BODY_SECONDS = 65_536, 1.0
"""How much of a body that no page takes is waited for."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of /readyz: 200 when ready, else 503. As the collector's: `{"ready": true, "reason": ""}`."""

    is_ready: bool
    reason: str = ""
    """Why not, for people."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """More members of the JSON document."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"ready": self.is_ready, "reason": self.reason, **self.details}


async def _always() -> bool:
    return True


def web_app(
    *,
    metrics: Metrics,
    ready: Callable[[], Awaitable[Readiness]],
    alive: Callable[[], Awaitable[bool]] = _always,
    pages: Mapping[str, Page] = MappingProxyType({}),
) -> App:
    """An application of the three pages, and of `pages` by path. Answers GET and HEAD only; no request has a body.
    Where there are `pages`, every error is JSON."""

    async def healthz(_request: Request) -> Response:
        is_alive = await alive()
        return JSONResponse({"alive": is_alive}, 200 if is_alive else 503)

    async def readyz(_request: Request) -> Response:
        readiness = await ready()
        return JSONResponse(readiness.document(), 200 if readiness.is_ready else 503)

    async def metrics_page(request: Request) -> Response:
        content_type, body = await metrics(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics_page)]
    routes += [Route(path, _endpoint(page)) for path, page in pages.items()]
    paths = ", ".join(route.path for route in routes)
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Compression)],
        exception_handlers={HTTPException: _http_error, Exception: _failed} if pages else {},
    )
    app.router.redirect_slashes = False
    app.router.default = (
        _response(error_page(404, code="not_found", message="there is no such page", detail=f"pages: {paths}"))
        if pages
        else PlainTextResponse(f"pages: {paths}\n", 404)
    )
    return _Guard(app, is_json=bool(pages))


def _endpoint(page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        asked = PageRequest(request.url.query, request.headers.get("if-none-match"))
        answer = await page(asked)
        if isinstance(answer, StreamedAnswer) and request.method == "HEAD":
            return Response(headers={"content-type": answer.content_type})
        return _response(answer)

    return endpoint


def _response(answer: PageAnswer | StreamedAnswer) -> Response:
    if isinstance(answer, StreamedAnswer):
        return StreamingResponse(answer.pieces, headers={"content-type": answer.content_type})
    return Response(answer.body, answer.status, {"content-type": answer.content_type, **answer.headers})


async def _http_error(_request: Request, error: Exception) -> Response:
    """405: a page exists, and is read only."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for this class
    message = "pages are read with GET or HEAD" if error.status_code == 405 else error.detail
    code = "method_not_allowed" if error.status_code == 405 else "bad_request"
    return _response(error_page(error.status_code, code=code, message=message, headers=error.headers))


async def _failed(_request: Request, _error: Exception) -> Response:
    return _response(
        error_page(500, code="internal", message="the server failed on this request", detail="see its log")
    )


class _Guard:
    """Around all of it: headers of every answer, of a 500 too; a GET with a body is refused."""

    def __init__(self, app: App, *, is_json: bool) -> None:
        self._app = app
        self._refusal: Response = PlainTextResponse("pages take no body\n", 413, {"connection": "close"})
        if is_json:
            refusal = error_page(
                413, code="body_not_allowed", message="pages take no body", headers={"connection": "close"}
            )
            self._refusal = _response(refusal)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _DEFAULTS.items():
                    headers.setdefault(name, value)
                headers["date"] = formatdate(usegmt=True)
            await send(message)

        if scope["type"] != "http":
            return
        if scope["method"] in ("GET", "HEAD") and _has_body(dict(scope["headers"])):
            await _drop_body(receive)
            await self._refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


async def _drop_body(receive: Receive) -> None:
    """Take what is on its way: a connection that is closed with something unread is reset, and its client may lose the
    answer. Of a long or slow body only the beginning."""
    taken = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_BODY_SECONDS):
            while taken < _BODY_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0 ") != b""
