"""What is asked of a report, as a value. The command and every page parse it here. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, TypedDict
from zoneinfo import ZoneInfo

from schemas.counters import GRAIN_NAMES, Grain
from schemas.errors import UsageError
from schemas.funnel.duration import parse_duration_ms
from schemas.funnel.model import Funnel
from schemas.names import clean_text
from schemas.times import HOUR_MS, MINUTE_MS, date_of, day_of, local_day
from streams.report.document.periods import Period

_GRAINS = {name: grain for grain, name in GRAIN_NAMES.items()}
_PERIODS = tuple(period.value for period in Period)
GRAINS = (*_GRAINS, *_PERIODS)
"""Names of the grains that can be asked for."""
_BUCKETED = (Grain.MINUTE, Grain.HOUR, Grain.DAY)

_EARLIEST_MS, _LATEST_MS = (
    round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000 for year in (1900, 9000)
)  # a time zone moves what is at the end of the calendar out of it


class QuestionError(UsageError):
    """A question that has no answer; the text says what to write instead."""


class QuestionTexts(TypedDict, total=False):
    """A question as people write it; None is as if it were left out."""

    grain: str | None
    """`total`, `minute`, `hour`, `day`, `week`, `month`, `quarter`."""
    since: str | None
    until: str | None
    """Both as `parse_instant_ms` reads them."""
    dim: str | None
    """A dimension (`channel`), a declared pair (`channel|manager`), one cell (`channel=google`); empty: the whole."""


@dataclass(frozen=True, slots=True)
class ReportQuestion:
    """Which part of a funnel's document is wanted; nothing set: all of it."""

    funnel: Funnel
    grain: Grain | None = None
    since_ms: int | None = None
    """Buckets that end after this instant."""
    until_ms: int | None = None
    """Buckets that begin before this instant."""
    dimset: int | None = None
    """Cells of the whole (0), of a dimension (1, 2, ...) or of a pair (behind them), in the funnel's order."""
    label: str | None = None
    """Only the cells with this label: `channel=google`."""
    period: Period | None = None
    """Days summed to weeks, months or quarters; `grain` is the day then."""

    @classmethod
    def parse(cls, funnel: Funnel, texts: QuestionTexts, *, now_ms: int) -> Self:
        """From texts as people write them. Raises QuestionError."""
        grain, dim = texts.get("grain"), texts.get("dim")
        since, until = texts.get("since"), texts.get("until")
        question = cls(
            funnel=funnel,
            grain=None if grain is None else _parse_grain(grain),
            period=Period(grain) if grain in _PERIODS else None,
            since_ms=None if since is None else parse_instant_ms(since, timezone=funnel.timezone, now_ms=now_ms),
            until_ms=None if until is None else parse_instant_ms(until, timezone=funnel.timezone, now_ms=now_ms),
            dimset=None if dim is None else _parse_dimset(funnel, dim),
            label=_label(dim) if dim and "=" in dim else None,
        )
        if question.grain == Grain.TOTAL and question.has_times:
            raise QuestionError("totals are of all time: leave since and until away, or ask for another grain")
        if question.since_ms is not None and question.until_ms is not None and question.since_ms >= question.until_ms:
            raise QuestionError("since must lie before until")
        return question

    @property
    def has_times(self) -> bool:
        """Whether it is bounded in time."""
        return self.since_ms is not None or self.until_ms is not None

    @property
    def asked_values(self) -> list[tuple[str, str]]:
        """(dimension, value) of the one cell asked for."""
        parts = (self.label or "").split("|")
        return [(name, value) for name, equals, value in (part.partition("=") for part in parts) if equals]

    @property
    def is_of_first_values(self) -> bool:
        """Whether the cells have values of the journey's beginning alone: those of a `stage` are of different people at
        each stage."""
        return not self.dimset or self.dimset in [dimset for _, dimset in _first_dimsets(self.funnel)]

    @property
    def first_dimsets(self) -> list[tuple[str, int]]:
        """(name, number) of the dimension or pair asked for, else of every dimension, of those with such values."""
        known = _first_dimsets(self.funnel)
        if self.dimset is None:
            return [(name, number) for name, number in known if "|" not in name]
        return [(name, number) for name, number in known if number == self.dimset]

    @property
    def grains(self) -> tuple[Grain, ...]:
        """What to read: totals have no time."""
        if self.grain is not None:
            return (self.grain,)
        return _BUCKETED if self.has_times else tuple(Grain)

    @property
    def first_buckets(self) -> dict[int, int] | None:
        """By grain, the bucket in which `since_ms` lies; the first day of its week, month or quarter."""
        if self.since_ms is None:
            return None
        buckets = self._buckets_at(self.since_ms)
        if self.period is not None:
            buckets[Grain.DAY] = day_of(self.period.first_day(date_of(buckets[Grain.DAY])))
        return buckets

    @property
    def last_buckets(self) -> dict[int, int] | None:
        """By grain, the last bucket that begins before `until_ms`; the last day of such a week, month or quarter."""
        if self.until_ms is None:
            return None
        buckets = self._buckets_at(self.until_ms - 1)
        if self.period is not None:
            buckets[Grain.DAY] = day_of(self.period.last_day(date_of(buckets[Grain.DAY])))
        return buckets

    def _buckets_at(self, time_ms: int) -> dict[int, int]:
        return {
            Grain.MINUTE: time_ms // MINUTE_MS,
            Grain.HOUR: time_ms // HOUR_MS,
            Grain.DAY: local_day(time_ms / 1000, ZoneInfo(self.funnel.timezone)),
        }


def parse_instant_ms(text: str, *, timezone: str, now_ms: int) -> int:
    """Epoch milliseconds of a date or time (`2025-01-31`, RFC 3339; without an offset in `timezone`), of epoch
    milliseconds, or of a duration back from `now_ms` (`24h`). Raises QuestionError."""
    try:
        time_ms = _instant_ms(text.strip(), timezone=timezone, now_ms=now_ms)
    except (ValueError, OverflowError):
        raise QuestionError(
            f"{text!r} is no time; write 2025-01-31, 2025-01-31T10:00:00Z, 24h (ago), or epoch milliseconds"
        ) from None
    if not _EARLIEST_MS <= time_ms <= _LATEST_MS:
        raise QuestionError(f"{text!r} does not lie between the years 1900 and 9000")
    return time_ms


def _instant_ms(text: str, *, timezone: str, now_ms: int) -> int:
    """Raises ValueError, OverflowError."""
    if text.isascii() and text.isdigit() and len(text) >= 11:
        return int(text)
    try:
        return now_ms - parse_duration_ms(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def _parse_grain(text: str) -> Grain:
    if text in _PERIODS:
        return Grain.DAY
    if text not in _GRAINS:
        raise QuestionError(f"{text!r} is no grain; write {', '.join(GRAINS)}")
    return _GRAINS[text]


def _first_dimsets(funnel: Funnel) -> list[tuple[str, int]]:
    names = [*((dimension.name,) for dimension in funnel.dimensions), *funnel.pairs]
    of_first = {dimension.name for dimension in funnel.dimensions if dimension.attribution == "first"}
    return [("|".join(name), number) for number, name in enumerate(names, 1) if of_first.issuperset(name)]


def _parse_dimset(funnel: Funnel, dim: str) -> int:
    names = [dimension.name for dimension in funnel.dimensions]
    known = ["", *names, *("|".join(pair) for pair in funnel.pairs)]
    parts = dim.split("|")
    asked = "|".join(part.partition("=")[0] for part in parts)
    if "=" in dim and not all("=" in part for part in parts):
        raise QuestionError(f"{dim!r} is half a cell: write a value for both, as in channel=google|manager=ann")
    if asked not in known:
        raise QuestionError(
            f"{dim!r} is not counted in funnel {funnel.name}; dimensions and pairs are: "
            + (", ".join(known[1:]) or "none")
        )
    return known.index(asked)


def _label(dim: str) -> str:
    parts = [part.partition("=") for part in dim.split("|")]
    return "|".join(f"{name}={clean_text(value)}" for name, _, value in parts)
