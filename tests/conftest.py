"""Fixtures that every tier may use."""

from tests.support.stack import embedded_stack, fresh_space

__all__ = ["embedded_stack", "fresh_space"]
