"""The collector: an ASGI application that takes events over HTTP and answers when Kafka has acknowledged them.

Plain ASGI without a framework: one request is a handful of calls. It parses HTTP and decides statuses; what an event is
decides `producers.ingest`, how a client says it `producers.formats`. `producers.routes` maps paths, formats.md section
0 is the law of statuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from producers.body import RequestError, decompress
from producers.deadletter import dead_letter
from producers.formats.port import Format, Page, Reading, Request, Routes
from producers.http import (
    JSON,
    Answer,
    Headers,
    HttpScope,
    Receive,
    Send,
    cors,
    error_body,
    read_body,
    respond,
    unavailable,
)
from producers.ingest import Accepted, Deduplicated, Deferred, Ingest, Rejected, Sender
from producers.keys import KeyRing
from producers.metrics import CollectorMetrics, Counts
from producers.sink import Outgoing, Sink, SinkUnavailableError, partition_for
from schemas.reasons import RejectReason
from schemas.topics import Topics

_log = structlog.get_logger("funnelcast.collector")
_STATUS: Final = {
    RejectReason.BAD_KEY: 401,
    RejectReason.REVOKED_KEY: 401,
    RejectReason.BAD_SIGNATURE: 401,
    RejectReason.WRONG_ORIGIN: 403,
    RejectReason.BODY_TIMEOUT: 408,
    RejectReason.WRONG_CONTENT_TYPE: 415,
}
"""Status of a request that is refused as a whole; 400 for every other reason."""
_UNKNOWN_SOURCE: Final = "unknown"
_REFUSED_LETTERS_PER_SECOND: Final = 10
_encode = msgspec.json.Encoder().encode


class Collector:
    """`app(scope, receive, send)`. `routes` are the formats it serves; `now_ms` is its clock."""

    def __init__(
        self,
        *,
        sink: Sink,
        ingest: Ingest,
        keys: KeyRing,
        topics: Topics,
        routes: Routes,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._sink = sink
        self._limits = ingest.limits
        self._keys = keys
        self._topics = topics
        self._now_ms = now_ms
        self.metrics = CollectorMetrics(pending=lambda: sink.pending, is_up=lambda: sink.trouble is None)
        self._under_way = 0
        self._letter_number = 0
        self._refused_letters: tuple[int, int] = (0, 0)
        self._routes = routes
        for path, page in (("/healthz", self._healthz), ("/readyz", self._readyz), ("/metrics", self._metrics)):
            routes.add("GET HEAD", path, page)

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        headers: Headers = dict(scope["headers"])
        row = self._routes.at(path)
        route = None if row is None else row.get(method)
        if route is None:
            if method == "OPTIONS":
                await respond(send, 204, b"", cors(headers, is_preflight=True))
            else:
                await self._no_route(row is not None, headers, send)
            return
        request = Request(method, path, headers, scope.get("query_string", b""), route.label)
        endpoint = route.endpoint
        if callable(endpoint):
            await self._page(request, endpoint, send)
        else:
            await self._take(request, endpoint, receive, send)

    async def _other(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        """The lifespan protocol: nothing of ours hangs on it. Websockets are not spoken."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return

    async def _no_route(self, is_path_known: bool, headers: Headers, send: Send) -> None:
        status = 405 if is_path_known else 404
        code = "method_not_allowed" if is_path_known else "not_found"
        message = "this path takes another method" if is_path_known else "there is nothing at this path"
        self.metrics.answered("other", status)
        body = error_body(code, message, "POST events to /v1/events; see docs/api.md")
        await respond(send, status, body, (JSON, *cors(headers)))

    # -- events ---------------------------------------------------------------------------------------------------

    async def _take(self, request: Request, format: Format, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        self._under_way += 1
        try:
            status, body, extra = await self._answer(request, format, receive)
        finally:
            self._under_way -= 1
        await respond(send, status, body, (*extra, *cors(request.headers)))
        self.metrics.answered(request.label, status, time.perf_counter() - started)

    async def _answer(self, request: Request, format: Format, receive: Receive) -> Answer:
        """(status, body, headers). Its one broad `except`: a bug costs one request, not the process."""
        sender: Sender | None = None
        try:
            if self._under_way > self._limits.requests:
                raise SinkUnavailableError("too many requests at once", 1)
            request.raw_body = request.body = await read_body(
                receive, self._limits.body_bytes, self._limits.body_seconds
            )
            request.received_at_ms = self._now_ms()
            encoding = request.headers.get(b"content-encoding", b"").decode("latin-1")
            request.body = decompress(request.raw_body, encoding, self._limits.body_bytes)
            sender = self._sender(request, format)
            reading = format.read(request, sender)
            await self._write(reading, request, sender)
            body, headers = format.answer(request, reading)
            return 200, body, headers
        except RequestError as refusal:
            return await self._refuse(request, sender, refusal)
        except SinkUnavailableError as error:
            return unavailable(error)
        except Exception:
            _log.exception("request failed", route=request.label)
            return 500, error_body("internal", "the collector failed on this request", "see its log"), (JSON,)

    def _sender(self, request: Request, format: Format) -> Sender:
        sender = format.sender_of(request, self._keys)
        if sender is None:
            raise RequestError(
                RejectReason.BAD_KEY,
                "the write key is missing or unknown",
                "send it as Basic user, Bearer, X-Write-Key or writeKey; make one with `funnelcast keys create`",
            )
        return sender

    async def _write(self, reading: Reading, request: Request, sender: Sender) -> None:
        """Put everything on Kafka, events and dead letters, then count it."""
        records, counts = self._records(reading, request, sender)
        try:
            await self._sink.put(records)
        except SinkUnavailableError:
            self.metrics.unacknowledged += counts.events
            raise
        self.metrics.counted(sender.source, counts)

    def _records(self, reading: Reading, request: Request, sender: Sender) -> tuple[list[Outgoing], Counts]:
        """What goes on Kafka, in the request's order, and what is counted when it is there."""
        topic = self._topics.events
        partitions = self._sink.partitions_of(topic)
        records: list[Outgoing] = []
        counts = Counts()
        for raw, verdict in zip(reading.elements, reading.verdicts, strict=True):
            if isinstance(verdict, Accepted):
                key = verdict.key
                partition = partition_for(key, partitions)
                records.append(Outgoing(topic, partition, key, verdict.value, verdict.received_at_ms))
                counts.accepted += 1
                counts.clamped += verdict.was_clamped
                counts.placeholder_ids += verdict.placeholder_ids
                counts.unknown_names += not verdict.is_known
            elif isinstance(verdict, Rejected):
                records.append(self._letter(raw, request, sender.source, verdict.reason, verdict.detail))
                counts.rejected.append(verdict.reason)
            elif isinstance(verdict, Deferred):
                records.append(self._hook(verdict, request.received_at_ms))
                counts.accepted += 1
            elif isinstance(verdict, Deduplicated):
                counts.deduplicated += 1
            else:
                tick = verdict
                records += (Outgoing(topic, at, None, tick.value, tick.tick_ms) for at in range(partitions))
                counts.ticks += 1
        return records, counts

    def _hook(self, verdict: Deferred, received_at_ms: int) -> Outgoing:
        topic = self._topics.hooks
        partition = partition_for(verdict.key, self._sink.partitions_of(topic))
        return Outgoing(topic, partition, verdict.key, verdict.value, received_at_ms)

    def _letter(self, raw: bytes, request: Request, source: str, reason: RejectReason, detail: str) -> Outgoing:
        value = dead_letter(
            reason=reason,
            detail=detail,
            source=source,
            route=request.label,
            received_at_ms=request.received_at_ms,
            payload=raw,
            keep_bytes=self._limits.dead_letter_bytes,
        )
        self._letter_number += 1
        partition = self._letter_number % self._sink.partitions_of(self._topics.rejected)
        headers = (("reason", reason.value.encode()),)
        return Outgoing(self._topics.rejected, partition, None, value, request.received_at_ms, headers)

    # -- refusals -------------------------------------------------------------------------------------------------

    async def _refuse(self, request: Request, sender: Sender | None, refusal: RequestError) -> Answer:
        """The answer to a request that is refused whole: counted as one rejected event, with a dead letter.

        Whoever has no key cannot fill the topic: such letters are cut short and limited to a few a second.
        """
        source = _UNKNOWN_SOURCE if sender is None else sender.source
        try:
            letter = self._letter(request.body, request, source, refusal.reason, refusal.message)
            if sender is not None or self._may_write_refused():
                await self._sink.put([letter])
        except SinkUnavailableError as error:
            if sender is not None:
                self.metrics.unacknowledged += 1
                return unavailable(error)
        self.metrics.counted(source, Counts(rejected=[refusal.reason]))
        status = _STATUS.get(refusal.reason, 400)
        body = error_body(refusal.reason.value, refusal.message, refusal.detail)
        headers = ((b"www-authenticate", b'Basic realm="write key"'),) if status == 401 else ()
        return status, body, (JSON, *headers)

    def _may_write_refused(self) -> bool:
        second, count = self._refused_letters
        now = self._now_ms() // 1000
        if now != second:
            second, count = now, 0
        self._refused_letters = (second, count + 1)
        return count < _REFUSED_LETTERS_PER_SECOND

    # -- pages ----------------------------------------------------------------------------------------------------

    async def _page(self, request: Request, page: Page, send: Send) -> None:
        try:
            status, body, headers = await page(request)
        except Exception:
            _log.exception("page failed", route=request.label)
            status, headers = 500, (JSON,)
            body = error_body("internal", "the collector failed on this request", "see its log")
        await respond(send, status, body, (*headers, *cors(request.headers)))

    async def _healthz(self, request: Request) -> Answer:
        return 200, b'{"alive":true}', (JSON,)

    async def _readyz(self, request: Request) -> Answer:
        trouble = self._sink.trouble
        body = _encode({"ready": trouble is None, "reason": trouble or ""})
        return 200 if trouble is None else 503, body, (JSON,)

    async def _metrics(self, request: Request) -> Answer:
        return 200, self.metrics.render(), ((b"content-type", b"text/plain; version=0.0.4"),)
