"""What a chaos run has published of its journeys, read as a reader reads it, against what became of every entry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from funnelcast.chaos.oracle import EntryId, Outcome
from schemas.kafka import Kafka
from streams.journeys.reader import JourneysReader

_NO_OUTCOME: Final = ("open", "withdrawn")


@dataclass(slots=True)
class JourneyCounts:
    """Counts for the verdict."""

    changes: int = 0
    """Published, each id once."""
    repeated: int = 0
    """Published again under the same id, by a worker that went on after another: readers drop them."""
    lost: int = 0
    """Entries whose outcome is not the last change published of them."""
    double: int = 0
    """Changes published twice under two ids, and entries that nobody made."""
    differences: list[str] = field(default_factory=list)


async def read_changes(kafka: Kafka, topic: str) -> list[dict[str, Any]]:
    """Every record of the topic, in the order of its partitions, up to where it ends now."""
    records: list[dict[str, Any]] = []
    async with JourneysReader(kafka, topic, offsets={}, from_beginning=True) as reader:
        ends = await reader.ends()
        left = {partition for partition, end in ends.items() if end}
        while left:
            for batch in await reader.read():
                records += [json.loads(value) for value in batch.values if value is not None]
                if batch.next_offset >= ends[batch.partition]:
                    left.discard(batch.partition)
    return records


def judged(records: Iterable[Mapping[str, Any]], want: Mapping[EntryId, Outcome]) -> JourneyCounts:
    """Compare what a reader knows in the end, who drops ids that it has seen."""
    counts, seen = JourneyCounts(), set[str]()
    history: dict[EntryId, list[Outcome]] = {}
    for record in records:
        if record["id"] in seen:
            counts.repeated += 1
            continue
        seen.add(record["id"])
        entry = (record["person"], record["stage"], record["entered_at_ms"])
        outcome = (record["change"], record["at_ms"], record["reason"])
        if history.setdefault(entry, [])[-1:] == [outcome]:
            counts.double += 1
            counts.differences.append(f"journeys / {_text(entry)}: published twice as {_text(outcome)}")
        history[entry].append(outcome)
    counts.changes = len(seen)
    have = {entry: outcomes[-1] for entry, outcomes in history.items() if outcomes[-1][0] not in _NO_OUTCOME}
    for entry in sorted(want.keys() | have.keys()):
        if want.get(entry) != have.get(entry):
            counts.lost += entry in want
            counts.double += entry not in want
            said = _text(have.get(entry, ("nothing",)))
            counts.differences.append(
                f"journeys / {_text(entry)}: published as {said}, "
                f"the oracle says {_text(want.get(entry, ('nothing',)))}; "
                f"one after the other: {', '.join(change for change, *_ in history.get(entry, [])) or 'nothing'}"
            )
    return counts


def _text(parts: Iterable[object]) -> str:
    return " ".join(str(part) for part in parts if part is not None)
