"""The events of a chaos run: deterministic for a seed, 10 % sent twice, 10 % out of order. Pure; written for the
funnel `data/chaos.yaml` and for nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

START_MS = 1_735_689_600_000  # 2025-01-01
SPAN_MS = 3 * 86_400_000
CHANNELS = ("google", "meta", "mail", "direct")
REASONS = ("price", "timing")
DUPLICATE_SHARE = DISORDER_SHARE = 0.1
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class ChaosEvent:
    """One event of a person, as it happened."""

    id: str
    person: str
    name: str
    at_ms: int
    channel: str
    order_id: str | None = None
    minor: int = 0
    reason: str | None = None

    def native(self, received_at_ms: int) -> dict[str, Any]:
        """In the form of the API."""
        properties: dict[str, Any] = {"channel": self.channel}
        if self.order_id is not None:
            properties |= {"order_id": self.order_id, "value": f"{self.minor // 100}.{self.minor % 100:02d}"}
        if self.reason is not None:
            properties["reason"] = self.reason
        return {
            "id": self.id,
            "name": self.name,
            "occurred_at_ms": self.at_ms,
            "received_at_ms": received_at_ms,
            "user_id": self.person,
            "properties": properties,
        }


def make_events(seed: int, count: int) -> list[ChaosEvent]:
    """`count` distinct events, by person; two events of a person never share a millisecond."""
    chooser = random.Random(seed)
    events: list[ChaosEvent] = []
    person = 0
    while len(events) < count:
        events.extend(_visits(chooser, f"p{person}"))
        person += 1
    return events[:count]


def arrivals(seed: int, events: list[ChaosEvent]) -> list[tuple[int, ChaosEvent]]:
    """(received_at_ms, event) in log order: most at once, some late enough to be out of order, some twice."""
    chooser = random.Random(seed + 1)
    log: list[tuple[int, ChaosEvent]] = []
    for event in events:
        delay = chooser.randint(1_000, 10 * _MINUTE) if chooser.random() < DISORDER_SHARE else chooser.randint(0, 50)
        log.append((event.at_ms + delay, event))
        if chooser.random() < DUPLICATE_SHARE:
            log.append((event.at_ms + delay + chooser.randint(0, 10 * _MINUTE), event))
    log.sort(key=lambda pair: (pair[0], pair[1].id))
    return log


def _visits(chooser: random.Random, person: str) -> Iterator[ChaosEvent]:
    at = START_MS + chooser.randrange(SPAN_MS)
    channel = chooser.choice(CHANNELS)
    number = 0
    for _ in range(chooser.choice((1, 1, 1, 2))):
        for name in _path(chooser):
            at += chooser.randint(1, chooser.choice((5, 60, 300)) * _MINUTE)
            if chooser.random() < DISORDER_SHARE:
                channel = chooser.choice(CHANNELS)
            number += 1
            event = _event(chooser, f"{person}-{number}", person, name=name, at=at, channel=channel)
            yield event
            if name == "payment" and chooser.random() < 0.2:  # providers report one payment several times
                at += chooser.randint(1, 5 * _MINUTE)
                number += 1
                yield ChaosEvent(f"{person}-{number}", person, name, at, channel, event.order_id, event.minor)
        at += chooser.randint(3, 40) * 3_600_000


def _path(chooser: random.Random) -> list[str]:
    path = ["click"] * chooser.randint(0, 3)
    if not path or chooser.random() < 0.5:
        path += ["lead"] * chooser.randint(1, 2)
        if chooser.random() < 0.2:
            path.append("lead_lost")
        if chooser.random() < 0.4:
            path.append("payment")
    elif chooser.random() < 0.1:
        path.append("payment")
    if chooser.random() < 0.05:
        path.append("click")
    return path


def _event(chooser: random.Random, number: str, person: str, *, name: str, at: int, channel: str) -> ChaosEvent:
    if name == "payment":
        return ChaosEvent(number, person, name, at, channel, order_id=f"o-{number}", minor=chooser.randint(100, 99_999))
    if name == "lead_lost":
        return ChaosEvent(number, person, name, at, channel, reason=chooser.choice(REASONS))
    return ChaosEvent(number, person, name, at, channel)
