"""Who is notified of which alert, and when: at its begin and at its end, once each; in quiet hours what is critical.

Keeps in memory what was sent: after a restart a standing alert is sent once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from funnelcast.notify.destinations import Destinations
from schemas.times import MINUTE_MS
from streams.evidence.alerts import HOLD_MINUTES
from streams.evidence.story import Story

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be said to some."""

    story: Story
    is_over: bool
    to: tuple[str, ...]
    """Names of destinations."""


@dataclass(slots=True)
class _Standing:
    story: Story
    seen_ms: int
    notified: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Watch:
    """One per process."""

    destinations: Destinations
    _standing: dict[Key, _Standing] = field(default_factory=dict)
    _held: list[Notice] = field(default_factory=list)
    """What ended in quiet hours."""

    def look(self, stories: Sequence[Story], now_ms: int) -> list[Notice]:
        """What is to be said now."""
        for story in stories:
            if story["severity"] != "none":
                key = (story["funnel"], story["name"], story["stage"], story["dim"])
                known = self._standing.setdefault(key, _Standing(story, now_ms))
                known.story, known.seen_ms = (story if not known.notified else known.story), now_ms
        is_quiet = self.destinations.is_quiet(now_ms)
        begun = [one for known in self._standing.values() if (one := self._begin(known, is_quiet=is_quiet)).to]
        ended = self._end(now_ms)
        if is_quiet:
            self._held += ended
            return begun
        held, self._held = self._held, []
        return [*begun, *held, *ended]

    def _begin(self, known: _Standing, *, is_quiet: bool) -> Notice:
        severity = known.story["severity"]
        to = () if is_quiet and severity != "critical" else self._who(severity, known.notified)
        known.notified |= set(to)
        return Notice(known.story, False, to)

    def _who(self, severity: str, notified: set[str]) -> tuple[str, ...]:
        return tuple(
            each.name for each in self.destinations.destinations if each.wants(severity) and each.name not in notified
        )

    def _end(self, now_ms: int) -> list[Notice]:
        """Those that have been silent for as long as a rule keeps firing. One of which nobody was notified is sent now
        to those who want its severity; where nobody does, it begins and ends unsaid."""
        over = [key for key, known in self._standing.items() if now_ms - known.seen_ms > HOLD_MINUTES * MINUTE_MS]
        ended = []
        for key in over:
            known = self._standing.pop(key)
            to = tuple(known.notified) or self._who(known.story["severity"], set())
            if to:
                ended.append(Notice(known.story, True, to))
        return ended
