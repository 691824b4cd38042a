"""One message of Segment's or RudderStack's clients as a native event. Pure; docs/clients.md shows the mapping.

Names: track -> its `event`; page, screen, identify, group, alias -> the type. Nothing of a message is lost: properties
(or traits) stay as they were sent, with the members of `producers.formats.segment_mapping` added where they are absent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from producers.formats.attribution import UNKNOWN, Origin
from producers.formats.segment_mapping import (
    NOTHING_ADDED,
    V2_NAMES,
    Added,
    commerce,
    name_of,
    origin_of,
    under,
    with_members,
    with_origin,
    without,
)
from producers.http.body import RequestError
from producers.ingest.checks import Ingest
from producers.ingest.objects import has_contacts, is_deeper, shape_refusal
from producers.ingest.times import correct_skew_ms, parse_time_ms
from producers.ingest.verdicts import NativeEvent, RefusedError, Rejected, Sender, Times, Verdict
from schemas.ids import MAX_ID_CHARS
from schemas.properties import CONTACT_NAMES
from schemas.reasons import RejectReason

TYPES: Final = frozenset({"track", "page", "screen", "identify", "group", "alias"})
_NOTHING: Final = msgspec.Raw(b"{}")
_Id = str | int | None


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


_decode = msgspec.json.Decoder(SegmentMessage).decode


@dataclass(frozen=True, slots=True)
class Shared:
    """What stands beside a message and counts for it where it says nothing itself."""

    context: bytes = b"{}"
    sent_at: object = None
    anonymous_id: str | None = None
    """Of RudderStack's header."""
    sent_ms: int | None = None

    @property
    def says(self) -> bool:
        """Whether a message would lack something without it."""
        return self.context != b"{}" or self.sent_at is not None or self.anonymous_id is not None


ALONE: Final = Shared()


class Segment:
    """Reads Segment's messages with the checks of `ingest`. `new_id` makes an id for a message that has none (its
    retries cannot be recognised then)."""

    def __init__(self, ingest: Ingest, new_id: Callable[[], str]) -> None:
        self._ingest = ingest
        self._new_id = new_id

    def check_shared(self, shared: Shared) -> None:
        """Hold what the messages of a batch share to a part of what one of them may have: it is written with each, and
        a small request must not become a large one. Raises RequestError."""
        limits, context = self._ingest.limits, shared.context
        if len(context) > limits.event_bytes // 4:
            detail = f"{len(context)} bytes; it may have {limits.event_bytes // 4}, and is written with every message"
            raise RequestError(RejectReason.EVENT_TOO_LARGE, "the context of the batch is too large", detail)
        if is_deeper(context, limits.depth):
            detail = f"nested deeper than {limits.depth}"
            raise RequestError(RejectReason.TOO_DEEP, "the context of the batch is too deep", detail)

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
            context, about = _context_of(message, parsed, shared)
            event, members = self._event(message, parsed, kind, origin_of(about))
            if kind != "alias" and event.anonymous_id is None and event.user_id is None:
                event.anonymous_id = shared.anonymous_id
            if about:
                event.context = context
            has = has_contacts(members, about)
            times = self._times(message, received_at_ms, shared)
            return self._ingest.finish(event, times, sender, sender.source, None, has_contacts=has)
        except RefusedError as refusal:
            return _rejected(refusal, message)
        except msgspec.ValidationError as error:
            return _rejected(shape_refusal(raw, error), None)

    def _event(
        self, message: SegmentMessage, parsed: dict[str, Any], kind: str, origin: Origin
    ) -> tuple[NativeEvent, dict[str, Any]]:
        """(the event without its context, what its properties say)."""
        name: str | None = kind
        members = object_of(parsed, "properties")
        raw = message.properties if members else _NOTHING
        if kind == "track":
            name, added = self._track(message.event, raw, members)
        else:
            raw, members, added = _of_other(message, parsed, kind, raw, members)
        if added is not NOTHING_ADDED:
            raw, members = with_members(raw, members, added)
        if origin is not UNKNOWN:
            raw = with_origin(raw, members, origin)
        anonymous_id = message.anonymous_id
        if kind == "alias" and anonymous_id is None and message.previous_id != message.user_id:
            anonymous_id = message.previous_id
        event = NativeEvent(
            id=self._new_id() if message.message_id is None or message.message_id == "" else message.message_id,
            name=name,
            anonymous_id=anonymous_id,
            user_id=message.user_id,
            properties=raw,
        )
        return event, members

    def _track(self, event: str | None, raw: msgspec.Raw, members: dict[str, Any]) -> tuple[str | None, Added]:
        """(its name, what is to be added). A name that some funnel looks at is never translated."""
        if not event or len(event) > self._ingest.limits.name_chars:
            return event, NOTHING_ADDED
        name = name_of(event)
        translated = V2_NAMES.get(name)
        if translated is None or self._ingest.looks_at(name):
            translated = name
        return translated, commerce(name, raw, members)

    def _times(self, message: SegmentMessage, received_at_ms: int, shared: Shared) -> Times:
        """The message's time with its client's clock corrected. A date that cannot be read, or lies before there was
        anything to count, never costs the event."""
        client = message.timestamp if message.original_timestamp is None else message.original_timestamp
        if client is None:
            return Times(received_at_ms, received_at_ms)
        client_ms = time_of(client)
        if client_ms is None or client_ms < self._ingest.limits.earliest_ms:
            return Times(received_at_ms, received_at_ms, True)
        occurred_at_ms, was_unusable = correct_skew_ms(
            client_ms=client_ms,
            sent_ms=shared.sent_ms if message.sent_at is None else time_of(message.sent_at),
            received_ms=received_at_ms,
            max_skew_ms=self._ingest.limits.skew_ms,
        )
        return Times(occurred_at_ms, received_at_ms, was_unusable)


def _context_of(message: SegmentMessage, parsed: dict[str, Any], shared: Shared) -> tuple[msgspec.Raw, dict[str, Any]]:
    """A message's own context over the shared one, as it was sent and as values."""
    about = object_of(parsed, "context")
    if shared.context == b"{}":
        return message.context, about
    base = orjson.loads(shared.context)
    if not isinstance(base, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, "context must be an object")
    own = bytes(message.context) if about else b"{}"
    return msgspec.Raw(under(own, shared.context)), {**base, **about}


def _of_other(
    message: SegmentMessage, parsed: dict[str, Any], kind: str, raw: msgspec.Raw, members: dict[str, Any]
) -> tuple[msgspec.Raw, dict[str, Any], Added]:
    """Properties of what is no track. The address of a group is nobody's own: it would make one contact of them all."""
    if kind in ("page", "screen"):
        if message.name is None and message.category is None:
            return raw, members, NOTHING_ADDED
        return raw, members, {"name": message.name, "category": message.category}
    if kind == "alias":
        is_person = message.anonymous_id is None and message.previous_id != message.user_id
        is_told = is_person or message.previous_id == message.anonymous_id
        return raw, members, {"previous_id": None if is_told else message.previous_id}
    traits = object_of(parsed, "traits")
    traits_raw = bytes(message.traits) if traits else b"{}"
    if kind == "identify" and not traits and isinstance(found := object_of(parsed, "context").get("traits"), dict):
        traits, traits_raw = found, msgspec.json.encode(found)  # where RudderStack's clients put them
    if kind == "group" and not CONTACT_NAMES.isdisjoint(traits):
        traits_raw = without(traits_raw, CONTACT_NAMES)
        traits = {name: value for name, value in traits.items() if name not in CONTACT_NAMES}
    whole = msgspec.Raw(under(bytes(raw), traits_raw))
    return whole, {**traits, **members}, {"group_id": message.group_id}


def object_of(parsed: dict[str, Any], member: str) -> dict[str, Any]:
    """A member that must be an object; null is as good as an empty one. Raises RefusedError."""
    found = parsed.get(member)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, f"{member} must be an object")
    return found


def _rejected(refusal: RefusedError, message: SegmentMessage | None) -> Rejected:
    message_id = None if message is None or message.message_id is None else str(message.message_id)
    return Rejected(refusal.reason, refusal.detail, message_id and message_id[:MAX_ID_CHARS])


def time_of(value: object) -> int | None:
    """Epoch milliseconds of a date, None for anything else."""
    return parse_time_ms(value[:64]) if isinstance(value, str) else None
