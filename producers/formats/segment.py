"""How Segment's and RudderStack's clients send messages: one alone, or many in a batch. Pure;
`producers.formats.segment_message` says what a message means."""

from __future__ import annotations

import base64
import binascii
import uuid
from functools import partial
from typing import Any, ClassVar, Final

import msgspec
import orjson

from producers.formats import segment_pages
from producers.formats.native import EventVerdict, shown, taken
from producers.formats.port import BaseEndpoint, Endpoint, Format, Page, Reading, Request, RoutePath
from producers.formats.replaying import DeadLetterPayload, parsed, with_id
from producers.formats.segment_message import TYPES, Segment, Shared, time_of
from producers.http.body import RequestError, malformed, too_many
from producers.http.messages import JSON, Answer, Headers
from producers.ingest.checks import Ingest
from producers.ingest.objects import with_members
from producers.ingest.verdicts import Rejected, Sender
from schemas.ids import MAX_ID_CHARS
from schemas.reasons import RejectReason

LETTERS: Final = {kind[0]: kind for kind in sorted(TYPES)}
_SHOWN_AT_START: Final = frozenset({"track", "page", "identify"})


class SegmentBatch(msgspec.Struct, rename="camel"):
    """The body of `/v1/batch`: messages, and what they share. `timestamp` is when an older client sent it."""

    batch: list[msgspec.Raw]
    sent_at: Any = None
    timestamp: Any = None
    context: msgspec.Raw = msgspec.Raw(b"{}")


class _Verdicts(msgspec.Struct):
    success: bool
    accepted: int
    results: list[EventVerdict]


_batch = msgspec.json.Decoder(SegmentBatch)
_encode = msgspec.json.Encoder().encode
_HEADERS: Final = (JSON,)
_MAX_TIME_CHARS: Final = 64


def decode_batch(body: bytes, headers: Headers | None = None) -> tuple[SegmentBatch, Shared]:
    """The body of `/v1/batch`, and what its messages share. Raises ValueError or RecursionError where it cannot be
    read."""
    batch = _batch.decode(body)
    context = bytes(batch.context)
    orjson.loads(context)
    sent_at = batch.timestamp if batch.sent_at is None else batch.sent_at
    if not isinstance(sent_at, str) or len(sent_at) > _MAX_TIME_CHARS:
        sent_at = None
    context = b"{}" if context == b"null" else context
    return batch, Shared(context, sent_at, _anonymous_id(headers or {}), time_of(sent_at))


class _Messages(BaseEndpoint):
    """Every answer says `success`, and what became of each message."""

    id_member: ClassVar[str] = "messageId"

    def answer(self, reading: Reading) -> Answer:
        """`{"success", "accepted", "results"}`; the clients read nothing of it."""
        results = shown(reading.verdicts)
        return Answer(200, _encode(_Verdicts(True, taken(results), results)), _HEADERS)


class SegmentSingle(_Messages):
    """`POST /v1/track` and its like: one message of the type that the path says."""

    def __init__(self, segment: Segment, kind: str) -> None:
        self._segment = segment
        self._kind = kind
        label, is_shown = f"/v1/{kind}", kind in _SHOWN_AT_START
        self.paths = (RoutePath("POST", label, label, is_shown), RoutePath("POST", f"/v1/{kind[0]}", label))

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict. What is no JSON, or too large, is refused: nothing else would be read of the request."""
        shared = Shared(anonymous_id=_anonymous_id(request.headers))
        verdict = self._segment.read(
            request.body, sender=sender, received_at_ms=request.received_at_ms, kind=self._kind, shared=shared
        )
        if isinstance(verdict, Rejected):
            if verdict.reason is RejectReason.MALFORMED_JSON:
                raise malformed(request.body)
            if verdict.reason is RejectReason.EVENT_TOO_LARGE:
                raise RequestError(verdict.reason, "the message is too large", verdict.detail)
        return Reading([request.body], [verdict])


class SegmentBatches(_Messages):
    """`POST /v1/batch`: messages that say their own type."""

    paths = tuple(
        RoutePath("POST", path, "/v1/batch", is_shown_at_start=True)
        for path in ("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch")
    )

    def __init__(self, segment: Segment, limit: int) -> None:
        self._segment = segment
        self._limit = limit

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each message."""
        try:
            batch, shared = decode_batch(request.body, request.headers)
        except (ValueError, RecursionError):
            raise malformed(request.body) from None
        if len(batch.batch) > self._limit:
            raise too_many(len(batch.batch), self._limit)
        self._segment.check_shared(shared)
        elements = [bytes(one) for one in batch.batch]
        read, received_at_ms = self._segment.read, request.received_at_ms
        verdicts = [read(one, sender=sender, received_at_ms=received_at_ms, shared=shared) for one in elements]
        alone = partial(_standing_alone, shared=shared) if shared.says else None
        return Reading(elements, [*verdicts], alone=alone)

    def replay_body(self, dead_letter: DeadLetterPayload) -> bytes:
        """One message as a batch of its own; a whole batch as it was sent."""
        body = with_id(dead_letter, self.id_member)
        event = parsed(body)
        is_batch = isinstance(event, dict) and event.get("batch") is not None
        return body if is_batch else b'{"batch":[' + body + b"]}"


def _standing_alone(sent: bytes, as_read: bytes, *, shared: Shared) -> bytes:
    """A message with what it shared, as its dead letter must hold it; what is no message stays as it is."""
    try:
        message = orjson.loads(as_read)
        context = orjson.loads(shared.context)
    except orjson.JSONDecodeError:
        return sent
    if not isinstance(message, dict):
        return sent
    added = {"context": context or None, "sentAt": shared.sent_at, "anonymousId": shared.anonymous_id}
    if message.get("userId") is not None:
        del added["anonymousId"]
    try:
        return bytes(with_members(msgspec.Raw(sent), message, added)[0])
    except msgspec.DecodeError:  # a null must give way, in a text that no parser takes
        return bytes(with_members(msgspec.Raw(as_read), message, added)[0])


def _anonymous_id(headers: Headers) -> str | None:
    """RudderStack's browser client repeats the id in base64, for load balancers; a message may rely on it."""
    header = headers.get(b"anonymousid")
    if header is None:
        return None
    try:
        anonymous_id = base64.b64decode(header, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return anonymous_id if len(anonymous_id) <= MAX_ID_CHARS else None


def _endpoints(ingest: Ingest) -> list[Endpoint]:
    segment = Segment(ingest, lambda: f"api-{uuid.uuid4()}")
    singles = [SegmentSingle(segment, kind) for kind in sorted(TYPES)]
    return [SegmentBatches(segment, ingest.limits.events), *singles]


SEGMENT: Final = Format(
    name="segment",
    endpoints=_endpoints,
    pages=(
        Page("POST", "/v1/m", segment_pages.telemetry),
        Page("GET", f"{segment_pages.SETTINGS}*", segment_pages.settings),
        Page("GET", f"{segment_pages.ANALYTICS_JS}*", segment_pages.analytics_js),
        Page("GET", "/sourceConfig", segment_pages.source_config),
    ),
)
