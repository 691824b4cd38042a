"""The values around ingest: who sends, an event as it was read, what becomes of it. No rules, no bytes, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from schemas.reasons import RejectReason

DEFAULT_SOURCE: Final = "default"
ABSENT: Final = msgspec.Raw(b"null")
"""A context that is not there."""
NOTHING: Final = msgspec.Raw(b"{}")
"""Properties or a context without a member."""
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
    context: msgspec.Raw = ABSENT
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
