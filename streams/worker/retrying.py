"""A store that waits instead of failing: every call is repeated while the server is away. Knows no Redis.

Repeating is safe: reads change nothing, and an apply is fenced: if the answer to an apply was lost, the second try is
answered that it is done. Waiting is the right answer to an absent store: the log keeps what is not counted yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from schemas.counters import Cell, CellGroup
from streams.state import Claim, Fence, Loaded, Writes
from streams.store.port import FactsPage, PartitionStore, StoreUnavailableError

T = TypeVar("T")
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
PEEK_SECONDS = 2.0
"""A watchdog that waits as long as an apply may would report an absent server much too late."""


class RetryingStore:
    """`PartitionStore` around another one; never raises StoreUnavailableError. Only `peek` is asked once.

    `on_state` is called after every answer, and after every one that did not come: with the reason why the store cannot
    be used, or None. A server that is full or lost its replicas still answers reads, so while a write waits no answer
    to another question says that all is well.
    """

    def __init__(self, store: PartitionStore, on_state: Callable[[str | None], None]) -> None:
        self._store = store
        self._on_state = on_state
        self._waiting_writes = 0

    async def _insist(self, call: Callable[[], Awaitable[T]], *, is_write: bool = True) -> T:
        try:
            result = await call()  # nearly always answered: a retry loop around it would cost more than many an answer
        except StoreUnavailableError as error:
            result = await self._again(call, error, is_write=is_write)
        self._answered()
        return result

    async def _again(self, call: Callable[[], Awaitable[T]], error: StoreUnavailableError, *, is_write: bool) -> T:
        async def ask() -> T:  # the retry library awaits only what it can see to be a coroutine function
            return await call()

        def report(state: RetryCallState) -> None:
            self._on_state(str(state.outcome.exception()) if state.outcome is not None else None)

        self._on_state(str(error))
        self._waiting_writes += is_write
        try:
            again = AsyncRetrying(
                retry=retry_if_exception_type(StoreUnavailableError),
                wait=wait_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
                before_sleep=report,
            )
            return await again(ask)
        finally:
            self._waiting_writes -= is_write

    def _answered(self) -> None:
        if not self._waiting_writes:
            self._on_state(None)

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        return await self._insist(lambda: self._store.claim(partition, funnel_ids))

    async def read(
        self, partition: int, funnel_id: str, *, buckets: Sequence[int] = (), persons: Sequence[bytes] = ()
    ) -> Loaded:
        return await self._insist(
            lambda: self._store.read(partition, funnel_id, buckets=buckets, persons=persons), is_write=False
        )

    async def read_cells(
        self, partition: int, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        return await self._insist(lambda: self._store.read_cells(partition, funnel_id, wanted), is_write=False)

    async def read_facts(self, partition: int, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
        return await self._insist(lambda: self._store.read_facts(partition, keys))

    async def list_facts(self, partition: int, kind: int, *, after: int = 0) -> FactsPage:
        return await self._insist(lambda: self._store.list_facts(partition, kind, after=after))

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        return await self._insist(lambda: self._store.apply(partition, fence, next_offset, writes))

    def leave(self, partition: int) -> None:
        self._store.leave(partition)

    async def peek(self, partition: int) -> Fence | None:
        """Never waits for the store to come back. Raises StoreUnavailableError."""
        try:
            async with asyncio.timeout(PEEK_SECONDS):
                fence = await self._store.peek(partition)
        except TimeoutError:
            error = StoreUnavailableError(f"Redis does not answer: nothing came within {PEEK_SECONDS:g} s")
            self._on_state(str(error))
            raise error from None
        except StoreUnavailableError as error:
            self._on_state(str(error))
            raise
        self._answered()
        return fence

    async def register(
        self, funnel_id: str, names: Mapping[tuple[int, str], str], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        return await self._insist(lambda: self._store.register(funnel_id, names, caps))

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        return await self._insist(lambda: self._store.registers(funnel_id), is_write=False)

    async def check_topic(self, topic: str, identity: str) -> None:
        await self._insist(lambda: self._store.check_topic(topic, identity))

    async def check_funnels(self, fingerprints: Mapping[str, str]) -> None:
        await self._insist(lambda: self._store.check_funnels(fingerprints))

    async def describe(self, definitions: Mapping[str, str]) -> None:
        await self._insist(lambda: self._store.describe(definitions))

    async def switched(self) -> dict[str, str]:
        return await self._insist(self._store.switched, is_write=False)

    async def accept_gap(self, partition: int, offset: int, reason: str) -> tuple[int, int]:
        return await self._insist(lambda: self._store.accept_gap(partition, offset, reason))
