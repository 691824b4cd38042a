"""The verdict of a chaos run: its counters and told journeys against an oracle, and against the core in memory over the
undisturbed log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from funnelcast.chaos.events import ChaosEvent
from funnelcast.chaos.faults import Fault
from funnelcast.chaos.oracle import JOURNEYS_STAGES, STAGES, checked_cells, expected, lost_and_double
from funnelcast.chaos.published import JourneyCounts
from funnelcast.replay.memory import Refusals, ReplayJob, replay_through_memory
from schemas.funnel.load import load_funnel
from streams.report.document.shapes import CountersDocument

PARTITIONS = 4
WATERMARK_DELAY_MS = 60_000
_DATA = resources.files("funnelcast") / "data"
DEFINITIONS = (str(_DATA / "chaos.yaml"), str(_DATA / "chaos_journeys.yaml"))
"""The first on the fast paths, the second tells what becomes of its journeys."""


@dataclass(slots=True)
class Verdict:
    """What came out."""

    events: int
    records: int
    faults: list[Fault] = field(default_factory=list)
    silences: int = 0
    """How often a partition had no events for some seconds."""
    lost: int = 0
    double: int = 0
    exact: bool = False
    differences: list[str] = field(default_factory=list)
    persons: int = 0
    merged: int = 0
    """Ids that were linked to a higher one."""
    forwards: int = 0
    """Records that workers have sent to each other, of both funnels."""
    journeys: dict[str, int] = field(default_factory=dict)
    """Changes told, repeated under the same id, lost, double."""
    restarts: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    seconds: float = 0.0
    drained_seconds: float = 0.0

    def take(self, counts: JourneyCounts) -> None:
        """What was published of journeys."""
        self.journeys = {
            "changes": counts.changes,
            "repeated": counts.repeated,
            "lost": counts.lost,
            "double": counts.double,
        }
        self.differences += counts.differences

    def as_document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def judge(verdict: Verdict, events: Sequence[ChaosEvent], *, documents: Sequence[CountersDocument]) -> None:
    """By the oracle, funnel by funnel."""
    verdict.persons = len({event.owner for event in events})
    verdict.merged = len({(event.person, space) for event in events for space in event.ids}) - verdict.persons
    for stages, document in zip((STAGES, JOURNEYS_STAGES), documents, strict=True):
        want, have = expected(events, stages).cells, checked_cells(document["counters"])
        lost, double = lost_and_double(want, have)
        verdict.lost, verdict.double = max(verdict.lost, lost), max(verdict.double, double)
        verdict.differences += [
            f"{document['funnel']} / {' / '.join(part for part in key if part)}: {have.get(key, 0)}, "
            f"the oracle says {want.get(key, 0)}"
            for key in sorted(want.keys() | have.keys())
            if want.get(key, 0) != have.get(key, 0)
        ]


async def differences_from_memory(
    log: Path, lines: Sequence[bytes], *, documents: Sequence[CountersDocument], tick_ms: int
) -> list[str]:
    """What the core counts of the same lines undisturbed, where it is something else."""
    with log.open("wb") as file:
        file.writelines(line + b"\n" for line in lines)
    job = ReplayJob(
        funnels=tuple(map(load_funnel, DEFINITIONS)),
        references=DEFINITIONS,
        events=log,
        watermark_ms=tick_ms - WATERMARK_DELAY_MS,
        partitions=PARTITIONS,
        watermark_delay_ms=WATERMARK_DELAY_MS,
    )
    undisturbed = await replay_through_memory(job, Refusals(log))
    ours, theirs = (
        {path: count for each in compared for path, count in _leaves(each["counters"], (each["funnel"],))}
        for compared in (documents, undisturbed)
    )
    return [
        f"{' / '.join(path)}: {ours.get(path, 0)}, in memory {theirs.get(path, 0)}"
        for path in sorted(ours.keys() | theirs.keys())
        if ours.get(path, 0) != theirs.get(path, 0)
    ]


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(tree, dict):
        for name, below in tree.items():
            yield from _leaves(below, (*path, str(name)))
    else:
        yield path, tree
