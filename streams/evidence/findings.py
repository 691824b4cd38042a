"""What stands behind evidence that the whole of a stage fell: where, and what it has cost. Pure.

The window that speaks is compared with the same hours of up to four weeks before. Of a share the contribution of every
value is parted into mix (who came) and rate (how they went on), exactly (`questions.decompose`); of an amount it
is the difference. Money is what is missing times what one of the missing was worth in those weeks: an estimate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from schemas.times import HOUR_MS, MINUTE_MS
from streams.evidence.detector import MINUTES_OF_HOUR, Evidence, Series
from streams.evidence.history import EDGES, Place
from streams.evidence.reference import HOURS_OF_WEEK
from streams.evidence.watched import Normals
from streams.report.questions.decompose import Counts, decompose

MOST_CONTRIBUTORS: Final = 3
_WEEKS: Final = 4
Effect: TypeAlias = Literal["rate", "mix", "volume"]
_Hours: TypeAlias = tuple[int, int]
"""[first, end), by number since 1970."""


class Contributor(NamedTuple):
    """One value's part in the fall: of a share in parts of one, of entries in persons, of revenue in minor units."""

    dim: str
    effect: Effect
    part: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one standing."""

    contributors: tuple[Contributor, ...]
    """Those that pulled down most, the most first."""
    missing_minor: float
    """Revenue that did not come in the window, in minor units; 0 where nothing is known of orders."""


def finding_of(series: Series, normals: Normals, *, evidence: Evidence, watermark_ms: int) -> Finding:
    """Of a series of the whole that fell, at a watermark."""
    normal = normals.of(series, watermark_ms // (24 * HOUR_MS))
    age_ms = 1000 * normal.age_seconds if normal is not None else 0
    end = -(-(watermark_ms - age_ms) // HOUR_MS)
    first = (watermark_ms - age_ms - evidence.window_minutes * MINUTE_MS) // HOUR_MS
    edge = EDGES if normal is None else normal.edge
    look = _Look(normals, series, edge, window=(first, max(end, first + 1)))
    parts = sorted((each for each in look.contributors() if each.part < 0), key=lambda each: each.part)
    return Finding(tuple(parts[:MOST_CONTRIBUTORS]), max(0.0, look.missing(evidence)))


@dataclass(frozen=True, slots=True)
class _Look:
    normals: Normals
    series: Series
    edge: int
    window: _Hours

    def contributors(self) -> Iterator[Contributor]:
        """Of every dimension."""
        before, after = self._by_value(self._past()), self._by_value([self.window])
        for dimset in {place.dimset for place in self.normals.places if place.dimset}:
            if self.series.kind == "conversion":
                for dim, part in decompose(before[dimset], after[dimset]).items():
                    yield Contributor(dim, "rate", float(part.rate))
                    yield Contributor(dim, "mix", float(part.mix + part.neither))
            else:
                weeks = max(1, len(self._past()))
                for dim in before[dimset].keys() | after[dimset].keys():
                    amounts = after[dimset].get(dim, (0, 0))[0], before[dimset].get(dim, (0, 0))[0] / weeks
                    yield Contributor(dim, "volume", amounts[0] - amounts[1])

    def missing(self, evidence: Evidence) -> float:
        """What is missing times what one of it was worth."""
        if self.series.kind == "revenue":
            return evidence.expected - evidence.numerator
        short = evidence.expected * (evidence.denominator or 1.0) - evidence.numerator
        hours = self.normals.watched.hours
        span = max(hours.span[0], self.window[0] - _WEEKS * HOURS_OF_WEEK), self.window[0]
        revenue = sum(hours.revenue(Place(0, 0, stage), *span).sum() for stage in self.normals.watched.order_stages)
        place = self.series.place
        ones = hours.entries(place, *span) if self.series.kind == "entries" else hours.went_on(place, EDGES, *span)
        return float(short * revenue / ones.sum()) if ones.sum() else 0.0

    def _past(self) -> list[_Hours]:
        known = self.normals.watched.hours.span[0]
        spans = [tuple(hour - week * HOURS_OF_WEEK for hour in self.window) for week in range(1, _WEEKS + 1)]
        return [(first, end) for first, end in spans if first >= known]

    def _by_value(self, spans: list[_Hours]) -> dict[int, dict[str, Counts]]:
        """Numerator and denominator by dimension set and value, summed over spans."""
        totals: dict[int, dict[str, Counts]] = defaultdict(dict)
        for place in self.normals.places:
            if place.dimset and place.stage == self.series.place.stage:
                counts = [self._counts(place, span) for span in spans]
                total = sum(count[0] for count in counts), sum(count[1] for count in counts)
                totals[place.dimset][self.normals.watched.label(place)] = total
        return totals

    def _counts(self, place: Place, span: _Hours) -> Counts:
        hours = self.normals.watched.hours
        if self.series.kind == "revenue":
            return int(hours.revenue(place, *span).sum()), 0
        entries = int(hours.entries(place, *span).sum())
        if self.series.kind == "entries":
            return entries, 0
        return int(hours.went_on(place, self.edge, *span).sum()), entries


def hours_of(evidence: Evidence) -> float:
    """Length of the window."""
    return evidence.window_minutes / MINUTES_OF_HOUR
