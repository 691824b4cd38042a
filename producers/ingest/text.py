"""The JSON text of one event within the bounds of size and depth, as a value. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

from producers.ingest.limits import Limits
from producers.ingest.objects import is_deeper
from producers.ingest.repair import repair
from producers.ingest.verdicts import RefusedError
from schemas.reasons import RejectReason

_BRACKET: Final = ord("[")


def parse_event(raw: bytes, limits: Limits) -> Any:
    """The value. Parsed whole, although its parts may go on as they were sent: a worker must be able to read whatever
    is accepted. Raises RefusedError."""
    if len(raw) > limits.event_bytes:
        raise too_large(len(raw), limits)
    brackets = raw.count(b"{") + raw.count(b"[") if _BRACKET in raw else raw.count(b"{")
    if brackets > limits.depth and is_deeper(raw, limits.depth):
        raise RefusedError(RejectReason.TOO_DEEP, f"nested deeper than {limits.depth}")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusedError(RejectReason.MALFORMED_JSON, str(error)) from None


def parse_inner(text: bytes, limits: Limits) -> tuple[Any, int]:
    """(the value of JSON within an event's own text, how many of its values were repaired). Raises RefusedError."""
    try:
        return parse_event(text, limits), 0
    except RefusedError as refusal:
        repaired, count, _ = repair(text)
        if refusal.reason is not RejectReason.MALFORMED_JSON or not count:
            raise
        return parse_event(repaired, limits), count


def too_large(size: int, limits: Limits) -> RefusedError:
    """The refusal of an event beyond the limit."""
    return RefusedError(RejectReason.EVENT_TOO_LARGE, f"{size} bytes; an event may have {limits.event_bytes}")
