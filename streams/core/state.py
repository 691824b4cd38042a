"""What one funnel's counting in one partition works on: people, what they contribute in this chunk, statistics. Values
only; `streams.core.step` and what it calls change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.core.cache import PersonCache
from streams.core.chunk import Op
from streams.core.contributions import Contributions
from streams.core.journey_changes import JourneyChange
from streams.core.outgoing import Outgoing
from streams.core.place import ONLY_PARTITION, Place
from streams.core.plan import Plan
from streams.defaults import MAX_PERSON_EVENTS


class Kinship(NamedTuple):
    """A change of which ids are linked to a person (`streams.core.tree`)."""

    person: bytes
    lower: bytes
    """The id; empty for all of them."""
    is_linked: bool


class FunnelState:
    """A partition's state of one funnel."""

    __slots__ = (
        "cache",
        "contributions",
        "forwards",
        "ids",
        "journey_changes",
        "kinships",
        "max_events",
        "outgoing",
        "place",
        "plan",
        "refused",
        "stats",
        "waiting",
    )

    def __init__(
        self,
        plan: Plan,
        *,
        max_persons: int,
        max_events: int = MAX_PERSON_EVENTS,
        place: Place = ONLY_PARTITION,
    ) -> None:
        self.plan = plan
        self.place = place
        self.cache = PersonCache(plan, max_persons=max_persons)
        self.contributions = Contributions()
        """Of the chunk under way; taken away when it is handed over."""
        self.journey_changes: list[JourneyChange] = []
        """Likewise; of a funnel that publishes what becomes of its journeys."""
        self.stats: dict[str, int] = {}
        """The partition's own (`PartitionMeta.stats`)."""
        self.max_events = max_events
        """So many events after the horizon one person may have; a further one is refused."""
        self.refused: list[Op] = []
        """Refused in the chunk under way."""
        self.waiting: dict[bytes, list[Op]] = {}
        """Events of the chunk under way, by person, that are counted together at its end."""
        self.ids: Sequence[bytes] = ()
        """Of the chunk under way (`FunnelPrepared.ids`)."""
        self.kinships: list[Kinship] = []
        """Of the chunk under way, in log order."""
        self.forwards = 0
        """Forwards sent since the partition was created, numbered by this."""
        self.outgoing: list[Outgoing] = []
        """What the chunk under way sends; taken away when it is handed over."""

    def count_stat(self, name: str, amount: int = 1) -> None:
        """Add to a statistic."""
        self.stats[name] = self.stats.get(name, 0) + amount

    def refuse(self, op: Op) -> None:
        """Count an event of a person who has too many, and nothing else of it."""
        self.refused.append(op)
        self.count_stat("too_many_of_person")
