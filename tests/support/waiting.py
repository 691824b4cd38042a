"""Waiting with a deadline. The tests sleep here, and else only where a fault has to last (tests/unit/test_tests.py)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

What = str | Callable[[], str]
"""What was waited for: a text, or a function that says how things stand at the deadline."""


async def until(
    condition: Callable[[], Any], *, seconds: float = 20.0, every: float = 0.01, what: What = "condition"
) -> Any:
    """The first true answer of `condition()`, which may return an awaitable. Fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        _check(deadline, seconds, what)
        await asyncio.sleep(every)


def wait_until(
    condition: Callable[[], Any], *, seconds: float = 20.0, every: float = 0.05, what: What = "condition"
) -> Any:
    """The same where nothing runs on an event loop."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        _check(deadline, seconds, what)
        time.sleep(every)
    return answer


def _check(deadline: float, seconds: float, what: What) -> None:
    if time.monotonic() >= deadline:
        raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
