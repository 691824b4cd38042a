"""Stores filled with counted events, for tests of what reads them: a small shop whose numbers are known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from schemas.record import encode_tick
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import PartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor

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


def log_records(events: list[dict[str, Any]], partitions: int) -> Iterator[tuple[int, LogRecord]]:
    """(partition, record) of events as the collector writes them."""
    offsets = [0] * partitions
    for event in events:
        key = None if event["user_id"] is None else f"u:{event['user_id']}".encode()
        partition = 0 if key is None else partition_of(key, partitions)
        yield partition, LogRecord(key, json.dumps(event).encode(), event["received_at_ms"], offsets[partition])
        offsets[partition] += 1


async def fill(
    store: PartitionStore, funnel: Funnel, *, now_ms: int, partitions: int = 2, people: int = PEOPLE
) -> None:
    """Count the shop's events into a store, and a tick at `now_ms` in every partition."""
    await count_into(store, funnel, shop_events(now_ms, people), now_ms=now_ms, partitions=partitions)


async def counted_reader(funnel: Funnel, events: list[dict[str, Any]], *, now_ms: int) -> MemoryCounterReader:
    """A store in memory with these events counted at `now_ms`."""
    space = MemorySpace(clock_ms=lambda: now_ms)
    await count_into(MemoryPartitionStore(space), funnel, events, now_ms=now_ms)
    return MemoryCounterReader(space)


async def count_into(
    store: PartitionStore, funnel: Funnel, events: list[dict[str, Any]], *, now_ms: int, partitions: int = 1
) -> None:
    """Count events into a store, and a tick at `now_ms` in every partition."""
    await store.check_funnels({funnel.funnel_id: funnel.fingerprint})
    logs: list[list[LogRecord]] = [[] for _ in range(partitions)]
    for partition, record in log_records(events, partitions):
        logs[partition].append(record)
    for partition, log in enumerate(logs):
        log.append(LogRecord(None, encode_tick(now_ms), now_ms, len(log)))
        processor = PartitionProcessor(store, partition, [funnel], clock_ms=lambda: now_ms)
        await processor.claim()
        await processor.process(log, len(log))
        await processor.book_due()
