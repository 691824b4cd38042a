"""Segment's and RudderStack's tracking messages as native events. Pure, as `producers.ingest` is; docs/clients.md shows
the mapping.

Names: track -> its `event`; page, screen, identify, group, alias -> the type. Nothing of a message is lost: properties
(or traits) stay as they were sent, with the members of `producers.formats.segment_mapping` added where they are absent.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from producers.body import RequestError, malformed, split_array
from producers.formats.native import shown, taken
from producers.formats.port import Keyed, Reading, Request
from producers.formats.segment_mapping import (
    V2_NAMES,
    commerce,
    name_of,
    origin_of,
    under,
    with_members,
    without,
)
from producers.http import JSON, Header, Headers
from producers.ingest import (
    Ingest,
    NativeEvent,
    RefusedError,
    Rejected,
    Sender,
    Times,
    Verdict,
    as_object,
    has_contacts,
    shape_refusal,
)
from producers.times import correct_skew_ms, parse_time_ms
from schemas.ids import MAX_ID_CHARS
from schemas.reasons import RejectReason

TYPES: Final = frozenset({"track", "page", "screen", "identify", "group", "alias"})
LETTERS: Final = {one[0]: one for one in sorted(TYPES)}
_CONTACT_NAMES: Final = frozenset({"email", "Email", "EMAIL", "phone", "Phone", "PHONE"})
_NOTHING: Final = msgspec.Raw(b"{}")
_Id = str | int | None
Added = dict[str, Any]
"""Members for the properties, where these have none of the name; None adds nothing."""


class SegmentMessage(msgspec.Struct, rename="camel", gc=False):
    """One message, alone or in a batch. Times are texts; all members may be absent or null."""

    type: str | None = None
    message_id: _Id = None
    anonymous_id: _Id = None
    user_id: _Id = None
    previous_id: _Id = None
    group_id: _Id = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    properties: msgspec.Raw = _NOTHING
    traits: msgspec.Raw = _NOTHING
    context: msgspec.Raw = _NOTHING
    write_key: str | None = None


class SegmentBatch(msgspec.Struct, rename="camel"):
    """The body of `/v1/batch`: messages, and what they share. `timestamp` is when an older client sent it."""

    batch: msgspec.Raw
    sent_at: Any = None
    timestamp: Any = None
    context: msgspec.Raw = _NOTHING
    write_key: str | None = None


_message = msgspec.json.Decoder(SegmentMessage)
_batch = msgspec.json.Decoder(SegmentBatch)


@dataclass(frozen=True, slots=True)
class Shared:
    """What stands beside a message and counts for it where it says nothing itself."""

    context: bytes = b"{}"
    sent_at: object = None
    anonymous_id: str | None = None
    """Of RudderStack's header."""

    @property
    def says(self) -> bool:
        """Whether a message would lack something without it."""
        return self.context != b"{}" or self.sent_at is not None or self.anonymous_id is not None


ALONE: Final = Shared()


def decode_batch(body: bytes, headers: Headers | None = None) -> tuple[SegmentBatch, Shared]:
    """The body of `/v1/batch`, and what its messages share. Raises ValueError or RecursionError where it is none."""
    batch = _batch.decode(body)
    context = bytes(batch.context)
    orjson.loads(context)
    sent_at = batch.timestamp if batch.sent_at is None else batch.sent_at
    return batch, Shared(b"{}" if context == b"null" else context, sent_at, _anonymous_id(headers or {}))


class Segment:
    """Reads Segment's messages with the checks of `ingest`. `new_id` makes an id for a message that has none (its
    retries cannot be recognised then)."""

    def __init__(self, ingest: Ingest, new_id: Callable[[], str]) -> None:
        self._ingest = ingest
        self._new_id = new_id

    def read(
        self,
        raw: bytes,
        *,
        sender: Sender,
        received_at_ms: int,
        kind: str | None = None,
        shared: Shared = ALONE,
    ) -> Verdict:
        """Verdict over one message. `kind` is the type of its route; a message of a batch says its own."""
        message: SegmentMessage | None = None
        try:
            parsed = self._ingest.check_text(raw)
            message = _decode(raw)
            kind = kind or message.type or ""
            if kind not in TYPES:
                raise RefusedError(
                    RejectReason.UNSUPPORTED_TYPE, f"type {kind[:32]!r} is none of {' '.join(sorted(TYPES))}"
                )
            return self._verdict(_Message(message, parsed, kind), shared, sender, received_at_ms)
        except RefusedError as refusal:
            message_id = None if message is None or message.message_id is None else str(message.message_id)
            return Rejected(refusal.reason, refusal.detail, message_id and message_id[:MAX_ID_CHARS])

    def _verdict(self, it: _Message, shared: Shared, sender: Sender, received_at_ms: int) -> Verdict:
        message, kind = it.message, it.kind
        context, about = it.context(shared)
        name, properties, members, added = self._told(it)
        added["channel"], added["campaign"] = origin_of(about)
        anonymous_id, user_id = message.anonymous_id, message.user_id
        if kind == "alias" and anonymous_id is None and message.previous_id != user_id:
            anonymous_id = message.previous_id
        elif anonymous_id is None and user_id is None:
            anonymous_id = shared.anonymous_id
        event = NativeEvent(
            id=self._new_id() if message.message_id in (None, "") else message.message_id,
            name=name,
            anonymous_id=anonymous_id,
            user_id=user_id,
            properties=msgspec.Raw(with_members(properties, members, added)),
        )
        if context != b"{}":
            event.context = msgspec.Raw(context)
        has = has_contacts(members, about)
        times = self._times(message, received_at_ms, shared)
        return self._ingest.finish(event, times, sender, sender.source, None, has_contacts=has)

    def _told(self, it: _Message) -> tuple[str | None, bytes, dict[str, Any], Added]:
        """(name of the event, its properties, the same read, what is to be added to them). A name that some funnel
        looks at is never translated."""
        raw, members = it.object("properties", it.message.properties)
        if it.kind == "track":
            event = it.message.event
            if not event or len(event) > self._ingest.limits.name_chars:
                return event, raw, members, {}
            name = name_of(event)
            translated = name if self._ingest.looks_at(name) else V2_NAMES.get(name, name)
            return translated, raw, members, commerce(name, raw, members)
        return it.kind, *_of_other(it, raw, members)

    def _times(self, message: SegmentMessage, received_at_ms: int, shared: Shared) -> Times:
        """The message's time with its client's clock corrected. A date that cannot be read, or lies before there was
        anything to count, never costs the event."""
        client = message.original_timestamp if message.original_timestamp is not None else message.timestamp
        client_ms = _time_of(client)
        if client_ms is not None and client_ms < self._ingest.limits.earliest_ms:
            client_ms = None
        occurred_at_ms, was_unusable = correct_skew_ms(
            client_ms=client_ms,
            sent_ms=_time_of(shared.sent_at if message.sent_at is None else message.sent_at),
            received_ms=received_at_ms,
            max_skew_ms=self._ingest.limits.skew_ms,
        )
        return Times(occurred_at_ms, received_at_ms, was_unusable or (client is not None and client_ms is None))


@dataclass(slots=True)
class _Message:
    """A message, the same as plain values, and its type."""

    message: SegmentMessage
    parsed: dict[str, Any]
    kind: str

    def object(self, member: str, raw: msgspec.Raw) -> tuple[bytes, dict[str, Any]]:
        """A member that must be an object, as bytes and as values. Raises RefusedError."""
        return as_object(member, raw), self.parsed.get(member) or {}

    def context(self, shared: Shared) -> tuple[bytes, dict[str, Any]]:
        """Its own context over the shared one."""
        raw, about = self.object("context", self.message.context)
        if shared.context == b"{}":
            return raw, about
        raw = under(raw, as_object("context", msgspec.Raw(shared.context)))
        return raw, orjson.loads(raw)


def _of_other(it: _Message, raw: bytes, members: dict[str, Any]) -> tuple[bytes, dict[str, Any], Added]:
    """Properties of what is no track. The address of a group is nobody's own: it would make one contact of them all."""
    message = it.message
    if it.kind in ("page", "screen"):
        return raw, members, {"name": message.name, "category": message.category}
    if it.kind == "alias":
        is_person = message.anonymous_id is None and message.previous_id != message.user_id
        return raw, members, {"previous_id": None if is_person else message.previous_id}
    traits_raw, traits = it.object("traits", message.traits)
    if it.kind == "group" and not _CONTACT_NAMES.isdisjoint(traits):
        traits_raw = without(traits_raw, _CONTACT_NAMES)
        traits = {name: value for name, value in traits.items() if name not in _CONTACT_NAMES}
    return under(raw, traits_raw), {**traits, **members}, {"group_id": message.group_id}


class _Answering(Keyed):
    """Every answer says `success`, and what became of each message."""

    def answer(self, request: Request, reading: Reading) -> tuple[bytes, Sequence[Header]]:
        """`{"success", "accepted", "results"}`; the clients read nothing of it."""
        results = shown(reading.verdicts)
        return msgspec.json.encode({"success": True, "accepted": taken(results), "results": results}), (JSON,)


class SegmentSingle(_Answering):
    """`POST /v1/track` and its like: one message of the type that the path says."""

    def __init__(self, segment: Segment, kind: str) -> None:
        self._segment = segment
        self._kind = kind

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


class SegmentBatches(_Answering):
    """`POST /v1/batch`: messages that say their own type."""

    def __init__(self, segment: Segment, limit: int) -> None:
        self._segment = segment
        self._limit = limit

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each message."""
        try:
            batch, shared = decode_batch(request.body, request.headers)
            elements = split_array(bytes(batch.batch), self._limit)
        except RequestError:
            raise
        except (ValueError, RecursionError):
            raise malformed(request.body) from None
        read, received_at_ms = self._segment.read, request.received_at_ms
        verdicts = [read(one, sender=sender, received_at_ms=received_at_ms, shared=shared) for one in elements]
        if shared.says:
            for at, verdict in enumerate(verdicts):
                if isinstance(verdict, Rejected):
                    elements[at] = _standing_alone(elements[at], shared)
        return Reading(elements, [*verdicts])


def _standing_alone(raw: bytes, shared: Shared) -> bytes:
    """A message with what it shared in it, as its dead letter must hold it; what is no message stays as it is."""
    try:
        message = orjson.loads(raw)
        context = orjson.loads(shared.context)
    except orjson.JSONDecodeError:
        return raw
    if not isinstance(message, dict):
        return raw
    added = {"context": context or None, "sentAt": shared.sent_at, "anonymousId": shared.anonymous_id}
    if message.get("userId") is not None:
        del added["anonymousId"]
    return with_members(raw, message, added)


def _anonymous_id(headers: Headers) -> str | None:
    """RudderStack's browser client repeats the id in base64, for load balancers; a message may rely on it."""
    header = headers.get(b"anonymousid")
    if header is None:
        return None
    try:
        return base64.b64decode(header, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _decode(raw: bytes) -> SegmentMessage:
    try:
        return _message.decode(raw)
    except msgspec.ValidationError as error:
        raise shape_refusal(raw, error) from None


def _time_of(value: object) -> int | None:
    return parse_time_ms(value[:64]) if isinstance(value, str) else None
