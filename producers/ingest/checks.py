"""From one event as it was sent to the record that goes on Kafka, or to the reason why not.

Pure: no clock (the time of reception is an argument), no I/O, no logging. The collector and a replay through memory
call the same functions, so both make the same records, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec
import orjson

from producers.attribution.origin import Origins
from producers.ingest.additions import Additions, with_added
from producers.ingest.contacts import Contacts
from producers.ingest.event import ABSENT, EMPTY_OBJECT, Arrival, Event, Members, NativeEvent
from producers.ingest.limits import Limits
from producers.ingest.native import arrival_of, tick_of
from producers.ingest.objects import (
    context_contacts,
    holds_personal,
    id_in,
    object_in,
    shape_refusal,
    without_contacts,
)
from producers.ingest.privacy import Privacy
from producers.ingest.repair import repair
from producers.ingest.text import parse_event, too_large
from producers.ingest.times import correct_skew_ms
from producers.ingest.usual import Named, Usual
from producers.ingest.verdicts import (
    Accepted,
    Claim,
    RefusedError,
    Rejected,
    Scope,
    Sender,
    SequenceNumber,
    Verdict,
    is_malformed,
)
from schemas.ids import MAX_ID_CHARS, is_placeholder, lower_keys, person_key
from schemas.names import normalise_name
from schemas.reasons import RejectReason
from schemas.record import EventRecord, LinkRecord, encode_link
from schemas.spend import DAY_PROPERTY, mistake_in
from schemas.text import composed

_Stored = msgspec.Raw | Members
_name_of = lru_cache(maxsize=4096)(normalise_name)

_OWN_BYTES: Final = 2_048
"""What a record may have beside what was sent: ids, name, source, times."""


class DayId(Protocol):
    """Makes the id of a visitor in whose browser nothing is stored."""

    def __call__(self, received_at_ms: int, /, *, site: str, address: str, agent: str) -> str:
        """It holds for the day of the reception."""


class Ingest:
    """The checks of one installation. Two ways in: `native` for an event as it was sent, `checked` for one that a
    format has read.

    `known_names` (normalised) are the events that some funnel looks at; others are accepted and marked, or rejected
    with `strict_names`. `personless_names` may come without an id of a person. A browser's key may not send
    `server_names` (normalised): anybody can read it on a page, and money must not be what anybody claims.
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
        origins: Origins | None = None,
        day_ids: DayId | None = None,
    ) -> None:
        self.day_ids = day_ids
        self.limits = limits or Limits()
        self._contacts = contacts
        self._keep_contacts = keep_contacts
        self._known = None if known_names is None else frozenset(known_names) | frozenset(personless_names)
        self.known_names = self._known or frozenset()
        self._personless = frozenset(personless_names)
        self._strict = strict_names
        self._server_names = frozenset(server_names)
        privacy = privacy or Privacy()
        self._encode = privacy.encode
        self._additions = Additions(origins)
        self._decode = msgspec.json.Decoder(NativeEvent).decode
        self._usual = Usual(self.limits, privacy, self._free_name)

    def _free_name(self, sent: str) -> Named | None:
        """What follows from a name; None where more has to be checked."""
        name = _name_of(sent)
        is_known = self._known is None or name in self._known
        if not name or name in self._personless or (self._strict and not is_known):
            return None
        return Named(name, is_known, name in self._server_names)

    def looks_at(self, name: str) -> bool:
        """Whether some funnel looks at events of this (normalised) name."""
        return self._known is not None and name in self._known

    def native(
        self, raw: bytes, *, sender: Sender, received_at_ms: int | None, sequence: SequenceNumber | None = None
    ) -> Verdict:
        """Verdict over one native event or tick, as it was sent. Never raises.

        A sender of scope historical may state `received_at_ms` (default: when it occurred) and `source`. Without a
        clock (`received_at_ms` None) an event that states no time is rejected. What no parser takes is
        repaired, where it can be.
        """
        verdict = self._native(raw, sender, received_at_ms, sequence)
        if type(verdict) is Accepted or not is_malformed(verdict):
            return verdict
        text, repairs = repair(raw)
        if not repairs:
            return verdict
        verdict = self._native(text, sender, received_at_ms, sequence)
        return msgspec.structs.replace(verdict, repairs=repairs) if isinstance(verdict, Accepted) else verdict

    def _native(
        self, raw: bytes, sender: Sender, received_at_ms: int | None, sequence: SequenceNumber | None
    ) -> Verdict:
        event: NativeEvent | None = None
        parsed: Any = None
        try:
            parsed = parse_event(raw, self.limits)
            event = self._decode(raw)
            usual = self._usual.accepted(event, parsed, sender, received_at_ms, sequence)
            if usual is not None:
                return usual
            if event.tick is not None:
                return tick_of(event, sender, sequence)
            properties, context = object_in(parsed, "properties"), object_in(parsed, "context")
            if not properties:
                event.properties_json = EMPTY_OBJECT
            arrival = arrival_of(event, sender, self.limits, received_at_ms=received_at_ms, sequence=sequence)
            return self._accepted(event, properties, context, sender=sender, arrival=arrival)
        except RefusedError as refusal:
            return Rejected(refusal.reason, refusal.detail, _id_of(event) or id_in(parsed))
        except msgspec.ValidationError as error:
            shape = shape_refusal(raw, error)
            return Rejected(shape.reason, shape.detail, id_in(parsed))

    def checked(self, event: Event, *, sender: Sender, received_at_ms: int) -> Verdict:
        """Verdict over an event that a format has read. Never raises."""
        try:
            properties, context = event.properties, event.context
            if not properties or not context:
                properties, context = _values_of(event)
            usual = self._usual.built(event, properties, context, sender, received_at_ms)
            if usual is not None and len(usual.value) <= self.limits.event_bytes:
                return usual
            arrival = self._arrival_of(event, sender, received_at_ms)
            verdict = self._accepted(event, properties, context, sender=sender, arrival=arrival)
            is_built = event.properties_json is ABSENT and event.context_json is ABSENT
            if is_built and len(verdict.value) > self.limits.event_bytes + _OWN_BYTES:
                raise too_large(len(verdict.value), self.limits)
            return msgspec.structs.replace(verdict, repairs=event.repairs) if event.repairs else verdict
        except RefusedError as refusal:
            reason, detail = refusal.reason, refusal.detail
        except (TypeError, ValueError, RecursionError) as error:  # of the encoder
            reason, detail = RejectReason.WRONG_TYPE, str(error)
        return Rejected(reason, detail, _id_of(event))

    def _arrival_of(self, event: Event, sender: Sender, received_at_ms: int) -> Arrival:
        """By the client's clock, corrected. History was received when it occurred: its clock is left as it is."""
        if sender.scope is Scope.HISTORICAL and event.client_ms is not None and not event.is_time_unreadable:
            return Arrival(event.client_ms, event.client_ms, sender.source)
        occurred_at_ms, was_unusable = correct_skew_ms(
            client_ms=event.client_ms,
            sent_ms=event.sent_ms,
            received_ms=received_at_ms,
            max_skew_ms=self.limits.skew_ms,
        )
        return Arrival(occurred_at_ms, received_at_ms, sender.source, was_unusable or event.is_time_unreadable)

    def _accepted(
        self, event: Event | NativeEvent, properties: Members, context: Members, *, sender: Sender, arrival: Arrival
    ) -> Accepted:
        """The checks that all formats share. Raises RefusedError."""
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
        stored: _Stored = properties if event.properties_json is ABSENT else event.properties_json
        added, traffic = self._additions.of(event, properties, context, sender)
        if added:
            stored = with_added(stored, properties, added)
        about: _Stored | None = None
        if context:
            about = context if event.context_json is ABSENT else event.context_json
        is_personal = holds_personal(properties, context)
        if is_personal:
            hashed, stored, about = self._without_contacts(event, stored, about)
            contact_id = contact_id or hashed or contact_id  # a placeholder hides no e-mail, and stays one without
        elif event.email is not None or event.phone is not None:
            contact_id = contact_id or self._contact_of(event.email, _text(event.phone)) or contact_id
        if name in self._personless:  # spend, which nobody did: its records share one partition
            _check_statement(properties)
            user_id = contact_id = anonymous_id = None
        key = person_key(user_id or None, contact_id or None, anonymous_id or None)
        if key is None and name not in self._personless:
            raise RefusedError(RejectReason.MISSING_PERSON, _no_person(placeholders))
        is_known = self._known is None or name in self._known
        if not is_known and self._strict:
            raise RefusedError(RejectReason.UNKNOWN_NAME, f"no funnel looks at {name!r}")
        occurred_at_ms, received_at_ms = arrival.occurred_at_ms, arrival.received_at_ms
        was_clamped = arrival.was_clamped
        if occurred_at_ms > received_at_ms + self.limits.future_ms:
            occurred_at_ms, was_clamped = received_at_ms, True
        record = EventRecord(
            id=event_id,
            name=name,
            occurred_at_ms=occurred_at_ms,
            received_at_ms=received_at_ms,
            source=arrival.source,
            anonymous_id=anonymous_id or None,
            contact_id=contact_id or None,
            user_id=user_id or None,
            properties=stored,
            context=about,
            placeholder_ids=placeholders,
            seq=arrival.sequence,
        )
        value = self._encode(record, may_hold_ip=is_personal)
        is_late = received_at_ms - occurred_at_ms > self.limits.lateness_ms and name not in self._personless
        return Accepted(
            event_id,
            name,
            key,
            value,
            received_at_ms,
            was_clamped,
            placeholders,
            is_known,
            traffic=traffic,
            is_late=is_late,
            claims=self._claims(record) if bool(user_id) + bool(contact_id) + bool(anonymous_id) > 1 else (),
        )

    def _claims(self, record: EventRecord) -> tuple[Claim, ...]:
        """The links that an event with several ids claims, each for the log of the lower id."""
        higher = person_key(record.user_id, record.contact_id, record.anonymous_id)
        assert higher is not None  # noqa: S101 - it has several ids
        is_in_time = record.received_at_ms - record.occurred_at_ms <= self.limits.least_lateness_ms
        return tuple(
            Claim(lower, encode_link(_link(record, lower, higher)), is_in_time)
            for lower in lower_keys(record.user_id, record.contact_id, record.anonymous_id)
        )

    def _identity(self, event: Event | NativeEvent) -> tuple[str, str]:
        event_id = "" if event.id is None else composed(str(event.id).strip())
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

    def _without_contacts(
        self, event: Event | NativeEvent, properties: _Stored, context: _Stored | None
    ) -> tuple[str | None, msgspec.Raw, msgspec.Raw | None]:
        """(the contact id of the e-mail or phone, properties and context without them)."""
        keep, email, phone = self._keep_contacts, event.email, _text(event.phone)
        stored, email_there, phone_there = without_contacts(self._as_json("properties", properties), keep=keep)
        email, phone = email or email_there, phone or phone_there
        about = None
        if context is not None:
            about, email_there, phone_there = context_contacts(self._as_json("context", context), keep=keep)
            email, phone = email or email_there, phone or phone_there
        return self._contact_of(email, phone), stored, about

    def _contact_of(self, email: str | None, phone: str | None) -> str | None:
        if self._contacts is None:
            return None
        return (self._contacts.of_email(email) if email else None) or (
            self._contacts.of_phone(phone) if phone else None
        )

    def _as_json(self, member: str, value: _Stored) -> msgspec.Raw:
        if not isinstance(value, dict):
            return value
        try:
            encoded = orjson.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise RefusedError(RejectReason.WRONG_TYPE, f"{member}: {error}") from None
        if len(encoded) > self.limits.event_bytes:
            raise too_large(len(encoded), self.limits)
        return msgspec.Raw(encoded)


def _values_of(event: Event) -> tuple[Members, Members]:
    """Properties and context as values; read from the JSON where a format has given nothing else, so that what is
    stored is always what was looked at."""
    properties, context = event.properties, event.context
    if not properties and event.properties_json is not ABSENT and event.properties_json is not EMPTY_OBJECT:
        properties = object_in({"properties": orjson.loads(bytes(event.properties_json))}, "properties")
    if not context and event.context_json is not ABSENT:
        context = object_in({"context": orjson.loads(bytes(event.context_json))}, "context")
    return properties, context


def _id_of(event: Event | NativeEvent | None) -> str | None:
    """How a rejected event is named in the answer."""
    return None if event is None or event.id is None else str(event.id)[:MAX_ID_CHARS]


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _clean(member: str, sent: str | int | None) -> str | None:
    """The trimmed id; empty where a placeholder was sent, None where nothing was."""
    if sent is None:
        return None
    text = composed(sent.strip()) if isinstance(sent, str) else str(sent)
    if len(text) > MAX_ID_CHARS:
        raise RefusedError(RejectReason.ID_TOO_LONG, f"{member} is longer than {MAX_ID_CHARS} characters")
    return "" if is_placeholder(text) else text


def _check_statement(properties: Members) -> None:
    """Of spend: nothing is accepted that could not be counted."""
    if (mistake := mistake_in(properties)) is not None:
        name, said = mistake
        reason = RejectReason.INVALID_TIME if name == DAY_PROPERTY else RejectReason.WRONG_TYPE
        raise RefusedError(reason, f"{name}: {said}")


def _link(record: EventRecord, lower: bytes, higher: bytes) -> LinkRecord:
    """Its number is in a session of its own: both records of one number may lie in one partition."""
    seq = None if record.seq is None else (f"{record.seq[0]}/{lower[:1].decode()}", record.seq[1])
    return LinkRecord(
        link=higher.decode(), occurred_at_ms=record.occurred_at_ms, received_at_ms=record.received_at_ms, seq=seq
    )


def _no_person(placeholders: int) -> str:
    if placeholders:
        return "every id sent is a placeholder (such as 'null' or 'anonymous')"
    return "one of anonymous_id, contact_id, user_id (or an email, a phone) is needed"
