"""From one event as it was sent to the record that goes on Kafka, or to the reason why not.

Pure: no clock (the time of reception is an argument), no I/O, no logging. The collector and a replay through memory
call the same functions, so both make the same records, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

import msgspec
import orjson

from producers.attribution.origin import Origins
from producers.ingest.additions import Additions, with_added
from producers.ingest.contact_removal import ContactRemoval, Stored, text_of
from producers.ingest.contacts import Contacts
from producers.ingest.event import ABSENT, EMPTY_OBJECT, Arrival, Event, Members, NativeEvent
from producers.ingest.identity import claims_of, id_of, identity_of, name_of, no_person, person_id
from producers.ingest.limits import Limits
from producers.ingest.native import arrival_of, tick_of
from producers.ingest.objects import (
    holds_personal,
    id_in,
    object_in,
    shape_refusal,
)
from producers.ingest.privacy import Privacy
from producers.ingest.repair import repair
from producers.ingest.text import parse_event, too_large
from producers.ingest.times import correct_skew_ms
from producers.ingest.usual import Named, Usual
from producers.ingest.verdicts import (
    Accepted,
    RefusedError,
    Rejected,
    Scope,
    Sender,
    SequenceNumber,
    Verdict,
    is_malformed,
)
from schemas.ids import person_key
from schemas.reasons import RejectReason
from schemas.record import EventRecord
from schemas.spend import DAY_PROPERTY, mistake_in

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
        self._removal = ContactRemoval(contacts, self.limits, keep=keep_contacts)
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
        name = name_of(sent)
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
        text, repairs, _ = repair(raw)
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
            return Rejected(refusal.reason, refusal.detail, id_of(event) or id_in(parsed))
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
        return Rejected(reason, detail, id_of(event))

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
        event_id, name = identity_of(event, self.limits)
        if name in self._server_names and sender.scope is Scope.BROWSER and name not in sender.allow:
            raise RefusedError(
                RejectReason.NOT_ALLOWED,
                f"{name!r} is for servers: send it with a key of the scope server, or make this one with --allow",
            )
        anonymous_id = (
            event.anonymous_id if event.anonymous_id is None else person_id("anonymous_id", event.anonymous_id)
        )
        contact_id = event.contact_id if event.contact_id is None else person_id("contact_id", event.contact_id)
        user_id = event.user_id if event.user_id is None else person_id("user_id", event.user_id)
        placeholders = (anonymous_id == "") + (contact_id == "") + (user_id == "")
        stored: Stored = properties if event.properties_json is ABSENT else event.properties_json
        added, traffic = self._additions.of(event, properties, context, sender)
        if added:
            stored = with_added(stored, properties, added)
        about: Stored | None = None
        if context:
            about = context if event.context_json is ABSENT else event.context_json
        is_personal = holds_personal(properties, context)
        if is_personal:
            hashed, stored, about = self._removal.taken_out(event, stored, about)
            contact_id = contact_id or hashed or contact_id  # a placeholder hides no e-mail, and stays one without
        elif event.email is not None or event.phone is not None:
            contact_id = contact_id or self._removal.id_of(event.email, text_of(event.phone)) or contact_id
        if name in self._personless:  # spend, which nobody did: its records share one partition
            _check_statement(properties)
            user_id = contact_id = anonymous_id = None
        key = person_key(user_id or None, contact_id or None, anonymous_id or None)
        if key is None and name not in self._personless:
            raise RefusedError(RejectReason.MISSING_PERSON, no_person(placeholders))
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
            claims=claims_of(record, self.limits) if bool(user_id) + bool(contact_id) + bool(anonymous_id) > 1 else (),
        )


def _values_of(event: Event) -> tuple[Members, Members]:
    """Properties and context as values; read from the JSON where a format has given nothing else, so that what is
    stored is always what was looked at."""
    properties, context = event.properties, event.context
    if not properties and event.properties_json is not ABSENT and event.properties_json is not EMPTY_OBJECT:
        properties = object_in({"properties": orjson.loads(bytes(event.properties_json))}, "properties")
    if not context and event.context_json is not ABSENT:
        context = object_in({"context": orjson.loads(bytes(event.context_json))}, "context")
    return properties, context


def _check_statement(properties: Members) -> None:
    """Of spend: nothing is accepted that could not be counted."""
    if (mistake := mistake_in(properties)) is not None:
        name, said = mistake
        reason = RejectReason.INVALID_TIME if name == DAY_PROPERTY else RejectReason.WRONG_TYPE
        raise RefusedError(reason, f"{name}: {said}")
