"""Random shops over months: enough people for tests of differences, forecasts and targets. Nothing here counts."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.oracle.generate import DAY_MS, HOUR_MS, Case, Log

BEGIN_MS = 1_735_689_600_000
"""2025-01-01T00:00Z."""
CHANNELS = ["fair", "google", "mail"]


def random_shop(rng: Random, *, people: int) -> Case:
    """A funnel of three to six stages, and people who go some way through it, over 40 to 130 days."""
    count, window = rng.randint(3, 6), rng.choice([3, 10, 20])
    first_order = rng.randint(2, count - 1)
    stages: list[dict[str, Any]] = [{"name": f"s{at}", "on": [f"s{at}"]} for at in range(count)]
    for at in range(count - 1):
        if rng.random() < 0.6:
            stages[at]["abandon_after"] = f"{rng.randint(1, window)}d"
    stages[rng.randint(1, first_order)]["role"] = "lead"
    stages[first_order]["order"] = True
    funnel = {
        "name": "shop",
        "timezone": rng.choice(["UTC", "Europe/Athens", "America/New_York"]),
        "currency": rng.choice(["EUR", "JPY"]),
        "conversion_window": f"{window}d",
        "allowed_lateness": "30d",
        "stages": stages,
        "lost": [{"on": ["gone"]}],
        "dimensions": [{"name": "channel", "attribution": "first"}, {"name": "manager", "attribution": "stage"}],
    }
    days = rng.randint(40, 130)
    log: Log = []
    for who in range(people):
        log += _walk(rng, who, names=[stage["name"] for stage in stages], at=BEGIN_MS + rng.randint(0, days * DAY_MS))
    for day in range(0, days, 7):
        log.append(_spend(rng, day, BEGIN_MS + day * DAY_MS))
    end = BEGIN_MS + days * DAY_MS + rng.randint(0, DAY_MS)
    log = sorted(
        (event for event in log if event["received_at_ms"] < end), key=lambda event: int(event["received_at_ms"])
    )
    return Case(funnel, [*log, {"tick": end + 60_000}])


def _walk(rng: Random, who: int, *, names: list[str], at: int) -> Log:
    """Forward with gaps, now and then lost on the way, or bought again."""
    channel, pace = rng.choice(CHANNELS), rng.choice([1, 6, 30, 60]) * HOUR_MS
    log: Log = []
    for number, name in enumerate(names):
        if number and rng.random() < (0.2 if channel == "fair" else 0.45):
            if rng.random() < 0.5:
                break
            continue
        log.append(_event(name, who, at, {"channel": channel, **_money(rng, who, len(log))}))
        at += 1 + int(rng.expovariate(1 / pace))
        if rng.random() < 0.1:
            log.append(_event("gone", who, at, {"reason": rng.choice(["price", "time"])}))
            at += 1 + int(rng.expovariate(1 / pace))
    return log


def _money(rng: Random, who: int, number: int) -> dict[str, Any]:
    stated: dict[str, Any] = {"manager": rng.choice(["ann", "bob"])}
    if rng.random() < 0.8:
        stated["value"] = str(rng.randint(1, 90_000) / 100)
    if rng.random() < 0.3:
        stated["cost"] = str(rng.randint(1, 100))
    if rng.random() < 0.9:
        stated["order_id"] = f"o{who}-{number}"
    return stated


def _event(name: str, who: int, at: int, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{name}-{who}-{at}",
        "name": name,
        "occurred_at_ms": at,
        "received_at_ms": at,
        "user_id": f"u{who}",
        "source": "web",
        "properties": properties,
    }


def _spend(rng: Random, day: int, at: int) -> dict[str, Any]:
    stated = {"channel": rng.choice(CHANNELS), "amount": str(rng.randint(1, 500)), "campaign": f"c{day}"}
    return {**_event("ad_spend", day, at, stated), "user_id": None}
