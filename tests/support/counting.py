"""Counting logs in memory, from nothing, through the pure core: the one way in which tests do it.

Workers, the cells' cache and stores are not in here: tests/support/processing.py counts through the worker's processor.

`count_records` takes one partition after the other, and then what was forwarded. `count_linked` is for ids that are
linked: *in step*, record by record in the order of the whole log, every forward applied at once; or the partitions
advance as chance wills, forwards wait in the log of their partition, and now and then a worker dies between what it
published and its write, so that everything it sent comes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from schemas.counters import Cells, is_kept, merge_changes
from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from schemas.record import encode_tick
from streams.core.chunk import Record
from streams.core.engine import PartitionEngine
from streams.core.outgoing import Outgoing, OutgoingKind
from streams.core.place import Place
from streams.core.planning import plan_of
from streams.core.registers import Registers
from streams.defaults import MAX_PERSON_EVENTS
from streams.report.document.counters import build_document
from streams.state import Annotation
from streams.store.port import PartitionStatus, PartitionView
from tests.support.core_partition import Names, Partition


@dataclass(slots=True)
class Counted:
    """What was counted for one funnel_id."""

    views: list[PartitionView]
    registers: dict[tuple[int, str], int]
    persons: dict[bytes, bytes] = field(default_factory=dict)
    """What is stored of people, by field."""


@dataclass(frozen=True)
class Going:
    """How a log with linked ids is counted."""

    rng: Random
    in_step: bool
    dump_and_load: bool = False
    general_only: bool = False
    dies: bool = False
    watermark_delay_ms: int = 60_000
    partitions: int = 1


class _Logs:
    """The partitions, their logs and how far they are counted."""

    def __init__(
        self,
        funnels: Sequence[Funnel],
        *,
        partitions: int,
        general_only: bool,
        counts_together: bool,
        **settings: Any,
    ) -> None:
        self.plans = [plan_of(funnel) for funnel in funnels]
        for plan in self.plans:
            plan.has_fast_paths = plan.has_fast_paths and not general_only
            plan.counts_together = counts_together
        self.names = Names(Registers(self.plans))
        self._settings = settings
        self._count = partitions
        self.parts = [Partition(self._engine(number), self.names) for number in range(partitions)]
        self.logs: list[list[Record]] = [[] for _ in range(partitions)]
        self.cursors = [0] * partitions

    def _engine(self, number: int) -> PartitionEngine:
        settings = {name: value() if callable(value) else value for name, value in self._settings.items()}
        return PartitionEngine(self.plans, registers=self.names.registers, place=Place(number, self._count), **settings)

    def append(self, record: Record) -> None:
        """Write a record where the collector, the ticker or a worker writes it."""
        for number in places_of(record, self._count):
            self.logs[number].append(record)

    def restart(self, number: int) -> None:
        """Throw the engine away and go on from what is stored."""
        part = self.parts[number]
        part.engine = self._engine(number)
        if part.stored.meta.records:
            part.engine.restore(part.stored.claim())

    def next_batch(self, number: int, size: int) -> list[Record]:
        """The next records of a partition."""
        return self.logs[number][self.cursors[number] : self.cursors[number] + size]

    def count(self, number: int, batch: Sequence[Record]) -> None:
        """Count them; forwards go behind all that is there."""
        self.send(self.parts[number].count(batch), batch[-1][2])
        self.cursors[number] += len(batch)

    def send(self, outgoing: Iterable[Outgoing], timestamp: int) -> None:
        """Write what is forwarded."""
        for record in outgoing:
            if record.kind is OutgoingKind.FORWARD:
                self.append((record.key, record.value, timestamp))

    def waiting(self) -> list[int]:
        """Partitions that have more."""
        return [number for number, log in enumerate(self.logs) if self.cursors[number] < len(log)]

    def counted(self) -> dict[str, Counted]:
        """By funnel_id."""
        return {plan.funnel_id: counted(plan.funnel_id, self.parts, self.names) for plan in self.plans}


def places_of(record: Record, partitions: int) -> Sequence[int]:
    """Partitions of a record: a tick is for all; what else has no key is spend, which goes to the first."""
    key, value, _ = record
    if key is not None:
        return (partition_of(key, partitions),)
    return range(partitions) if b'"tick"' in value else (0,)


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
    """Count records from nothing.

    `batch_sizes` are used in turn; `dump_and_load` throws the engine away between batches and continues from the store;
    `general_only` counts every event on the general path.
    """
    logs = _Logs(
        funnels,
        partitions=partitions,
        general_only=general_only,
        counts_together=not general_only,
        watermark_delay_ms=watermark_delay_ms,
        max_persons=1_000_000_000 if max_persons is None else max_persons,
        max_person_events=max_person_events,
    )
    sizes = batch_sizes or [5_000]
    for record in records:
        logs.append(record)
    while waiting := logs.waiting():
        turn = 0
        while batch := logs.next_batch(waiting[0], sizes[turn % len(sizes)]):
            if dump_and_load:
                logs.restart(waiting[0])
            logs.count(waiting[0], batch)
            turn += 1
    return logs.counted()


def count_linked(funnels: Sequence[Funnel], records: Iterable[Record], going: Going) -> dict[str, Counted]:
    """Count records of linked ids from nothing."""
    rng = going.rng
    logs = _Logs(
        funnels,
        partitions=going.partitions,
        general_only=going.general_only,
        counts_together=not (going.general_only and going.in_step),
        watermark_delay_ms=going.watermark_delay_ms,
        max_persons=lambda: rng.choice([1, 2, 1000]) if going.dump_and_load else 1000,
    )

    def drain(most: int) -> None:
        while waiting := logs.waiting():
            _advance(logs, going, rng.choice(waiting), rng.randint(1, most))

    for record in records:
        logs.append(record)
        if going.in_step:
            drain(1)
    drain(rng.choice([1, 3, 30]))
    return logs.counted()


def _advance(logs: _Logs, going: Going, number: int, size: int) -> None:
    """A worker counts a batch, perhaps after another one that died between its forwards and its write."""
    batch = logs.next_batch(number, size)
    if going.dies and going.rng.random() < 0.3:
        logs.send(logs.parts[number].apply(batch).outgoing, batch[-1][2])
        logs.restart(number)
        batch = batch[: going.rng.randint(1, len(batch))]
    elif going.dump_and_load:
        logs.restart(number)
    logs.count(number, batch)


def counted(funnel_id: str, parts: Sequence[Partition], names: Names) -> Counted:
    """What these partitions hold of a funnel."""
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
