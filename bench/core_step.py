"""CPU of the counting core alone, per event: decode and prepare, count, roll up, hand over. No store, no Kafka.

    python -m bench.core_step [--events N] [--people N ...] [--batch N] [--funnel NAME] [--deals N] [--merges SHARE]

Process time, so that neighbours on the machine matter little. `--people` beyond what the events touch are seeded first,
so that the persons' table is as large as it says. `--deals N` gives the leads, offers and payments of a person N deal
ids, and counts the same stream by the funnel and by the funnel with `unit: deal_id`, in one run. `--merges SHARE`
counts the stream by the funnel, and with four dimensions, one pair and so many events that link two ids.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from itertools import islice
from typing import Any

from bench.workload import records, with_four_dimensions, with_merges
from schemas.funnel.definition import definition_of
from schemas.funnel.load import load_funnels
from schemas.funnel.model import Funnel
from streams.core.chunk import Record
from streams.core.engine import PartitionEngine
from streams.core.planning import plan_of
from streams.core.step import step
from streams.store.memory import MemoryPartitionStore, MemorySpace


class _Clock:
    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._at = 0.0

    def start(self) -> None:
        self._at = time.process_time()

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.spent[name] = self.spent.get(name, 0.0) + now - self._at
        self._at = now


def _apply(
    engine: PartitionEngine, store: MemoryPartitionStore, *, batch: list[Record], clock: _Clock
) -> tuple[int, int]:
    clock.start()
    prepared = engine.prepare(batch)
    for funnel_id, names in prepared.new_names.items():
        engine.admit_names(funnel_id, asyncio.run(store.register(funnel_id, names, engine.registers.caps(funnel_id))))
    clock.lap("prepare")
    engine.admit_facts(dict.fromkeys(engine.needs(prepared).facts))
    clock.lap("needs")
    for name, parts in engine._funnels.items():  # noqa: SLF001 - times its parts
        parts.intake.resolve(prepared.funnels[name])
        parts.state.ids = prepared.funnels[name].ids
        step(parts.state, prepared.funnels[name].ops)
        prepared.funnels[name].ops.clear()
    clock.lap("count")
    changes = engine.apply(prepared)
    clock.lap("deadlines, roll-up, hand over")
    while engine.meta.pending and engine.fire():
        pass
    clock.lap("further deadlines")
    persons = sum(len(funnel.persons) for funnel in changes.funnels.values())
    packed = sum(len(value or b"") for funnel in changes.funnels.values() for value in funnel.persons.values())
    return persons, packed


def of_deals(funnel: Funnel) -> Funnel:
    """The same with `unit: deal_id`."""
    return Funnel.model_validate({**definition_of(funnel), "name": "deals", "unit": "deal_id", "lead_in": "7d"})


def named_deals(stream: list[Record], deals: int) -> list[Record]:
    """Every event that has more than a visit's properties names one of so many deals of its person."""
    named: list[Record] = []
    for number, (key, value, at) in enumerate(stream):
        is_visit = b'"name":"impression"' in value or b'"name":"click"' in value
        deal = b'"properties":{"deal_id":"d%d",' % (number % deals)
        named.append((key, value if is_visit else value.replace(b'"properties":{', deal), at))
    return named


def run(funnel: Funnel, *, events: int, people: int, batch: int, deals: int = 0, merges: float = 0) -> dict[str, Any]:
    """One measurement."""
    engine = PartitionEngine([plan_of(funnel)])
    store = MemoryPartitionStore(MemorySpace(clock_ms=lambda: 0))
    stream: list[Record] = list(
        with_merges(records(events, people=people), merges) if merges else records(events, people=people)
    )
    if deals:
        stream = named_deals(stream, deals)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    clock = _Clock()
    persons = packed = 0
    source = iter(stream)
    while chunk := list(islice(source, batch)):
        some, size = _apply(engine, store, batch=chunk, clock=clock)
        persons, packed = persons + some, packed + size
    gc.unfreeze()
    micros = {name: spent / events * 1e6 for name, spent in clock.spent.items()}
    stored = [len(value) for parts in engine._funnels.values() for value in parts.state.cache.persons.values()]  # noqa: SLF001 - measures them
    return {"people": people, "us": micros, "total": sum(micros.values()), "bytes": sum(stored) / max(1, len(stored))}


def main() -> None:
    """Print a small table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--batch", type=int, default=5_000)
    parser.add_argument("--funnel", default="sales")
    parser.add_argument("--deals", type=int, default=0)
    parser.add_argument("--merges", type=float, default=0.0)
    options = parser.parse_args()
    funnels = load_funnels([options.funnel])
    if options.deals:
        funnels.append(of_deals(funnels[0]))
    if options.merges:
        funnels.append(Funnel.model_validate(with_four_dimensions(options.funnel)))
    for people in options.people:
        for funnel in funnels:
            merges = options.merges if funnel.name == "merged" else 0
            figures = run(
                funnel, events=options.events, people=people, batch=options.batch, deals=options.deals, merges=merges
            )
            parts = "  ".join(f"{name} {spent:.2f}" for name, spent in figures["us"].items())
            print(f"{funnel.name:>8}  {people:>9} people  {figures['total']:.2f} us/event  ({parts})", end="  ")
            print(f"{figures['bytes']:.0f} B a person")


if __name__ == "__main__":
    main()
