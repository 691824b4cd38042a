"""From one event as it was sent to the record that goes on Kafka, or to the reason why not.

Pure: no clock (the time of reception is an argument), no I/O, no logging. The collector and a replay through memory
call the same functions, so both make the same records, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec
import orjson

from producers.contacts import Contacts
from producers.limits import Limits
from producers.privacy import IP_NAMES, Privacy
from producers.times import MAX_MS, correct_skew_ms, parse_time_ms
from schemas.ids import MAX_ID_CHARS, is_placeholder, person_key
from schemas.names import normalise_name
from schemas.reasons import RejectReason
from schemas.record import EventRecord, encode_tick

DEFAULT_SOURCE: Final = "default"
_EMPTY: Final = b"{}"
_ABSENT: Final = msgspec.Raw(b"null")
NOTHING: Final = msgspec.Raw(b"{}")
"""Properties or a context without a member."""
_CONTACT_NAMES: Final = frozenset({"email", "Email", "EMAIL", "phone", "Phone", "PHONE"})
_PERSONAL_NAMES: Final = _CONTACT_NAMES | IP_NAMES
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""Never looks at a byte twice: what has no closing quote is a string to its end."""
_ONE_KIND: Final = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS: Final = bytes(one for one in range(256) if one not in b"[]{}")
_BRACKET: Final = ord("[")
_name_of = lru_cache(maxsize=4096)(normalise_name)

Sequence = tuple[str, int]
"""(session, running number) of an ordered sender."""


class Scope(StrEnum):
    """What a key may do. A browser's key is public; a historical one may set the time of reception; a read key sends
    nothing."""

    BROWSER = "browser"
    SERVER = "server"
    HISTORICAL = "historical"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: the source of a write key and its scope."""

    source: str = DEFAULT_SOURCE
    scope: Scope = Scope.SERVER
    id: str = field(default="", compare=False)
    """Of the write key: sessions of two keys are two sessions, whatever they are called."""
    allow: frozenset[str] = field(default=frozenset(), compare=False)
    """Names (normalised) that a browser's key may send although they are for servers."""
    origins: tuple[str, ...] = field(default=(), compare=False)
    """Pages that may use a browser's key; empty: all."""
    rate: float | None = field(default=None, compare=False)
    """Events a second, None: as the collector says."""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event as it goes on Kafka. `key` is None for an event without a person (ad spend)."""

    id: str
    name: str
    key: bytes | None
    value: bytes
    received_at_ms: int
    was_clamped: bool = False
    placeholder_ids: int = 0
    is_known: bool = True


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """A time that moves the watermark of every partition."""

    tick_ms: int
    value: bytes


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """Why an event is not taken. `id` is what could be read of it."""

    reason: RejectReason
    detail: str
    id: str | None = None


class Deferred(msgspec.Struct, frozen=True, gc=False):
    """A webhook that names a thing without describing it: stored whole for the enricher, which makes the event."""

    id: str
    key: bytes
    value: bytes


class Deduplicated(msgspec.Struct, frozen=True, gc=False):
    """A delivery that is stored already; nothing is written."""

    id: str | None = None


Verdict = Accepted | Ticked | Rejected
"""What the checks say of one event."""
Outcome = Verdict | Deferred | Deduplicated
"""What becomes of one element of a request."""


class NativeEvent(msgspec.Struct, gc=False):
    """An event of `POST /v1/events`, or a tick; other formats are translated into it. Unknown members are ignored."""

    id: str | int | None = None
    name: str | None = None
    occurred_at_ms: int | None = None
    occurred_at: str | None = None
    received_at_ms: int | None = None
    anonymous_id: str | int | None = None
    contact_id: str | int | None = None
    user_id: str | int | None = None
    email: str | None = None
    phone: str | int | None = None
    source: str | None = None
    properties: msgspec.Raw = NOTHING
    context: msgspec.Raw = _ABSENT
    tick: int | None = None
    marker: str | None = None


class Translated(msgspec.Struct, gc=False):
    """An event as another format tells it, before any check. Times are epoch milliseconds of the client's clock; `None`
    is absent. An e-mail or phone among the properties or in `context.traits` is found there."""

    id: str | int | None = None
    name: str | None = None
    anonymous_id: str | int | None = None
    contact_id: str | int | None = None
    user_id: str | int | None = None
    email: str | None = None
    phone: str | None = None
    client_ms: int | None = None
    sent_ms: int | None = None
    is_time_unreadable: bool = False
    """A time was sent, and is none: reception is taken, and counted."""
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}


class Times(msgspec.Struct, frozen=True, gc=False):
    """When an event occurred and was received, and whether an absurd time was already mended."""

    occurred_at_ms: int
    received_at_ms: int
    was_clamped: bool = False


class RefusedError(Exception):
    """Carries a `Rejected` out of nested checks; never leaves the functions that give a verdict."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Ingest:
    """The checks of one installation.

    `known_names` (normalised) are the events that some funnel looks at; others are accepted and marked, or rejected
    with `strict_names`. `personless_names` may come without an id of a person. A browser's key may not send
    `server_names` (normalised): anybody can read it off a page, and money must not be what anybody says.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        contacts: Contacts | None = None,
        keep_contacts: bool = False,
        known_names: Iterable[str] | None = None,
        personless_names: Iterable[str] = ("ad_spend",),
        strict_names: bool = False,
        server_names: Iterable[str] = (),
        privacy: Privacy | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._contacts = contacts
        self._keep_contacts = keep_contacts
        self._known = None if known_names is None else frozenset(known_names) | frozenset(personless_names)
        self._personless = frozenset(personless_names)
        self._strict = strict_names
        self._server_names = frozenset(server_names)
        self._encode = (privacy or Privacy()).encode
        self._decode = msgspec.json.Decoder(NativeEvent).decode

    def looks_at(self, name: str) -> bool:
        """Whether some funnel looks at events of this (normalised) name."""
        return self._known is not None and name in self._known

    def native(
        self, raw: bytes, *, sender: Sender, received_at_ms: int | None, sequence: Sequence | None = None
    ) -> Verdict:
        """Verdict over one native event or tick.

        A sender of scope historical may state `received_at_ms` (default: when it occurred) and `source`. Without a
        clock (`received_at_ms` None) an event that states no time is rejected.
        """
        event: NativeEvent | None = None
        parsed: Any = None
        try:
            parsed = self.check_text(raw)
            event = self._decode(raw)
            if event.tick is not None:
                return _tick(event, sender, sequence)
            has_contacts = take_objects(event, parsed)
            times = self._times(event, sender, received_at_ms)
            source = sender.source
            if event.source is not None and sender.scope is Scope.HISTORICAL:
                source = self._source(event.source)
            return self.finish(event, times, sender, source, sequence, has_contacts=has_contacts)
        except RefusedError as refusal:
            return Rejected(refusal.reason, refusal.detail, id_of(event) or id_in(parsed))
        except msgspec.ValidationError as error:
            shape = shape_refusal(raw, error)
            return Rejected(shape.reason, shape.detail, id_in(parsed))

    def check_text(self, raw: bytes) -> Any:
        """The JSON value of one event within the bounds of size and depth. Parsed whole, although its parts go on as
        they were sent: a worker must be able to read whatever is accepted. Raises RefusedError."""
        if len(raw) > self.limits.event_bytes:
            raise RefusedError(
                RejectReason.EVENT_TOO_LARGE, f"{len(raw)} bytes; an event may have {self.limits.event_bytes}"
            )
        brackets = raw.count(b"{") + raw.count(b"[") if _BRACKET in raw else raw.count(b"{")
        if brackets > self.limits.depth and is_deeper(raw, self.limits.depth):
            raise RefusedError(RejectReason.TOO_DEEP, f"nested deeper than {self.limits.depth}")
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise RefusedError(RejectReason.MALFORMED_JSON, str(error)) from None

    def _times(self, event: NativeEvent, sender: Sender, received_at_ms: int | None) -> Times:
        occurred_at_ms = event.occurred_at_ms
        if occurred_at_ms is None and event.occurred_at is not None:
            occurred_at_ms = _time_of(event.occurred_at)
        if sender.scope is Scope.HISTORICAL:
            if occurred_at_ms is not None:
                _check_time("occurred_at_ms", occurred_at_ms)
            received_at_ms = _stated_reception(event, occurred_at_ms, received_at_ms)
        elif occurred_at_ms is not None and not self.limits.earliest_ms <= occurred_at_ms <= MAX_MS:
            _check_time("occurred_at_ms", occurred_at_ms)
            raise RefusedError(
                RejectReason.INVALID_TIME,
                f"occurred_at_ms {occurred_at_ms} lies before 2000; write milliseconds since 1970, not seconds",
            )
        if received_at_ms is None:
            raise RefusedError(RejectReason.INVALID_TIME, "occurred_at_ms is missing")
        return Times(received_at_ms if occurred_at_ms is None else occurred_at_ms, received_at_ms)

    def _source(self, source: str) -> str:
        source = source.strip()
        if not source:
            return DEFAULT_SOURCE
        if len(source) > self.limits.source_chars:
            raise RefusedError(
                RejectReason.NAME_TOO_LONG, f"source is longer than {self.limits.source_chars} characters"
            )
        return source

    def translated(self, event: Translated, *, sender: Sender, received_at_ms: int) -> Verdict:
        """Verdict over an event that was read from another format. Never raises."""
        try:
            native = NativeEvent(
                id=event.id,
                name=event.name,
                anonymous_id=event.anonymous_id,
                contact_id=event.contact_id,
                user_id=event.user_id,
                email=event.email,
                phone=event.phone,
            )
            if event.properties:
                native.properties = self._raw("properties", event.properties)
            if event.context:
                native.context = self._raw("context", event.context)
            occurred_at_ms, was_unusable = correct_skew_ms(
                client_ms=event.client_ms,
                sent_ms=event.sent_ms,
                received_ms=received_at_ms,
                max_skew_ms=self.limits.skew_ms,
            )
            times = Times(occurred_at_ms, received_at_ms, was_unusable or event.is_time_unreadable)
            has = has_contacts(event.properties, event.context)
            return self.finish(native, times, sender, sender.source, None, has_contacts=has)
        except RefusedError as refusal:
            return Rejected(refusal.reason, refusal.detail, None if event.id is None else str(event.id)[:MAX_ID_CHARS])

    def _raw(self, member: str, value: dict[str, Any]) -> msgspec.Raw:
        try:
            raw = orjson.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise RefusedError(RejectReason.WRONG_TYPE, f"{member}: {error}") from None
        if len(raw) > self.limits.event_bytes:
            raise RefusedError(
                RejectReason.EVENT_TOO_LARGE, f"{len(raw)} bytes; an event may have {self.limits.event_bytes}"
            )
        return msgspec.Raw(raw)

    def finish(
        self,
        event: NativeEvent,
        times: Times,
        sender: Sender,
        source: str,
        sequence: Sequence | None,
        *,
        has_contacts: bool,
    ) -> Verdict:
        """The checks that all formats share; raises RefusedError. `has_contacts`: an e-mail, a phone or the address of
        a machine may lie among the properties or in the context."""
        event_id, name = self._identity(event)
        if name in self._server_names and sender.scope is Scope.BROWSER and name not in sender.allow:
            raise RefusedError(
                RejectReason.NOT_ALLOWED,
                f"{name!r} is for servers: send it with a key of the scope server, or make this one with --allow",
            )
        anonymous_id = event.anonymous_id if event.anonymous_id is None else _clean("anonymous_id", event.anonymous_id)
        contact_id = event.contact_id if event.contact_id is None else _clean("contact_id", event.contact_id)
        user_id = event.user_id if event.user_id is None else _clean("user_id", event.user_id)
        placeholders = (anonymous_id == "") + (contact_id == "") + (user_id == "")
        if has_contacts or event.email is not None or event.phone is not None:
            made = self._take_contacts(event, has_contacts=has_contacts)
            contact_id = contact_id or made or contact_id  # a placeholder hides no e-mail, and stays one without
        key = person_key(user_id or None, contact_id or None, anonymous_id or None)
        if key is None and name not in self._personless:
            raise RefusedError(RejectReason.MISSING_PERSON, _no_person(placeholders))
        is_known = self._known is None or name in self._known
        if not is_known and self._strict:
            raise RefusedError(RejectReason.UNKNOWN_NAME, f"no funnel looks at {name!r}")
        occurred_at_ms, received_at_ms, was_clamped = times.occurred_at_ms, times.received_at_ms, times.was_clamped
        if occurred_at_ms > received_at_ms + self.limits.future_ms:
            occurred_at_ms, was_clamped = received_at_ms, True
        record = EventRecord(
            id=event_id,
            name=name,
            occurred_at_ms=occurred_at_ms,
            received_at_ms=received_at_ms,
            source=source,
            anonymous_id=anonymous_id or None,
            contact_id=contact_id or None,
            user_id=user_id or None,
            properties=event.properties,
            context=None if event.context is _ABSENT else event.context,
            placeholder_ids=placeholders,
            seq=sequence,
        )
        value = self._encode(record, may_hold_ip=has_contacts)
        return Accepted(event_id, name, key, value, received_at_ms, was_clamped, placeholders, is_known)

    def _identity(self, event: NativeEvent) -> tuple[str, str]:
        event_id = "" if event.id is None else str(event.id).strip()
        if not event_id:
            raise RefusedError(
                RejectReason.MISSING_ID, "id is missing; without one a retry could not be told from an event"
            )
        if len(event_id) > MAX_ID_CHARS:
            raise RefusedError(RejectReason.ID_TOO_LONG, f"id is longer than {MAX_ID_CHARS} characters")
        if event.name is not None and len(event.name) > self.limits.name_chars:
            raise RefusedError(RejectReason.NAME_TOO_LONG, f"name is longer than {self.limits.name_chars} characters")
        name = _name_of(event.name) if event.name else ""
        if not name:
            raise RefusedError(RejectReason.MISSING_NAME, "name is missing")
        return event_id, name

    def _take_contacts(self, event: NativeEvent, *, has_contacts: bool) -> str | None:
        """Take e-mail and phone out of the properties and the context; the contact id made from them."""
        email, phone = event.email, None if event.phone is None else str(event.phone)
        if has_contacts:
            event.properties, found_email, found_phone = _without_contacts(event.properties, keep=self._keep_contacts)
            email, phone = email or found_email, phone or found_phone
        if has_contacts and event.context is not _ABSENT:
            event.context, found_email, found_phone = _context_contacts(event.context, keep=self._keep_contacts)
            email, phone = email or found_email, phone or found_phone
        if self._contacts is None:
            return None
        return (self._contacts.of_email(email) if email else None) or (
            self._contacts.of_phone(phone) if phone else None
        )


def id_of(event: NativeEvent | None) -> str | None:
    """How a rejected event is named in the answer."""
    return None if event is None or event.id is None else str(event.id)[:MAX_ID_CHARS]


def id_in(parsed: object) -> str | None:
    """The id of an event that has not the shape of one."""
    found = parsed.get("id") if isinstance(parsed, dict) else None
    is_id = isinstance(found, str | int) and not isinstance(found, bool)
    return str(found)[:MAX_ID_CHARS] if is_id else None


def take_objects(event: NativeEvent, parsed: dict[str, Any]) -> bool:
    """Hold properties and context to be objects; null is as good as absent. Returns whether an e-mail or phone lies in
    them."""
    properties, context = parsed.get("properties"), parsed.get("context")
    if properties is None:
        event.properties = NOTHING
    elif not isinstance(properties, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, "properties must be an object")
    if context is not None and not isinstance(context, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, "context must be an object")
    if not context:
        event.context = _ABSENT
    return has_contacts(properties, context)


def has_contacts(properties: object, context: object) -> bool:
    """Whether an e-mail, a phone or the address of a machine lies among the properties, in the context or in its
    traits."""
    if isinstance(properties, dict) and not _PERSONAL_NAMES.isdisjoint(properties):
        return True
    if not isinstance(context, dict):
        return False
    traits = context.get("traits")
    return not _PERSONAL_NAMES.isdisjoint(context) or (
        isinstance(traits, dict) and not _PERSONAL_NAMES.isdisjoint(traits)
    )


def _time_of(text: str) -> int:
    milliseconds = parse_time_ms(text)
    if milliseconds is None:
        raise RefusedError(
            RejectReason.INVALID_TIME,
            f"occurred_at {text[:64]!r} is no time; write RFC 3339, e.g. 2025-01-01T10:00:00Z",
        )
    return milliseconds


def _check_time(member: str, milliseconds: int) -> None:
    if not 0 <= milliseconds <= MAX_MS:
        raise RefusedError(RejectReason.INVALID_TIME, f"{member} {milliseconds} is no time in milliseconds since 1970")


def _stated_reception(event: NativeEvent, occurred_at_ms: int | None, received_at_ms: int | None) -> int | None:
    """When a historical event was received: as it says, else when it occurred."""
    if event.received_at_ms is not None:
        _check_time("received_at_ms", event.received_at_ms)
        return event.received_at_ms
    return received_at_ms if occurred_at_ms is None else occurred_at_ms


def _tick(event: NativeEvent, sender: Sender, sequence: Sequence | None) -> Ticked:
    if sender.scope is not Scope.HISTORICAL:
        raise RefusedError(RejectReason.NOT_ALLOWED, "a tick needs a write key of the scope historical")
    assert event.tick is not None  # noqa: S101 - the caller looked
    _check_time("tick", event.tick)
    return Ticked(event.tick, encode_tick(event.tick, marker=event.marker, seq=sequence))


def shape_refusal(raw: bytes, error: msgspec.ValidationError) -> RefusedError:
    """The refusal of valid JSON that has not the shape of an event."""
    if raw.lstrip()[:1] != b"{":
        return RefusedError(RejectReason.NOT_AN_OBJECT, "an event is a JSON object")
    return RefusedError(RejectReason.WRONG_TYPE, str(error))


def as_object(member: str, raw: msgspec.Raw) -> bytes:
    """The bytes of a member that must be an object (null counts as an empty one). Raises RefusedError."""
    text = bytes(raw)  # a decoder leaves no blanks around it
    if text[:1] == b"{":
        return text
    if text == b"null":
        return _EMPTY
    raise RefusedError(RejectReason.WRONG_TYPE, f"{member} must be an object")


def is_deeper(raw: bytes, limit: int) -> bool:
    """Whether objects and lists are nested deeper than that, brackets in strings apart. Takes time in proportion to the
    length, whatever stands there."""
    brackets = _STRINGS.sub(b"", raw).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(limit):
        brackets = brackets.replace(b"{}", b"")  # the innermost level
        if not brackets:
            return False
    return b"{}" in brackets or brackets.count(b"{") > limit


def _clean(member: str, sent: str | int | None) -> str | None:
    """The trimmed id; empty where a placeholder was sent, None where nothing was."""
    if sent is None:
        return None
    text = sent.strip() if isinstance(sent, str) else str(sent)
    if len(text) > MAX_ID_CHARS:
        raise RefusedError(RejectReason.ID_TOO_LONG, f"{member} is longer than {MAX_ID_CHARS} characters")
    return "" if is_placeholder(text) else text


def _no_person(placeholders: int) -> str:
    if placeholders:
        return "every id sent is a placeholder (such as 'null' or 'anonymous')"
    return "one of anonymous_id, contact_id, user_id (or an email, a phone) is needed"


_Members = dict[str, msgspec.Raw]
_members = msgspec.json.Decoder(_Members)


def _without_contacts(raw: msgspec.Raw, *, keep: bool) -> tuple[msgspec.Raw, str | None, str | None]:
    """(the object without its members `email` and `phone`, their values); everything else stays as it was sent."""
    members = _members.decode(raw)
    contacts = _CONTACT_NAMES & members.keys()
    if not contacts:
        return raw, None, None
    found: dict[str, str] = {}
    for member in contacts:
        value = orjson.loads(bytes(members[member]))
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            found.setdefault(member.lower(), str(value))
        del members[member]
    return raw if keep else _raw_of(members), found.get("email"), found.get("phone")


def _context_contacts(context: msgspec.Raw, *, keep: bool) -> tuple[msgspec.Raw, str | None, str | None]:
    """The same for `context` and `context.traits`, where Segment's clients repeat what `identify` said."""
    context, email, phone = _without_contacts(context, keep=keep)
    members = _members.decode(context)
    traits = members.get("traits")
    if traits is not None and bytes(traits)[:1] == b"{":
        members["traits"], found_email, found_phone = _without_contacts(traits, keep=keep)
        email, phone = email or found_email, phone or found_phone
        context = _raw_of(members)
    return context, email, phone


def _raw_of(members: dict[str, msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(members))
