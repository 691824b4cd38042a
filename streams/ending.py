"""Ends a task that works until it is cancelled. Nothing else."""

from __future__ import annotations

import asyncio
from typing import Any, Final

_AGAIN_SECONDS: Final = 0.5


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel until it is over; its errors are its own. For loops that only read: cleaning up may be broken off, too.

    Once is not enough: where a cancellation and an answer come at the same time, `asyncio.wait_for` of Python 3.11
    gives the answer and forgets the cancellation (3.12 does not). The store's client waits so in every request.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN_SECONDS)
