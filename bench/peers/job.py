"""The job that every contender is given (README.md says it in words): its log and the shape of its result.

Deterministic by seed. Generates and compares; counts nothing and knows no contender.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeAlias

STAGES = ("click", "lead", "payment")
WEIGHTS = (60, 25, 15)
CHANNELS = tuple(f"channel{number}" for number in range(20))
WINDOW_MS = 30 * 60_000
SPAN_MS = 60 * 60_000
"""Of the whole log, however many events: two windows, so that many a journey ends and another begins."""
PEOPLE_SHARE = 5
"""Events a person, on average."""
START_MS = 1_750_000_000_000
DELAY_MS = 3_000
COPIES = 0.05
COPY_RECORDS = 200
"""A copy follows its event within so many records."""
SEED = 7

Cells: TypeAlias = dict[tuple[str, str], tuple[int, int, int]]
"""(stage, channel): events, entries, advanced. A cell without any of them is left out."""


def records(events: int, *, people: int, seed: int = SEED) -> Iterator[tuple[bytes, bytes, int]]:
    """(key, value, received_at_ms) in log order: `events` of them with their copies, each person's in order of time."""
    rnd = random.Random(seed)
    copies: dict[int, list[tuple[bytes, bytes]]] = {}
    written = number = 0
    while written < events:
        received_ms = START_MS + written * SPAN_MS // events + DELAY_MS
        due = copies.pop(written, None)
        if due:
            key, value = due.pop()
            if due:
                copies.setdefault(written + 1, []).extend(due)
        else:
            key, value = _event(
                number,
                person=rnd.randrange(people),
                occurred_ms=received_ms - DELAY_MS,
                received_ms=received_ms,
                rnd=rnd,
            )
            number += 1
            if rnd.random() < COPIES:
                copies.setdefault(written + rnd.randint(1, COPY_RECORDS), []).append((key, value))
        written += 1
        yield key, value, received_ms


def _event(number: int, *, person: int, occurred_ms: int, received_ms: int, rnd: random.Random) -> tuple[bytes, bytes]:
    """Key and value as the collector writes them."""
    (name,) = rnd.choices(STAGES, WEIGHTS)
    visitor = f"visitor-{person:012x}-{person * 7919 & 0xFFFFFF:06x}"
    value = (
        f'{{"id":"evt-{number:012x}-{rnd.getrandbits(32):08x}","name":"{name}","occurred_at_ms":{occurred_ms},'
        f'"received_at_ms":{received_ms},"source":"web","anonymous_id":"{visitor}",'
        f'"properties":{{"channel":"{rnd.choice(CHANNELS)}","campaign":"spring"}}}}'
    )
    return f"a:{visitor}".encode(), value.encode()


def differences(found: Cells, expected: Cells, *, most: int = 3) -> str:
    """Which cells are wrong, in words; empty where all are right."""
    wrong = [cell for cell in sorted(found.keys() | expected.keys()) if found.get(cell) != expected.get(cell)]
    shown = "; ".join(f"{'/'.join(cell)}: {found.get(cell)} instead of {expected.get(cell)}" for cell in wrong[:most])
    return f"{len(wrong)} cells of {len(expected)} are wrong: {shown}" if wrong else ""
