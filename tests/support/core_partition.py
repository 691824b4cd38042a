"""One partition of the pure core over a dict, asked exactly as a worker asks a real store: loading and eviction too.

`tests/support/counting.py` counts whole logs with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.counters import CODE_OTHER, Cells, merge_changes
from streams.core.chunk import Prepared, Record
from streams.core.engine import PartitionEngine
from streams.core.handover import Changes
from streams.core.outgoing import Outgoing
from streams.core.registers import Registers
from streams.state import NO_DEADLINE, PERSON_BUCKETS, Claim, Loaded, PartitionMeta, bucket_of


@dataclass(slots=True)
class _Stored:
    """One partition's store."""

    persons: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    earliest_deadlines: dict[str, list[int]] = field(default_factory=dict)
    cells: dict[str, Cells] = field(default_factory=dict)
    core_state: dict[str, bytes] = field(default_factory=dict)
    facts: dict[bytes, bytes] = field(default_factory=dict)
    meta: PartitionMeta = field(default_factory=PartitionMeta)

    def claim(self) -> Claim:
        deadlines = {
            funnel_id: b"".join(minute.to_bytes(4, "little") for minute in row)
            for funnel_id, row in self.earliest_deadlines.items()
        }
        return Claim(
            offset=0, seq=0, token=1, meta=self.meta, earliest_deadlines=deadlines, core_state=dict(self.core_state)
        )

    def read(self, funnel_id: str, buckets: Sequence[int], persons: Sequence[bytes]) -> Loaded:
        stored = self.persons.get(funnel_id, {})
        by_bucket: dict[int, dict[bytes, bytes]] = {bucket: {} for bucket in buckets}
        if buckets:
            for key, packed in stored.items():
                if bucket_of(key) in by_bucket:
                    by_bucket[bucket_of(key)][key] = packed
        return Loaded(by_bucket, {key: stored.get(key) for key in persons})

    def write(self, changes: Changes, meta: PartitionMeta) -> None:
        self.meta = meta
        for key, fact in changes.facts.items():
            self.facts.pop(key, None)
            if fact is not None:
                self.facts[key] = fact
        for funnel_id, funnel in changes.funnels.items():
            persons = self.persons.setdefault(funnel_id, {})
            for key, packed in funnel.persons.items():
                if packed is None:
                    persons.pop(key, None)
                else:
                    persons[key] = packed
            row = self.earliest_deadlines.setdefault(funnel_id, [NO_DEADLINE] * PERSON_BUCKETS)
            for bucket, minute in funnel.earliest_deadlines.items():
                row[bucket] = minute
            cells = self.cells.setdefault(funnel_id, {})
            merge_changes(cells, funnel.deltas)
            for group in funnel.expired:
                cells.pop(group, None)
            if funnel.core_state is not None:
                self.core_state[funnel_id] = funnel.core_state


class Names:
    """The registers of all partitions, which give codes to names as the store does."""

    def __init__(self, registers: Registers) -> None:
        self.registers = registers
        self.codes: dict[str, dict[tuple[int, str], int]] = {}
        for funnel_id in registers.funnels:
            self.register(funnel_id, registers.listed(funnel_id))

    def register(self, funnel_id: str, names: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
        caps, codes = self.registers.caps(funnel_id), self.codes.setdefault(funnel_id, {})
        given: dict[tuple[int, str], int] = {}
        for register, name in names:
            used = sum(1 for number, _ in codes if number == register)
            if (register, name) not in codes and used < caps[register]:
                codes[register, name] = 2 + used
            given[register, name] = codes.get((register, name), CODE_OTHER)
        return given


class Partition:
    """One partition being counted."""

    def __init__(self, engine: PartitionEngine, names: Names) -> None:
        self.engine = engine
        self.names = names
        self.stored = _Stored()

    def load(self, prepared: Prepared | None) -> None:
        engine = self.engine
        while needs := engine.needs(prepared):
            for funnel_id, missing in needs.funnels.items():
                engine.admit(funnel_id, self.stored.read(funnel_id, missing.buckets, missing.persons))
            engine.admit_facts({key: self.stored.facts.get(key) for key in needs.facts})

    def apply(self, records: Sequence[Record]) -> Changes:
        """Count without a write."""
        engine = self.engine
        prepared = engine.prepare(records)
        for funnel_id, names in prepared.new_names.items():
            engine.admit_names(funnel_id, self.names.register(funnel_id, names))
        self.load(prepared)
        return engine.apply(prepared)

    def count(self, records: Sequence[Record]) -> list[Outgoing]:
        """What is to be published."""
        changes = self.apply(records)
        outgoing = list(changes.outgoing)
        self.write(changes)
        return outgoing + self.fire()

    def write(self, changes: Changes | None) -> None:
        """Store what an apply or a look at deadlines has changed."""
        if changes is not None:
            self.stored.write(changes, self.engine.snapshot_meta())

    def fire(self) -> list[Outgoing]:
        """Book what is due; what is to be published."""
        outgoing: list[Outgoing] = []
        while self.engine.meta.pending:
            self.load(None)
            changes = self.engine.fire()
            if changes is not None:
                outgoing += changes.outgoing
                self.write(changes)
        return outgoing
