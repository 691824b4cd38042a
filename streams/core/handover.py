"""What the engine asks its caller for, and what it hands over to be stored. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.counters import CellGroup, Cells
from streams.core.outgoing import Outgoing


@dataclass(slots=True)
class FunnelNeeds:
    """What must be read of one funnel before going on."""

    buckets: list[int] = field(default_factory=list)
    persons: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Needs:
    """What must be read before going on; false when nothing is missing."""

    funnels: dict[str, FunnelNeeds] = field(default_factory=dict)
    facts: list[bytes] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.funnels or self.facts)


@dataclass(slots=True)
class FunnelChanges:
    """What an apply changes for one funnel; as `FunnelWrites`, but cells are deltas."""

    persons: dict[bytes, bytes | None]
    erased: set[bytes]
    earliest_deadlines: dict[int, int]
    deltas: Cells
    expired: list[CellGroup]
    core_state: bytes | None


@dataclass(slots=True)
class Changes:
    """What an apply changes."""

    funnels: dict[str, FunnelChanges]
    outgoing: list[Outgoing] = field(default_factory=list)
    """To be published and acknowledged before the changes are stored."""
    facts: dict[bytes, bytes | None] = field(default_factory=dict)
    """Keyed facts of the partition; None deletes one."""


class Held(NamedTuple):
    """How much a partition holds in memory."""

    persons: int
    wake_ups: int
    """Times at which a person must be looked at, also of persons who are left to the store."""
