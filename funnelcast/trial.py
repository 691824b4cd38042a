"""`funnels try`: which events of a file each stage of a funnel takes, and why it does not take the others.

Asks the same decoder and the same rules that a worker asks. Looks at events one by one: it counts no journeys.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from funnelcast.replay.memory import HISTORICAL, Progress, ReplayJob, no_progress, read_lines
from producers.ingest.verdicts import Accepted, Rejected
from schemas.funnel.model import Funnel
from schemas.traffic import traffic_of
from schemas.unknown_names import unknown_names
from streams.core.decode import UNREADABLE, Decoder
from streams.core.definition import ScoreRule
from streams.core.match import Match, Matcher, NameRules
from streams.core.plan import LOST, ORDER, REFUND, VOID
from streams.core.planning import plan_of

EXAMPLES: Final = 3


@dataclass(slots=True)
class Tally:
    """Events of one kind, and the first of them."""

    events: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, example: dict[str, Any]) -> None:
        """Count one."""
        self.events += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


class Trial:
    """Events of a file, compared with one funnel."""

    def __init__(self, funnel: Funnel) -> None:
        self.funnel = funnel
        self._plan = plan_of(funnel)
        self._decoder = Decoder([self._plan])
        self._matcher = Matcher(self._plan, self._decoder)
        self.events = 0
        self.rejected: Counter[str] = Counter()
        self.taken = {stage.name: Tally() for stage in funnel.stages} | {"lost": Tally(), "refunds": Tally()}
        self.changes = Tally()
        self.scored = Tally()
        """What has points, whatever else it is."""
        self.left_out: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.failed: dict[tuple[str, str, str], Tally] = {}
        """By event name, rule and condition."""

    def read(self, path: Path, progress: Progress = no_progress) -> None:
        """Look at every event of a file. Raises InputFileError."""
        job = ReplayJob(funnels=(self.funnel,), references=(), events=path)
        ingest, done = job.ingest(), 0
        for number, line in read_lines(path):
            done += len(line) + 1
            progress(done, job.size)
            verdict = ingest.native(line, sender=HISTORICAL, received_at_ms=None)
            if isinstance(verdict, Rejected):
                self.rejected[verdict.reason] += 1
            elif isinstance(verdict, Accepted):
                self.events += 1
                self._look_at(number, verdict.value)

    def _look_at(self, line: int, value: bytes) -> None:
        try:
            record = self._decoder.typed(value)
        except UNREADABLE:
            record = self._decoder.generic(value)
        rules = self._matcher.rules(record.name)
        example = {"line": line, "id": record.id, "occurred_at_ms": record.occurred_at_ms}
        traffic, sources = traffic_of(record.properties.traffic), self.funnel.sources
        if rules is None:
            self.unknown[record.name] += 1
        elif traffic not in self.funnel.traffic:
            self.left_out[f"traffic {traffic}"] += 1
        elif sources is not None and record.source not in sources:
            self.left_out[f"source {record.source}"] += 1
        else:
            match = rules.classify(record.properties)
            if match is None:
                self._explain(rules, record, example=example)
            else:
                if match.points:
                    self.scored.add({**example, "points": match.points})
                if match.kind != VOID:
                    self._tally_of(match).add(example)

    def _tally_of(self, match: Match) -> Tally:
        """An order is shown at the lowest stage it fits: which one it enters is a matter of its number."""
        if match.kind < ORDER:
            return self.taken[self.funnel.stages[match.kind].name]
        if match.kind == ORDER:
            return self.taken[self.funnel.stages[self._plan.lowest_order_stage(match.mask)].name]
        return (
            self.taken["lost"]
            if match.kind == LOST
            else self.taken["refunds"]
            if match.kind == REFUND
            else self.changes
        )

    def _explain(self, rules: NameRules, record: Any, *, example: dict[str, Any]) -> None:
        for rule, condition, value in rules.failures(record.properties):
            stage = getattr(rule, "stage", None)
            where = "lost" if stage is None else self.funnel.stages[stage].name
            where = "scoring" if isinstance(rule, ScoreRule) else where
            operand = list(condition.operand) if isinstance(condition.operand, tuple) else condition.operand
            said = f"{condition.property_name} {condition.operator} {operand!r}"
            self.failed.setdefault((record.name, where, said), Tally()).add({**example, "value": value})

    def document(self) -> dict[str, Any]:
        """All of it, for machines."""
        return {
            "funnel": self.funnel.name,
            "version": self.funnel.version,
            "events": self.events,
            "rejected": dict(sorted(self.rejected.items())),
            "stages": [
                {"name": stage.name, "events": tally.events, "examples": tally.examples}
                for stage in self.funnel.stages
                for tally in [self.taken[stage.name]]
            ],
            "lost": self.taken["lost"].events,
            "refunds": self.taken["refunds"].events,
            "order_changes": self.changes.events,
            "scored": self.scored.events,
            "left_out": dict(self.left_out.most_common()),
            "conditions_failed": [
                {"event": name, "stage": where, "condition": said, "events": tally.events, "examples": tally.examples}
                for (name, where, said), tally in sorted(self.failed.items(), key=lambda one: -one[1].events)
            ],
            "names_without_rule": list(unknown_names(self.unknown, self.funnel.event_names)),
        }
