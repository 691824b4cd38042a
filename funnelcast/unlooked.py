"""What to say of a report in which a stage has no event: what else is counted, and which of the newest events no funnel
looks at. Reads Kafka, joins nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from funnelcast.tailing import NO_RULE, Reader, lines
from schemas.errors import FunnelcastError
from schemas.funnel.model import Funnel
from schemas.kafka import Kafka
from schemas.topics import Topics
from schemas.unknown_names import said, unknown_names
from streams.report.document.shapes import CountersDocument

NEWEST: Final = 1_000
"""Records of each partition that are looked at."""
_SECONDS: Final = 3.0
"""A report is not kept longer: what it says does not depend on this."""


def lacks(documents: Sequence[CountersDocument], funnels: Sequence[Funnel]) -> bool:
    """Whether a stage of a funnel has no event at all."""
    return any(
        stage.name not in cell
        for funnel, document in zip(funnels, documents, strict=True)
        for cell in [_total(document)]
        for stage in funnel.stages
    )


def _total(document: CountersDocument) -> Mapping[str, object]:
    cells = document["counters"].get("total", {}).get("all", {})
    return cells.get("", {})


def other_funnels(fingerprints: Mapping[str, str], funnels: Sequence[Funnel]) -> list[str]:
    """A line for people where the space counts other funnels than the ones that were asked for."""
    own = {funnel.funnel_id for funnel in funnels}
    others = sorted(set(fingerprints) - own)
    if not others or own & set(fingerprints):
        return []
    return [f"This space counts {', '.join(others)}: ask with --funnel NAME or FILE."]


async def unlooked(kafka: Kafka, space: str, *, funnels: Sequence[Funnel]) -> list[str]:
    """Lines for people; none where every event is looked at, and where Kafka does not answer."""
    names, others, reader = Counter[str](), Counter[str](), Reader(funnels)
    try:
        async with asyncio.timeout(_SECONDS):
            async for line in lines(kafka, Topics(space), reader=reader, back=NEWEST):
                if line is None:
                    break
                if line.verdict != "accepted":
                    others[line.verdict] += 1
                elif all(stage == NO_RULE for stage in line.stages.values()):
                    names[line.name] += 1
    except (FunnelcastError, TimeoutError):
        return []
    return [*_of_names(names, funnels), *_of_others(others)]


def _of_names(names: Counter[str], funnels: Sequence[Funnel]) -> list[str]:
    known = {name for funnel in funnels for name in funnel.event_names}
    unknown = Counter({name: events for name, events in names.items() if name not in known})
    lines, which = [], ", ".join(funnel.name for funnel in funnels)
    if texts := [said(name) for name in unknown_names(unknown, known)]:
        lines.append(f"Of the newest events {which} does not look at: {', '.join(texts)}.")
    if texts := [f"{name} ({events:,})" for name, events in names.most_common() if name in known]:
        lines.append(f"Of the newest events no condition of {which} holds for: {', '.join(texts)}.")
    return [*lines, "See them with `funnelcast tail`; `funnelcast funnels try` says what fails."] if lines else []


def _of_others(others: Counter[str]) -> list[str]:
    texts = [f"{verdict} ({count:,})" for verdict, count in others.most_common()]
    return [f"Of the newest events not counted: {', '.join(texts)}."] if texts else []
