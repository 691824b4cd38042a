"""The value of a record in the `events` topic: a normalised event, a tick or the wish to be forgotten. JSON.

The Kafka key of an event and of a forget record is the person key (`schemas.ids.person_key`); a tick has none and
stands in every partition.
"""

from __future__ import annotations

from typing import Any

import msgspec


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


def encode_event(event: EventRecord) -> bytes:
    """JSON bytes of an event."""
    return _encoder.encode(event)


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
