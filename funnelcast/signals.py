"""Ctrl-C and SIGTERM as one event, so that every command leaves through its `finally` blocks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def stop_event() -> asyncio.Event:
    """An event set by the first SIGINT or SIGTERM; the second SIGINT interrupts at once. Call inside the loop."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if event.is_set() and number == signal.SIGINT:
            loop.remove_signal_handler(signal.SIGINT)
        event.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # nohup
        with contextlib.suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, on_signal, number)
    return event


def run_until_told(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` that treats SIGTERM like Ctrl-C: the work is cancelled and cleans up. Raises KeyboardInterrupt."""

    async def watched() -> T:
        task = asyncio.ensure_future(work)
        told = asyncio.ensure_future(stop_event().wait())
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            raise KeyboardInterrupt
        return task.result()

    return asyncio.run(watched())
