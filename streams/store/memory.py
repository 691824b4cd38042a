"""The store in memory: the same promises as the Redis one, for replays, demonstrations and tests.

A `MemorySpace` holds the state; any number of stores and readers share it. Values are copied on the way in and out, as
a server would: nothing the caller changes later reaches the space. One event loop only; nothing survives the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack_into

import msgspec

from schemas.counters import CODE_OTHER, Cell, CellGroup, Cells, is_kept
from streams.state import (
    NO_DEADLINES,
    PERSON_BUCKETS,
    Claim,
    Fence,
    FunnelWrites,
    Loaded,
    PartitionMeta,
    Writes,
    bucket_of,
)
from streams.store.port import PartitionStatus, PartitionView
from streams.store.refusals import (
    funnel_missed_events,
    gap_behind_cursor,
    gap_without_state,
    other_definition,
    other_topic,
)

_FIRST_CODE = CODE_OTHER + 1


@dataclass(slots=True)
class _StoredFunnel:
    started_at: int
    persons: list[dict[bytes, bytes]] = field(default_factory=lambda: [{} for _ in range(PERSON_BUCKETS)])
    earliest_deadlines: bytearray = field(default_factory=lambda: bytearray(NO_DEADLINES))
    cells: Cells = field(default_factory=dict)
    core_state: bytes | None = None
    left_out_at: int | None = None


@dataclass(slots=True)
class _Partition:
    offset: int = 0
    seq: int = 0
    token: int = 0
    meta: bytes = msgspec.msgpack.encode(PartitionMeta())
    funnels: dict[str, _StoredFunnel] = field(default_factory=dict)
    active: tuple[str, ...] = ()


class MemorySpace:
    """State of one space, shared by the stores and readers given it."""

    def __init__(self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.clock_ms = clock_ms
        self.partitions: dict[int, _Partition] = {}
        self.registers: dict[str, dict[tuple[int, str], int]] = {}
        self.fingerprints: dict[str, str] = {}
        self.topics: dict[str, str] = {}
        self.gaps: list[dict[str, str]] = []


class MemoryPartitionStore:
    """`port.PartitionStore` over a `MemorySpace`."""

    def __init__(self, space: MemorySpace) -> None:
        self._space = space

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        at = self._space.partitions.setdefault(partition, _Partition())
        for name in funnel_ids:
            known = at.funnels.get(name)
            if known is not None and known.left_out_at not in (None, at.offset):
                raise funnel_missed_events(name, partition, known.left_out_at or 0, at.offset)
        known_funnels = {name for name in funnel_ids if name in at.funnels}
        for name in funnel_ids:
            at.funnels.setdefault(name, _StoredFunnel(started_at=at.offset)).left_out_at = None
        for name in set(at.active) - set(funnel_ids):
            if at.funnels[name].left_out_at is None:
                at.funnels[name].left_out_at = at.offset
        at.active = tuple(funnel_ids)
        at.token += 1
        return Claim(
            offset=at.offset,
            seq=at.seq,
            token=at.token,
            meta=msgspec.msgpack.decode(at.meta, type=PartitionMeta),
            earliest_deadlines={
                name: bytes(at.funnels[name].earliest_deadlines) for name in funnel_ids if name in known_funnels
            },
            core_state={name: state for name in funnel_ids if (state := at.funnels[name].core_state) is not None},
        )

    async def read(
        self, partition: int, funnel_id: str, *, buckets: Sequence[int] = (), persons: Sequence[bytes] = ()
    ) -> Loaded:
        stored = self._funnel_id(partition, funnel_id)
        if stored is None:
            return Loaded(buckets={bucket: {} for bucket in buckets}, persons=dict.fromkeys(persons))
        return Loaded(
            buckets={bucket: dict(stored.persons[bucket]) for bucket in buckets},
            persons={name: stored.persons[bucket_of(name)].get(name) for name in persons},
        )

    async def read_cells(
        self, partition: int, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        stored = self._funnel_id(partition, funnel_id)
        found: dict[CellGroup, dict[int, Cell]] = {}
        if stored is None:
            return found
        for group, fields in wanted.items():
            cells = stored.cells.get(group, {})
            if here := {name: dict(cells[name]) for name in fields if name in cells}:
                found[group] = here
        return found

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        if next_offset < fence.offset:
            raise ValueError(f"an apply moves the cursor forward, not from {fence.offset} to {next_offset}")
        at = self._space.partitions.get(partition)
        if at is None or at.token != fence.token:
            return False
        if (at.offset, at.seq) != (fence.offset, fence.seq):
            return (at.offset, at.seq) == (next_offset, fence.seq + 1)
        if not self._holds(writes.names) or any(funnel_id not in at.funnels for funnel_id in writes.funnels):
            return False
        for funnel_id, changes in writes.funnels.items():
            _write_funnel(at.funnels[funnel_id], changes)
        at.meta = msgspec.msgpack.encode(writes.meta)
        at.offset, at.seq = next_offset, fence.seq + 1
        return True

    async def peek(self, partition: int) -> Fence | None:
        at = self._space.partitions.get(partition)
        return None if at is None else Fence(token=at.token, offset=at.offset, seq=at.seq)

    async def register(
        self, funnel_id: str, names: Sequence[tuple[int, str]], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        known = self._space.registers.setdefault(funnel_id, {})
        codes: dict[tuple[int, str], int] = {}
        for register, name in names:
            if (register, name) not in known:
                held = sum(1 for number, _ in known if number == register)
                if held >= caps[register]:
                    codes[register, name] = CODE_OTHER
                    continue
                known[register, name] = _FIRST_CODE + held
            codes[register, name] = known[register, name]
        return codes

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        return dict(self._space.registers.get(funnel_id, {}))

    async def check_topic(self, topic: str, identity: str) -> None:
        bound = self._space.topics.setdefault(topic, identity)
        if bound != identity:
            raise other_topic(topic, bound, identity)

    async def check_funnels(self, fingerprints: Mapping[str, str]) -> None:
        stored = self._space.fingerprints
        if changed := [
            funnel_id for funnel_id, print_ in fingerprints.items() if stored.get(funnel_id, print_) != print_
        ]:
            raise other_definition(sorted(changed))
        stored.update(fingerprints)

    async def accept_gap(self, partition: int, offset: int, reason: str) -> tuple[int, int]:
        at = self._space.partitions.get(partition)
        if at is None:
            raise gap_without_state(partition)
        if offset < at.offset:
            raise gap_behind_cursor(partition, at.offset, offset)
        if offset == at.offset:
            mine = [gap for gap in self._space.gaps if gap["partition"] == str(partition)]
            old = int(mine[-1]["old"]) if mine and mine[-1]["new"] == str(offset) else offset
            return old, offset
        old, at.offset = at.offset, offset
        at.seq += 1
        at.token += 1
        gap = {"partition": partition, "old": old, "new": offset, "reason": reason, "at_ms": self._space.clock_ms()}
        self._space.gaps.append({key: str(value) for key, value in gap.items()})
        return old, offset

    def _funnel_id(self, partition: int, funnel_id: str) -> _StoredFunnel | None:
        at = self._space.partitions.get(partition)
        return None if at is None else at.funnels.get(funnel_id)

    def _holds(self, names: Mapping[str, Mapping[tuple[int, str], int]]) -> bool:
        registers = self._space.registers
        return all(
            registers.get(funnel_id, {}).get(name) == code
            for funnel_id, codes in names.items()
            for name, code in codes.items()
        )


class MemoryCounterReader:
    """`port.CounterReader` over a `MemorySpace`."""

    def __init__(self, space: MemorySpace) -> None:
        self._space = space

    async def partitions(self) -> list[int]:
        return sorted(self._space.partitions)

    async def fingerprints(self) -> dict[str, str]:
        return dict(self._space.fingerprints)

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        return dict(self._space.registers.get(funnel_id, {}))

    async def status(self, partition: int) -> PartitionStatus | None:
        stored = self._space.partitions.get(partition)
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
        at = self._space.partitions.get(partition)
        if at is None:
            return None
        meta = msgspec.msgpack.decode(at.meta, type=PartitionMeta)
        stored = at.funnels[funnel_id].cells if funnel_id in at.funnels else {}
        first, last = since or {}, until or {}
        cells = {
            (grain, bucket, dimset): {name: dict(cell) for name, cell in stored[grain, bucket, dimset].items()}
            for grain, bucket, dimset in sorted(stored)
            if grain in grains
            and (dimsets is None or dimset in dimsets)
            and first.get(grain, bucket) <= bucket <= last.get(grain, bucket)
            and (meta.watermark_ms is None or is_kept(grain, bucket, meta.watermark_ms))
        }
        return PartitionView(partition=partition, offset=at.offset, meta=meta, cells=cells)

    async def gaps(self) -> list[dict[str, str]]:
        return [dict(gap) for gap in self._space.gaps]


def _write_funnel(stored: _StoredFunnel, changes: FunnelWrites) -> None:
    for name, state in changes.persons.items():
        if state is None:
            stored.persons[bucket_of(name)].pop(name, None)
        else:
            stored.persons[bucket_of(name)][name] = bytes(state)
    for bucket, minutes in changes.earliest_deadlines.items():
        pack_into("<I", stored.earliest_deadlines, bucket * 4, minutes)
    _write_cells(stored.cells, changes.cells)
    _drop_groups(stored.cells, changes.expired)
    if changes.core_state is not None:
        stored.core_state = bytes(changes.core_state)


def _write_cells(stored: Cells, cells: Cells) -> None:
    for group, written in cells.items():
        here = stored.setdefault(group, {})
        for name, cell in written.items():
            if cell:
                here[name] = dict(cell)
            else:
                here.pop(name, None)
        if not here:
            del stored[group]


def _drop_groups(stored: Cells, groups: Iterable[CellGroup]) -> None:
    for group in groups:
        stored.pop(group, None)
