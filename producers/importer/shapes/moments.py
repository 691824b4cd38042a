"""Times as archives write them: RFC 3339, `2025-01-01 10:00:00.123 UTC`, epochs. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from producers.importer.dates import NoTimeError, TimeReader

_reader: Final = TimeReader("time", None, zone="UTC")
_SECONDS_BELOW: Final = 100_000_000_000


def moment_ms(value: object) -> int | None:
    """Epoch milliseconds, None where there is no time that can be read."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value * 1000) if value < _SECONDS_BELOW else int(value)
    try:
        return _reader.read(value if isinstance(value, datetime) else str(value))
    except NoTimeError:
        return None
