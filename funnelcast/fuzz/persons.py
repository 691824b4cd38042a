"""Hot persons: one person's events in every disorder, drawn from a seed, and counts that may not depend on cuts.

What is counted at once, and what is counted in pieces by workers of which each begins where the last one ended, must be
the same document. In memory; sends nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from funnelcast.replay.memory import HISTORICAL
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.record import encode_tick
from streams.core.place import ONLY_PARTITION
from streams.report.document.counters import build_document, canonical_json
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import LogRecord, PartitionProcessor

PRESETS: Final = ("sales", "retail8", "b2b8", "deal8")
START_MS: Final = 1_764_000_000_000
_MINUTE: Final = 60_000
_DAY: Final = 24 * 60 * _MINUTE
_CHANNELS: Final = ("google", "fb", None, "\x1b[31mred\x1b[0m", "half \ud83d")
_KEPT_BACK: Final[dict[str, Callable[[Random], int]]] = {
    "an hour": lambda rng: rng.randrange(60 * _MINUTE),
    "three days": lambda rng: rng.randrange(3 * _DAY + 2),
    "one instant": lambda rng: 0,
    "some of them": lambda rng: rng.choice((0, 0, 0, 0, rng.randrange(_DAY))),
}
"""How long before its reception an event occurred."""


@dataclass(frozen=True, slots=True)
class HotPerson:
    """A log and the funnel that counts it."""

    funnel: Funnel
    log: list[LogRecord]


def hot_person(seed: int, number: int) -> HotPerson:
    """The same for the same seed and number."""
    rng = Random(f"{seed}/{number}")
    funnel = load_funnel(rng.choice(PRESETS))
    names = sorted(funnel.event_names)
    kept_back, step = rng.choice(list(_KEPT_BACK.values())), rng.choice((0, 200, _MINUTE, 60 * _MINUTE))
    events: list[dict[str, Any]] = []
    at, ingest = START_MS, Ingest()
    log: list[LogRecord] = []
    for index in range(rng.randint(2, 600)):
        at += rng.choice((0, step, step)) if rng.random() < 0.98 else rng.randrange(20 * _DAY)
        event = rng.choice(events) if events and rng.random() < 0.1 else _event(rng, index, names=names)
        event = {**event, "received_at_ms": at, "occurred_at_ms": at - kept_back(rng)}
        events.append(event)
        verdict = ingest.native(json.dumps(event).encode(), sender=HISTORICAL, received_at_ms=None)
        if isinstance(verdict, Accepted):
            log.append(LogRecord(verdict.key, verdict.value, at, len(log)))
    end = at + rng.choice((0, _DAY, 400 * _DAY))
    return HotPerson(funnel, [*log, LogRecord(None, encode_tick(end), end, len(log))])


def _event(rng: Random, index: int, *, names: list[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {"channel": rng.choice(_CHANNELS), "value": rng.choice((None, 5, "19.99", "NaN"))}
    if rng.random() < 0.5:
        properties |= {"order_id": f"o{rng.randrange(5)}", "refund_id": f"r{rng.randrange(3)}"}
    who = "kiosk" if rng.random() < 0.95 else f"v{rng.randrange(3)}"
    return {"id": f"e{index}", "name": rng.choice(names), "anonymous_id": who, "properties": properties}


async def fault_of(person: HotPerson, rng: Random) -> str | None:
    """What is wrong with how the person was counted, None where nothing is. Never raises."""
    try:
        at_once = await _counted(person, [len(person.log)])
        cuts = sorted({rng.randrange(len(person.log) + 1) for _ in range(rng.choice((1, 5, 40)))} | {len(person.log)})
        in_pieces = await _counted(person, cuts)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"{type(error).__name__}: {error}"
    return None if at_once == in_pieces else f"counted at once and cut at {cuts} are two documents"


async def _counted(person: HotPerson, cuts: list[int]) -> bytes:
    space = MemorySpace(clock_ms=lambda: 0)
    begin = 0
    for cut in cuts:
        store = MemoryPartitionStore(space)
        worker = PartitionProcessor(store, ONLY_PARTITION, [person.funnel], clock_ms=lambda: 0)
        await worker.claim()
        await worker.process(person.log[begin:cut], cut)
        await worker.book_due()
        begin = cut
    return canonical_json(await build_document(MemoryCounterReader(space), person.funnel))


async def fuzz_persons(seed: int, numbers: range, *, say: Callable[[str], None]) -> list[str]:
    """Faults of the persons of a seed."""
    faults = []
    for number in numbers:
        fault = await fault_of(hot_person(seed, number), Random(f"{seed}/{number}/cuts"))
        if fault is not None:
            faults.append(f"person {number}: {fault}")
            say(faults[-1])
    return faults
