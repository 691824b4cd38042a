"""Whether people go on in the time that their stage gives them (`stalled_after`): the newest day that can tell. Pure.

A day whose last entry is as old as that time: nobody of it is pending. The time is an edge of the duration histogram;
where `stalled_after` is none, the next longer edge.
"""

from __future__ import annotations

from schemas.counters import DURATION_EDGES_SECONDS, Cells, Grain
from schemas.funnel.model import Funnel
from schemas.times import HOUR_MS
from streams.exporter.windows import sum_buckets
from streams.report.document.names import Registers, name_cells
from streams.report.questions.sla import Sla, SlaAnswer, answer_sla

_HOURS = 24


def agreed_of(funnel: Funnel, registers: Registers, *, hours: Cells, watermark_ms: int) -> list[SlaAnswer]:
    """Of every stage that has a `stalled_after`, for the whole."""
    answers = []
    for stage in funnel.stages[:-1]:
        seconds = longer_edge(stage.stalled_after_ms)
        if seconds is not None:
            last = (watermark_ms - 1000 * seconds) // HOUR_MS - 1
            fields = sum_buckets(hours, Grain.HOUR, first=last - _HOURS + 1, last=last)
            counters = name_cells(funnel, {(Grain.TOTAL, 0, 0): fields}, registers=registers, for_metrics=True)
            cells = counters.get("total", {}).get("all", {})
            answers.append(answer_sla(Sla(stage.name, None, seconds), old=cells, young={}))
    return answers


def longer_edge(milliseconds: int | None) -> int | None:
    """The shortest edge that is as long, in seconds; None where there is none, or nothing is asked."""
    if milliseconds is None:
        return None
    return next((edge for edge in DURATION_EDGES_SECONDS if 1000 * edge >= milliseconds), None)
