"""The hot loop: one event of a chunk after the other, by the cheapest path that is exact."""

from __future__ import annotations

from collections.abc import Sequence

from streams.core.intake import Op
from streams.core.state import SlotState


def step(state: SlotState, ops: Sequence[Op], *, slow_only: bool) -> None:
    """Count the events of a chunk."""
    for op in ops:
        state.slow(op)
