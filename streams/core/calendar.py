"""Local days: which date of the funnel's time zone a UTC minute belongs to. 23 h and 25 h days come out right."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from schemas.times import local_day

_MEMO_LIMIT = 20_000
_MINUTES_MAX = 4_000_000_000


class Calendar:
    """Days since 1970-01-01 of local dates, remembered per hour; exact to the minute."""

    def __init__(self, timezone: str) -> None:
        self._is_utc = timezone == "UTC"
        self._zone = ZoneInfo(timezone)
        self._hours: dict[int, int] = {}
        """UTC hour -> local day where the whole hour lies in it, else -1."""

    def day(self, minute: int) -> int:
        """Local day of an epoch minute."""
        if self._is_utc:
            return minute // 1440
        hour = minute // 60
        day = self._hours.get(hour)
        if day is None:
            if len(self._hours) >= _MEMO_LIMIT:
                self._hours.clear()
            first, last = self._exact(hour * 60), self._exact(hour * 60 + 59)
            day = self._hours[hour] = first if first == last else -1
        return self._exact(minute) if day == -1 else day

    def _exact(self, minute: int) -> int:
        if minute > _MINUTES_MAX:
            return minute // 1440
        return local_day(minute * 60, self._zone)
