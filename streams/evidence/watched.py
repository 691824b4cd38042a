"""What is watched of one funnel: its histories, its series, and what is normal for them, learned once a day. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

from schemas.counters import Cell, CellGroup, Grain, currency_code
from schemas.funnel.model import Funnel
from schemas.times import HOUR_MS
from streams.evidence.detector import Detector, Normal, Series
from streams.evidence.history import History, Place
from streams.report.document.names import Labels, Registers

VALUES = 20
"""Of each dimension those with the most entries are watched."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One funnel's stages and histories."""

    stages: tuple[str, ...]
    order_stages: tuple[int, ...]
    hours: History
    minutes: History
    label: Callable[[Place], str]
    """`channel=google`; empty for the whole."""
    hour_of_week: Callable[[int], int]
    delay_ms: int
    """Of the watermark."""


def history_of(funnel: Funnel) -> History:
    """Empty; of buckets of any grain."""
    return History(currency=currency_code(funnel.currency))


def add_cells(history: History, funnel: Funnel, *, cells: Mapping[CellGroup, Mapping[int, Cell]], grain: Grain) -> None:
    """Those of a grain; pairs are not watched."""
    for (of, bucket, dimset), fields in cells.items():
        if of == grain and dimset <= len(funnel.dimensions):
            history.add(bucket, dimset, fields=fields)


def watched_of(funnel: Funnel, registers: Registers, *, hours: History, minutes: History, delay_ms: int) -> Watched:
    """With the texts of a funnel."""
    labels = Labels(funnel, registers)
    return Watched(
        stages=tuple(stage.name for stage in funnel.stages),
        order_stages=tuple(number for number, stage in enumerate(funnel.stages) if stage.nth is not None),
        hours=hours,
        minutes=minutes,
        label=lambda place: labels.values(place.dimset, value1=place.value, value2=0),
        hour_of_week=hour_of_week(funnel.timezone),
        delay_ms=delay_ms,
    )


@cache
def hour_of_week(timezone: str) -> Callable[[int], int]:
    """From an hour since 1970 to that of the week in a time zone, Monday 0:00 being 0; remembers its answers."""
    zone, known = ZoneInfo(timezone), dict[int, int]()

    def answer(hour: int) -> int:
        if hour not in known:
            local = datetime.fromtimestamp(hour * HOUR_MS // 1000, tz=UTC).astimezone(zone)
            known[hour] = local.weekday() * 24 + local.hour
        return known[hour]

    return answer


KnownNormals: TypeAlias = dict[tuple[Series, int], Normal | None]
"""What was learned, by series and UTC day; None: too little to learn from."""


class Normals:
    """The series of a funnel, and what is normal for each on a day. `known` is used and added to."""

    def __init__(self, watched: Watched, known: KnownNormals | None = None) -> None:
        self.watched = watched
        self.detector = Detector(
            watched.hours, watched.minutes, hour_of_week=watched.hour_of_week, first_hour=watched.hours.span[0]
        )
        self.places = _places(watched)
        self._known: KnownNormals = {} if known is None else known

    def of(self, series: Series, day: int) -> Normal | None:
        """None where there is too little to learn from. `day`: UTC days since 1970."""
        key = series, day
        if key not in self._known:
            self._known[key] = self.detector.normal(series, day)
        return self._known[key]

    def series(self) -> Iterator[Series]:
        """What is watched."""
        last = len(self.watched.stages) - 1
        for place in self.places:
            if place.stage < last:
                yield Series("conversion", place)
            if place.stage == 0:
                yield Series("entries", place)
        for stage in self.watched.order_stages:
            yield Series("revenue", Place(0, 0, stage))


def _places(watched: Watched) -> list[Place]:
    """The whole, and the values of single dimensions with the most entries. Where all of a stage have one value it says
    what the whole says, and is left out: nobody has a manager before the stage that names one."""
    hours = watched.hours
    places = [place for place in hours.places if place.stage < len(watched.stages)]
    sizes: dict[tuple[int, int], float] = {}
    values: dict[tuple[int, int], int] = {}
    for place in places:
        if place.dimset and watched.label(place):
            size = float(hours.entries(place, *hours.span).sum())
            sizes[place.dimset, place.value] = sizes.get((place.dimset, place.value), 0.0) + size
            values[place.dimset, place.stage] = values.get((place.dimset, place.stage), 0) + (size > 0)
    chosen: set[tuple[int, int]] = set()
    for dimset in {dimset for dimset, _ in sizes}:
        named = sorted((value for each, value in sizes if each == dimset), key=lambda value: -sizes[dimset, value])
        chosen |= {(dimset, value) for value in named[:VALUES]}
    return [
        place
        for place in places
        if not place.dimset
        or ((place.dimset, place.value) in chosen and values.get((place.dimset, place.stage), 0) > 1)
    ]
