"""The values around ingest: who sends, and what becomes of an event. No rules, no bytes, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from producers.visitors.visitor import Visitor
from schemas.reasons import RejectReason
from schemas.traffic import HUMAN

DEFAULT_SOURCE: Final = "default"


class SequenceNumber(NamedTuple):
    """Where an event stands in what an ordered sender sends: one that is not above the last one applied is a retry."""

    session: str
    number: int


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
    """Events a second; None: the collector's default."""
    traffic: str | None = field(default=None, compare=False)
    """Class of everything that is sent with the key; None: each event's own."""
    visitor: Visitor | None = field(default=None, compare=False)
    """Who is behind this request; None: a server."""


class Claim(NamedTuple):
    """A link record: the key of the lower id, and the record."""

    key: bytes
    value: bytes
    is_in_time: bool = True
    """For every funnel."""


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
    repairs: int = 0
    """Values that could not be read and were repaired."""
    traffic: str = HUMAN
    """Class of who made it (`schemas.traffic`)."""
    is_late: bool = False
    """Received too long after it occurred: no loaded funnel counts it."""
    claims: tuple[Claim, ...] = ()
    """Links of its lower ids to the highest; they stand behind it in the log."""

    @property
    def is_odd(self) -> bool:
        """Whether there is anything to count besides its being accepted."""
        is_plain = self.is_known and not self.was_clamped and not self.placeholder_ids and not self.repairs
        return self.is_late or self.traffic != HUMAN or not is_plain

    @property
    def records(self) -> tuple[tuple[bytes | None, bytes], ...]:
        """(key, value) of everything that goes on Kafka, in this order."""
        return ((self.key, self.value), *((claim.key, claim.value) for claim in self.claims))


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """A time that moves the watermark of every partition."""

    tick_ms: int
    value: bytes


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """Why an event is not taken. `id` is the event's, as far as it could be read."""

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
"""What the checks decide about one event."""
Outcome = Verdict | Deferred | Deduplicated
"""What becomes of one element of a request."""


def is_malformed(outcome: Outcome) -> bool:
    """Whether an element was rejected because it is no JSON."""
    return isinstance(outcome, Rejected) and outcome.reason is RejectReason.MALFORMED_JSON


class RefusedError(Exception):
    """Carries a `Rejected` out of nested checks; never leaves the functions that give a verdict."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
