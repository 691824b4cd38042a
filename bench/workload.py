"""The benchmark's stream: records as the collector writes them, deterministic by seed. Generates; measures nothing.

1 M events in four hours, names 70/20/6/2/2 %, 5 % duplicates, 10 % displaced by up to 1,000 positions, both dimensions
on every event, a value on offers and payments: about 265 bytes of JSON each.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from schemas.funnel.definition import definition_of
from schemas.funnel.load import load_funnels
from schemas.record import LinkRecord, encode_link

START_MS = 1_750_000_000_000
SPAN_MS = 4 * 3_600_000
DELAY_MS = 3_000
NAMES = ("impression", "click", "lead", "offer", "payment")
WEIGHTS = (70, 20, 6, 2, 2)
CHANNELS = tuple(f"channel{i}" for i in range(20))
MANAGERS = tuple(f"manager{i}" for i in range(10))
FOUR_DIMENSIONS: Final = (
    {"name": "channel", "attribution": "first"},
    {"name": "campaign", "attribution": "first"},
    {"name": "manager", "attribution": "stage"},
    {"name": "product", "attribution": "stage"},
)


def with_four_dimensions(name: str) -> dict[str, Any]:
    """The definition of a funnel that ships, as `merged`: with four dimensions and one pair."""
    changed = {"name": "merged", "dimensions": list(FOUR_DIMENSIONS), "pairs": [["channel", "manager"]]}
    return {**definition_of(load_funnels([name])[0]), **changed}


def records(events: int, *, people: int, seed: int = 7) -> Iterator[tuple[bytes, bytes, int]]:
    """(key, value, received_at_ms) in log order."""
    rnd = random.Random(seed)
    names = rnd.choices(NAMES, WEIGHTS, k=events)
    displaced: list[tuple[float, int]] = []
    for i in range(events):
        shift = rnd.randrange(1000) if rnd.random() < 0.1 else 0
        displaced.append((i + shift, i))
    displaced.sort()
    previous = 0
    for position, (_, i) in enumerate(displaced):
        event = previous if rnd.random() < 0.05 else i
        previous = i
        occurred_ms = START_MS + event * SPAN_MS // events
        yield _record(
            event,
            names[event],
            people=people,
            occurred_ms=occurred_ms,
            received_ms=START_MS + position * SPAN_MS // events + DELAY_MS,
        )


def _record(i: int, name: str, *, people: int, occurred_ms: int, received_ms: int) -> tuple[bytes, bytes, int]:
    return event_record(i, name, person=_mixed(i) % people, occurred_ms=occurred_ms, received_ms=received_ms)


def _mixed(i: int) -> int:
    return (i * 2_654_435_761) & 0xFFFFFFFF


def event_record(i: int, name: str, *, person: int, occurred_ms: int, received_ms: int) -> tuple[bytes, bytes, int]:
    """Event number `i`, of a person."""
    mixed = _mixed(i)
    value = ""
    if name == "payment":
        value = f',"order_id":"order-{i:010d}","value":"{mixed % 20000 / 100:.2f}","currency":"USD"'
    elif name == "offer":
        value = f',"value":"{mixed % 90000 / 100:.2f}","currency":"USD"'
    key = f"a:visitor-{person:012x}-{person * 7919 & 0xFFFFFF:06x}"
    body = (
        f'{{"id":"evt-{i:012x}-{mixed:08x}","name":"{name}","occurred_at_ms":{occurred_ms},"received_at_ms":{received_ms},'
        f'"source":"web","anonymous_id":"{key[2:]}","properties":{{"channel":"{CHANNELS[person % 20]}",'
        f'"manager":"{MANAGERS[mixed % 10]}","campaign":"spring"{value}}}}}'
    )
    return key.encode(), body.encode(), received_ms


def with_merges(stream: Iterator[tuple[bytes, bytes, int]], share: float) -> Iterator[tuple[bytes, bytes, int]]:
    """The same events; a share of them is of the visitor's account too, so that they link the device to it."""
    rnd = random.Random(11)
    for key, value, received_ms in stream:
        if rnd.random() >= share:
            yield key, value, received_ms
            continue
        user = b"user-" + key[10:]
        yield b"u:" + user, value.replace(b'"anonymous_id"', b'"user_id":"%b","anonymous_id"' % user, 1), received_ms
        link = LinkRecord(link=f"u:{user.decode()}", occurred_at_ms=received_ms, received_at_ms=received_ms)
        yield key, encode_link(link), received_ms
