"""Ctrl-C and SIGTERM as one event, so that every command leaves through its `finally` blocks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE_SECONDS = 0.3
_EXIT_INTERRUPTED = 130
READER_SECONDS = 10.0
"""The most that a process which only reads takes to end: longer than its server drains."""


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


def end_within(seconds: float, exit_hard: Callable[[int], None] = os._exit) -> None:
    """After SIGINT or SIGTERM the process ends in time with code 0, whatever it computes. After `stop_event`.

    The loop's own handlers run when the loop is free, and a long computation keeps it. This one runs between two
    operations of the computation. For processes that may be killed at any moment without losing anything.
    """
    armed = threading.Event()

    def arm(_number: int, _frame: FrameType | None) -> None:
        if not armed.is_set():
            armed.set()
            timer = threading.Timer(seconds, exit_hard, (0,))
            timer.daemon = True
            timer.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, arm)  # the loop is still woken up, by the file descriptor


def run_until_told(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` that treats SIGTERM like Ctrl-C: the work is cancelled and cleans up. Raises KeyboardInterrupt.

    Work that computes and never lets the loop run is broken off a moment later; a thread that still computes when the
    work has cleaned up is not waited for.
    """
    has_heard = threading.Event()
    hard_end = threading.Timer(_PATIENCE_SECONDS, os._exit, (_EXIT_INTERRUPTED,))
    hard_end.daemon = True

    async def watched() -> T:
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # an interruption is told once
        stopping = asyncio.ensure_future(stop_event().wait())
        _interrupt_unless(has_heard)
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        has_heard.set()
        stopping.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            hard_end.start()
            raise KeyboardInterrupt
        return task.result()

    try:
        return asyncio.run(watched())
    finally:
        hard_end.cancel()


async def until_told(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Work that goes on until a signal: it is cancelled then, also while it still starts, and cleans up."""
    task, told = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        if not task.done():
            task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _interrupt_unless(has_heard: threading.Event) -> None:
    """A first signal starts a timer; when the loop has heard of nothing by then, the computation is interrupted."""
    is_second = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if has_heard.is_set():
            return
        if is_second.is_set():
            raise KeyboardInterrupt
        is_second.set()
        main = threading.main_thread().ident
        timer = threading.Timer(_PATIENCE_SECONDS, lambda: signal.pthread_kill(main or 0, signal.SIGINT))
        timer.daemon = True
        timer.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)  # the loop is still woken up, by the file descriptor
