"""What one funnel's counting in one partition works on: people, what they contribute in this chunk, statistics. Values
only; `streams.core.step` and what it calls change them."""

from __future__ import annotations

from streams.core.cache import PersonCache
from streams.core.contributions import Contributions
from streams.core.plan import Plan


class FunnelState:
    """A partition's state of one funnel."""

    __slots__ = ("cache", "contributions", "plan", "stats")

    def __init__(self, plan: Plan, *, max_persons: int) -> None:
        self.plan = plan
        self.cache = PersonCache(plan, max_persons=max_persons)
        self.contributions = Contributions()
        """Of the chunk under way; taken away when it is handed over."""
        self.stats: dict[str, int] = {}
        """The partition's own (`PartitionMeta.stats`)."""

    def count_stat(self, name: str, amount: int = 1) -> None:
        """Add to a statistic."""
        self.stats[name] = self.stats.get(name, 0) + amount
