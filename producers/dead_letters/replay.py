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


class Letter(NamedTuple):
    """A dead letter and where it stands."""

    partition: int
    offset: int
    letter: DeadLetter

    @property
    def place(self) -> str:
        """As `funnelcast rejected show` takes it."""
        return f"{self.partition}:{self.offset}"


class Again(NamedTuple):
    """A request that sends a letter again."""

    path: str
    body: bytes
    headers: dict[str, str]


class CannotSendError(ValueError):
    """Why a letter cannot be sent again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant. `None` and empty: all."""

    reasons: frozenset[str] = frozenset()
    source: str | None = None
    route: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, one: DeadLetter) -> bool:
        """Whether this letter is meant."""
        return (
            (not self.reasons or one.reason in self.reasons)
            and (self.source is None or one.source == self.source)
            and (self.route is None or one.route == self.route)
            and (self.since_ms is None or one.received_at_ms >= self.since_ms)
            and (self.until_ms is None or one.received_at_ms < self.until_ms)
        )

    def sends(self, one: DeadLetter) -> bool:
        """Whether a replay takes it: what nobody has vouched for only where its reason is named."""
        return self.takes(one) and (one.reason not in UNVOUCHED or one.reason in self.reasons)


def letter_of(partition: int, offset: int, value: bytes | None) -> Letter | None:
    """A record of the topic; None for one that is no letter of ours."""
    try:
        return Letter(partition, offset, _decode(value or b""))
    except msgspec.DecodeError:
        return None


def again(one: Letter, *, source: str | None = None) -> Again:
    """The request that sends a letter again; `source` for one whose sender was not known. Raises CannotSendError."""
    letter = one.letter
    if letter.is_cut:
        kept = len(letter.sent())
        raise CannotSendError(f"its payload was cut: {kept} of {letter.bytes} bytes are kept")
    if not letter.route.startswith("/"):
        raise CannotSendError(f"its route {letter.route!r} is no path")
    source = letter.source if letter.source != UNKNOWN_SOURCE else source
    if source is None:
        raise CannotSendError("nobody knows whose it is: name a source with --as-source")
    payload = DeadLetterPayload(letter.sent(), letter.received_at_ms, one.partition, one.offset)
    endpoint = endpoint_of(letter.route)  # None for a webhook: its events have ids
    body = payload.payload if endpoint is None else endpoint.replay_body(payload)
    headers = {"Content-Type": "application/json", **(letter.headers or {})}
    return Again(letter.route, body, headers | {HEADER: replayed_header(letter.received_at_ms, source)})


class Summary(msgspec.Struct):
    """How many letters there are of a kind."""

    source: str
    reason: str
    route: str
    count: int


class Tally:
    """Counts letters by source, reason and route."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, letter: DeadLetter) -> None:
        """One more."""
        self._counts[letter.source, letter.reason, letter.route] += 1

    @property
    def total(self) -> int:
        """All of them."""
        return self._counts.total()

    def rows(self) -> list[Summary]:
        """Most first."""
        kinds = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return [Summary(*kind, count) for kind, count in kinds]
