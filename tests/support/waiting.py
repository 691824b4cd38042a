"""Waiting with a limit. The tests sleep here, and else only where a fault has to last (tests/unit/test_tests.py)."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LIMIT = 120.0
"""Seconds that anything may take before a test fails: what takes one alone may take thirty where a machine is busy. It
is no promise of the product, and a test that passes never waits so long."""
LONG_LIMIT = 600.0
"""The same of a whole job: a replay with faults, the start of everything there is."""
What = str | Callable[[], str]
"""What was waited for: a text, or a function that says how things stand at the deadline."""


async def until(
    condition: Callable[[], Any], *, limit: float = LIMIT, every: float = 0.01, what: What = "condition"
) -> Any:
    """The first true answer of `condition()`, which may return an awaitable. Fails at the deadline."""
    deadline = time.monotonic() + limit
    while True:
        answer = condition()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        _check(deadline, limit, what)
        await asyncio.sleep(every)


def wait_until(
    condition: Callable[[], Any], *, limit: float = LIMIT, every: float = 0.05, what: What = "condition"
) -> Any:
    """The same where nothing runs on an event loop."""
    deadline = time.monotonic() + limit
    while not (answer := condition()):
        _check(deadline, limit, what)
        time.sleep(every)
    return answer


def _check(deadline: float, limit: float, what: What) -> None:
    if time.monotonic() >= deadline:
        raise AssertionError(f"not within {limit:g} s: {what if isinstance(what, str) else what()}")


@contextmanager
def computing_limit(seconds: float = 30.0) -> Iterator[None]:
    """Fails when the block, or the test that it decorates, computes for longer: for work that is done in milliseconds,
    and in minutes where its cost is the square of its size. A machine that stands still counts nothing."""

    def fail(*_: object) -> None:
        raise AssertionError(f"has computed for {seconds:g} s")

    before = signal.signal(signal.SIGVTALRM, fail)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
