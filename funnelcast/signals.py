"""Ctrl-C and SIGTERM as one event, so that every command leaves through its `finally` blocks."""

from __future__ import annotations

import asyncio
import contextlib
import signal


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
