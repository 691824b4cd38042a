"""A processor that counts records and offsets instead of funnels: what the transport and runners promise, seen bare.

`count` records and the `total` of their offsets per partition: with n records from offset 0 the total is n(n-1)/2,
which neither a record lost nor one counted twice can leave right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.counters import Family, family
from streams.state import Fence, FunnelWrites, Writes
from streams.store.port import PartitionStore
from streams.worker.partition import FencedError

FUNNEL_ID = "tally@1"
GROUP = (0, 0, 0)
COUNT, TOTAL = family(Family.EVENTS), family(Family.ENTRIES)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one partition has counted."""

    count: int
    total: int
    offset: int

    @property
    def is_exact(self) -> bool:
        """Every record from offset 0 to the cursor once."""
        return self.count == self.offset and self.total == self.offset * (self.offset - 1) // 2


class TallyProcessor:
    """Implements `streams.worker.runner.Processor`."""

    def __init__(
        self, store: PartitionStore, partition: int, *, on_chunk: Callable[[int, int], None] | None = None
    ) -> None:
        self._store = store
        self._partition = partition
        self._on_chunk = on_chunk
        self._at = Fence(0, 0, 0)
        self.fence: Fence | None = None
        self._count = self._total = 0
        self.delay = 0.0
        self.gate = asyncio.Event()
        """Closed: no chunk gets through."""
        self.gate.set()

    @property
    def offset(self) -> int:
        return self._at.offset

    async def claim(self) -> None:
        self.fence = None
        claim = await self._store.claim(self._partition, [FUNNEL_ID])
        self._meta = claim.meta
        cells = await self._store.read_cells(self._partition, FUNNEL_ID, {GROUP: [0]})
        cell = cells.get(GROUP, {}).get(0, {})
        self._count, self._total = cell.get(COUNT, 0), cell.get(TOTAL, 0)
        self._at = self.fence = Fence(claim.token, claim.offset, claim.seq)

    async def process(self, records: Sequence[Any], next_offset: int, *, proceed: Callable[[], bool]) -> None:
        self.fence = None
        if self.delay:
            await asyncio.sleep(self.delay)
        await self.gate.wait()
        self._count += len(records)
        self._total += sum(record.offset for record in records)
        writes = Writes(
            meta=self._meta,
            funnels={FUNNEL_ID: FunnelWrites(cells={GROUP: {0: {COUNT: self._count, TOTAL: self._total}}})},
        )
        if not await self._store.apply(self._partition, self._at, next_offset, writes):
            raise FencedError
        self._at = self.fence = Fence(self._at.token, next_offset, self._at.seq + 1)
        if self._on_chunk is not None:
            self._on_chunk(self._partition, len(records))

    async def warm(self) -> None:
        return

    async def book_due(self) -> None:
        return


async def tallies(store: PartitionStore, partitions: int) -> list[Tally]:
    """What the store holds of each partition, without claiming it."""
    result = []
    for partition in range(partitions):
        fence = await store.peek(partition)
        if fence is None:
            result.append(Tally(0, 0, 0))
            continue
        cells = await store.read_cells(partition, FUNNEL_ID, {GROUP: [0]})
        cell = cells.get(GROUP, {}).get(0, {})
        result.append(Tally(cell.get(COUNT, 0), cell.get(TOTAL, 0), fence.offset))
    return result
