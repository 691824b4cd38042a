"""Who loads next: partitions that a worker takes over are read one after the other, the one with the least lag first.

Side by side all of them would count again when the last one does; in turns the first one counts after its own share of
the time. A turn is an order and no lock: who has waited for `patience` seconds goes on beside the others, because one
that waits for its server must not stop a partition of another server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from heapq import heappop, heappush
from itertools import count

PATIENCE_SECONDS = 10.0


class Turns:
    """`async with turns.turn(rank)`; the smallest rank of those that wait is next."""

    def __init__(self, *, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._is_taken = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @asynccontextmanager
    async def turn(self, rank: int) -> AsyncIterator[None]:
        """Wait for one's turn, but not without a limit."""
        has_turn = await self._wait(rank)
        try:
            yield
        finally:
            if has_turn:
                self._pass_on()

    async def _wait(self, rank: int) -> bool:
        """Whether the turn was given, and must be passed on."""
        if not self._is_taken:
            self._is_taken = True
            return True
        given = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (rank, next(self._numbers), given))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self._pass_on()  # it was given in the very moment of the end
            raise
        return given.done() and not given.cancelled()

    def _pass_on(self) -> None:
        while self._waiting:
            given = heappop(self._waiting)[2]
            if not given.done():  # else its waiter has gone on
                given.set_result(None)
                return
        self._is_taken = False
