"""What belongs to the worker's process and not to counting: its exit code, its garbage collector, waiting that a
stop ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

from schemas.errors import FunnelcastError, TryAgainError
from streams.worker.host import WorkerHost

EXIT_OK, EXIT_BUG = 0, 1
FREEZE_SECONDS = 60.0


def exit_code(error: Exception) -> int:
    """What the process ends with because of `error`; Faust's own bounds end in a TimeoutError."""
    if isinstance(error, FunnelcastError):
        return error.exit_code
    return TryAgainError.exit_code if isinstance(error, TimeoutError) else EXIT_BUG


async def tune_garbage_collection(host: WorkerHost, sleep: Callable[[float], Any] = asyncio.sleep) -> None:
    """Keep the garbage collector away from the persons held in memory: walking them is a third of a worker's time."""
    gc.set_threshold(100_000, 50, 1_000)
    while not host.is_placed():
        await sleep(0.5)
    while True:
        gc.collect(1)
        gc.freeze()
        await sleep(FREEZE_SECONDS)


async def unless_set(over: asyncio.Event, work: Coroutine[Any, Any, Any]) -> Any:
    """Result of `work`; None as soon as the worker is asked to stop."""
    doing = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(over.wait())
    try:
        await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return await doing if doing.done() else None
    finally:
        doing.cancel()
        waiting.cancel()
