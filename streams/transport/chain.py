"""Whether what was fetched continues what was handed over. Pure.

A batch says at which offset it begins and ends, and the next one begins where the last one ended: so nothing is read
twice and nothing is passed over, whatever Faust, aiokafka or a seek that is under way do in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Fit(Enum):
    """How a fetch fits to the chain."""

    NEXT = "next"
    OTHER_PLACEMENT = "other placement"
    """It was asked for before the partition was placed: a seek overtook it."""
    ELSEWHERE = "elsewhere"
    """It begins before the chain's end, or behind it for the first time: something moved the position without us."""
    HOLE = "hole"
    """Asked for twice, and again it begins behind the chain's end: the broker has nothing in between."""


@dataclass(slots=True)
class Chain:
    """The batches of one placement of a partition."""

    placement_id: int
    next: int
    """Offset at which the next batch begins."""
    hole_at: int = -1
    """Where a hole was met and asked for again."""

    def fit(self, first: int, *, placement_before: int | None) -> Fit:
        """Of a fetch whose first record has the offset `first`, asked for while `placement_before` was the placement.
        One from elsewhere is to be asked for again."""
        if self.placement_id != placement_before:
            return Fit.OTHER_PLACEMENT
        if first == self.next:
            return Fit.NEXT
        if first > self.next and self.hole_at == self.next:
            return Fit.HOLE
        self.hole_at = self.next
        return Fit.ELSEWHERE
