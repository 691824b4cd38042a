"""What counting a chunk sends out beside its counts: records for other topics, as values. Knows no topic's name.

Every one is published and acknowledged before the chunk is applied. A crash between the two publishes it again, from
the same log and so with the same key, value and headers: readers know a copy by them. How the log is cut into chunks
decides nothing about them but their order among the kinds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from schemas.reasons import UncountedReason
from schemas.record import Forward, encode_forward

FUNNEL_HEADER, AGE_HEADER, REASON_HEADER = "funnel", "age_ms", "reason"


class OutgoingKind(StrEnum):
    """Says which topic a record belongs to."""

    LATE = "late"
    """An event that a funnel does not count, as it stands in the log: too late, or of a person who has too many."""

    JOURNEY = "journey"
    """What has become of a journey (`streams.core.journey_changes`)."""

    FORWARD = "forward"
    """Events of a linked id for the log of the higher one (`schemas.record.Forward`)."""


class Outgoing(NamedTuple):
    """One record."""

    kind: OutgoingKind
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str:
        """Text of a header; empty where there is none."""
        return dict(self.headers).get(name, b"").decode()


def late_event(funnel_id: str, *, key: bytes, value: bytes, age_ms: int) -> Outgoing:
    """An event that came too late for a funnel, `age_ms` after it occurred."""
    return _uncounted(funnel_id, UncountedReason.LATE, key=key, value=value, age_ms=age_ms)


def surplus_event(funnel_id: str, *, key: bytes, value: bytes, age_ms: int) -> Outgoing:
    """An event of a person who has as many as one person may have, `age_ms` after it occurred."""
    return _uncounted(funnel_id, UncountedReason.TOO_MANY_OF_PERSON, key=key, value=value, age_ms=age_ms)


def _uncounted(funnel_id: str, reason: UncountedReason, *, key: bytes, value: bytes, age_ms: int) -> Outgoing:
    headers = (
        (FUNNEL_HEADER, funnel_id.encode()),
        (AGE_HEADER, str(age_ms).encode()),
        (REASON_HEADER, reason.value.encode()),
    )
    return Outgoing(OutgoingKind.LATE, key, value, headers)


def forward(key: bytes, content: Forward) -> Outgoing:
    """Events on their way to the person of a key."""
    return Outgoing(OutgoingKind.FORWARD, key, encode_forward(content), ())


def journey_change(funnel_id: str, *, key: bytes, value: bytes) -> Outgoing:
    """A change of an outcome, as JSON, under the person's key."""
    return Outgoing(OutgoingKind.JOURNEY, key, value, ((FUNNEL_HEADER, funnel_id.encode()),))
