"""Which partition of how many is counted: whose events lie here. Values only."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.partition import partition_of


class Place(NamedTuple):
    """One partition of a topic."""

    partition: int
    partitions: int

    def holds(self, person: bytes) -> bool:
        """Whether the events of a person key are in this partition."""
        return self.partitions == 1 or partition_of(person, self.partitions) == self.partition


ONLY_PARTITION: Final = Place(0, 1)
