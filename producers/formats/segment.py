"""Segment's tracking messages as native events. Pure, as `producers.ingest` is; docs/api.md shows the mapping.

Names: track -> its `event`; page, screen, identify, group, alias -> the type. Nothing of a message is lost: properties
(or traits) stay as they were sent, with `channel`, `campaign` and `value` added where they are absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import orjson

from producers.body import RequestError, malformed, split_array
from producers.formats.attribution import origin_of_link, text_of
from producers.formats.native import shown, taken
from producers.formats.port import Keyed, Reading, Request
from producers.http import JSON, Header
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
Members = dict[str, msgspec.Raw]
_members = msgspec.json.Decoder(Members)


class SegmentMessage(msgspec.Struct, rename="camel", gc=False):
    """One message, alone or in a batch. Times are texts; all members may be absent or null."""

    type: str | None = None
    message_id: str | int | None = None
    anonymous_id: str | int | None = None
    user_id: str | int | None = None
    previous_id: str | int | None = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    traits: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")
    write_key: str | None = None


class SegmentBatch(msgspec.Struct, rename="camel"):
    """The body of `/v1/batch`: messages, and what they share."""

    batch: msgspec.Raw
    sent_at: Any = None
    context: msgspec.Raw = msgspec.Raw(b"{}")
    write_key: str | None = None


_message = msgspec.json.Decoder(SegmentMessage)
_batch = msgspec.json.Decoder(SegmentBatch)


def decode_batch(body: bytes) -> SegmentBatch:
    """The body of `/v1/batch`. Raises ValueError or RecursionError where it is none."""
    batch = _batch.decode(body)
    orjson.loads(bytes(batch.context))
    return batch


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
        batch: SegmentBatch | None = None,
    ) -> Verdict:
        """Verdict over one message. `kind` is the type of its route; a message of a batch says its own."""
        message: SegmentMessage | None = None
        try:
            parsed = self._ingest.check_text(raw)
            message = _decode(raw)
            event = self._event(message, kind, batch)
            has = has_contacts(parsed.get("properties"), parsed.get("context")) or has_contacts(
                parsed.get("traits"), None if batch is None else orjson.loads(bytes(batch.context))
            )
            times = self._times(message, received_at_ms, batch)
            return self._ingest.finish(event, times, sender, sender.source, None, has_contacts=has)
        except RefusedError as refusal:
            message_id = None if message is None or message.message_id is None else str(message.message_id)
            return Rejected(refusal.reason, refusal.detail, message_id and message_id[:MAX_ID_CHARS])

    def _event(self, message: SegmentMessage, kind: str | None, batch: SegmentBatch | None) -> NativeEvent:
        kind = kind or message.type or ""
        if kind not in TYPES:
            raise RefusedError(
                RejectReason.UNSUPPORTED_TYPE, f"type {kind[:32]!r} is none of {' '.join(sorted(TYPES))}"
            )
        context = as_object("context", message.context)
        if batch is not None:
            context = _under(context, as_object("context", batch.context))
        properties = as_object("properties", message.properties)
        if kind in ("identify", "group"):
            properties = _under(properties, as_object("traits", message.traits))
        anonymous_id = message.anonymous_id
        if kind == "alias" and anonymous_id is None:
            anonymous_id = message.previous_id
        event = NativeEvent(
            id=self._new_id() if message.message_id in (None, "") else message.message_id,
            name=message.event if kind == "track" else kind,
            anonymous_id=anonymous_id,
            user_id=message.user_id,
            properties=msgspec.Raw(_enrich(properties, message, kind, context)),
        )
        if context != b"{}":
            event.context = msgspec.Raw(context)
        return event

    def _times(self, message: SegmentMessage, received_at_ms: int, batch: SegmentBatch | None) -> Times:
        """The message's time with its client's clock corrected. A date that cannot be read never costs the event."""
        client = message.original_timestamp if message.original_timestamp is not None else message.timestamp
        sent = message.sent_at if message.sent_at is not None or batch is None else batch.sent_at
        client_ms = _time_of(client)
        occurred_at_ms, was_unusable = correct_skew_ms(
            client_ms=client_ms,
            sent_ms=_time_of(sent),
            received_ms=received_at_ms,
            max_skew_ms=self._ingest.limits.skew_ms,
        )
        return Times(occurred_at_ms, received_at_ms, was_unusable or (client is not None and client_ms is None))


class _Answering(Keyed):
    """Every answer says `success`, and what became of each message."""

    def answer(self, request: Request, reading: Reading) -> tuple[bytes, Sequence[Header]]:
        """`{"success", "accepted", "results"}`; Segment's clients read nothing of it."""
        results = shown(reading.verdicts)
        return msgspec.json.encode({"success": True, "accepted": taken(results), "results": results}), (JSON,)


class SegmentSingle(_Answering):
    """`POST /v1/track` and its like: one message of the type that the path says."""

    def __init__(self, segment: Segment, kind: str) -> None:
        self._segment = segment
        self._kind = kind

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict."""
        verdict = self._segment.read(
            request.body, sender=sender, received_at_ms=request.received_at_ms, kind=self._kind
        )
        if isinstance(verdict, Rejected) and verdict.reason is RejectReason.MALFORMED_JSON:
            raise malformed(request.body)
        return Reading([request.body], [verdict])


class SegmentBatches(_Answering):
    """`POST /v1/batch`: messages that say their own type."""

    def __init__(self, segment: Segment, limit: int) -> None:
        self._segment = segment
        self._limit = limit

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each message."""
        try:
            batch = decode_batch(request.body)
            elements = split_array(bytes(batch.batch), self._limit)
        except RequestError:
            raise
        except (ValueError, RecursionError):
            raise malformed(request.body) from None
        read, received_at_ms = self._segment.read, request.received_at_ms
        return Reading(
            elements, [read(one, sender=sender, received_at_ms=received_at_ms, batch=batch) for one in elements]
        )


def _decode(raw: bytes) -> SegmentMessage:
    try:
        return _message.decode(raw)
    except msgspec.ValidationError as error:
        raise shape_refusal(raw, error) from None


def _time_of(value: object) -> int | None:
    return parse_time_ms(value[:64]) if isinstance(value, str) else None


def _under(own: bytes, shared: bytes) -> bytes:
    """`own` with the members of `shared` that it has not."""
    if shared == b"{}":
        return own
    if own == b"{}":
        return shared
    return msgspec.json.encode({**_members.decode(shared), **_members.decode(own)})


def _enrich(properties: bytes, message: SegmentMessage, kind: str, context: bytes) -> bytes:
    added = {
        member: value for member, value in (*_attribution(context), *_page_name(message, kind)) if value is not None
    }
    is_order = kind == "track" and (b'"revenue"' in properties or b'"total"' in properties)
    if not added and not is_order:
        return properties
    members = _members.decode(properties)
    for member, text in added.items():
        members.setdefault(member, msgspec.Raw(msgspec.json.encode(text)))
    if is_order and not members.keys() & {"value", "value_minor", "amount"}:
        amount = members.get("revenue", members.get("total"))
        if amount is not None:
            members["value"] = amount
    return msgspec.json.encode(members)


def _page_name(message: SegmentMessage, kind: str) -> tuple[tuple[str, str | None], ...]:
    if kind not in ("page", "screen"):
        return ()
    return ("name", message.name), ("category", message.category)


def _attribution(context: bytes) -> tuple[tuple[str, str | None], ...]:
    """Channel and campaign: of `context.campaign`, else of the page's link. Anything odd in there is ignored."""
    if b'"campaign"' not in context and b"=" not in context:
        return ()
    members: dict[str, Any] = orjson.loads(context)
    campaign, page = _dict(members.get("campaign")), _dict(members.get("page"))
    search, link = origin_of_link(page.get("search")), origin_of_link(page.get("url"))
    return (
        ("channel", text_of(campaign.get("source")) or search.channel or link.channel),
        ("campaign", text_of(campaign.get("name")) or search.campaign or link.campaign),
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
