"""Who and what an event is: its id and name, the ids of its person, and the links that they claim. Pure."""

from __future__ import annotations

from functools import lru_cache

from producers.ingest.event import Event, Id, NativeEvent
from producers.ingest.limits import Limits
from producers.ingest.verdicts import Claim, RefusedError
from schemas.ids import MAX_ID_CHARS, clean_event_id, is_placeholder, lower_keys, person_key
from schemas.names import normalise_name
from schemas.reasons import RejectReason
from schemas.record import EventRecord, LinkRecord, encode_link
from schemas.text import composed

name_of = lru_cache(maxsize=4096)(normalise_name)


def identity_of(event: Event | NativeEvent, limits: Limits) -> tuple[str, str]:
    """(id, normalised name). Raises RefusedError."""
    event_id = clean_event_id(event.id)
    if event_id is None:
        raise RefusedError(RejectReason.MISSING_ID, _no_id(event.id))
    if len(event_id) > MAX_ID_CHARS:
        raise RefusedError(RejectReason.ID_TOO_LONG, f"id is longer than {MAX_ID_CHARS} characters")
    if event.name is not None and len(event.name) > limits.name_chars:
        raise RefusedError(RejectReason.NAME_TOO_LONG, f"name is longer than {limits.name_chars} characters")
    name = name_of(event.name) if event.name else ""
    if not name:
        raise RefusedError(RejectReason.MISSING_NAME, "name is missing")
    return event_id, name


def _no_id(sent: Id) -> str:
    if sent is None or not str(sent).strip():
        return "id is missing; without one a retry could not be told from an event"
    return f"id {str(sent).strip()[:32]!r} stands for nothing: all events that have it would be copies of one"


def id_of(event: Event | NativeEvent | None) -> str | None:
    """How a rejected event is named in the answer."""
    return None if event is None or event.id is None else str(event.id)[:MAX_ID_CHARS]


def person_id(member: str, sent: str | int | None) -> str | None:
    """The trimmed id; empty where a placeholder was sent, None where nothing was."""
    if sent is None:
        return None
    text = composed(sent.strip()) if isinstance(sent, str) else str(sent)
    if len(text) > MAX_ID_CHARS:
        raise RefusedError(RejectReason.ID_TOO_LONG, f"{member} is longer than {MAX_ID_CHARS} characters")
    return "" if is_placeholder(text) else text


def no_person(placeholders: int) -> str:
    """Why an event belongs to nobody."""
    if placeholders:
        return "every id sent is a placeholder (such as 'null' or 'anonymous')"
    return "one of anonymous_id, contact_id, user_id (or an email, a phone) is needed"


def claims_of(record: EventRecord, limits: Limits) -> tuple[Claim, ...]:
    """The links that an event with several ids claims, each for the log of the lower id."""
    higher = person_key(record.user_id, record.contact_id, record.anonymous_id)
    assert higher is not None  # noqa: S101 - it has several ids
    is_in_time = record.received_at_ms - record.occurred_at_ms <= limits.least_lateness_ms
    return tuple(
        Claim(lower, encode_link(_link(record, lower, higher)), is_in_time)
        for lower in lower_keys(record.user_id, record.contact_id, record.anonymous_id)
    )


def _link(record: EventRecord, lower: bytes, higher: bytes) -> LinkRecord:
    """Its number is in a session of its own: both records of one number may lie in one partition."""
    seq = None if record.seq is None else (f"{record.seq[0]}/{lower[:1].decode()}", record.seq[1])
    return LinkRecord(
        link=higher.decode(), occurred_at_ms=record.occurred_at_ms, received_at_ms=record.received_at_ms, seq=seq
    )
