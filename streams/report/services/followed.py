"""The funnels that a reader shows: those it was given, each in the version that a recount has switched to since, and
those that are known by a switch alone. Reads the store, writes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final, overload

import structlog

from schemas.funnel.effect import in_effect
from schemas.funnel.load import FunnelError
from schemas.funnel.model import Funnel
from streams.ending import end
from streams.store.port import CounterReader, StoreError

EVERY_SECONDS: Final = 2.0
log = structlog.get_logger("funnelcast.report")


class FollowedFunnels(Sequence[Funnel]):
    """A sequence that changes when the store says so. Who iterates has the funnels of that moment."""

    def __init__(self, configured: Sequence[Funnel]) -> None:
        self._configured = tuple(configured)
        self._current = self._configured

    @overload
    def __getitem__(self, index: int) -> Funnel: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Funnel]: ...
    def __getitem__(self, index: int | slice) -> Funnel | Sequence[Funnel]:
        return self._current[index]

    def __iter__(self) -> Iterator[Funnel]:
        return iter(self._current)

    def __len__(self) -> int:
        return len(self._current)

    async def refresh(self, reader: CounterReader) -> None:
        """Look once. Raises StoreError, FunnelError."""
        current = tuple(in_effect(self._configured, await reader.switched()))
        if current != self._current:
            self._current = current
            log.info("definitions_changed", funnels=[funnel.funnel_id for funnel in current])

    @contextlib.asynccontextmanager
    async def following(self, reader: CounterReader) -> AsyncIterator[None]:
        """Looks now and again and again. What the store cannot say now it is asked for again."""
        task = asyncio.create_task(self._follow(reader))
        try:
            yield
        finally:
            await end(task)

    async def _follow(self, reader: CounterReader) -> None:
        while True:
            with contextlib.suppress(StoreError, TimeoutError):
                try:
                    await self.refresh(reader)
                except FunnelError as error:
                    log.warning("definition_unreadable", message=str(error))
            await asyncio.sleep(EVERY_SECONDS)
