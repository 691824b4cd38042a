"""Fixtures that every tier may use, and how many random cases tests take."""

import tests.support.thorough  # noqa: F401 - before a test module asks hypothesis for examples
from tests.support.stack import embedded_stack, fresh_space

__all__ = ["embedded_stack", "fresh_space"]
