"""The events of a chaos run: deterministic for a seed, 10 % sent twice, 10 % out of order; half of the persons have
several ids, which are linked while events flow. Pure; made for the funnels of `data/chaos*.yaml` and for no other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

START_MS = 1_735_689_600_000  # 2025-01-01
SPAN_MS = 3 * 86_400_000
CHANNELS = ("google", "meta", "mail", "direct")
REASONS = ("price", "timing")
DUPLICATE_SHARE = DISORDER_SHARE = 0.1
_MINUTE, _HOUR = 60_000, 3_600_000
ID_NAMES = {"a": "anonymous_id", "c": "contact_id", "u": "user_id"}
TREES = ("ac", "au", "acu", "cu")
"""Which ids a person has, the lowest first."""
LINKED_SHARE = 0.5
_LINKED_WITHIN_MS = 20 * _HOUR
"""From the first event on: within one conversion window, so that everything before the link goes with it."""


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
    ids: str = "u"
    """Which of the person's ids it carries."""
    root: str = "u"
    """The person's highest id, of all events."""

    @property
    def owner(self) -> str:
        """The key under which it is counted in the end."""
        return f"{self.root}:{self.person}"

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
            **{ID_NAMES[space]: self.person for space in self.ids},
            "properties": properties,
        }


def make_events(seed: int, count: int) -> list[ChaosEvent]:
    """`count` distinct events, by person; two events of a person never share a millisecond."""
    chooser = random.Random(seed)
    events: list[ChaosEvent] = []
    person = 0
    while len(events) < count:
        visits = list(_visits(chooser, f"p{person}"))[: count - len(events)]
        events += _under_ids(chooser, visits)
        person += 1
    return events


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
            event = _event(chooser, number=f"{person}-{number}", person=person, name=name, at=at, channel=channel)
            yield event
            if name == "payment" and chooser.random() < 0.2:  # providers report one payment several times
                at += chooser.randint(1, 5 * _MINUTE)
                number += 1
                yield ChaosEvent(f"{person}-{number}", person, name, at, channel, event.order_id, event.minor)
        at += chooser.randint(3, 40) * _HOUR


def _under_ids(chooser: random.Random, events: list[ChaosEvent]) -> list[ChaosEvent]:
    """The same events with the ids that they carry. Two ids are linked by the first event that carries both."""
    if chooser.random() >= LINKED_SHARE:
        return events
    tree = chooser.choice(TREES)
    soon = [number for number, event in enumerate(events) if event.at_ms - events[0].at_ms <= _LINKED_WITHIN_MS]
    links = sorted(chooser.choice(soon) for _ in tree[1:])
    return [
        replace(event, ids=_ids_at(chooser, tree, links=links, number=number), root=tree[-1])
        for number, event in enumerate(events)
    ]


def _ids_at(chooser: random.Random, tree: str, *, links: list[int], number: int) -> str:
    """`links`: at which events the first two ids are linked, and the next ones."""
    known = sum(link <= number for link in links)
    now = links.count(number)
    if now:
        return tree[known - now : known + 1]
    said: list[str] = [*tree[: known + 1], *(tree[at : at + 2] for at in range(known))]
    return said[chooser.randrange(len(said))]


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


def _event(chooser: random.Random, *, number: str, person: str, name: str, at: int, channel: str) -> ChaosEvent:
    if name == "payment":
        return ChaosEvent(number, person, name, at, channel, order_id=f"o-{number}", minor=chooser.randint(100, 99_999))
    if name == "lead_lost":
        return ChaosEvent(number, person, name, at, channel, reason=chooser.choice(REASONS))
    return ChaosEvent(number, person, name, at, channel)
