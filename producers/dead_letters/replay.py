"""Dead letters as an operator handles them: which are meant, and what has to be sent so that one is read again. Pure.

A payload goes back to the route that refused it, in the body that this route's format makes of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from producers.dead_letters.header import HEADER, replayed_header
from producers.dead_letters.record import DeadLetter
from producers.formats.formats import endpoint_of
from producers.formats.replaying import DeadLetterPayload
from schemas.properties import UNKNOWN_SOURCE
from schemas.reasons import RejectReason

UNVOUCHED: Final = frozenset(
    reason.value
    for reason in (
        RejectReason.BAD_KEY,
        RejectReason.REVOKED_KEY,
        RejectReason.WRONG_ORIGIN,
        RejectReason.BAD_SIGNATURE,
        RejectReason.STALE_DELIVERY,
        RejectReason.NOT_ALLOWED,
    )
)
"""Refused because of who sent it: nobody has vouched for what it says."""
_decode: Final = msgspec.json.Decoder(DeadLetter).decode


class StoredDeadLetter(NamedTuple):
    """A dead letter and where it stands."""

    partition: int
    offset: int
    dead_letter: DeadLetter

    @property
    def place(self) -> str:
        """As `funnelcast rejected show` takes it."""
        return f"{self.partition}:{self.offset}"


class ReplayRequest(NamedTuple):
    """A request that sends a dead letter again."""

    path: str
    body: bytes
    headers: dict[str, str]


class CannotSendError(ValueError):
    """Why a dead letter cannot be sent again."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters are meant. `None` and empty: all."""

    reasons: frozenset[str] = frozenset()
    source: str | None = None
    route: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def matches(self, dead_letter: DeadLetter) -> bool:
        """Whether this dead letter is meant."""
        return (
            (not self.reasons or dead_letter.reason in self.reasons)
            and (self.source is None or dead_letter.source == self.source)
            and (self.route is None or dead_letter.route == self.route)
            and (self.since_ms is None or dead_letter.received_at_ms >= self.since_ms)
            and (self.until_ms is None or dead_letter.received_at_ms < self.until_ms)
        )

    def allows_replay(self, dead_letter: DeadLetter) -> bool:
        """Whether a replay takes it: what nobody has vouched for only where its reason is named."""
        return self.matches(dead_letter) and (dead_letter.reason not in UNVOUCHED or dead_letter.reason in self.reasons)


def decode_dead_letter(partition: int, offset: int, *, value: bytes | None) -> StoredDeadLetter | None:
    """A record of the topic; None for one that is no dead letter of ours."""
    try:
        return StoredDeadLetter(partition, offset, _decode(value or b""))
    except msgspec.DecodeError:
        return None


def replay_request(stored: StoredDeadLetter, *, source: str | None = None) -> ReplayRequest:
    """The request that sends a dead letter again; `source`: of one whose sender was unknown. Raises CannotSendError."""
    dead_letter = stored.dead_letter
    if dead_letter.is_cut:
        kept_bytes = len(dead_letter.sent())
        raise CannotSendError(f"its payload was cut: {kept_bytes} of {dead_letter.size} bytes are kept")
    if not dead_letter.route.startswith("/"):
        raise CannotSendError(f"its route {dead_letter.route!r} is no path")
    source = dead_letter.source if dead_letter.source != UNKNOWN_SOURCE else source
    if source is None:
        raise CannotSendError("nobody knows whose it is: name a source with --as-source")
    payload = DeadLetterPayload(dead_letter.sent(), dead_letter.received_at_ms, stored.partition, stored.offset)
    endpoint = endpoint_of(dead_letter.route)  # None for a webhook: its events have ids
    body = payload.payload if endpoint is None else endpoint.replay_body(payload)
    headers = {"Content-Type": "application/json", **(dead_letter.headers or {})}
    return ReplayRequest(
        dead_letter.route, body, headers | {HEADER: replayed_header(dead_letter.received_at_ms, source)}
    )


class Summary(msgspec.Struct):
    """How many dead letters there are of a kind."""

    source: str
    reason: str
    route: str
    count: int


class DeadLetterCounts:
    """Counts dead letters by source, reason and route."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, dead_letter: DeadLetter) -> None:
        """One more."""
        self._counts[dead_letter.source, dead_letter.reason, dead_letter.route] += 1

    @property
    def total(self) -> int:
        """All of them."""
        return self._counts.total()

    def rows(self) -> list[Summary]:
        """Most first."""
        kinds = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return [Summary(*kind, count) for kind, count in kinds]
