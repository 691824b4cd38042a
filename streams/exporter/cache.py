"""The newest snapshot: read again when a scrape needs a newer one, and never waited for longer than the time box."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from streams.defaults import TIME_BOX_SECONDS
from streams.exporter.snapshot import Snapshot
from streams.store.port import StoreRefusedError, StoreUnavailableError

MAX_AGE_SECONDS = 0.2
"""A snapshot younger than this is shown again: several scrapers share one read."""

log = structlog.get_logger("funnelcast.exporter")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a scrape shows."""

    snapshot: Snapshot | None
    """None: nothing could be read yet."""
    is_up: bool
    """Whether the newest read of the store succeeded in time."""
    is_refused: bool
    """Whether the store holds what must not be read: a human decides."""
    read_seconds: float
    errors: int


class SnapshotCache:
    """Calls `take` at most once at a time, however many ask. Belongs to one event loop."""

    def __init__(
        self,
        take: Callable[[], Awaitable[Snapshot]],
        *,
        max_age_seconds: float = MAX_AGE_SECONDS,
        time_box_seconds: float = TIME_BOX_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._take = take
        self._max_age = max_age_seconds
        self._time_box = time_box_seconds
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._taken_at = float("-inf")
        self._read_task: asyncio.Task[None] | None = None
        self._is_up = False
        self._is_refused = False
        self._read_seconds = 0.0
        self._errors = 0

    async def newest(self) -> Reading:
        """A snapshot of now, or the last one with `is_up` false. No trouble of the store is raised."""
        if self._clock() - self._taken_at > self._max_age:
            if self._read_task is None:
                self._read_task = asyncio.create_task(self._read())
            await asyncio.wait({self._read_task}, timeout=self._time_box)
            if self._read_task is not None:
                self._is_up = False
                self._errors += 1
        return Reading(self._snapshot, self._is_up, self._is_refused, self._read_seconds, self._errors)

    async def close(self) -> None:
        """Give up a read under way."""
        if self._read_task is not None:
            self._read_task.cancel()
            await asyncio.wait({self._read_task})

    async def _read(self) -> None:
        started = self._clock()
        try:
            self._snapshot = await self._take()
        except (StoreUnavailableError, StoreRefusedError) as error:
            self._fail(error, is_refused=isinstance(error, StoreRefusedError))
        except Exception as error:  # whatever the reason: the page stays, and says that it is old
            log.exception("store_unreadable", error=str(error))
            self._fail(error, is_refused=True)
        else:
            self._taken_at = started
            self._read_seconds = self._clock() - started
            self._is_up, self._is_refused = True, False
        finally:
            self._read_task = None

    def _fail(self, error: Exception, *, is_refused: bool) -> None:
        if self._is_up or is_refused != self._is_refused:
            log.warning("counters_not_read", error=str(error))
        self._is_up, self._is_refused = False, is_refused
        self._errors += 1
