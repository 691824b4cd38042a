"""From one event as it was sent to the record that goes on Kafka, or to the reason why not.

Pure: no clock (the time of reception is an argument), no I/O, no logging. The collector and a replay through memory
call the same functions, so both make the same records, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, cast

import msgspec
import orjson

from producers.ingest.contacts import Contacts
from producers.ingest.limits import Limits
from producers.ingest.objects import (
    context_contacts,
    has_contacts,
    id_in,
    id_of,
    is_deeper,
    shape_refusal,
    take_objects,
    without_contacts,
)
from producers.ingest.privacy import Privacy
from producers.ingest.times import MAX_MS, correct_skew_ms, parse_time_ms
from producers.ingest.verdicts import (
    ABSENT,
    DEFAULT_SOURCE,
    Accepted,
    NativeEvent,
    RefusedError,
    Rejected,
    Scope,
    Sender,
    Sequence,
    Ticked,
    Times,
    Translated,
    Verdict,
)
from schemas.ids import MAX_ID_CHARS, is_placeholder, person_key
from schemas.names import normalise_name
from schemas.reasons import RejectReason
from schemas.record import EventRecord, encode_tick

_BRACKET: Final = ord("[")
_name_of = lru_cache(maxsize=4096)(normalise_name)

_OWN_BYTES: Final = 2_048
"""What a record may have beside what was sent: ids, name, source, times."""


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
            raise self._too_large(len(raw))
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
            has = has_contacts(event.properties, event.context)
            if event.properties:
                native.properties = self._raw("properties", event.properties) if has else cast(Any, event.properties)
            if event.context:
                native.context = self._raw("context", event.context) if has else cast(Any, event.context)
            occurred_at_ms, was_unusable = correct_skew_ms(
                client_ms=event.client_ms,
                sent_ms=event.sent_ms,
                received_ms=received_at_ms,
                max_skew_ms=self.limits.skew_ms,
            )
            times = Times(occurred_at_ms, received_at_ms, was_unusable or event.is_time_unreadable)
            verdict = self.finish(native, times, sender, sender.source, None, has_contacts=has)
            if len(verdict.value) > self.limits.event_bytes + _OWN_BYTES:
                raise self._too_large(len(verdict.value))
            return verdict
        except RefusedError as refusal:
            reason, detail = refusal.reason, refusal.detail
        except (TypeError, ValueError, RecursionError) as error:  # of the encoder
            reason, detail = RejectReason.WRONG_TYPE, str(error)
        return Rejected(reason, detail, None if event.id is None else str(event.id)[:MAX_ID_CHARS])

    def _raw(self, member: str, value: dict[str, Any]) -> msgspec.Raw:
        try:
            raw = orjson.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise RefusedError(RejectReason.WRONG_TYPE, f"{member}: {error}") from None
        if len(raw) > self.limits.event_bytes:
            raise self._too_large(len(raw))
        return msgspec.Raw(raw)

    def _too_large(self, size: int) -> RefusedError:
        return RefusedError(RejectReason.EVENT_TOO_LARGE, f"{size} bytes; an event may have {self.limits.event_bytes}")

    def finish(
        self,
        event: NativeEvent,
        times: Times,
        sender: Sender,
        source: str,
        sequence: Sequence | None,
        *,
        has_contacts: bool,
    ) -> Accepted:
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
            context=None if event.context is ABSENT else event.context,
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
            event.properties, found_email, found_phone = without_contacts(event.properties, keep=self._keep_contacts)
            email, phone = email or found_email, phone or found_phone
        if has_contacts and event.context is not ABSENT:
            event.context, found_email, found_phone = context_contacts(event.context, keep=self._keep_contacts)
            email, phone = email or found_email, phone or found_phone
        if self._contacts is None:
            return None
        return (self._contacts.of_email(email) if email else None) or (
            self._contacts.of_phone(phone) if phone else None
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
