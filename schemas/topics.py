"""Names of topics and consumer groups in a space (a prefix that keeps an import or a test apart from live data), and
how long its topics keep what they hold. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.times import DAY_MS

_SPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
DEFAULT_SPACE = "main"
DEFAULT_PARTITIONS = 8


@dataclass(frozen=True, slots=True)
class Topics:
    """Topic names of one space. Raises ValueError for a space that is no plain name."""

    space: str = DEFAULT_SPACE

    def __post_init__(self) -> None:
        if not _SPACE.fullmatch(self.space):
            raise ValueError(
                f"space {self.space!r} must be 1-64 of a-z 0-9 _ - and start with a letter or digit, e.g. 'main'"
            )

    @property
    def events(self) -> str:
        """Accepted events and ticks, keyed by person."""
        return f"funnelcast.{self.space}.events"

    @property
    def rejected(self) -> str:
        """Dead letters: what the collector refused, with the reason."""
        return f"funnelcast.{self.space}.rejected"

    @property
    def late(self) -> str:
        """Events too late to be counted, by funnel."""
        return f"funnelcast.{self.space}.late"

    @property
    def journeys(self) -> str:
        """What becomes of journeys, keyed by person (docs/journeys.md)."""
        return f"funnelcast.{self.space}.journeys"

    @property
    def hooks(self) -> str:
        """Webhooks that only name a thing, until the enricher has made events of them."""
        return f"funnelcast.{self.space}.hooks"

    @property
    def group(self) -> str:
        """Consumer group of the workers."""
        return f"funnelcast.{self.space}.worker"

    @property
    def enricher_group(self) -> str:
        """Consumer group of the enrichers."""
        return f"funnelcast.{self.space}.enricher"

    def all(self) -> tuple[str, ...]:
        """Every topic of the space."""
        return (self.events, self.rejected, self.late, self.hooks, self.journeys)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a live space keeps what it holds, in milliseconds. All of it is about persons, so none of it is kept
    permanently: long enough to notice a fault over a weekend, to fix it and to count or send again."""

    events_ms: int = 7 * DAY_MS
    rejected_ms: int = 7 * DAY_MS
    """Dead letters hold what was sent, e-mails and phones in clear."""
    late_ms: int = 30 * DAY_MS
    """Longer than a month's report is looked at; no more in them than in events."""
    hooks_ms: int = 7 * DAY_MS
    """Webhooks as they came, until the enricher has made events of them."""
    journeys_ms: int = 7 * DAY_MS
    """Longer than a reader of them may be away."""
