"""Names as they are registered."""

from __future__ import annotations

from collections.abc import Iterable


def as_compared(names: Iterable[tuple[int, str]]) -> dict[tuple[int, str], str]:
    """(register, name) pairs that were written as they are compared."""
    return {(register, name): name for register, name in names}
