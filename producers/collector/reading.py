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
from producers.ingest.repair import Repaired, as_sent, repair
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
            is_found = sender is not None or _is_readable(request.body)
            _undo(request, sent)
            if is_found:
                return sender
    raise malformed(sent)


def read(endpoint: Endpoint, request: Request, sender: Sender) -> Reading:
    """The events of the request, of the repaired body where that can be read better. Raises RequestError where neither
    can be read."""
    try:
        reading = endpoint.read(request, sender)
    except RequestError as refusal:
        if refusal.reason is not RejectReason.MALFORMED_JSON:
            raise
        again = _read_repaired(endpoint, request, sender)
        if again is None:
            raise
        return again
    rejected = [verdict for verdict in reading.verdicts if verdict.__class__ is Rejected]  # seldom any
    sent = request.body
    if any(map(is_malformed, rejected)) and (repaired := _repair(request)):
        return _with_what_was_sent(endpoint.read(request, sender), sent, repaired)
    return _complete(reading, reading.elements) if rejected else reading


def _read_repaired(endpoint: Endpoint, request: Request, sender: Sender) -> Reading | None:
    """As lines, else as one text: an array whose texts hold ends of lines. None where neither can be read."""
    sent = request.body
    for has_lines in (True, False):
        if repaired := _repair(request, has_lines=has_lines):
            with contextlib.suppress(RequestError):
                return _with_what_was_sent(endpoint.read(request, sender), sent, repaired)
        _undo(request, sent)
    return None


def _repair(request: Request, *, has_lines: bool = True) -> Repaired | None:
    """The repaired body, which the request has from now on; None where there was nothing to repair."""
    repaired = repair(request.body, has_lines=has_lines)
    request.body, request.repairs = repaired.text, request.repairs + repaired.repairs
    return repaired if repaired.repairs else None


def _with_what_was_sent(reading: Reading, sent: bytes, repaired: Repaired) -> Reading:
    """The dead letter of an event holds what was sent of it, where the event stands in the body."""
    after, as_read = 0, list(reading.elements)
    for number, element in enumerate(as_read if repaired.changes is not None else ()):
        begins = repaired.text.find(element, after)
        if begins >= 0:
            after = begins + len(element)
            reading.elements[number] = as_sent(slice(begins, after), sent, repaired.changes or ())
    return _complete(reading, as_read)


def _complete(reading: Reading, as_read: list[bytes]) -> Reading:
    """The dead letter of an event holds what it shared with others, too."""
    if reading.alone is not None:
        for number, verdict in enumerate(reading.verdicts):
            if verdict.__class__ is Rejected:
                reading.elements[number] = reading.alone(reading.elements[number], as_read[number])
    return reading


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
