"""Counting a log in memory, from nothing, through the real core: the one way in which tests do it.

The store is a dict. It is asked exactly as a worker asks the real one, so this also exercises loading and eviction.
Worker, cells cache and real stores are not in here: `tests/property/driver.py` and the contract tests run those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.counters import CODE_OTHER, Cells, is_kept, merge_changes
from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from schemas.record import encode_tick
from streams.core.engine import Changes, PartitionEngine, Prepared, Record
from streams.core.outgoing import Outgoing, OutgoingKind
from streams.core.place import Place
from streams.core.planning import plan_of
from streams.core.registers import Registers
from streams.defaults import MAX_PERSON_EVENTS
from streams.report.document import build_document
from streams.state import NO_DEADLINE, PERSON_BUCKETS, Annotation, Claim, Loaded, PartitionMeta, bucket_of
from streams.store.port import PartitionStatus, PartitionView


@dataclass(slots=True)
class Counted:
    """What was counted for one funnel_id."""

    views: list[PartitionView]
    registers: dict[tuple[int, str], int]
    persons: dict[bytes, bytes] = field(default_factory=dict)
    """What is stored of people, by field."""


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


def count_records(
    funnels: Sequence[Funnel],
    records: Iterable[Record],
    *,
    watermark_delay_ms: int = 60_000,
    partitions: int = 1,
    batch_sizes: Sequence[int] | None = None,
    dump_and_load: bool = False,
    general_only: bool = False,
    max_persons: int | None = None,
    max_person_events: int = MAX_PERSON_EVENTS,
) -> dict[str, Counted]:
    """Count records from nothing; a tick (no key) goes to every partition.

    `batch_sizes` are used in turn; `dump_and_load` throws the engine away between batches and continues from the store;
    `general_only` counts every event on the general path.
    """
    plans = [plan_of(funnel) for funnel in funnels]
    for plan in plans:
        plan.has_fast_paths = plan.has_fast_paths and not general_only
        plan.counts_together = not general_only
    names = Names(Registers(plans))

    def engine(partition: int) -> PartitionEngine:
        return PartitionEngine(
            plans,
            watermark_delay_ms=watermark_delay_ms,
            registers=names.registers,
            max_persons=1_000_000_000 if max_persons is None else max_persons,
            max_person_events=max_person_events,
            place=Place(partition, partitions),
        )

    parts = [Partition(engine(number), names) for number in range(partitions)]
    logs = _split(records, partitions)
    while any(logs):  # what is forwarded comes behind all that was there
        forwards: list[Record] = []
        for number, (part, log) in enumerate(zip(parts, logs, strict=True)):
            for batch in _batches(log, batch_sizes):
                if dump_and_load and part.stored.persons:
                    part.engine = engine(number)
                    part.engine.restore(part.stored.claim())
                outgoing = part.count(batch)
                forwards += [(one.key, one.value, batch[-1][2]) for one in outgoing if one.kind is OutgoingKind.FORWARD]
        logs = _split(forwards, partitions)
    return {funnel.funnel_id: counted(funnel.funnel_id, parts, names) for funnel in funnels}


def is_tick(value: bytes) -> bool:
    """Whether a record without a key is for every partition; what else has none is spend, which shares the first."""
    return b'"tick"' in value


def _split(records: Iterable[Record], partitions: int) -> list[list[Record]]:
    logs: list[list[Record]] = [[] for _ in range(partitions)]
    for record in records:
        if record[0] is None:
            for log in logs if is_tick(record[1]) else logs[:1]:
                log.append(record)
        else:
            logs[partition_of(record[0], partitions)].append(record)
    return logs


def _batches(log: Sequence[Record], sizes: Sequence[int] | None) -> Iterable[Sequence[Record]]:
    start = turn = 0
    while start < len(log):
        size = 5000 if not sizes else sizes[turn % len(sizes)]
        yield log[start : start + size]
        start, turn = start + size, turn + 1


def counted(funnel_id: str, parts: Sequence[Partition], names: Names) -> Counted:
    views = []
    for number, part in enumerate(parts):
        stored = part.stored
        watermark = stored.meta.watermark_ms or 0
        stored_cells = stored.cells.get(funnel_id, {})
        cells = {group: fields for group, fields in stored_cells.items() if is_kept(group[0], group[1], watermark)}
        meta = msgspec.structs.replace(stored.meta)
        views.append(PartitionView(partition=number, offset=0, meta=meta, cells=cells))
    persons = {key: packed for part in parts for key, packed in part.stored.persons.get(funnel_id, {}).items()}
    return Counted(views, dict(names.codes[funnel_id]), persons)


def cells_of(counted: Mapping[str, Counted], funnel_id: str) -> Cells:
    """All partitions' cells added up."""
    total: Cells = {}
    for view in counted[funnel_id].views:
        merge_changes(total, view.cells)
    return total


class CountedReader:
    """What `count_records` returned, as a report reads it. Implements `streams.store.port.CounterReader`."""

    def __init__(self, counted: Mapping[str, Counted]) -> None:
        self._counted = counted

    async def partitions(self) -> list[int]:
        return sorted({view.partition for counted in self._counted.values() for view in counted.views})

    async def definitions(self) -> dict[str, str]:
        return {}

    async def switched(self) -> dict[str, str]:
        return {}

    async def fingerprints(self) -> dict[str, str]:
        return dict.fromkeys(self._counted, "")

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        return dict(self._counted[funnel_id].registers)

    async def written_names(self, funnel_id: str) -> dict[tuple[int, int], str]:
        return {}

    async def status(self, partition: int) -> PartitionStatus | None:
        views = (view for counted in self._counted.values() for view in counted.views if view.partition == partition)
        return next((PartitionStatus(view.offset, view.meta) for view in views), None)

    async def view(self, partition: int, funnel_id: str, **_: Any) -> PartitionView | None:
        return next((view for view in self._counted[funnel_id].views if view.partition == partition), None)

    async def gaps(self) -> list[dict[str, str]]:
        return []

    async def annotations(self) -> list[Annotation]:
        return []


async def document_of(records: Iterable[Record], funnel: Funnel, *, until_ms: int | None = None) -> dict[str, Any]:
    """The counters document of (key, value, time) in one partition, with the watermark at `until_ms`."""
    log = list(records)
    if until_ms is not None:
        log.append((None, encode_tick(until_ms), until_ms))
    return dict(await build_document(CountedReader(count_records([funnel], log, watermark_delay_ms=0)), funnel))
