"""The collector: an ASGI application that takes events over HTTP and answers when Kafka has acknowledged them.

Plain ASGI without a framework: one request is a handful of calls. It parses HTTP and decides statuses.
`producers.ingest.checks` decides what an event is, `producers.formats` how a client says it,
`producers.collector.routes` which paths there are; docs/api.md lists the statuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from producers.access.keys import KeyRing
from producers.access.origins import is_from_page
from producers.collector.admission import Admission, RateLimitedError, too_many
from producers.collector.answers import FAILED, unavailable
from producers.collector.health import OWN_PAGES, Health
from producers.collector.metrics import CollectorMetrics
from producers.collector.reading import read, sender_of
from producers.collector.records import RecordBuilder
from producers.collector.storage import Storage
from producers.dead_letters.header import is_replayed, replayed_sender
from producers.dead_letters.limit import DeadLetterLimit
from producers.formats.native import verdicts_answer
from producers.formats.port import Endpoint, Page, Request
from producers.formats.routing import EventRoute, Routes
from producers.http.address import TrustedProxies
from producers.http.body import GZIP, NoRoomError, RequestError, decompress
from producers.http.messages import (
    ALLOWED,
    JSON,
    VARY,
    Answer,
    BodyReader,
    Header,
    Headers,
    HttpScope,
    Receive,
    Send,
    cors,
    error_body,
    preflight,
    respond,
)
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Scope, Sender
from producers.sink.port import Sink, SinkUnavailableError
from producers.visitors.visitor import Visitor, VisitorRules
from schemas.properties import UNKNOWN_SOURCE
from schemas.reasons import RejectReason
from schemas.topics import Topics

log = structlog.get_logger("funnelcast.collector")
_STATUS: Final = {
    RejectReason.BAD_KEY: 401,
    RejectReason.REVOKED_KEY: 401,
    RejectReason.BAD_SIGNATURE: 401,
    RejectReason.WRONG_ORIGIN: 403,
    RejectReason.BODY_TIMEOUT: 408,
    RejectReason.WRONG_CONTENT_TYPE: 415,
}
"""Status of a request that is refused as a whole; 400 for every other reason."""


class Collector:
    """`app(scope, receive, send)`. `routes` are the formats it serves; `proxies` are trusted about the addresses of
    clients; `admission` says who must wait, `dead_letter_limit` how many dead letters are too many; `now_ms` is its
    clock."""

    def __init__(
        self,
        *,
        sink: Sink,
        ingest: Ingest,
        keys: KeyRing,
        topics: Topics,
        routes: Routes,
        proxies: TrustedProxies | None = None,
        visitors: VisitorRules | None = None,
        admission: Admission | None = None,
        dead_letter_limit: DeadLetterLimit | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._limits = ingest.limits
        self._body_reader = BodyReader(ingest.limits.body_seconds, ingest.limits.unfinished_bytes)
        self._keys = keys
        self._now_ms = now_ms
        self.metrics = CollectorMetrics(
            pending=lambda: sink.pending, is_up=lambda: sink.outage is None, routes=routes.labels_at_start
        )
        self.health = Health(sink, self.metrics)
        self._under_way = 0
        self._storage = Storage(
            sink,
            RecordBuilder(sink, topics, ingest.limits),
            self.metrics,
            dead_letter_limit=dead_letter_limit or DeadLetterLimit(),
            now_ms=now_ms,
        )
        self._proxies = proxies
        self._visitors = visitors or VisitorRules()
        self._admission = admission or Admission()
        self._routes = routes
        for path in OWN_PAGES:
            is_life = path in ("/healthz", "/_liveness")
            routes.add_page(Page("GET", path, self.health.healthz if is_life else self.health.readyz))

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        headers: Headers = dict(scope["headers"])
        methods = self._routes.methods_of(path)
        route = None if methods is None else methods.get(method)
        takes_events = methods is not None and path not in OWN_PAGES
        if route is None:
            if method == "OPTIONS":
                await respond(send, 204, b"", preflight(headers) if takes_events else ALLOWED)
            else:
                await self._no_route(methods is not None, cors(headers) if takes_events else (), send)
            return
        address = self._address(scope, headers)
        is_proxied = self._proxies is not None and self._proxies.trusts(_peer(scope))
        query = scope.get("query_string", b"")
        request = Request(method, path, headers, query, route.label, address, is_proxied=is_proxied)
        if isinstance(route, EventRoute):
            await self._take(request, route.endpoint, receive, send)
        else:
            await self._page(request, route.page, send)

    def _address(self, scope: HttpScope, headers: Headers) -> str:
        peer = _peer(scope)
        if self._proxies is None or b"x-forwarded-for" not in headers:
            return peer
        hops = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return self._proxies.client(peer, b",".join(hops))

    async def _other(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        """The lifespan protocol: nothing of ours depends on it. Websockets are not supported."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return

    async def _no_route(self, is_path_known: bool, allowed: tuple[Header, ...], send: Send) -> None:
        status = 405 if is_path_known else 404
        code = "method_not_allowed" if is_path_known else "not_found"
        message = "this path takes another method" if is_path_known else "there is nothing at this path"
        self.metrics.answered("other", status)
        body = error_body(code, message, "POST events to /v1/events; see docs/api.md")
        await respond(send, status, body, (JSON, *allowed))

    # -- events ---------------------------------------------------------------------------------------------------

    async def _take(self, request: Request, endpoint: Endpoint, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        self._under_way += 1
        try:
            status, body, extra = await self._answer(request, endpoint, receive)
        finally:
            self._under_way -= 1
        await respond(send, status, body, (*extra, *request.limits, *cors(request.headers)))
        self.metrics.answered(request.label, status, time.perf_counter() - started)

    async def _answer(self, request: Request, endpoint: Endpoint, receive: Receive) -> Answer:
        """Its one broad `except`: a bug costs one request, not the process."""
        sender: Sender | None = None
        try:
            if self._under_way > self._limits.requests:
                raise NoRoomError("too many requests at once")
            body = await self._body_reader.read_body(receive, self._limits.body_bytes)
            request.raw_body = request.body = body
            request.received_at_ms = self._now_ms()
            encoding = request.headers.get(b"content-encoding")
            if encoding is not None or body[:2] == GZIP:
                request.body = decompress(body, (encoding or b"").decode("latin-1"), self._limits.body_bytes)
            request.dead_letter_headers = endpoint.dead_letter_headers
            if is_replayed(request):
                sender = self._replayed_sender(request, endpoint)
                request.body = endpoint.body_of(request)
            else:
                request.body = endpoint.body_of(request)
                sender = self._with_visitor(request, endpoint, self._sender_of(request, endpoint))
            reading = read(endpoint, request, sender)
            self._admission.charge(request, sender, len(reading.verdicts))
            await self._storage.store(reading, request, sender)
            return verdicts_answer(reading) if request.is_replay else endpoint.answer(reading)
        except RequestError as refusal:
            return await self._refuse(request, sender, refusal)
        except RateLimitedError as error:
            return self._too_many(error)
        except SinkUnavailableError as error:
            return unavailable(str(error), error.retry_after_seconds)
        except NoRoomError as error:
            return unavailable(str(error), 1)
        except Exception:
            log.exception("request_failed", route=request.label)
            return FAILED

    def _with_visitor(self, request: Request, endpoint: Endpoint, sender: Sender) -> Sender:
        """A visitor's own machine makes requests where only these do, and with keys that stand on pages."""
        if not endpoint.is_for_visitors and sender.scope is not Scope.BROWSER:
            return sender
        visitor = self._visitors.visitor_of(
            request.headers,
            request.address,
            is_proxy_trusted=request.is_proxied,
            is_certain=endpoint.is_for_visitors,
        )
        return replace(sender, visitor=visitor)

    def _replayed_sender(self, request: Request, endpoint: Endpoint) -> Sender:
        operator, sender, received_at_ms = replayed_sender(request, self._keys)
        self._admit(request, operator)
        request.is_replay, request.received_at_ms = True, received_at_ms
        agent = request.headers.get(b"user-agent", b"").decode("latin-1")  # of the dead letter
        return replace(sender, visitor=Visitor(agent)) if endpoint.is_for_visitors else sender

    def _sender_of(self, request: Request, endpoint: Endpoint) -> Sender:
        """Who sends. Where nobody needs a key, a page still may not say what only servers may."""
        sender = sender_of(endpoint, request, self._keys)
        is_of_page = endpoint.has_keys and (endpoint.is_for_pages or is_from_page(request.headers))
        if sender is not None and is_of_page and not sender.id:
            sender = replace(sender, scope=Scope.BROWSER)
        return self._admit(request, sender, is_from_page=is_of_page)

    def _admit(self, request: Request, sender: Sender | None, *, is_from_page: bool = False) -> Sender:
        if sender is None:
            raise RequestError(
                RejectReason.BAD_KEY,
                "the write key is missing or unknown",
                "send it as Basic user, Bearer, X-Write-Key or writeKey; make one with `funnelcast keys create`",
            )
        try:
            self._admission.admit(request, sender, is_from_page=is_from_page)
        except RequestError as refusal:
            refusal.source = sender.source
            raise
        return sender

    # -- refusals -------------------------------------------------------------------------------------------------

    async def _refuse(self, request: Request, sender: Sender | None, refusal: RequestError) -> Answer:
        """The answer to a request that is refused whole: counted as one rejected event, with a dead letter."""
        if sender is None:
            try:
                self._admission.refused(request)
            except RateLimitedError as error:
                return self._too_many(error)
        source = refusal.source or UNKNOWN_SOURCE if sender is None else sender.source
        if not request.received_at_ms:  # its body never was whole
            request.received_at_ms = self._now_ms()
        try:
            await self._storage.store_refused(request, refusal, source, has_key=sender is not None)
        except SinkUnavailableError as error:
            return unavailable(str(error), error.retry_after_seconds)
        status = _STATUS.get(refusal.reason, 400)
        body = error_body(refusal.reason.value, refusal.message, refusal.detail)
        headers = ((b"www-authenticate", b'Basic realm="write key"'),) if status == 401 else ()
        return Answer(status, body, (JSON, *headers))

    def _too_many(self, error: RateLimitedError) -> Answer:
        self.metrics.add("rate_limited", labels=(error.by,))
        return too_many(error)

    # -- pages ----------------------------------------------------------------------------------------------------

    async def _page(self, request: Request, page: Page, send: Send) -> None:
        try:
            status, body, headers = await page.serve(request)
        except Exception:
            log.exception("page_failed", route=request.label)
            status, body, headers = FAILED
        is_public = any(name == b"access-control-allow-origin" for name, _ in headers)  # one answer for every site
        is_closed = is_public or request.path in OWN_PAGES
        await respond(send, status, body, (*headers, *(() if is_closed else cors(request.headers) or (VARY,))))


def _peer(scope: HttpScope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
