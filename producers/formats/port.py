"""What a format is: a client's way to send events over HTTP. Values and ports only; the collector serves them.

A format is one value: its endpoints, each with its paths, and the other pages that its clients ask for. An endpoint
finds the sender, reads a request into verdicts, writes the answer, and knows how one of its dead letters is sent again.
It does no I/O and has no clock: the time of reception is part of the request. Everything it accepts goes through
`producers.ingest.checks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

import msgspec

from producers.access.keys import KeyRing
from producers.formats.replaying import DeadLetterPayload, with_id
from producers.http.messages import JSON, Answer, Header, Headers, key_of
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Outcome, Sender


class Request(msgspec.Struct):
    """One request. `raw_body` is what arrived, for signatures; `body` is what is read: decompressed, and unpacked by
    `Endpoint.body_of`."""

    method: str
    path: str
    headers: Headers
    query: bytes
    label: str = ""
    """The route as metrics, dead letters and logs name it."""
    address: str = ""
    """Of the client, as far as it can be trusted."""
    is_proxied: bool = False
    """Handed on by a trusted proxy."""
    body: bytes = b""
    raw_body: bytes = b""
    repairs: int = 0
    """Values of the body that could not be read and were repaired."""
    received_at_ms: int = 0
    is_replay: bool = False
    """A dead letter that an operator sends again: signatures and ages were checked before."""
    dead_letter_headers: tuple[bytes, ...] = ()
    """Headers without which the request could not be read again: kept in its dead letters."""
    limits: tuple[Header, ...] = ()
    """Headers of the answer about a rate limit that applies to the sender."""


@dataclass(slots=True)
class Reading:
    """Verdicts of a request in its order, with what was sent for each (what a dead letter would hold)."""

    elements: list[bytes] = field(default_factory=list)
    verdicts: list[Outcome] = field(default_factory=list)
    delivery: str | None = None
    """The name of this delivery of a webhook: the same one again, once stored, is answered but not stored again."""
    report: bytes = b""
    """The body of an answer that is not about verdicts."""
    alone: Callable[[bytes, bytes], bytes] | None = None
    """Where an event needs what its request says besides: (what was sent of it, what was read of it) -> what its dead
    letter holds."""


@dataclass(frozen=True, slots=True)
class RoutePath:
    """Where an endpoint is served: methods (separated by blanks), and a path; one that ends in `*` stands for all that
    begin so."""

    methods: str
    path: str
    label: str = ""
    """The route's name in metrics, dead letters and logs; default: the path."""
    is_shown_at_start: bool = False
    """Its metrics exist before its first request."""


class Endpoint(Protocol):
    """How one kind of request is taken."""

    @property
    def paths(self) -> Sequence[RoutePath]:
        """Where it is served."""

    @property
    def is_for_visitors(self) -> bool:
        """Whether only the machine of a visitor makes such requests, so that its agent is the visitor's."""

    @property
    def dead_letter_headers(self) -> tuple[bytes, ...]:
        """Headers without which a request could not be read again."""

    @property
    def is_for_pages(self) -> bool:
        """Whether only pages send here."""

    @property
    def has_keys(self) -> bool:
        """Whether a request needs a key."""

    def body_of(self, request: Request) -> bytes:
        """The decompressed body, without what else a client wraps it in. Called once, before everything else. Raises
        RequestError."""

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """Who sends; None or a RequestError where the request must be refused."""

    def read(self, request: Request, sender: Sender) -> Reading:
        """The events of the request. Raises RequestError where not even its events can be told apart."""

    def answer(self, reading: Reading) -> Answer:
        """The 200, after everything is stored."""

    def replay_body(self, dead_letter: DeadLetterPayload) -> bytes:
        """The body that sends a dead letter of this endpoint again: complete, and with an id, so that one sent twice is
        counted once."""


class BaseEndpoint:
    """The usual: a write key in one of the usual places, a body as it is, the answer `{"success":true}` that most
    clients expect, events with their ids in the member `id_member`."""

    paths: Sequence[RoutePath] = ()
    is_for_visitors: bool = False
    dead_letter_headers: tuple[bytes, ...] = ()
    is_for_pages: ClassVar[bool] = False
    """Only pages send here: a server's key is refused, whatever the request says of its origin."""
    has_keys: ClassVar[bool] = True
    """False where a request proves itself without a key."""
    id_member: ClassVar[str | None] = None
    """Of one event's JSON object; None: every event that is accepted has an id of its own."""

    def body_of(self, request: Request) -> bytes:
        """The body as it is."""
        return request.body

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """The sender of the request's write key."""
        return keys.sender_of(key_of(request.headers, request.query, request.body))

    def answer(self, reading: Reading) -> Answer:
        """`{"success":true}`, and how many of its events are too late to be counted."""
        late = late_in(reading)
        return Answer(200, b'{"success":true,"late":%d}' % late, (JSON,)) if late else SUCCESS_ANSWER

    def replay_body(self, dead_letter: DeadLetterPayload) -> bytes:
        """As it was sent, with an id where it has none."""
        return dead_letter.payload if self.id_member is None else with_id(dead_letter, self.id_member)


def late_in(reading: Reading) -> int:
    """Accepted events that no funnel counts."""
    return sum(1 for one in reading.verdicts if isinstance(one, Accepted) and one.is_late)


SUCCESS: Final = b'{"success":true}'
SUCCESS_ANSWER: Final = Answer(200, SUCCESS, (JSON,))


@dataclass(frozen=True, slots=True)
class Page:
    """Answers requests that carry no events. A page for GET answers HEAD too."""

    methods: str
    path: str
    serve: Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format: what one kind of client sends, and asks for."""

    name: str
    endpoints: Callable[[Ingest], Sequence[Endpoint]]
    pages: tuple[Page, ...] = ()
