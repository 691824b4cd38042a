"""The state of a recount while it is made: in memory first, then poured into the shadow in the store.

Names get their codes from the store at once: all processes of a recount share them. Nothing else is written until the
end, so a recount that ends early leaves nothing behind but names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from schemas.counters import Cells
from streams.state import Fence, FunnelWrites, PartitionMeta, Writes
from streams.store.memory import MemoryPartitionStore, MemorySpace
from streams.store.memory_space import StoredFunnel
from streams.store.port import PartitionStore, StoreUnavailableError

K = TypeVar("K")
V = TypeVar("V")
_PERSONS = 2_000
"""Of one write: it holds the server for less than ten milliseconds."""
_CELLS = 4_000
_FACTS = 2_000


class MemoryShadow(MemoryPartitionStore):
    """A store in memory with the registers of another one."""

    def __init__(self, names: PartitionStore) -> None:
        self.space = MemorySpace(clock_ms=lambda: 0)
        super().__init__(self.space)
        self._names = names

    async def register(
        self, funnel_id: str, names: Mapping[tuple[int, str], str], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        codes = await self._names.register(funnel_id, names, caps)
        self.space.registers.setdefault(funnel_id, {}).update(codes)
        return codes

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        codes = await self._names.registers(funnel_id)
        self.space.registers[funnel_id] = dict(codes)
        return codes


async def pour(space: MemorySpace, into: PartitionStore, *, funnel_id: str) -> None:
    """Write everything of a space in memory into an empty one."""
    for number, partition in space.partitions.items():
        claim = await into.claim(number, [funnel_id])
        meta = msgspec.msgpack.decode(partition.meta, type=PartitionMeta)
        fence = Fence(claim.token, claim.offset, claim.seq)
        facts = ({}, *map(dict, _parts(partition.facts, _FACTS)))
        changes = [Writes(meta, {}, facts=dict(part)) for part in facts if part]
        changes += [Writes(meta, {funnel_id: part}) for part in _changes_of(partition.funnels[funnel_id])]
        for index, writes in enumerate(changes, start=1):
            offset = partition.offset if index == len(changes) else fence.offset
            if not await into.apply(number, fence, offset, writes):
                raise StoreUnavailableError("the server lost what was just written: start the recount again")
            fence = Fence(fence.token, offset, fence.seq + 1)


def _changes_of(funnel: StoredFunnel) -> Iterator[FunnelWrites]:
    for bucket in _merged(funnel.persons):
        yield FunnelWrites(persons=bucket)
    cells: Cells = {}
    size = 0
    for group, fields in funnel.cells.items():
        cells[group] = fields
        size += len(fields)
        if size >= _CELLS:
            yield FunnelWrites(cells=cells)
            cells, size = {}, 0
    row = funnel.earliest_deadlines
    deadlines = {index // 4: int.from_bytes(row[index : index + 4], "little") for index in range(0, len(row), 4)}
    yield FunnelWrites(cells=cells, earliest_deadlines=deadlines, core_state=funnel.core_state)


def _merged(buckets: Sequence[Mapping[bytes, bytes]]) -> Iterator[dict[bytes, bytes | None]]:
    """All persons, some at a time."""
    waiting: dict[bytes, bytes | None] = {}
    for bucket in buckets:
        for part in _parts(bucket, _PERSONS):
            waiting |= part
            if len(waiting) >= _PERSONS:
                yield waiting
                waiting = {}
    if waiting:
        yield waiting


def _parts(values: Mapping[K, V], size: int) -> Iterator[dict[K, V]]:
    items = iter(values.items())
    while part := dict(islice(items, size)):
        yield part
