"""A store that waits instead of failing: every call is repeated while the server is away. Knows no Redis.

Repeating is safe: reads change nothing, and an apply is fenced, so the second try of one whose answer was lost is told
that it is done already. Waiting is the right answer to an absent store: the log keeps what is not counted yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from schemas.counters import Cell, CellGroup
from streams.state import Claim, Fence, Loaded, Writes
from streams.store.port import PartitionStore, StoreUnavailableError

T = TypeVar("T")
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0
PEEK_SECONDS = 2.0
"""A watchdog that waits as long as an apply may would tell of an absent server much too late."""


class PatientStore:
    """`PartitionStore` around another one; never raises StoreUnavailableError. `peek` alone is asked once.

    `on_state(True | False)` hears of every change of the server's availability.
    """

    def __init__(self, store: PartitionStore, on_state: Callable[[bool], None]) -> None:
        self._store = store
        self._on_state = on_state

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                result = await call()
            except StoreUnavailableError:
                self._on_state(False)
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
            else:
                self._on_state(True)
                return result

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        """See the port."""
        return await self._insist(lambda: self._store.claim(partition, funnel_ids))

    async def read(
        self, partition: int, funnel_id: str, *, buckets: Sequence[int] = (), persons: Sequence[bytes] = ()
    ) -> Loaded:
        """See the port."""
        return await self._insist(lambda: self._store.read(partition, funnel_id, buckets=buckets, persons=persons))

    async def read_cells(
        self, partition: int, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        """See the port."""
        return await self._insist(lambda: self._store.read_cells(partition, funnel_id, wanted))

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        """See the port."""
        return await self._insist(lambda: self._store.apply(partition, fence, next_offset, writes))

    async def peek(self, partition: int) -> Fence | None:
        """See the port; raises StoreUnavailableError."""
        try:
            async with asyncio.timeout(PEEK_SECONDS):
                fence = await self._store.peek(partition)
        except StoreUnavailableError:
            self._on_state(False)
            raise
        except TimeoutError:
            self._on_state(False)
            raise StoreUnavailableError(f"Redis did not answer within {PEEK_SECONDS:g} s") from None
        self._on_state(True)
        return fence

    async def register(
        self, funnel_id: str, names: Sequence[tuple[int, str]], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        """See the port."""
        return await self._insist(lambda: self._store.register(funnel_id, names, caps))

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        """See the port."""
        return await self._insist(lambda: self._store.registers(funnel_id))

    async def check_topic(self, topic: str, identity: str) -> None:
        """See the port."""
        await self._insist(lambda: self._store.check_topic(topic, identity))

    async def check_funnels(self, fingerprints: Mapping[str, str]) -> None:
        """See the port."""
        await self._insist(lambda: self._store.check_funnels(fingerprints))

    async def accept_gap(self, partition: int, offset: int, reason: str) -> tuple[int, int]:
        """See the port."""
        return await self._insist(lambda: self._store.accept_gap(partition, offset, reason))
