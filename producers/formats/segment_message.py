"""One message of Segment's or RudderStack's clients as an event. Pure; docs/clients.md shows the mapping.

Names: track -> its `event`; page, screen, identify, group, alias -> the type. Nothing of a message is lost: properties
(or traits) stay as they were sent, with the members of `producers.formats.segment_mapping` added where they are absent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from producers.formats.segment_mapping import (
    NOTHING_ADDED,
    V2_NAMES,
    Added,
    commerce,
    name_of,
    under,
    without,
)
from producers.http.body import RequestError
from producers.ingest.checks import Ingest
from producers.ingest.event import ABSENT, EMPTY_OBJECT, Event, Id, Members
from producers.ingest.objects import is_deeper, object_in, shape_refusal, with_members
from producers.ingest.text import parse_event
from producers.ingest.times import parse_time_ms
from producers.ingest.verdicts import RefusedError, Rejected, Sender, Verdict
from schemas.ids import MAX_ID_CHARS, clean_event_id
from schemas.properties import CONTACT_NAMES
from schemas.reasons import RejectReason

TYPES: Final = frozenset({"track", "page", "screen", "identify", "group", "alias"})


class SegmentMessage(msgspec.Struct, rename="camel", gc=False):
    """One message, alone or in a batch. Times are texts; all members may be absent or null."""

    type: str | None = None
    message_id: Id = None
    anonymous_id: Id = None
    user_id: Id = None
    previous_id: Id = None
    group_id: Id = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    properties: msgspec.Raw = EMPTY_OBJECT
    traits: msgspec.Raw = EMPTY_OBJECT
    context: msgspec.Raw = EMPTY_OBJECT


_decode = msgspec.json.Decoder(SegmentMessage).decode


@dataclass(frozen=True, slots=True)
class Shared:
    """What stands beside a message in its request, and counts where the message says nothing itself."""

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
        """Limit what the messages of a batch share to a part of what one of them may have: it is written with each, and
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
            parsed = parse_event(raw, self._ingest.limits)
            message = _decode(raw)
            kind = kind or message.type or ""
            if kind not in TYPES:
                raise RefusedError(
                    RejectReason.UNSUPPORTED_TYPE, f"type {kind[:32]!r} is none of {' '.join(sorted(TYPES))}"
                )
            event = self._event(message, parsed, kind=kind, shared=shared)
        except RefusedError as refusal:
            return _rejected(refusal, message)
        except msgspec.ValidationError as error:
            return _rejected(shape_refusal(raw, error), None)
        verdict = self._ingest.checked(event, sender=sender, received_at_ms=received_at_ms)
        return _rejected(verdict, message) if isinstance(verdict, Rejected) else verdict

    def _event(self, message: SegmentMessage, parsed: Members, *, kind: str, shared: Shared) -> Event:
        """The message as an event. Raises RefusedError."""
        context_json, context = _context_of(message, parsed, shared=shared)
        name: str | None = kind
        members = object_in(parsed, "properties")
        raw = message.properties if members else EMPTY_OBJECT
        if kind == "track":
            name, added = self._track(message.event, raw, members=members)
        else:
            raw, members, added = _of_other(message, parsed, kind=kind, raw=raw, members=members)
        if added is not NOTHING_ADDED:
            raw, members = with_members(raw, members, added)
        event = Event(
            id=clean_event_id(message.message_id) or self._new_id(),
            name=name,
            anonymous_id=message.anonymous_id,
            user_id=message.user_id,
            properties=members,
            context=context,
            properties_json=raw,
            context_json=context_json if context else ABSENT,
        )
        if message.anonymous_id is None:
            event.anonymous_id = _other_id(message, kind, shared=shared)
        self._set_times(event, message, shared=shared)
        return event

    def _track(self, event: str | None, raw: msgspec.Raw, *, members: dict[str, Any]) -> tuple[str | None, Added]:
        """(its name, what is to be added). A name that some funnel looks at is never translated."""
        if not event or len(event) > self._ingest.limits.name_chars:
            return event, NOTHING_ADDED
        name = name_of(event)
        translated = V2_NAMES.get(name)
        if translated is None or self._ingest.looks_at(name):
            translated = name
        return translated, commerce(name, raw, properties=members)

    def _set_times(self, event: Event, message: SegmentMessage, *, shared: Shared) -> None:
        """A date that cannot be read, or lies before there was anything to count, never costs the event."""
        client = message.timestamp if message.original_timestamp is None else message.original_timestamp
        if client is None:
            return
        client_ms = time_of(client)
        if client_ms is None or client_ms < self._ingest.limits.earliest_ms:
            event.is_time_unreadable = True
            return
        event.client_ms = client_ms
        event.sent_ms = shared.sent_ms if message.sent_at is None else time_of(message.sent_at)


def _other_id(message: SegmentMessage, kind: str, *, shared: Shared) -> Id:
    """Of a message without an anonymous id: of an alias the previous id, else without an account the shared one."""
    if kind == "alias":
        return message.previous_id if message.previous_id != message.user_id else None
    return shared.anonymous_id if message.user_id is None else None


def _context_of(
    message: SegmentMessage, parsed: dict[str, Any], *, shared: Shared
) -> tuple[msgspec.Raw, dict[str, Any]]:
    """A message's own context over the shared one, as it was sent and as values."""
    about = object_in(parsed, "context")
    if shared.context == b"{}":
        return message.context, about
    base = orjson.loads(shared.context)
    if not isinstance(base, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, "context must be an object")
    own = bytes(message.context) if about else b"{}"
    return msgspec.Raw(under(own, shared.context)), {**base, **about}


def _of_other(
    message: SegmentMessage, parsed: dict[str, Any], *, kind: str, raw: msgspec.Raw, members: dict[str, Any]
) -> tuple[msgspec.Raw, dict[str, Any], Added]:
    """Properties of all types but track. The address of a group is not a person's: it would make one contact of all its
    members."""
    if kind in ("page", "screen"):
        if message.name is None and message.category is None:
            return raw, members, NOTHING_ADDED
        return raw, members, {"name": message.name, "category": message.category}
    if kind == "alias":
        is_person = message.anonymous_id is None and message.previous_id != message.user_id
        is_told = is_person or message.previous_id == message.anonymous_id
        return raw, members, {"previous_id": None if is_told else message.previous_id}
    traits = object_in(parsed, "traits")
    traits_raw = bytes(message.traits) if traits else b"{}"
    if kind == "identify" and not traits and isinstance(of_context := object_in(parsed, "context").get("traits"), dict):
        traits, traits_raw = of_context, msgspec.json.encode(of_context)  # where RudderStack's clients put them
    if kind == "group" and not CONTACT_NAMES.isdisjoint(traits):
        traits_raw = without(traits_raw, CONTACT_NAMES)
        traits = {name: value for name, value in traits.items() if name not in CONTACT_NAMES}
    whole = msgspec.Raw(under(bytes(raw), traits_raw))
    return whole, {**traits, **members}, {"group_id": message.group_id}


def _rejected(refusal: RefusedError | Rejected, message: SegmentMessage | None) -> Rejected:
    """Named by the id that the message has, not by one that was made for it."""
    message_id = None if message is None or message.message_id is None else str(message.message_id)
    return Rejected(refusal.reason, refusal.detail, message_id and message_id[:MAX_ID_CHARS])


def time_of(value: object) -> int | None:
    """Epoch milliseconds of a date, None for anything else."""
    return parse_time_ms(value[:64]) if isinstance(value, str) else None
