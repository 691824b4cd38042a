"""How much one request and one event may hold. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.lateness import ALLOWED_LATENESS_MS
from schemas.properties import MAX_SOURCE_CHARS


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the collector; every one of them is a setting."""

    body_bytes: int = 1_048_576
    """Bytes of a request, as sent and again after decompression."""
    event_bytes: int = 32_768
    events: int = 2_000
    """Events of one request."""
    requests: int = 2_000
    """Requests under way at once."""
    unfinished_bytes: int = 134_217_728
    """Of all bodies that have not arrived completely: slow senders cannot fill the memory."""
    body_seconds: float = 30.0
    """How long a body may take to arrive."""
    depth: int = 32
    """Nested objects and lists of one event."""
    name_chars: int = 128
    source_chars: int = MAX_SOURCE_CHARS
    dead_letter_bytes: int = 65_536
    """Kept of what was sent; a longer payload is cut, and its dead letter says so."""
    earliest_ms: int = 946_684_800_000
    """2000-01-01: a live event before it has seconds for milliseconds, or no clock."""
    future_ms: int = 60_000
    """A time further ahead of its reception than this is absurd and becomes the time of reception."""
    lateness_ms: int = ALLOWED_LATENESS_MS
    """What occurred longer before its reception is counted by no loaded funnel."""
    least_lateness_ms: int = ALLOWED_LATENESS_MS
    """What did not is counted by every one."""
    skew_ms: int = 7 * 86_400_000
    """A client's clock that differs from ours by more than this is not used for corrections."""
