"""Was the next step made in time? Entries of a stage against the time in which they shall go on. Pure.

The times are those of the histogram, so that nothing is guessed. Entries that are lost within the time count on neither
side, whatever follows: nobody was late; nor do those that went to another stage than the named one within it: when they
got to that one, counters do not tell. Entries whose bucket is younger than the time are pending until they are gone or
old enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypedDict

from schemas.counters import DURATION_EDGES_SECONDS
from schemas.explain import did_you_mean
from schemas.funnel.duration import format_duration, parse_duration_ms
from schemas.funnel.model import Funnel
from schemas.names import normalise_name
from streams.report.document.cell import CellView
from streams.report.document.question import QuestionError
from streams.report.document.rates import ratio
from streams.report.document.shapes import NamedCell, Rate
from streams.report.document.spans import SpanDates

_ONE: Final = re.compile(r"(?P<stage>[^=]+?)(?:->(?P<after>[^=]+))?=(?P<within>[^=]+)")
_EDGES: Final = ", ".join(format_duration(1000 * edge) for edge in DURATION_EDGES_SECONDS)


@dataclass(frozen=True, slots=True)
class Sla:
    """What was agreed."""

    stage: str
    after: str | None
    """The stage to which they shall go; None: any later one."""
    seconds: int

    @classmethod
    def parse_all(cls, funnel: Funnel, text: str) -> list[Sla]:
        """`lead=4h`, `lead->offer=1d`; several with commas. Raises QuestionError."""
        return [cls._parse(funnel, part.strip()) for part in text.split(",")]

    @classmethod
    def _parse(cls, funnel: Funnel, text: str) -> Sla:
        match = _ONE.fullmatch(text)
        if match is None:
            raise QuestionError(f"sla {text!r}: write a stage and a time, e.g. lead=4h or lead->offer=1d")
        names = [stage.name for stage in funnel.stages]
        stage = _stage(names[:-1], match["stage"])
        after = None if match["after"] is None else _stage(names[names.index(stage) + 1 :], match["after"])
        try:
            seconds = parse_duration_ms(match["within"]) / 1000
        except ValueError as error:
            raise QuestionError(f"sla {text!r}: {error}") from None
        if seconds not in DURATION_EDGES_SECONDS:
            raise QuestionError(f"sla {text!r}: what took so long is counted for {_EDGES}; write one of these")
        return cls(stage, after, int(seconds))


def _stage(names: list[str], text: str) -> str:
    known = {normalise_name(name): name for name in names}
    if normalise_name(text) not in known:
        raise QuestionError(
            f"sla: {text.strip()!r} is no stage here; write {', '.join(names)}{did_you_mean(text, names)}"
        )
    return known[normalise_name(text)]


class SlaCell(TypedDict):
    """One value of a dimension, or the whole."""

    dim: str
    entries: int
    kept: int
    """Went on in time."""
    breached: int
    """Did so later, or have not although their time is over."""
    pending: int
    """Their time is not over, as far as their bucket tells."""
    lost: int
    """In time: neither kept nor breached."""
    elsewhere: int
    """Went to another stage than the named one in time: neither kept nor breached."""
    rate: Rate | None
    """Kept over kept and breached."""


class SlaAnswer(TypedDict):
    """One agreement."""

    stage: str
    after: str | None
    within_seconds: int
    cells: list[SlaCell]
    """Those with most breaches first; the whole before all."""


class SlaDocument(TypedDict):
    """All that were asked for."""

    funnel: str
    version: int
    watermark_ms: int | None
    span: SpanDates
    sla: list[SlaAnswer]


def answer_sla(sla: Sla, *, old: Mapping[str, NamedCell], young: Mapping[str, NamedCell]) -> SlaAnswer:
    """From cells of buckets that are old enough, and of those that are not."""
    cells = [_cell(sla, dim, old=old.get(dim, {}), young=young.get(dim, {})) for dim in {*old, *young}]
    cells = [cell for cell in cells if cell["entries"]]
    cells.sort(key=lambda cell: (cell["dim"] != "", -cell["breached"], cell["dim"]))
    return {"stage": sla.stage, "after": sla.after, "within_seconds": sla.seconds, "cells": cells}


def _cell(sla: Sla, dim: str, *, old: NamedCell, young: NamedCell) -> SlaCell:
    before, now = (_side(sla, CellView(cell)) for cell in (old, young))
    in_time = before.kept + now.kept
    breached = before.undecided + now.late
    return {
        "dim": dim,
        "entries": before.entries + now.entries,
        "kept": in_time,
        "breached": breached,
        "pending": max(0, now.undecided - now.late),
        "lost": before.lost + now.lost,
        "elsewhere": before.elsewhere + now.elsewhere,
        "rate": ratio(in_time, in_time + breached),
    }


class _Side(NamedTuple):
    """Entries of buckets that are all old enough, or all too young."""

    entries: int
    kept: int
    lost: int
    elsewhere: int
    late: int
    """Went on, after the time, and were not lost before."""

    @property
    def undecided(self) -> int:
        """Neither kept, lost nor elsewhere in time."""
        return max(0, self.entries - self.kept - self.lost - self.elsewhere)


def _side(sla: Sla, view: CellView) -> _Side:
    of_lost = view.amounts(sla.stage, "durations_of_lost")
    durations = view.amounts(sla.stage, "durations").items()
    gone = [(key.rpartition(" "), count - of_lost.get(key, 0)) for key, count in durations]
    meant = [(edge, count) for (after, _, edge), count in gone if sla.after in (None, after)]
    in_time = _within([(edge, count) for (_, _, edge), count in gone], sla.seconds)
    kept = _within(meant, sla.seconds)
    return _Side(
        entries=view.entries(sla.stage),
        kept=kept,
        lost=_within(view.amounts(sla.stage, "loss_time").items(), sla.seconds),
        elsewhere=in_time - kept,
        late=sum(count for _, count in gone) - in_time,
    )


def _within(by_edge: Iterable[tuple[str, int]], seconds: int) -> int:
    return sum(count for edge, count in by_edge if edge != "inf" and int(edge) <= seconds)
