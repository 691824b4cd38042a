"""The value of a record in the `events` topic: a normalised event, a claim of an id, what a worker forwards, a tick or
the wish to be forgotten. JSON.

The Kafka key of an event and of a forget record is the person key (`schemas.ids.person_key`), that of a claim the key
of the id that is claimed, that of a forward the key of the person who gets it; a tick has none and stands in every
partition.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""What is stored must fit 64 bits."""


class EventRecord(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One accepted event. Times are epoch milliseconds; `properties` and `context` go on as sent."""

    id: str
    name: str
    occurred_at_ms: int
    received_at_ms: int
    source: str
    anonymous_id: str | None = None
    contact_id: str | None = None
    user_id: str | None = None
    properties: msgspec.Raw | dict[str, Any] = msgspec.Raw(b"{}")
    context: msgspec.Raw | dict[str, Any] | None = None
    placeholder_ids: int = 0
    """How many of the ids sent were placeholders and were dropped."""
    seq: tuple[str, int] | None = None
    """(session, running number) of an ordered sender: a number that is not above the last one applied is a retry."""


class LinkRecord(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An event with several ids says that a lower one, the record's key, belongs to its highest one (semantics.md 7).
    Moves the watermark as a record received then does."""

    link: str
    """Person key of the higher id."""
    occurred_at_ms: int
    received_at_ms: int
    seq: tuple[str, int] | None = None
    """That of the event, in a session of its own."""


class Forward(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """Events of a linked id on their way to the person of the record's key, for one funnel. Moves no watermark."""

    funnel: str
    """Funnel id."""
    origin: bytes
    """The linked id (its field in the store)."""
    partition: _Count
    """Of the origin."""
    number: _Count = 0
    """Counts this partition's forwards of this funnel: one that is not above the last one seen is a repetition. 0 for
    what may be told twice."""
    events: bytes = b""
    """Packed as they are kept (`streams.core.person`)."""
    is_linked: bool | None = None
    """Whether the id was linked, or is no longer linked, just now."""


class ForwardRecord(msgspec.Struct, kw_only=True):
    """One forward."""

    forward: Forward


class TickRecord(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Moves the watermark of its partition as a record received at `tick` (epoch ms) would; says nothing else."""

    tick: int
    marker: str | None = None
    """Remembered in the partition's state, so that a reader can tell that everything before it was applied."""
    seq: tuple[str, int] | None = None


class ForgetRecord(msgspec.Struct, kw_only=True):
    """The person of the key is to be forgotten: what lies before in the log keeps its numbers and loses its name, what
    comes after belongs to somebody new. Moves no watermark."""

    forget: int
    """When that was asked for (epoch ms); says nothing else."""


_encoder = msgspec.json.Encoder()
_FORWARD = b'{"forward":'


def encode_event(event: EventRecord) -> bytes:
    """JSON bytes of an event."""
    return _encoder.encode(event)


def encode_link(link: LinkRecord) -> bytes:
    """JSON bytes of a claim."""
    return _encoder.encode(link)


def encode_forward(forward: Forward) -> bytes:
    """JSON bytes of a forward."""
    return _encoder.encode(ForwardRecord(forward=forward))


def is_forward(value: bytes | None) -> bool:
    """Whether it is what `encode_forward` makes."""
    return value is not None and value.startswith(_FORWARD)


def encode_tick(tick_ms: int, *, marker: str | None = None, seq: tuple[str, int] | None = None) -> bytes:
    """JSON bytes of a tick."""
    return _encoder.encode(TickRecord(tick=tick_ms, marker=marker, seq=seq))


def encode_forget(asked_at_ms: int) -> bytes:
    """JSON bytes of a forget record."""
    return _encoder.encode(ForgetRecord(forget=asked_at_ms))


def decode_any(value: bytes) -> dict[str, Any]:
    """A record as a plain dict: for tools and tests, not for the hot path."""
    decoded: dict[str, Any] = msgspec.json.decode(value)
    return decoded
