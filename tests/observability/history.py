"""Five weeks of three small shops, and what goes wrong at their end. Every shop has events of its own names."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.times import DAY_MS, HOUR_MS, utc_text

LEARNED_DAYS, QUIET_DAYS = 8, 30
INCIDENT_HOURS, AFTER_HOURS = 6, 2
"""What a back-test reads goes on after what is sent: it judges whole hours."""
LEAD, LOST, PAID = 0.5, 0.15, 0.5
BROKEN_LEAD = 0.03
"""Where fewer go on."""
CHANNELS, MANAGERS, REASONS = ("google", "mail", "social"), ("ann", "bob"), ("price", "timing")

DROPPED, UNTAGGED, SILENT = "dropped", "untagged", "silent"
SHOPS = {DROPPED: 24, UNTAGGED: 36, SILENT: 12}
"""Visits an hour. Fewer leads; leads that nobody tells, though they pay; nothing at all."""


def definition(shop: str) -> str:
    """The funnel of a shop."""
    return f"""
name: {shop}
currency: EUR
conversion_window: 2d
stages:
  - {{name: visit, on: [{shop}_visit], abandon_after: 2h, role: click}}
  - {{name: lead, on: [{shop}_lead], abandon_after: 1d, stalled_after: 30m, role: lead}}
  - {{name: payment, on: [{shop}_payment], order: true, role: payment}}
lost:
  - {{on: [{shop}_lost]}}
dimensions:
  - {{name: channel, attribution: first}}
{"  - {name: manager, attribution: stage}" if shop == DROPPED else ""}
"""


@dataclass(frozen=True)
class Times:
    """Of the story: whole days of UTC, so that it is the same at every time of the day."""

    incident_ms: int

    @classmethod
    def before(cls, now_ms: int) -> Times:
        """The incident was yesterday at noon."""
        return cls((now_ms // DAY_MS - 1) * DAY_MS + DAY_MS // 2)

    @property
    def start_ms(self) -> int:
        return self.quiet_ms - LEARNED_DAYS * DAY_MS

    @property
    def quiet_ms(self) -> int:
        """From here on somebody watches."""
        return self.incident_ms - QUIET_DAYS * DAY_MS

    @property
    def end_ms(self) -> int:
        return self.incident_ms + INCIDENT_HOURS * HOUR_MS


def events(shop: str, times: Times) -> Iterator[dict[str, Any]]:
    """All events of a shop, by time."""
    end_ms = times.end_ms + AFTER_HOURS * HOUR_MS
    hours = range(times.start_ms, end_ms, HOUR_MS)
    told = [event for number, at_ms in enumerate(hours) for event in _hour(shop, number, at_ms, times)]
    told += [_spend(shop, day, at_ms) for day, at_ms in enumerate(range(times.start_ms, end_ms, DAY_MS))]
    told += [_event(shop, "visit", "the-last", end_ms, channel="mail")]
    yield from sorted((event for event in told if event["occurred_at_ms"] <= end_ms), key=_time)


def _time(event: dict[str, Any]) -> int:
    time_ms: int = event["occurred_at_ms"]
    return time_ms


def _hour(shop: str, number: int, at_ms: int, times: Times) -> Iterator[dict[str, Any]]:
    rng = random.Random(f"{shop} {number}")
    for visitor in range(SHOPS[shop] + rng.randrange(-4, 5)):
        for event in _visitor(shop, f"{shop}-{number}-{visitor}", at_ms + rng.randrange(HOUR_MS), times, rng):
            if event["occurred_at_ms"] < times.incident_ms or shop != SILENT:
                yield event


def _visitor(shop: str, person: str, at_ms: int, times: Times, rng: random.Random) -> Iterator[dict[str, Any]]:
    """A visit, and what comes of it."""
    is_late = at_ms >= times.incident_ms
    channel, manager, reason = (rng.choice(names) for names in (CHANNELS, MANAGERS, REASONS))
    wish, answer, pauses = rng.random(), rng.random(), (rng.randrange(200_000), rng.randrange(600_000))
    yield _event(shop, "visit", person, at_ms, channel=channel)
    if wish >= (BROKEN_LEAD if is_late and shop == DROPPED else LEAD):
        return
    at_ms += pauses[0]
    if not (is_late and shop == UNTAGGED):
        yield _event(shop, "lead", person, at_ms, channel=channel, manager=manager)
    at_ms += pauses[1]
    if answer < PAID:
        money = {"value": f"{rng.randrange(20, 60)}.00", "currency": "EUR", "order_id": person}
        yield _event(shop, "payment", person, at_ms, channel=channel, manager=manager, **money)
    elif answer < PAID + LOST:
        yield _event(shop, "lost", person, at_ms, reason=reason)


def _event(shop: str, name: str, person: str, at_ms: int, **properties: str) -> dict[str, Any]:
    event = {"id": f"{name}-{person}", "name": f"{shop}_{name}", "occurred_at_ms": at_ms, "anonymous_id": person}
    return {**event, "properties": properties}


def _spend(shop: str, day: int, at_ms: int) -> dict[str, Any]:
    """What the day's advertising cost."""
    rng = random.Random(f"{shop} {day}")
    properties = {"channel": "google", "campaign": shop, "value": f"{rng.randrange(50, 80)}.00", "currency": "EUR"}
    return {
        "id": f"spend-{shop}-{day}",
        "name": "ad_spend",
        "occurred_at_ms": at_ms,
        "properties": {**properties, "day": utc_text(at_ms)[:10]},
    }


def line(event: dict[str, Any]) -> bytes:
    """As it is sent, and as a back-test reads it."""
    return json.dumps(event).encode()
