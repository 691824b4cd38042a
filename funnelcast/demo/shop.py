"""The visitors of the demo: a shop in fast motion, in real time, for `data/shop.yaml`. Pure: the time is given."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any

CHANNELS = (("google", 4), ("meta", 3), ("newsletter", 2), ("direct", 1))
MANAGERS = ("ann", "bob", "eve")
REASONS = ("price", "timing", "competitor")
EVENTS_PER_VISITOR = 1.6
"""About how many events a visitor makes: what a rate of events is as a rate of visitors."""
_STEPS = (("click", 0.32), ("lead", 0.45), ("offer", 0.6), ("payment", 0.55), ("payment", 0.3))
_LEAST_MS, _MOST_MS = 300, 4_000
SENT_TWICE = 0.02


@dataclass(slots=True)
class Shop:
    """Draws visitors and hands out their events when they are due."""

    seed: int = 1
    events_per_second: float = 300.0
    _random: random.Random = field(init=False)
    _waiting: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    _visitors: int = 0
    _number: int = 0
    _next_visitor_ms: float | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def due(self, now_ms: int) -> list[dict[str, Any]]:
        """Native events that happened by `now_ms` and were not handed out before, oldest first."""
        if self._next_visitor_ms is None:
            self._next_visitor_ms = float(now_ms)
        while self._next_visitor_ms <= now_ms:
            self._visit(int(self._next_visitor_ms))
            self._next_visitor_ms += self._random.expovariate(self.events_per_second / EVENTS_PER_VISITOR) * 1000
        events = []
        while self._waiting and self._waiting[0][0] <= now_ms:
            events.append(heapq.heappop(self._waiting)[2])
        return events

    def _visit(self, at_ms: int) -> None:
        self._visitors += 1
        visitor = f"v{self.seed}-{self._visitors}"
        channel = self._random.choices([name for name, _ in CHANNELS], [weight for _, weight in CHANNELS])[0]
        self._plan(visitor, "impression", at_ms=at_ms, channel=channel)
        for name, chance in _STEPS:
            at_ms += self._random.randint(_LEAST_MS, _MOST_MS)
            if self._random.random() >= chance:
                self._lose(visitor, name, at_ms=at_ms, channel=channel)
                return
            self._plan(visitor, name, at_ms=at_ms, channel=channel, **self._details(name))

    def _lose(self, visitor: str, missed: str, *, at_ms: int, channel: str) -> None:
        """Some of those who do not go on say so."""
        if missed == "offer" and self._random.random() < 0.5:
            self._plan(visitor, "lead_lost", at_ms=at_ms, channel=channel, reason=self._random.choice(REASONS))
        elif missed == "payment" and self._random.random() < 0.1:
            self._plan(visitor, "payment_error", at_ms=at_ms, channel=channel)

    def _details(self, name: str) -> dict[str, str]:
        if name == "payment":
            minor = self._random.randint(900, 24_900)
            order_id = f"o{self.seed}-{self._number}"
            value = f"{minor // 100}.{minor % 100:02d}"
            return {"order_id": order_id, "value": value, "currency": "EUR", **self._manager()}
        if name in ("lead", "offer"):
            return self._manager()
        return {}

    def _manager(self) -> dict[str, str]:
        return {"manager": self._random.choice(MANAGERS)}

    def _plan(self, visitor: str, name: str, *, at_ms: int, **properties: str) -> None:
        self._number += 1
        event = {
            "id": f"e{self.seed}-{self._number}",
            "name": name,
            "occurred_at_ms": at_ms,
            "anonymous_id": visitor,
            "properties": properties,
        }
        heapq.heappush(self._waiting, (at_ms, self._number, event))
        if self._random.random() < SENT_TWICE:
            heapq.heappush(self._waiting, (at_ms + self._random.randint(100, 3_000), -self._number, event))
