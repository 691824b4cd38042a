"""Asks an endpoint who sends and what, once more where the body holds values that no parser takes: repaired, they cost
nobody their events. Decides no status.

The usual body is never looked at: only what an endpoint could not read is repaired.
"""

from __future__ import annotations

import contextlib

from producers.access.keys import KeyRing
from producers.formats.port import Endpoint, Reading, Request
from producers.http.body import RequestError, malformed, split_events
from producers.http.messages import key_of
from producers.ingest.repair import repair
from producers.ingest.verdicts import Rejected, Sender, is_malformed
from schemas.reasons import RejectReason


def sender_of(endpoint: Endpoint, request: Request, keys: KeyRing) -> Sender | None:
    """Who sends, as the endpoint says. Raises RequestError also where the key would stand in a body that cannot be
    read: that is no bad key."""
    sender = endpoint.sender_of(request, keys)
    if sender is not None or key_of(request.headers, request.query, b"") or _is_readable(request.body):
        return sender
    sent = request.body
    for has_lines in (True, False):
        if _repair(request, has_lines=has_lines):
            sender = endpoint.sender_of(request, keys)
            if sender is not None or _is_readable(request.body):
                return sender
        _undo(request, sent)
    raise malformed(sent)


def read(endpoint: Endpoint, request: Request, sender: Sender) -> Reading:
    """The events of the request, of the repaired body where that can be read better. Raises RequestError where neither
    can be read."""
    try:
        reading = endpoint.read(request, sender)
    except RequestError as refusal:
        if refusal.reason is not RejectReason.MALFORMED_JSON:
            raise
        repaired = _read_repaired(endpoint, request, sender)
        if repaired is None:
            raise
        return repaired
    rejected = [verdict for verdict in reading.verdicts if verdict.__class__ is Rejected]  # seldom any
    if any(map(is_malformed, rejected)) and _repair(request):
        return endpoint.read(request, sender)
    return reading


def _read_repaired(endpoint: Endpoint, request: Request, sender: Sender) -> Reading | None:
    """As lines, else as one text: an array whose texts hold ends of lines. None where neither can be read."""
    sent = request.body
    for has_lines in (True, False):
        if _repair(request, has_lines=has_lines):
            with contextlib.suppress(RequestError):
                return endpoint.read(request, sender)
        _undo(request, sent)
    return None


def _repair(request: Request, *, has_lines: bool = True) -> bool:
    """Whether there was something to repair in the body."""
    text, count = repair(request.body, has_lines=has_lines)
    request.body, request.repairs = text, request.repairs + count
    return count > 0


def _undo(request: Request, sent: bytes) -> None:
    """The dead letter of what cannot be read holds what was sent."""
    request.body, request.repairs = sent, 0


def _is_readable(body: bytes) -> bool:
    """Whether a body that looks like JSON is JSON; others (forms, texts) are read by their formats."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return True
    try:
        split_events(body, len(body))
    except RequestError:
        return False
    return True
