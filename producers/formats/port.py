"""What a format is: a client's way to say events over HTTP. Values and ports only; the collector serves them.

A format finds the sender, reads a request into verdicts, and words the answer. It does no I/O and has no clock: the
time of reception stands in the request. Everything it accepts goes through `producers.ingest.checks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from producers.access.keys import KeyRing
from producers.http.messages import JSON, Answer, Header, Headers, key_of
from producers.ingest.verdicts import Outcome, Sender


class Request(msgspec.Struct):
    """One request. `body` is whole and in clear (decompressed); `raw_body` is what arrived, for signatures."""

    method: str
    path: str
    headers: Headers
    query: bytes
    label: str = ""
    """The route as metrics, dead letters and logs name it."""
    address: str = ""
    """Of the client, as far as it can be trusted."""
    body: bytes = b""
    raw_body: bytes = b""
    received_at_ms: int = 0
    is_replay: bool = False
    """A dead letter that an operator sends again: signatures and ages were looked at before."""
    letter_headers: tuple[bytes, ...] = ()
    """Headers without which the request could not be read again: kept in its dead letters."""
    limits: tuple[Header, ...] = ()
    """What the answer says of a rate limit that applies to the sender."""


@dataclass(slots=True)
class Reading:
    """Verdicts of a request in its order, with what was sent for each (what a dead letter would hold)."""

    elements: list[bytes] = field(default_factory=list)
    verdicts: list[Outcome] = field(default_factory=list)
    delivery: str | None = None
    """Names this delivery of a webhook: the same one again, once stored, is answered but not stored again."""


class Format(Protocol):
    """How one kind of client talks."""

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """Who sends; None or a RequestError where the request must be refused."""

    def read(self, request: Request, sender: Sender) -> Reading:
        """The events of the request. Raises RequestError where not even its events can be told apart."""

    def answer(self, request: Request, reading: Reading) -> tuple[bytes, Sequence[Header]]:
        """Body and headers of the 200, when everything is stored."""


class Keyed:
    """The usual places of a write key, and the answer `{"success":true}` that most clients expect."""

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """The sender of the request's write key."""
        return keys.sender_of(key_of(request.headers, request.query, request.body))

    def answer(self, request: Request, reading: Reading) -> tuple[bytes, Sequence[Header]]:
        """Nothing that a client would have to read."""
        return SUCCESS, (JSON,)


SUCCESS: Final = b'{"success":true}'
Page = Callable[[Request], Awaitable[Answer]]
"""Answers a request that carries no events."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path: its name in metrics, and what serves it."""

    label: str
    endpoint: Format | Page


class Routes:
    """The collector's table of paths. A path that ends in `*` stands for all that begin so; an exact one wins, then the
    longest."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._prefixes: dict[str, dict[str, Route]] = {}

    def add(self, methods: str, path: str, endpoint: Format | Page, *, label: str | None = None) -> None:
        """Serve `path` for the methods (separated by blanks); `label` defaults to the path."""
        table = self._prefixes if path.endswith("*") else self._exact
        row = table.setdefault(path.rstrip("*"), {})
        for method in methods.split():
            if method in row:
                raise ValueError(f"{method} {path} is served twice")
            row[method] = Route(label or path, endpoint)

    def at(self, path: str) -> dict[str, Route] | None:
        """The methods of a path, None where there is nothing. A slash at the end makes no difference."""
        row = self._exact.get(path)
        if row is None and path[-1:] == "/":
            row = self._exact.get(path.rstrip("/") or "/")
        if row is None:
            found = max((one for one in self._prefixes if path.startswith(one)), key=len, default=None)
            row = None if found is None else self._prefixes[found]
        return row

    def paths(self) -> list[str]:
        """Every path, prefixes with their star."""
        return sorted([*self._exact, *(f"{one}*" for one in self._prefixes)])
