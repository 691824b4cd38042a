"""A dead letter that an operator sends again: who it is from, and when it was first received.

`X-Funnelcast-Replayed: <received_at_ms>;<source>` (the source percent-encoded), with a key of the scope historical. The
request is then read as one of that source at that time; what was checked before the dead letter was written (key,
signature, age of a delivery) is the operator's word. Reads headers, decides nothing else.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from producers.access.keys import KeyRing
from producers.formats.port import Request
from producers.http.body import RequestError
from producers.http.messages import key_of
from producers.ingest.verdicts import Scope, Sender
from schemas.properties import MAX_SOURCE_CHARS
from schemas.reasons import RejectReason

HEADER: Final = "X-Funnelcast-Replayed"
_NAME: Final = HEADER.lower().encode()


def replayed_header(received_at_ms: int, source: str) -> str:
    """The header's value."""
    return f"{received_at_ms};{quote(source)}"


def is_replayed(request: Request) -> bool:
    """Whether the request says that it is a dead letter sent again."""
    return _NAME in request.headers


def replayed_sender(request: Request, keys: KeyRing) -> tuple[Sender | None, Sender, int]:
    """(whose key it is, whom the dead letter is from, when it was received). Raises RequestError."""
    operator = keys.sender_of(key_of(request.headers, b"", b""))
    received, _, source = request.headers[_NAME].decode("latin-1").partition(";")
    source = unquote(source).strip()
    if operator is not None and operator.scope is not Scope.HISTORICAL:
        raise RequestError(RejectReason.NOT_ALLOWED, f"{HEADER} needs a write key of the scope historical")
    if not (received.isascii() and received.isdigit() and len(received) <= 15 and 0 < len(source) <= MAX_SOURCE_CHARS):
        raise RequestError(RejectReason.INVALID_TIME, f"{HEADER} cannot be read", "write <received_at_ms>;<source>")
    return operator, Sender(source, Scope.SERVER, "" if operator is None else operator.id), int(received)
