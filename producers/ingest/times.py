"""Client times: RFC 3339 to epoch milliseconds, and the skew of a client's clock. Pure arithmetic, reads no clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOOSE: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?(.*)")
MAX_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
NEGATIVE_AGE_MS: Final = -5_000
"""A client that claims to have sent an event longer than this before it happened has no usable clock. Clients cut their
`sentAt` to whole seconds; more than that is no rounding."""


def parse_time_ms(text: str) -> int | None:
    """Epoch milliseconds of a date and time; without an offset it is UTC. None where the text is no time, or before
    1970."""
    moment = _moment(text.strip())
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        since = moment - _EPOCH
    except OverflowError:
        return None
    milliseconds = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000  # half of what // costs
    return milliseconds if 0 <= milliseconds <= MAX_MS else None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _loosely(text)


def _loosely(text: str) -> datetime | None:
    """Months, days and hours of one digit, as some clients (and the API's own documentation) write them."""
    match = _LOOSE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    padded = f"{year}-{month:>02}-{day:>02}T{hour or '0':>02}:{minute or '00'}:{second or '00'}"
    try:
        return datetime.fromisoformat(f"{padded}.{(fraction or '0')[:6]:0<6}{offset.strip()}")
    except ValueError:
        return None


def correct_skew_ms(
    *, client_ms: int | None, sent_ms: int | None, received_ms: int, max_skew_ms: int
) -> tuple[int, bool]:
    """(`received - (sent - client)`, whether the client's clock was unusable and the time of reception was taken
    instead).

    Without a sending time the client's time stays; without both it is the time of reception. The caller limits times in
    the future.
    """
    if client_ms is None:
        return received_ms, False
    if sent_ms is None:
        return client_ms, False
    age_ms = sent_ms - client_ms
    if age_ms < NEGATIVE_AGE_MS or abs(received_ms - sent_ms) > max_skew_ms:
        return received_ms, True
    corrected = received_ms - age_ms
    return (corrected, False) if corrected >= 0 else (received_ms, True)
