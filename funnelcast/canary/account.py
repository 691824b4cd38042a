"""What was sent of a funnel's canaries against what the funnel has seen of them. Pure.

A funnel says one number: how many events of canaries it has left out so far. Walks reach it in the order in which they
were sent, about: of two walks that overtake each other the sums are right, and the delays are those of the other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk on its way."""

    target: int
    """Events sent in all, with this walk."""
    sent_at_ms: int
    is_whole: bool
    """Whether the door took all of its events."""


@dataclass(slots=True)
class Account:
    """Of one funnel, since this canary began."""

    sent: int = 0
    counted: int = 0
    missing: int = 0
    """Events that time has passed: all partitions have counted what came later."""
    waiting: deque[Walk] = field(default_factory=deque)
    _total: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the funnel was asked once: before, nobody can tell what is new."""
        return self._total is not None

    def send(self, events: int, at_ms: int, *, is_whole: bool = True) -> None:
        """The door has taken events of a walk."""
        self.sent += events
        self.waiting.append(Walk(self.sent, at_ms, is_whole))

    def look(self, total: int, watermark_ms: int) -> list[Walk]:
        """The funnel has left out `total` so far, and every partition has come to `watermark_ms`: the walks that have
        arrived."""
        if self._total is None or total < self._total:  # counted anew: nothing is known of what was on its way
            self.sent, self.counted, self.missing = self.counted, self.counted, 0
            self.waiting.clear()
        else:
            self.counted += total - self._total
        self._total = total
        self._settle()
        arrived = self._arrived()
        while self.waiting and self.waiting[0].sent_at_ms <= watermark_ms:
            self.missing += self.waiting.popleft().target - self.counted - self.missing
            arrived += self._arrived()
        return arrived

    def _settle(self) -> None:
        """What is counted beyond all that was sent was missing before, or is not ours: an earlier canary's, a copy."""
        surplus = max(0, self.counted + self.missing - self.sent)
        returned = min(surplus, self.missing)
        self.missing -= returned
        self.counted -= surplus - returned

    def _arrived(self) -> list[Walk]:
        arrived: list[Walk] = []
        while self.waiting and self.waiting[0].target <= self.counted + self.missing:
            arrived.append(self.waiting.popleft())
        return arrived
