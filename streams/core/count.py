"""Counting a log in memory, from nothing, without asyncio: for tests, checks and replay in memory.

The store is a dict; it is asked exactly as a worker asks the real one, so this also exercises loading and eviction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.counters import Cells, is_kept
from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from streams.core.engine import Changes, PartitionEngine, Record
from streams.core.registers import Registers
from streams.state import PERSON_BUCKETS, Claim, Loaded, PartitionMeta, bucket_of
from streams.store.port import PartitionView


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
    meta: PartitionMeta = field(default_factory=PartitionMeta)

    def claim(self) -> Claim:
        deadlines = {
            funnel_id: b"".join(minute.to_bytes(4, "little") for minute in row)
            for funnel_id, row in self.earliest_deadlines.items()
        }
        return Claim(
            offset=0,
            seq=0,
            token=1,
            meta=self.meta,
            earliest_deadlines=deadlines,
            core_state=dict(self.core_state),
        )

    def read(self, funnel_id: str, buckets: Sequence[int], persons: Sequence[bytes]) -> Loaded:
        stored = self.persons.get(funnel_id, {})
        found: dict[int, dict[bytes, bytes]] = {bucket: {} for bucket in buckets}
        if buckets:
            for key, packed in stored.items():
                if bucket_of(key) in found:
                    found[bucket_of(key)][key] = packed
        return Loaded(found, {key: stored.get(key) for key in persons})

    def write(self, changes: Changes, meta: PartitionMeta) -> None:
        self.meta = meta
        for funnel_id, one in changes.funnels.items():
            persons = self.persons.setdefault(funnel_id, {})
            for key, packed in one.persons.items():
                if packed is None:
                    persons.pop(key, None)
                else:
                    persons[key] = packed
            row = self.earliest_deadlines.setdefault(funnel_id, [0xFFFFFFFF] * PERSON_BUCKETS)
            for bucket, minute in one.earliest_deadlines.items():
                row[bucket] = minute
            cells = self.cells.setdefault(funnel_id, {})
            merge(cells, one.deltas)
            for group in one.expired:
                cells.pop(group, None)
            if one.core_state is not None:
                self.core_state[funnel_id] = one.core_state


def merge(cells: Cells, deltas: Cells) -> None:
    """Add deltas to absolute cells, leaving no zeros."""
    for group, fields in deltas.items():
        into = cells.setdefault(group, {})
        for at, delta in fields.items():
            cell = into.setdefault(at, {})
            for family, amount in delta.items():
                now = cell.get(family, 0) + amount
                if now:
                    cell[family] = now
                else:
                    cell.pop(family, None)
            if not cell:
                del into[at]
        if not into:
            del cells[group]


class _Partition:
    """One partition being counted."""

    def __init__(self, engine: PartitionEngine) -> None:
        self.engine = engine
        self.stored = _Stored()

    def load(self, prepared: object) -> None:
        engine = self.engine
        while needs := engine.needs(prepared):  # type: ignore[arg-type]
            for funnel_id, one in needs.items():
                engine.admit(funnel_id, self.stored.read(funnel_id, one.buckets, one.persons))

    def count(self, records: Sequence[Record]) -> None:
        engine = self.engine
        prepared = engine.prepare(records)
        for funnel_id, names in prepared.new_names.items():
            engine.admit_names(funnel_id, _assign(engine.registers, funnel_id, names))
        self.load(prepared)
        self.stored.write(engine.apply(prepared), engine.snapshot_meta())
        self.fire()

    def fire(self) -> None:
        while self.engine.meta.pending:
            self.load(None)
            changes = self.engine.fire()
            if changes is not None:
                self.stored.write(changes, self.engine.snapshot_meta())


def _assign(registers: Registers, funnel_id: str, names: Sequence[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """Codes as the store would give them."""
    caps, known = registers.caps(funnel_id), registers.mapping(funnel_id)
    used = {register: sum(1 for one, _ in known if one == register) for register in caps}
    found: dict[tuple[int, str], int] = {}
    for register, name in names:
        code = known.get((register, name))
        if code is None:
            code = 1 if used[register] >= caps[register] else 2 + used[register]
            used[register] += code != 1
        found[register, name] = code
    return found


def count_records(
    funnels: Sequence[Funnel],
    records: Iterable[Record],
    *,
    watermark_delay_ms: int = 60_000,
    partitions: int = 1,
    batch_sizes: Sequence[int] | None = None,
    dump_and_load: bool = False,
    slow_only: bool = False,
    max_persons: int | None = None,
) -> dict[str, Counted]:
    """Count records from nothing; a tick (no key) goes to every partition.

    `batch_sizes` are used in turn; `dump_and_load` throws the engine away between batches and continues from the store.
    """
    registers = Registers(funnels)

    def engine() -> PartitionEngine:
        return PartitionEngine(
            funnels,
            watermark_delay_ms=watermark_delay_ms,
            registers=registers,
            slow_only=slow_only,
            max_persons=1_000_000_000 if max_persons is None else max_persons,
        )

    parts = [_Partition(engine()) for _ in range(partitions)]
    logs = _split(records, partitions)
    for part, log in zip(parts, logs, strict=True):
        for batch in _batches(log, batch_sizes):
            if dump_and_load and part.stored.persons:
                part.engine = engine()
                part.engine.restore(part.stored.claim())
            part.count(batch)
    return {funnel.funnel_id: _counted(funnel.funnel_id, parts, registers) for funnel in funnels}


def _split(records: Iterable[Record], partitions: int) -> list[list[Record]]:
    logs: list[list[Record]] = [[] for _ in range(partitions)]
    for record in records:
        if record[0] is None:
            for log in logs:
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


def _counted(funnel_id: str, parts: Sequence[_Partition], registers: Registers) -> Counted:
    views = []
    for number, part in enumerate(parts):
        stored = part.stored
        watermark = stored.meta.watermark_ms or 0
        stored_cells = stored.cells.get(funnel_id, {})
        cells = {group: fields for group, fields in stored_cells.items() if is_kept(group[0], group[1], watermark)}
        meta = msgspec.structs.replace(stored.meta)
        views.append(PartitionView(partition=number, offset=0, meta=meta, cells=cells))
    persons = {key: packed for part in parts for key, packed in part.stored.persons.get(funnel_id, {}).items()}
    return Counted(views, registers.mapping(funnel_id), persons)


def cells_of(counted: Mapping[str, Counted], funnel_id: str) -> Cells:
    """All partitions' cells added up."""
    total: Cells = {}
    for view in counted[funnel_id].views:
        merge(total, view.cells)
    return total
