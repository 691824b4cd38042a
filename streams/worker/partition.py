"""One partition's counting: log records in, fenced writes out. Knows no Faust, no Kafka client, no Redis.

A chunk goes prepare -> names -> needs -> apply -> publish -> cells -> store; deadlines that are left over follow in
writes of their own at the same offset. The memory replay runs the same object over the memory store.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from schemas.counters import CODE_OTHER
from schemas.funnel.effect import in_effect
from schemas.funnel.model import Funnel
from schemas.reasons import UncountedReason
from streams.core.chunk import Prepared
from streams.core.engine import PERSONS_PER_CHUNK, PartitionEngine
from streams.core.handover import Changes, FunnelChanges
from streams.core.outgoing import FUNNEL_HEADER, REASON_HEADER, Outgoing
from streams.core.place import Place
from streams.core.plan import Plan
from streams.core.planning import plan_of
from streams.core.registers import Registers
from streams.core.upgrades import UPGRADES, Upgrades
from streams.defaults import MAX_PERSON_EVENTS, MAX_PERSONS, WATERMARK_DELAY_MS
from streams.state import FIRST_LAYOUT, Fence, FunnelWrites, PartitionMeta, Writes
from streams.store.cells import DEFAULT_MAX_CELLS, CellCache
from streams.store.port import PartitionStore
from streams.worker.port import Observer, Publisher
from streams.worker.rewrite import FIELDS_PER_APPLY, OldBuckets


class FencedError(Exception):
    """Another worker owns the partition by now, or the store lost its newest writes: claim again."""


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """What is needed of a Kafka record; aiokafka's own records fit as they are."""

    key: bytes | None
    value: bytes
    timestamp: int
    offset: int


def wall_clock_ms() -> int:
    """Epoch milliseconds: only for the freshness of the written state."""
    return time.time_ns() // 1_000_000


def always() -> bool:
    """Go on to the end."""
    return True


class PartitionProcessor:
    """See the module. One task at a time may use it."""

    def __init__(  # noqa: PLR0913 - what a worker is told, each by name
        self,
        store: PartitionStore,
        place: Place | int,
        funnels: Sequence[Funnel],
        *,
        watermark_delay_ms: int = WATERMARK_DELAY_MS,
        max_persons: int = MAX_PERSONS,
        max_person_events: int = MAX_PERSON_EVENTS,
        max_cells: int = DEFAULT_MAX_CELLS,
        chunk_persons: int = PERSONS_PER_CHUNK,
        publisher: Publisher | None = None,
        observer: Observer | None = None,
        clock_ms: Callable[[], int] = wall_clock_ms,
        upgrades: Upgrades = UPGRADES,
    ) -> None:
        """`place` as a mere number: a log of its own, from which no link leads to another. `chunk_persons`: of one
        write."""
        self._store = store
        self._place = place if isinstance(place, Place) else Place(place, 1)
        self.partition = self._place.partition
        self._configured = funnels
        self._funnels: Sequence[Funnel] = ()
        self._plans: list[Plan] = []
        self._watermark_delay_ms = watermark_delay_ms
        self._max_persons = max_persons
        self._max_person_events = max_person_events
        self._max_cells = max_cells
        self._chunk_persons = chunk_persons
        self._publisher = publisher
        self._observer = observer
        self._clock_ms = clock_ms
        self._upgrades = upgrades
        self._fence: Fence | None = None
        self._at = Fence(0, 0, 0)
        self._engine: PartitionEngine | None = None
        self._cells: dict[str, CellCache] = {}
        self._names: dict[str, dict[tuple[int, str], int]] = {}
        self._old_buckets = OldBuckets({}, FIRST_LAYOUT)

    @property
    def offset(self) -> int:
        """Next offset to read."""
        return self._at.offset

    @property
    def fence(self) -> Fence | None:
        """Where the store stands if all is well; None while a write is on its way or the state is unknown."""
        return self._fence

    @property
    def engine(self) -> PartitionEngine:
        """The counting core. RuntimeError before the first claim."""
        if self._engine is None:
            raise RuntimeError("claim the partition first")
        return self._engine

    @property
    def meta(self) -> PartitionMeta:
        """Live state of the partition."""
        return self.engine.meta

    async def claim(self) -> None:
        """Take the partition and load its state, dropping what was known. Raises StoreRefusedError."""
        self._fence = None
        funnels = in_effect(self._configured, await self._store.switched())
        if funnels != self._funnels:
            self._funnels, self._plans = funnels, [plan_of(funnel) for funnel in funnels]
        registers = Registers(self._plans)
        engine = PartitionEngine(
            self._plans,
            watermark_delay_ms=self._watermark_delay_ms,
            registers=registers,
            max_persons=self._max_persons,
            max_person_events=self._max_person_events,
            upgrades=self._upgrades,
            place=self._place,
        )
        claim = await self._store.claim(self.partition, engine.funnel_ids)
        for funnel_id in engine.funnel_ids:
            listed = registers.listed(funnel_id)
            if listed:
                await self._store.register(funnel_id, listed, registers.caps(funnel_id))
            registers.load(funnel_id, await self._store.registers(funnel_id))
        engine.restore(claim)
        self._engine = engine
        share = max(1, self._max_cells // max(1, len(engine.funnel_ids)))
        self._cells = {funnel_id: CellCache(share) for funnel_id in engine.funnel_ids}
        self._names = {}
        self._old_buckets = OldBuckets(claim.layouts, engine.layout)
        self._at = self._fence = Fence(claim.token, claim.offset, claim.seq)

    async def process(
        self, records: Sequence[LogRecord], next_offset: int, *, proceed: Callable[[], bool] = always
    ) -> None:
        """Apply records that continue the cursor; stops between chunks when `proceed` says no.

        Raises FencedError; the processor is then of no use until `claim`.
        """
        plain = [(record.key, record.value or b"", record.timestamp) for record in records]
        start = 0
        while start < len(plain):
            end = self.engine.chunk_end(plain, start, max_persons=self._chunk_persons)
            reached = next_offset if end >= len(plain) else records[end - 1].offset + 1
            await self._chunk(plain[start:end], reached)
            await self.book_due()
            await self.rewrite_bucket()
            start = end
            if not proceed():
                return

    async def warm(self) -> None:
        """Read whose deadlines may have passed: the first chunk would wait for it, with all others of the worker."""
        await self._load(None)

    async def book_due(self) -> None:
        """Count deadlines that have passed and are not counted, in writes of their own. Raises FencedError."""
        while self.engine.meta.pending:
            self._fence = None
            await self._load(None)
            changes = self.engine.fire()
            if changes is None:
                self._fence = self._at
                return
            await self._write(changes, self._at.offset)

    async def rewrite_bucket(self) -> bool:
        """Write what is left of older layouts in one person bucket in the newest one, in writes of their own; False
        when there is no such bucket. Raises FencedError."""
        place = self._old_buckets.next_bucket()
        if place is None:
            return False
        funnel_id, bucket = place
        self._fence = None
        loaded = await self._store.read(self.partition, funnel_id, buckets=[bucket])
        newest = self.engine.upgraded(funnel_id, loaded).buckets[bucket]
        fields = list(loaded.layouts)
        while len(fields) > FIELDS_PER_APPLY:
            part, fields = fields[:FIELDS_PER_APPLY], fields[FIELDS_PER_APPLY:]
            await self._apply({funnel_id: FunnelWrites(persons={name: newest[name] for name in part})}, self._at.offset)
        last = FunnelWrites(
            persons={name: newest[name] for name in fields},
            core_state=self.engine.core_state(funnel_id),
            layouts=self._old_buckets.after_bucket(funnel_id, bucket),
        )
        await self._apply({funnel_id: last}, self._at.offset)
        return True

    async def _chunk(self, records: Sequence[tuple[bytes | None, bytes, int]], next_offset: int) -> None:
        began = time.perf_counter()
        self._fence = None
        prepared = self.engine.prepare(records)
        await self._register(prepared)
        await self._load(prepared)
        await self._write(self.engine.apply(prepared), next_offset)
        if self._observer is not None:
            self._observer.on_chunk(len(records), time.perf_counter() - began)

    async def _register(self, prepared: Prepared) -> None:
        for funnel_id in prepared.lacking_names:
            self.engine.admit_names(funnel_id, await self._store.registers(funnel_id))
        for funnel_id, names in prepared.new_names.items():
            caps = self.engine.registers.caps(funnel_id)
            codes = await self._store.register(funnel_id, names, caps)
            self.engine.admit_names(funnel_id, codes)
            used = {name: code for name, code in codes.items() if code > CODE_OTHER}
            if used:
                self._names.setdefault(funnel_id, {}).update(used)

    async def _load(self, prepared: Prepared | None) -> None:
        while needs := self.engine.needs(prepared):
            for funnel_id, need in needs.funnels.items():
                loaded = await self._store.read(self.partition, funnel_id, buckets=need.buckets, persons=need.persons)
                self.engine.admit(funnel_id, loaded)
            if needs.facts:
                self.engine.admit_facts(await self._store.read_facts(self.partition, needs.facts))

    async def _write(self, changes: Changes, next_offset: int) -> None:
        if changes.outgoing and self._publisher is not None:
            await self._publisher.publish(changes.outgoing)
        funnels = {name: await self._writes_of(name, funnel) for name, funnel in changes.funnels.items()}
        meta = await self._apply(funnels, next_offset, changes.facts)
        self._report(changes.outgoing, meta)

    async def _apply(
        self, funnels: dict[str, FunnelWrites], next_offset: int, facts: dict[bytes, bytes | None] | None = None
    ) -> PartitionMeta:
        """Store changes and move the cursor. Raises FencedError."""
        meta = self.engine.snapshot_meta()
        meta.applied_at_ms = self._clock_ms()
        writes = Writes(meta=meta, funnels=funnels, facts=facts or {}, names=self._names)
        if not await self._store.apply(self.partition, self._at, next_offset, writes):
            raise FencedError
        self._names = {}
        self._at = self._fence = Fence(self._at.token, next_offset, self._at.seq + 1)
        for funnel_id, changes in funnels.items():
            if changes.layouts is not None:
                self._old_buckets.admit(funnel_id, changes.layouts)
        return meta

    async def _writes_of(self, funnel_id: str, changes: FunnelChanges) -> FunnelWrites:
        cells = self._cells[funnel_id]
        cells.forget(changes.expired)
        wanted = cells.missing(changes.deltas)
        if wanted:
            cells.admit(wanted, await self._store.read_cells(self.partition, funnel_id, wanted))
        return FunnelWrites(
            persons=changes.persons,
            erased=changes.erased,
            earliest_deadlines=changes.earliest_deadlines,
            cells=cells.merge(changes.deltas),
            expired=changes.expired,
            core_state=changes.core_state,
            layouts=None if changes.core_state is None else self._old_buckets.after_core_state(funnel_id),
        )

    def _report(self, outgoing: Iterable[Outgoing], meta: PartitionMeta) -> None:
        if self._observer is None:
            return
        self._observer.on_apply(meta, self.engine.held())
        late = Counter(
            record.header(FUNNEL_HEADER) for record in outgoing if record.header(REASON_HEADER) == UncountedReason.LATE
        )
        for funnel_id, count in late.items():
            self._observer.on_late(funnel_id, count)
