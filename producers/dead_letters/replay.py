"""Dead letters as an operator handles them: which are meant, and what has to be sent so that one is read again. Pure.

A payload goes back to the route that refused it. It is complete as it stands; what lacks an id of its own gets one from
the letter's place in the topic, so that a letter that is sent twice is counted once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from producers.dead_letters.header import HEADER, replayed_header
from producers.dead_letters.record import DeadLetter
from schemas.reasons import RejectReason

UNKNOWN_SOURCE: Final = "unknown"
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
_ID_MEMBERS: Final = {
    "/v1/events": "id",
    "/v1/browser": "id",
    "/v1/batch": "messageId",
    "/com.snowplowanalytics.snowplow/tp2": "eid",
} | {f"/v1/{kind}": "messageId" for kind in ("track", "page", "screen", "identify", "group", "alias")}
_POSTHOG: Final = ("/batch", "/e", "/i/v0/e", "/capture", "/track", "/engage")
ID_MEMBERS: Final = _ID_MEMBERS | dict.fromkeys(_POSTHOG, "uuid")
"""Member that holds an event's id, by route. Formats that are not here have ids in all that they accept."""
_GA4: Final = "/mp/collect"
_QUERIES: Final = {"/pixel.gif": b"id", "/pixel/v1/track": b"messageId", "/pixel/v1/page": b"messageId"}
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
    body = _with_time(one) if letter.route == _GA4 else _with_id(letter, f"letter-{one.partition}-{one.offset}")
    if letter.route == "/v1/batch" and _member(body, "batch") is None:
        body = b'{"batch":[' + body + b"]}"
    headers = {"Content-Type": "application/json", **(letter.headers or {})}
    return Again(letter.route, body, headers | {HEADER: replayed_header(letter.received_at_ms, source)})


def _with_time(one: Letter) -> bytes:
    """Google's hits have no ids; the collector makes one of content and time. Where none is stated the time is that of
    reception, to the microsecond by which this letter differs from its like."""
    payload = one.letter.sent()
    hit = _parsed(payload)
    events = hit.get("events") if isinstance(hit, dict) else None
    if not isinstance(hit, dict) or not isinstance(events, list) or "timestamp_micros" in hit:
        return payload
    if any(isinstance(event, dict) and "timestamp_micros" in event for event in events):
        return payload
    micros = one.letter.received_at_ms * 1000 + (one.partition * 31 + one.offset) % 1000
    return payload.rstrip()[:-1] + b',"timestamp_micros":%d}' % micros


def _with_id(letter: DeadLetter, made: str) -> bytes:
    """The payload, with an id where one is due and none is there; everything else as it was sent."""
    route, payload = letter.route, letter.sent()
    if route in _QUERIES:
        name = _QUERIES[route]
        has_one = any(f"{n}=".encode() in b"&" + payload for n in ("&id", "&i", "&messageId"))
        return payload if has_one else payload + b"&" + name + b"=" + made.encode()
    member = ID_MEMBERS.get(route)
    if member is None:
        return payload
    value = _parsed(payload)
    if not isinstance(value, dict) or "batch" in value or "events" in value or "data" in value:
        return payload  # a whole request that could not be taken: its events are told apart by the collector
    if value.get(member) not in (None, ""):
        return payload
    separator = b"," if value else b""
    return payload.rstrip()[:-1] + separator + orjson.dumps(member) + b":" + orjson.dumps(made) + b"}"


def _parsed(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None


def _member(payload: bytes, name: str) -> Any:
    value = _parsed(payload)
    return value.get(name) if isinstance(value, dict) else None


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
