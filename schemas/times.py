"""Units of time in milliseconds, and days as numbers. Pure arithmetic, no clock."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


def local_day(epoch_seconds: float, zone: ZoneInfo) -> int:
    """Days from 1970-01-01 to the date that an instant has in a time zone."""
    return day_of(datetime.fromtimestamp(epoch_seconds, tz=UTC).astimezone(zone))


def day_of(date_: date) -> int:
    """Days from 1970-01-01 to a date."""
    return date_.toordinal() - _EPOCH_ORDINAL


def date_of(day: int) -> date:
    """The date that lies so many days behind 1970-01-01."""
    return date.fromordinal(_EPOCH_ORDINAL + day)


def utc_text(epoch_ms: int) -> str:
    """An instant as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(epoch_ms // 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
