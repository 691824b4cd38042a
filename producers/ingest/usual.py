"""The usual event on a short way: one id, known names, times in bounds, nothing personal, nothing to add. Pure.

`producers.ingest.checks` defines what is right. This decides in two functions whether an event is usual and then makes
the same record; of every other it says None, and changes nothing. Most events of servers, files and queues are usual,
and calls between checks would be most of what they cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from producers.attribution.origin import PLACES
from producers.ingest.additions import NAMES
from producers.ingest.event import ABSENT, EMPTY_OBJECT, Event, Id, Members, NativeEvent
from producers.ingest.limits import Limits
from producers.ingest.objects import PERSONAL_NAMES
from producers.ingest.privacy import Privacy
from producers.ingest.times import MAX_MS, NEGATIVE_AGE_MS
from producers.ingest.verdicts import Accepted, Scope, Sender, SequenceNumber
from producers.visitors.visitor import AGENTS
from schemas.ids import MAX_ID_CHARS, PLACEHOLDERS
from schemas.nothing import TEMPLATE_STARTS
from schemas.record import EventRecord

_UNUSUAL: Final = NAMES | PERSONAL_NAMES
"""Properties about which something has to be done."""
_UNUSUAL_CONTEXT: Final = PERSONAL_NAMES | PLACES | {"traits", *AGENTS}
"""Members of the context that say who, from where, or on what."""
_MEMO_LIMIT: Final = 4096
_NOTHING: Final[dict[str, Any]] = {}


class Named(NamedTuple):
    """What follows from the name of an event."""

    name: str
    """Normalised."""
    is_known: bool
    """Some funnel looks at it."""
    is_for_servers: bool


class Usual:
    """The short way of one installation. `name_of` says None of a name that has to be checked further."""

    def __init__(self, limits: Limits, privacy: Privacy, name_of: Callable[[str], Named | None]) -> None:
        self._source_chars, self._name_chars = limits.source_chars, limits.name_chars
        self._earliest_ms, self._skew_ms = limits.earliest_ms, limits.skew_ms
        self._least_age_ms, self._most_age_ms = -limits.future_ms, limits.lateness_ms
        self._encode = privacy.encode
        self._name_of = name_of
        self._names: dict[str, Named | None] = {}

    def accepted(
        self,
        event: NativeEvent,
        parsed: dict[str, Any],
        sender: Sender,
        received_at_ms: int | None,
        sequence: SequenceNumber | None,
    ) -> Accepted | None:
        """The event, if it is usual. `parsed`: the same as values. By position, for it is called for every event."""
        at, who, rank = event.occurred_at_ms, event.anonymous_id, "a:"
        if at is None or event.tick is not None or event.contact_id is not None or event.email is not None:
            return None
        if event.phone is not None or sender.visitor is not None or sender.traffic is not None:
            return None
        if who is None:
            who, rank = event.user_id, "u:"
        elif event.user_id is not None:
            return None
        properties, context = parsed.get("properties", _NOTHING), parsed.get("context", _NOTHING)
        if type(properties) is not dict or context != _NOTHING or not _UNUSUAL.isdisjoint(properties):
            return None
        source, earliest_ms = sender.source, self._earliest_ms
        if sender.scope is Scope.HISTORICAL:
            received_at_ms, earliest_ms = at if event.received_at_ms is None else event.received_at_ms, 0
            if event.source is not None:
                source = event.source
                if not source or len(source) > self._source_chars or source != source.strip():
                    return None
        if received_at_ms is None or not (earliest_ms <= at <= MAX_MS and 0 <= received_at_ms <= MAX_MS):
            return None
        record = EventRecord(
            id="",
            name="",
            occurred_at_ms=at,
            received_at_ms=received_at_ms,
            source=source,
            properties=event.properties_json if properties else EMPTY_OBJECT,
            seq=sequence,
        )
        return self._made(event, rank, who, sender.scope, record)

    def built(  # noqa: C901 - one question after the other, and no calls
        self, event: Event, properties: Members, context: Members, sender: Sender, received_at_ms: int
    ) -> Accepted | None:
        """The same of an event that a format has read; `properties` and `context` are all that it says of them."""
        who, rank = event.anonymous_id, "a:"
        if event.contact_id is not None or event.email is not None or event.phone is not None or event.repairs:
            return None
        if event.is_time_unreadable or sender.visitor is not None or sender.traffic is not None:
            return None
        if who is None:
            who, rank = event.user_id, "u:"
        elif event.user_id is not None:
            return None
        if not _UNUSUAL.isdisjoint(properties) or not _UNUSUAL_CONTEXT.isdisjoint(context):
            return None
        at, sent_ms = event.client_ms, event.sent_ms
        if at is None:
            at = received_at_ms
        elif sender.scope is Scope.HISTORICAL:
            received_at_ms = at
        elif sent_ms is not None:
            if sent_ms - at < NEGATIVE_AGE_MS or abs(received_at_ms - sent_ms) > self._skew_ms:
                return None
            at = received_at_ms - sent_ms + at
        record = EventRecord(
            id="",
            name="",
            occurred_at_ms=at,
            received_at_ms=received_at_ms,
            source=sender.source,
            properties=properties if event.properties_json is ABSENT else event.properties_json,
        )
        if context:
            record.context = context if event.context_json is ABSENT else event.context_json
        return self._made(event, rank, who, sender.scope, record)

    def _made(
        self, event: Event | NativeEvent, rank: str, who: Id, scope: Scope, record: EventRecord
    ) -> Accepted | None:
        """What both share: `record` lacks id, name and person (`who`, of the kind `rank`)."""
        event_id, name = event.id, event.name
        if not (type(event_id) is type(who) is type(name) is str and event_id.isascii() and who.isascii()):
            return None
        if not (0 < len(event_id) <= MAX_ID_CHARS and event_id == event_id.strip() and who == who.strip()):
            return None
        if len(who) > MAX_ID_CHARS or who.casefold() in PLACEHOLDERS or who[:1] in TEMPLATE_STARTS:
            return None
        if event_id.casefold() in PLACEHOLDERS or event_id[:1] in TEMPLATE_STARTS:
            return None
        age_ms = record.received_at_ms - record.occurred_at_ms
        if record.occurred_at_ms < 0 or not self._least_age_ms <= age_ms <= self._most_age_ms:
            return None
        named = self._names[name] if name in self._names else self._named(name)
        if named is None or (named.is_for_servers and scope is Scope.BROWSER):
            return None
        record.id, record.name = event_id, named.name
        if rank == "a:":
            record.anonymous_id = who
        else:
            record.user_id = who
        value = self._encode(record, may_hold_ip=False)
        key = (rank + who).encode()
        return Accepted(event_id, named.name, key, value, record.received_at_ms, is_known=named.is_known)

    def _named(self, name: str) -> Named | None:
        if len(self._names) >= _MEMO_LIMIT:
            self._names.clear()
        named = self._names[name] = self._name_of(name) if 0 < len(name) <= self._name_chars else None
        return named
