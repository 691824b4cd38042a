"""The time of a cell as epoch milliseconds. Pure. What can be read in two ways is asked, never guessed.

`2025-11-20 10:00`, `2025/11/20`, `Nov 20, 2025 10:11 PM`, `20 Nov 2025 10:00:00 GMT` can be read in one way only;
`01/02/2025` needs an order, a number a unit, everything else a format.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from producers.importer.definition import TimeFormat
from producers.ingest.times import MAX_MS

_UNITS: Final = {"s": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001"), "ns": Decimal("0.000001")}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXCEL_EPOCH: Final = datetime(1899, 12, 30)
_MONTH_NAMES: Final = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES.split(), 1)}
_ZONES: Final = {
    "": None, "Z": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
    "PDT": -7,
}  # fmt: skip
"""Those of RFC 822: others of the kind mean several zones."""
_MOMENT: Final = re.compile(
    r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
    r"(?:(?P<y1>\d{4})[-/.](?P<m1>\d{1,2})[-/.](?P<d1>\d{1,2})"
    r"|(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<y2>\d{4})"
    r"|(?P<month1>[a-z]{3})[a-z]*\.?\s+(?P<d3>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<y3>\d{4})"
    r"|(?P<d4>\d{1,2})[\s-](?P<month2>[a-z]{3})[a-z]*\.?,?[\s-](?P<y4>\d{4}))"
    r"(?:(?:\s*,\s*|\s+at\s+|T|\s+)(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<half>[ap]\.?m\.?)?)?"
    r"\s*(?P<zone>[a-z]{1,3}|(?:utc|gmt)?\s*[+-]\d{2}:?(?:\d{2})?)?",
    re.IGNORECASE,
)


class NoTimeError(ValueError):
    """The text says what to write in the import file, or in the cell."""


class TimeReader:
    """Reads the times of one column."""

    def __init__(self, column: str, form: TimeFormat | None, *, zone: str) -> None:
        self._column = column
        self._form = form or TimeFormat()
        self._zone = ZoneInfo(self._form.timezone or zone)

    def read(self, value: object) -> int:
        """Epoch milliseconds. Raises NoTimeError."""
        try:
            milliseconds = self._read(value)
        except (OverflowError, ArithmeticError):
            milliseconds = -1
        if not 0 <= milliseconds <= MAX_MS:
            raise NoTimeError(f"{str(value)[:64]!r} lies before 1970 or behind 9999; is the unit right?")
        return milliseconds

    def day_of(self, milliseconds: int) -> str:
        """The date that an instant has in the zone of the column, as 2025-01-31."""
        return datetime.fromtimestamp(milliseconds / 1000, self._zone).date().isoformat()

    def _read(self, value: object) -> int:
        if isinstance(value, datetime):
            return _milliseconds(value, self._zone)
        if isinstance(value, date):
            return _milliseconds(datetime.combine(value, time()), self._zone)
        text = str(value).strip()
        number = None if isinstance(value, bool) else _number(text)
        if self._form.unit is not None and number is not None:
            return self._of_number(number)
        if self._form.format is not None:
            return self._of_format(text, self._form.format)
        if number is not None:
            raise NoTimeError(
                f"{text!r} is a number: say its unit with {self._advice('unit: s')} (s, ms, us, ns, excel)"
            )
        return self._of_text(text)

    def _of_number(self, number: Decimal) -> int:
        if self._form.unit == "excel":
            days = timedelta(milliseconds=int((number * 86_400_000).to_integral_value()))
            return _milliseconds(_EXCEL_EPOCH + days, self._zone)
        return int(number * _UNITS[str(self._form.unit)])

    def _of_format(self, text: str, form: str) -> int:
        try:
            return _milliseconds(datetime.strptime(text, form), self._zone)
        except ValueError:
            raise NoTimeError(f"{text[:64]!r} is not written as {form!r} says") from None

    def _of_text(self, text: str) -> int:
        match = _MOMENT.fullmatch(text)
        if match is None:
            raise NoTimeError(f"{text[:64]!r} is no time that can be read; {self._advice('format: ...')} (as strptime)")
        part = match.groupdict()
        try:
            return _milliseconds(datetime(*self._day(text, part), *_clock(part), tzinfo=_offset(part)), self._zone)
        except NoTimeError:
            raise
        except ValueError as error:
            raise NoTimeError(f"{text[:64]!r} is no time: {error}") from None

    def _day(self, text: str, part: dict[str, str | None]) -> tuple[int, int, int]:
        if part["y1"]:
            return int(part["y1"]), int(part["m1"] or 0), int(part["d1"] or 0)
        if part["y2"]:
            return self._by_order(text, int(part["y2"]), pair=(int(part["a"] or 0), int(part["b"] or 0)))
        name = (part["month1"] or part["month2"] or "").lower()
        if name not in _MONTHS:
            raise NoTimeError(f"{text[:64]!r}: {name!r} is no month in English; {self._advice('format: ...')}")
        return int(part["y3"] or part["y4"] or 0), _MONTHS[name], int(part["d3"] or part["d4"] or 0)

    def _by_order(self, text: str, year: int, *, pair: tuple[int, int]) -> tuple[int, int, int]:
        if self._form.order is None:
            raise NoTimeError(
                f"{text[:64]!r}: is the day first, or the month? Say it with {self._advice('order: dmy')} (or mdy)"
            )
        day, month = pair if self._form.order == "dmy" else reversed(pair)
        return year, month, day

    def _advice(self, said: str) -> str:
        return f"times: {{{self._column}: {{{said}}}}}"


def _clock(part: dict[str, str | None]) -> tuple[int, int, int, int]:
    hour, half = int(part["h"] or 0), (part["half"] or "").lower()[:1]
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"hour {hour} {part['half']}")
        hour = hour % 12 + (12 if half == "p" else 0)
    return hour, int(part["min"] or 0), int(part["s"] or 0), int((part["f"] or "0")[:6].ljust(6, "0"))


def _offset(part: dict[str, str | None]) -> tzinfo | None:
    text = (part["zone"] or "").upper().replace(" ", "")
    signed = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{2}):?(\d{2})?", text)
    if signed:
        minutes = int(signed[2]) * 60 + int(signed[3] or 0)
        return timezone(timedelta(minutes=-minutes if signed[1] == "-" else minutes))
    if text not in _ZONES:
        raise NoTimeError(f"the zone {text!r} means several; write the offset, e.g. +02:00")
    hours = _ZONES[text]
    return None if hours is None else timezone(timedelta(hours=hours))


def _milliseconds(moment: datetime, zone: ZoneInfo) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def _number(text: str) -> Decimal | None:
    if not re.fullmatch(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
