"""What the evidence says now, as far as the watermark has come. The same arithmetic as a back-test. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from schemas.funnel.model import Funnel
from schemas.times import HOUR_MS, MINUTE_MS
from streams.defaults import LEAST_NATS, THRESHOLD_NATS
from streams.evidence.causes import Causes
from streams.evidence.detector import HOURS_OF_DAY, MINUTES_OF_DAY, Evidence, Kind, Normal, Series, at
from streams.evidence.findings import Finding, finding_of
from streams.evidence.scan import Scans
from streams.evidence.watched import KnownNormals, Normals, Watched
from streams.report.document.shapes import NamedCell
from streams.report.questions.sla import SlaAnswer
from streams.report.questions.targets import TargetAnswer

Direction: TypeAlias = Literal["down", "up"]
_NOTHING = Evidence(nats=0.0, window_minutes=0, numerator=0.0, denominator=0.0, expected=0.0)


@dataclass(frozen=True, slots=True)
class Standing:
    """One series and direction at the newest moment that can be judged."""

    kind: Kind
    stage: str
    dim: str
    direction: Direction
    evidence: Evidence
    cause: str
    """Empty without enough evidence to ask for one."""
    finding: Finding | None = None
    """Of the whole, where there is a cause: where it fell, and what it has cost."""


@dataclass(frozen=True, slots=True)
class FunnelEvidence:
    """Of one funnel, as of a watermark."""

    funnel: Funnel
    standings: list[Standing]
    made_at_ms: int
    watermark_ms: int
    """Up to which it speaks."""
    threshold: float = THRESHOLD_NATS
    """Evidence at which an alert begins."""
    values: Mapping[str, Mapping[str, NamedCell]] = field(default_factory=dict)
    """By window and `channel=google`: what happened lately by dimension value."""
    agreed: Sequence[SlaAnswer] = ()
    """Of the newest day that is old enough: whether people went on in the time of their stage."""
    targets: Sequence[TargetAnswer] = ()
    """Of periods that are not over."""

    def fallen(self) -> list[Standing]:
        """What fell, beyond doubt: each is an alert. Rises are none."""
        return [each for each in self.standings if each.direction == "down" and each.evidence.nats >= self.threshold]


def standings(watched: Watched, watermark_ms: int, *, known: KnownNormals | None = None) -> list[Standing]:
    """Every series that has a past to be compared with. What is learned is put into `known`, and not learned again."""
    normals = Normals(watched, known)
    causes = Causes(normals)
    return [
        standing
        for series in normals.series()
        for standing in _of(series, normals, causes=causes, watermark_ms=watermark_ms)
    ]


def _of(series: Series, normals: Normals, *, causes: Causes, watermark_ms: int) -> Iterator[Standing]:
    stage = normals.watched.stages[series.place.stage]
    newest = list(_newest(series, normals, watermark_ms=watermark_ms))
    for direction in ("down", "up") if newest else ():
        evidence = max(
            (at(getattr(scans, direction), -1, minutes=minutes, unit=normal.unit) for scans, minutes, normal in newest),
            key=lambda each: each.nats,
        )
        cause, finding = "", None
        if direction == "down" and evidence.nats >= LEAST_NATS:
            cause = causes.cause(series, watermark_ms + normals.watched.delay_ms, evidence=evidence)
            if not series.place.dimset:
                finding = finding_of(series, normals, evidence=evidence, watermark_ms=watermark_ms)
        shown = evidence if evidence.nats > 0 else _NOTHING
        yield Standing(series.kind, stage, normals.watched.label(series.place), direction, shown, cause, finding)


def _newest(series: Series, normals: Normals, *, watermark_ms: int) -> Iterator[tuple[Scans, int, Normal]]:
    """(scan of the newest bucket, its minutes, what is normal), by hour and by minute.

    A bucket counts when it is as old as the age, and is compared with what is normal on its own day.
    """
    hint = normals.of(series, watermark_ms // (HOURS_OF_DAY * HOUR_MS))
    if hint is None:
        return
    hour = (watermark_ms - hint.age_seconds * 1000) // HOUR_MS - 1
    normal = normals.of(series, hour // HOURS_OF_DAY)
    if normal is not None:
        yield normals.detector.by_hour(series, normal, first=hour, end=hour + 1), HOUR_MS // MINUTE_MS, normal
    minute = (watermark_ms - hint.age_seconds * 1000) // MINUTE_MS - 1
    normal = normals.of(series, minute // MINUTES_OF_DAY)
    scans = None if normal is None else normals.detector.by_minute(series, normal, first=minute, end=minute + 1)
    if normal is not None and scans is not None:
        yield scans, 1, normal
