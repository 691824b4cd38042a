"""The store in memory: the same promises as the Redis one, for replays, demonstrations and tests.

A `MemorySpace` holds the state; any number of stores and readers share it. Values are copied on the way in and out, as
a server would: nothing the caller changes later reaches the space. One event loop only; nothing survives the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from schemas.counters import CODE_OTHER, Cell, CellGroup, is_kept
from streams.state import (
    LAYOUT,
    Annotation,
    Claim,
    Fence,
    Loaded,
    PartitionMeta,
    Writes,
    annotations_in_order,
    bucket_of,
    fact_bucket_of,
)
from streams.store.memory_space import MemorySpace, StoredFunnel, StoredPartition, write_facts, write_funnel
from streams.store.port import FactsPage, PartitionStatus, PartitionView
from streams.store.refusals import (
    gap_behind_cursor,
    gap_without_state,
    newer_layout,
    other_definition,
    other_topic,
)

__all__ = ["MemoryCounterReader", "MemoryPartitionStore", "MemorySpace"]

_FIRST_CODE = CODE_OTHER + 1
_FACTS_PER_PAGE = 1_000


class MemoryPartitionStore:
    """`port.PartitionStore` over a `MemorySpace`."""

    def __init__(self, space: MemorySpace, *, layout: int = LAYOUT) -> None:
        self._space = space
        self._layout = layout

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        self._space.check_layout(self._layout)
        self._space.layout = self._layout
        stored = self._space.partitions.setdefault(partition, StoredPartition(layout=self._layout))
        stored.check_no_gaps(partition, funnel_ids)
        known = {funnel_id for funnel_id in funnel_ids if funnel_id in stored.funnels}
        stored.activate(funnel_ids, self._layout)
        stored.token += 1
        claimed = {funnel_id: stored.funnels[funnel_id] for funnel_id in funnel_ids}
        return Claim(
            offset=stored.offset,
            seq=stored.seq,
            token=stored.token,
            meta=msgspec.msgpack.decode(stored.meta, type=PartitionMeta),
            earliest_deadlines={name: bytes(claimed[name].earliest_deadlines) for name in funnel_ids if name in known},
            core_state={name: funnel.core_state for name, funnel in claimed.items() if funnel.core_state is not None},
            layouts={name: funnel.layouts for name, funnel in claimed.items() if funnel.layouts.oldest < self._layout},
        )

    async def read(
        self, partition: int, funnel_id: str, *, buckets: Sequence[int] = (), persons: Sequence[bytes] = ()
    ) -> Loaded:
        stored = self._funnel(partition, funnel_id)
        if stored is None:
            return Loaded(buckets={bucket: {} for bucket in buckets}, persons=dict.fromkeys(persons))
        whole = {bucket: dict(stored.persons[bucket]) for bucket in buckets}
        single = {name: stored.persons[bucket_of(name)].get(name) for name in persons}
        names = [name for fields in whole.values() for name in fields]
        names += [name for name, packed in single.items() if packed is not None]
        return Loaded(buckets=whole, persons=single, layouts=stored.older_than(self._layout, names))

    async def read_cells(
        self, partition: int, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        stored = self._funnel(partition, funnel_id)
        answer: dict[CellGroup, dict[int, Cell]] = {}
        if stored is None:
            return answer
        for group, fields in wanted.items():
            cells = stored.cells.get(group, {})
            if existing := {name: dict(cells[name]) for name in fields if name in cells}:
                answer[group] = existing
        return answer

    async def read_facts(self, partition: int, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
        facts = self._facts(partition)
        return {key: facts.get(key) for key in keys}

    async def list_facts(self, partition: int, kind: int, *, after: int = 0) -> FactsPage:
        facts = self._facts(partition)
        keys = [key for key in facts if key[0] == kind]
        end = after + _FACTS_PER_PAGE
        return FactsPage(facts={key: facts[key] for key in keys[after:end]}, next=end if end < len(keys) else None)

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        if next_offset < fence.offset:
            raise ValueError(f"an apply moves the cursor forward, not from {fence.offset} to {next_offset}")
        for key in writes.facts:
            fact_bucket_of(key)
        stored = self._space.partitions.get(partition)
        if stored is None or stored.token != fence.token:
            return False
        if (stored.offset, stored.seq) != (fence.offset, fence.seq):
            return (stored.offset, stored.seq) == (next_offset, fence.seq + 1)
        if not self._holds(writes.names) or any(funnel_id not in stored.funnels for funnel_id in writes.funnels):
            return False
        for funnel_id, changes in writes.funnels.items():
            write_funnel(stored.funnels[funnel_id], changes, expires=self._space.expires)
        write_facts(stored.facts, writes.facts)
        stored.meta = msgspec.msgpack.encode(writes.meta)
        stored.offset, stored.seq = next_offset, fence.seq + 1
        return True

    async def peek(self, partition: int) -> Fence | None:
        stored = self._space.partitions.get(partition)
        return None if stored is None else stored.fence

    def leave(self, partition: int) -> None:
        """Nothing is remembered but the space."""

    async def register(
        self, funnel_id: str, names: Mapping[tuple[int, str], str], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        known = self._space.registers.setdefault(funnel_id, {})
        shown = self._space.written_names.setdefault(funnel_id, {})
        codes: dict[tuple[int, str], int] = {}
        for (register, name), written in names.items():
            if (register, name) not in known:
                held = sum(1 for number, _ in known if number == register)
                if held >= caps[register]:
                    codes[register, name] = CODE_OTHER
                    continue
                known[register, name] = _FIRST_CODE + held
                if written != name:
                    shown[register, _FIRST_CODE + held] = written
            codes[register, name] = known[register, name]
        return codes

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        return dict(self._space.registers.get(funnel_id, {}))

    async def check_topic(self, topic: str, identity: str) -> None:
        bound = self._space.topics.setdefault(topic, identity)
        if bound != identity:
            raise other_topic(topic, bound=bound, actual=identity)

    async def check_funnels(self, fingerprints: Mapping[str, str]) -> None:
        stored = self._space.fingerprints
        if changed := [
            funnel_id
            for funnel_id, fingerprint in fingerprints.items()
            if stored.get(funnel_id, fingerprint) != fingerprint
        ]:
            raise other_definition(sorted(changed))
        stored.update(fingerprints)

    async def describe(self, definitions: Mapping[str, str]) -> None:
        self._space.definitions.update(definitions)

    async def switched(self) -> dict[str, str]:
        return {}

    async def accept_gap(self, partition: int, offset: int, reason: str) -> tuple[int, int]:
        stored = self._space.partitions.get(partition)
        if stored is None:
            raise gap_without_state(partition)
        if stored.layout > self._layout:
            raise newer_layout(f"partition {partition}", stored=stored.layout, known=self._layout)
        if offset < stored.offset:
            raise gap_behind_cursor(partition, cursor=stored.offset, offset=offset)
        if offset == stored.offset:
            mine = [gap for gap in self._space.gaps if gap["partition"] == str(partition)]
            old = int(mine[-1]["old"]) if mine and mine[-1]["new"] == str(offset) else offset
            return old, offset
        old, stored.offset = stored.offset, offset
        stored.seq += 1
        stored.token += 1
        gap = {"partition": partition, "old": old, "new": offset, "reason": reason, "at_ms": self._space.clock_ms()}
        self._space.gaps.append({key: str(value) for key, value in gap.items()})
        return old, offset

    def _funnel(self, partition: int, funnel_id: str) -> StoredFunnel | None:
        stored = self._space.partitions.get(partition)
        return None if stored is None else stored.funnels.get(funnel_id)

    def _facts(self, partition: int) -> Mapping[bytes, bytes]:
        stored = self._space.partitions.get(partition)
        return {} if stored is None else stored.facts

    def _holds(self, names: Mapping[str, Mapping[tuple[int, str], int]]) -> bool:
        registers = self._space.registers
        return all(
            registers.get(funnel_id, {}).get(name) == code
            for funnel_id, codes in names.items()
            for name, code in codes.items()
        )


class MemoryCounterReader:
    """`port.CounterReader` over a `MemorySpace`."""

    def __init__(self, space: MemorySpace, *, layout: int = LAYOUT) -> None:
        self._space = space
        self._layout = layout

    async def partitions(self) -> list[int]:
        self._space.check_layout(self._layout)
        return sorted(self._space.partitions)

    async def fingerprints(self) -> dict[str, str]:
        return dict(self._space.fingerprints)

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        return dict(self._space.registers.get(funnel_id, {}))

    async def written_names(self, funnel_id: str) -> dict[tuple[int, int], str]:
        return dict(self._space.written_names.get(funnel_id, {}))

    async def definitions(self) -> dict[str, str]:
        return dict(self._space.definitions)

    async def switched(self) -> dict[str, str]:
        return {}

    async def status(self, partition: int) -> PartitionStatus | None:
        stored = self._partition(partition)
        if stored is None:
            return None
        return PartitionStatus(offset=stored.offset, meta=msgspec.msgpack.decode(stored.meta, type=PartitionMeta))

    async def view(
        self,
        partition: int,
        funnel_id: str,
        *,
        grains: Sequence[int],
        dimsets: Sequence[int] | None = None,
        since: Mapping[int, int] | None = None,
        until: Mapping[int, int] | None = None,
    ) -> PartitionView | None:
        partition_state = self._partition(partition)
        if partition_state is None:
            return None
        meta = msgspec.msgpack.decode(partition_state.meta, type=PartitionMeta)
        stored = partition_state.funnels[funnel_id].cells if funnel_id in partition_state.funnels else {}
        first, last = since or {}, until or {}
        cells = {
            (grain, bucket, dimset): {name: dict(cell) for name, cell in stored[grain, bucket, dimset].items()}
            for grain, bucket, dimset in sorted(stored)
            if grain in grains
            and (dimsets is None or dimset in dimsets)
            and first.get(grain, bucket) <= bucket <= last.get(grain, bucket)
            and (meta.watermark_ms is None or not self._space.expires or is_kept(grain, bucket, meta.watermark_ms))
        }
        return PartitionView(partition=partition, offset=partition_state.offset, meta=meta, cells=cells)

    async def gaps(self) -> list[dict[str, str]]:
        return [dict(gap) for gap in sorted(self._space.gaps, key=lambda gap: int(gap["partition"]))]

    async def annotations(self) -> list[Annotation]:
        return annotations_in_order(self._space.annotations.values())

    def _partition(self, partition: int) -> StoredPartition | None:
        stored = self._space.partitions.get(partition)
        if stored is not None and stored.layout > self._layout:
            raise newer_layout(f"partition {partition}", stored=stored.layout, known=self._layout)
        return stored
