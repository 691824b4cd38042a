"""The collector: an ASGI application that takes events over HTTP and answers when Kafka has acknowledged them.

Plain ASGI without a framework: one request is a handful of calls. It parses HTTP and decides statuses; what an event is
decides `producers.ingest`, what a body is `producers.body`. One table (`_ROUTES`) maps paths, formats.md section 0 is
the law of statuses.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from producers.body import RequestError, decompress, malformed, split_array, split_events
from producers.deadletter import dead_letter
from producers.http import (
    JSON,
    Answer,
    Headers,
    HttpScope,
    Receive,
    Send,
    cors,
    error_body,
    key_of,
    read_body,
    respond,
    sequence_of,
    unavailable,
)
from producers.ingest import Accepted, Ingest, Rejected, Sender, Verdict
from producers.keys import KeyRing
from producers.metrics import CollectorMetrics, Counts
from producers.segment import LETTERS, TYPES, Segment, SegmentBatch, decode_batch
from producers.sink import Outgoing, Sink, SinkUnavailableError, partition_for
from schemas.reasons import RejectReason
from schemas.topics import Topics

_log = structlog.get_logger("funnelcast.collector")
_STATUS: Final = {RejectReason.BAD_KEY: 401, RejectReason.BODY_TIMEOUT: 408}
"""Status of a request that is refused as a whole; 400 for every other reason."""
_UNKNOWN_SOURCE: Final = "unknown"
_REFUSED_LETTERS_PER_SECOND: Final = 10
_encode = msgspec.json.Encoder().encode


class EventVerdict(msgspec.Struct, omit_defaults=True):
    """What became of one element of the request, in its order."""

    id: str | None
    status: str
    reason: str | None = None
    detail: str | None = None
    tick: int | None = None


@dataclass(slots=True)
class Call:
    """One request on its way to an answer."""

    route: str
    headers: Headers
    query: bytes
    body: bytes = b""
    received_at_ms: int = 0


@dataclass(slots=True)
class Outcome:
    """Verdicts of a request in its order, with what was sent for each."""

    elements: list[bytes] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


class Collector:
    """`app(scope, receive, send)`. `now_ms` is the collector's clock."""

    def __init__(
        self,
        *,
        sink: Sink,
        ingest: Ingest,
        keys: KeyRing,
        topics: Topics,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._sink = sink
        self._ingest = ingest
        self._limits = ingest.limits
        self._keys = keys
        self._topics = topics
        self._now_ms = now_ms
        self._segment = Segment(ingest, lambda: f"api-{uuid.uuid4()}")
        self.metrics = CollectorMetrics(pending=lambda: sink.pending, is_up=lambda: sink.trouble is None)
        self._under_way = 0
        self._letter_number = 0
        self._refused_letters: tuple[int, int] = (0, 0)
        self._routes = _ROUTES | {f"/v1/{letter}": f"/v1/{kind}" for letter, kind in LETTERS.items()}

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        headers: Headers = dict(scope["headers"])
        route = self._routes.get(path) or self._routes.get(path.rstrip("/"))
        if method == "OPTIONS":
            await respond(send, 204, b"", cors(headers, is_preflight=True))
        elif method == "POST" and route is not None:
            await self._post(Call(route, headers, scope.get("query_string", b"")), receive, send)
        elif method in ("GET", "HEAD") and path in _PAGES:
            await _PAGES[path](self, send)
        else:
            await self._no_route(route is not None or path in _PAGES, headers, send)

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

    async def _post(self, call: Call, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        self._under_way += 1
        try:
            status, body, extra = await self._answer(call, receive)
        finally:
            self._under_way -= 1
        await respond(send, status, body, (JSON, *extra, *cors(call.headers)))
        self.metrics.answered(call.route, status, time.perf_counter() - started)

    async def _answer(self, call: Call, receive: Receive) -> Answer:
        """(status, body, headers). Its one broad `except`: a bug costs one request, not the process."""
        sender: Sender | None = None
        try:
            if self._under_way > self._limits.requests:
                raise SinkUnavailableError("too many requests at once", 1)
            call.body = await read_body(receive, self._limits.body_bytes, self._limits.body_seconds)
            call.received_at_ms = self._now_ms()
            call.body = decompress(
                call.body, call.headers.get(b"content-encoding", b"").decode("latin-1"), self._limits.body_bytes
            )
            sender = self._sender(call)
            outcome = self._read(call, sender)
            await self._write(outcome, call, sender)
            return 200, _accepted_body(call.route, outcome.verdicts), ()
        except RequestError as refusal:
            return await self._refuse(call, sender, refusal)
        except SinkUnavailableError as error:
            return unavailable(error)
        except Exception:
            _log.exception("request failed", route=call.route)
            return 500, error_body("internal", "the collector failed on this request", "see its log"), ()

    def _sender(self, call: Call) -> Sender:
        sender = self._keys.sender_of(key_of(call.headers, call.query, call.body))
        if sender is None:
            raise RequestError(
                RejectReason.BAD_KEY,
                "the write key is missing or unknown",
                "send it as Basic user, Bearer, X-Write-Key or writeKey; make one with `funnelcast keys create`",
            )
        return sender

    def _read(self, call: Call, sender: Sender) -> Outcome:
        if call.route == "/v1/events":
            return self._read_native(call, sender)
        if call.route == "/v1/batch":
            return self._read_batch(call, sender)
        verdict = self._segment.read(
            call.body, sender=sender, received_at_ms=call.received_at_ms, kind=call.route.removeprefix("/v1/")
        )
        if isinstance(verdict, Rejected) and verdict.reason is RejectReason.MALFORMED_JSON:
            raise malformed(call.body)
        return Outcome([call.body], [verdict])

    def _read_native(self, call: Call, sender: Sender) -> Outcome:
        elements = split_events(call.body, self._limits.events)
        sequence = sequence_of(call.headers, sender)
        native, received_at_ms = self._ingest.native, call.received_at_ms
        if sequence is None:
            verdicts = [native(one, sender=sender, received_at_ms=received_at_ms) for one in elements]
        else:
            session, first = sequence
            verdicts = [
                native(one, sender=sender, received_at_ms=received_at_ms, sequence=(session, number))
                for number, one in enumerate(elements, first)
            ]
        return Outcome(elements, verdicts)

    def _read_batch(self, call: Call, sender: Sender) -> Outcome:
        try:
            batch = decode_batch(call.body)
            elements = split_array(bytes(batch.batch), self._limits.events)
        except RequestError:
            raise
        except (ValueError, RecursionError):
            raise malformed(call.body) from None
        return Outcome(elements, [self._read_one(one, call, sender, batch) for one in elements])

    def _read_one(self, raw: bytes, call: Call, sender: Sender, batch: SegmentBatch) -> Verdict:
        return self._segment.read(raw, sender=sender, received_at_ms=call.received_at_ms, batch=batch)

    async def _write(self, outcome: Outcome, call: Call, sender: Sender) -> None:
        """Put everything on Kafka, events and dead letters, then count it."""
        records, counts = self._records(outcome, call, sender)
        try:
            await self._sink.put(records)
        except SinkUnavailableError:
            self.metrics.unacknowledged += counts.events
            raise
        self.metrics.counted(sender.source, counts)

    def _records(self, outcome: Outcome, call: Call, sender: Sender) -> tuple[list[Outgoing], Counts]:
        """What goes on Kafka, in the request's order, and what is counted when it is there."""
        topic = self._topics.events
        partitions = self._sink.partitions_of(topic)
        records: list[Outgoing] = []
        counts = Counts()
        for raw, verdict in zip(outcome.elements, outcome.verdicts, strict=True):
            if isinstance(verdict, Accepted):
                key = verdict.key
                partition = partition_for(key, partitions)
                records.append(Outgoing(topic, partition, key, verdict.value, verdict.received_at_ms))
                counts.accepted += 1
                counts.clamped += verdict.was_clamped
                counts.placeholder_ids += verdict.placeholder_ids
                counts.unknown_names += not verdict.is_known
            elif isinstance(verdict, Rejected):
                records.append(self._letter(raw, call, sender.source, verdict.reason, verdict.detail))
                counts.rejected.append(verdict.reason)
            else:
                tick = verdict
                records += (Outgoing(topic, at, None, tick.value, tick.tick_ms) for at in range(partitions))
                counts.ticks += 1
        return records, counts

    def _letter(self, raw: bytes, call: Call, source: str, reason: RejectReason, detail: str) -> Outgoing:
        value = dead_letter(
            reason=reason,
            detail=detail,
            source=source,
            route=call.route,
            received_at_ms=call.received_at_ms,
            payload=raw,
            keep_bytes=self._limits.dead_letter_bytes,
        )
        self._letter_number += 1
        partition = self._letter_number % self._sink.partitions_of(self._topics.rejected)
        headers = (("reason", reason.value.encode()),)
        return Outgoing(self._topics.rejected, partition, None, value, call.received_at_ms, headers)

    # -- refusals -------------------------------------------------------------------------------------------------

    async def _refuse(self, call: Call, sender: Sender | None, refusal: RequestError) -> Answer:
        """The answer to a request that is refused whole: counted as one rejected event, with a dead letter.

        Whoever has no key cannot fill the topic: such letters are cut short and limited to a few a second.
        """
        source = _UNKNOWN_SOURCE if sender is None else sender.source
        try:
            letter = self._letter(call.body, call, source, refusal.reason, refusal.message)
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
        return status, body, headers

    def _may_write_refused(self) -> bool:
        second, count = self._refused_letters
        now = self._now_ms() // 1000
        if now != second:
            second, count = now, 0
        self._refused_letters = (second, count + 1)
        return count < _REFUSED_LETTERS_PER_SECOND

    # -- pages ----------------------------------------------------------------------------------------------------

    async def _healthz(self, send: Send) -> None:
        await respond(send, 200, b'{"alive":true}', (JSON,))

    async def _readyz(self, send: Send) -> None:
        trouble = self._sink.trouble
        body = _encode({"ready": trouble is None, "reason": trouble or ""})
        await respond(send, 200 if trouble is None else 503, body, (JSON,))

    async def _metrics(self, send: Send) -> None:
        await respond(send, 200, self.metrics.render(), ((b"content-type", b"text/plain; version=0.0.4"),))


_ROUTES: Final = {
    "/v1/events": "/v1/events",
    "/v1/batch": "/v1/batch",
    "/v1/b": "/v1/batch",
    "/v1/import": "/v1/batch",
} | {f"/v1/{kind}": f"/v1/{kind}" for kind in TYPES}
_PAGES: Final[dict[str, Callable[[Collector, Send], Awaitable[None]]]] = {
    "/healthz": Collector._healthz,
    "/readyz": Collector._readyz,
    "/metrics": Collector._metrics,
}


def _accepted_body(route: str, verdicts: Sequence[Verdict]) -> bytes:
    results = [_shown(one) for one in verdicts]
    accepted = sum(one.status == "accepted" for one in results)
    if route == "/v1/events":
        return _encode({"accepted": accepted, "results": results})
    return _encode({"success": True, "accepted": accepted, "results": results})


def _shown(verdict: Verdict) -> EventVerdict:
    if isinstance(verdict, Accepted):
        return EventVerdict(verdict.id, "accepted")
    if isinstance(verdict, Rejected):
        return EventVerdict(verdict.id, "rejected", verdict.reason.value, verdict.detail)
    return EventVerdict(None, "accepted", tick=verdict.tick_ms)
