"""A small shop whose numbers are known, and stores filled with its events, for tests of what reads them."""

from __future__ import annotations

from typing import Any

from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from streams.store.port import PartitionStore
from tests.support.processing import count_into

SHOP_FILE = """
name: shop
version: 3
currency: EUR
conversion_window: 7d
stages:
  - {name: impression, on: [impression], abandon_after: 30m}
  - {name: click, on: [click], abandon_after: 1h}
  - {name: lead, on: [lead], abandon_after: 7d}
  - {name: payment, on: [payment], order: true}
lost:
  - {on: [lead_lost]}
  - {on: [payment_error], reason: payment_error}
dimensions:
  - {name: channel, attribution: first}
  - {name: manager, attribution: stage}
pairs: [[channel, manager]]
"""
SHOP = parse_funnel(SHOP_FILE)

CHANNELS = ("google", "facebook", "mail")
PEOPLE = 240
MINUTE = 60_000


def shop_events(now_ms: int, people: int = PEOPLE) -> list[dict[str, Any]]:
    """Every person sees an advertisement, one every 30 s up to a minute ago; 1 in 2 clicks a minute later, 1 in 4 asks
    for an offer after two, 1 in 8 pays 19.99 after three; 1 in 12 is lost after asking."""
    events: list[dict[str, Any]] = []
    for number in range(people):
        time_ms = now_ms - MINUTE - (people - 1 - number) * MINUTE // 2
        channel = CHANNELS[number % 3]
        steps = [("impression", 1, {}), ("click", 2, {}), ("lead", 4, {"manager": "ann"})]
        steps.append(("payment", 8, {"value": "19.99", "currency": "EUR", "order_id": f"o{number}"}))
        for delay, (name, one_in, properties) in enumerate(steps):
            if number % one_in == 0 and time_ms + delay * MINUTE <= now_ms:
                events.append(shop_event(name, number, time_ms + delay * MINUTE, {"channel": channel, **properties}))
        if number % 12 == 4 and time_ms + 3 * MINUTE <= now_ms:
            events.append(shop_event("lead_lost", number, time_ms + 3 * MINUTE, {"reason": "price"}))
    spend = {"channel": "google", "day": "2025-01-01", "amount": "120.00", "currency": "EUR"}
    events.append({**shop_event("ad_spend", -1, now_ms, spend), "user_id": None})
    return sorted(events, key=lambda event: event["received_at_ms"])


def shop_event(name: str, number: int, at_ms: int, properties: dict[str, Any]) -> dict[str, Any]:
    """An event of the person of a number."""
    return {
        "id": f"{name}-{number}",
        "name": name,
        "occurred_at_ms": at_ms,
        "received_at_ms": at_ms,
        "user_id": f"u{number}",
        "source": "web",
        "properties": properties,
    }


async def fill(
    store: PartitionStore, funnel: Funnel, *, now_ms: int, partitions: int = 2, people: int = PEOPLE
) -> None:
    """Count the shop's events into a store, and a tick at `now_ms` in every partition."""
    await count_into(store, funnel, shop_events(now_ms, people), now_ms=now_ms, partitions=partitions)
