"""Fixtures that every tier may use, and what every run of the tests does first."""

import gc

import anyio._backends._asyncio  # noqa: F401 - pytest rewrites it, and two threads must not at once

import tests.support.thorough  # noqa: F401 - before a test module asks hypothesis for examples
from tests.support.log_lines import plain_log_lines
from tests.support.stack import embedded_stack, fresh_space

__all__ = ["embedded_stack", "fresh_space"]

plain_log_lines()
gc.disable()  # until everything is loaded


def pytest_collection_finish() -> None:
    """What is loaded by now stays: to look for garbage in it again and again was an eighth of the unit tests' time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 100)
