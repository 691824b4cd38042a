"""Whether the paths that every event takes have become dearer: `make bench-guard`, or `python -m bench.guard --save`.

Everything is CPU time over that of a bare loop (parse an event's JSON, count its name) in the same seconds, so that a
slow machine or busy neighbours stand on both sides. Neighbours only ever add: they take caches, and more of them from
what uses more. So one round of a part within the bound is enough, and a part is too dear when none of many rounds is.
`bench/guard.json` has medians of machines at rest, by processor; more than a quarter above one fails. A processor that
is not in the file has other caches: there the dearest of the others counts, and three fifths above it fail. A real
Valkey, no Kafka, a quarter of a minute on a free machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import io
import json
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from bench.bodies import DIALECTS
from bench.children import cpu_seconds, valkey
from bench.counting import count_into, parted
from bench.formats import Run, collector
from bench.workload import START_MS, records
from funnelcast.replay.memory import Refusals, ReplayJob, replay_through_memory
from schemas.funnel.load import load_funnels
from schemas.times import HOUR_MS
from streams.report.document.counters import canonical_json
from streams.store.redis import RedisPartitionStore

CPU_INFO: Final = Path("/proc/cpuinfo")
BASELINE: Final = Path(__file__).with_name("guard.json")
TOLERANCE: Final = 0.25
TOLERANCE_OF_OTHERS: Final = 0.6
"""Between processors: what a person costs that is not in the cache differs by so much."""
EVENTS: Final = 50_000
PEOPLE: Final = (10_000, 200_000, 2_000_000)
FORMATS: Final = (
    ("native", 1),
    ("native", 50),
    ("segment", 50),
    ("posthog", 50),
    ("snowplow", 50),
    ("cloudevents", 50),
)
NO_KAFKA: Final = "127.0.0.1:1"
SPARSE_EVENTS: Final = 3_000
"""Spread over half a year: minutes, days and the document are most of it."""

Part = Callable[[int], Awaitable[dict[str, float]]]
"""Called with the number of the round; CPU microseconds per event, by name."""


def bare_loop(values: list[bytes]) -> float:
    """What everything is compared with: CPU microseconds per event."""
    counts: dict[str, int] = {}
    started = time.process_time()
    for value in values:
        name = orjson.loads(value)["name"]
        counts[name] = counts.get(name, 0) + 1
    return (time.process_time() - started) * 1e6 / len(values)


def counting(people: int) -> Part:
    """Worker and store: eight partitions, chunks as a worker that lags has them."""
    logs = parted(records(EVENTS, people=people))
    funnels = load_funnels(["sales"])

    async def measure(_round: int) -> dict[str, float]:
        async with valkey(NO_KAFKA) as (stack, client):
            store, pid = RedisPartitionStore(client, "guard"), stack.valkey.pid
            assert pid is not None
            started, server = time.process_time(), cpu_seconds(pid)
            await count_into(store, funnels, logs=logs, persons=1_000_000)
            worker, server = time.process_time() - started, cpu_seconds(pid) - server
        return {
            f"worker, {people:,} people": worker * 1e6 / EVENTS,
            f"worker and store, {people:,} people": (worker + server) * 1e6 / EVENTS,
        }

    return measure


def collecting(name: str, batch: int) -> Part:
    """The collector without sockets and broker."""
    app = collector()

    async def measure(number: int) -> dict[str, float]:
        us = await Run(app, DIALECTS[name], batch=batch, first=number * 1_000_000).ask()
        return {f"collector, {name} by {batch}": us}

    return measure


def replaying(label: str, lines: list[bytes]) -> Part:
    """`funnelcast replay` through memory, with its document."""

    async def measure(_round: int) -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="funnelcast-bench-") as directory:
            file = Path(directory) / "events.jsonl"
            file.write_bytes(b"\n".join(lines))
            job = ReplayJob(funnels=tuple(load_funnels(["sales"])), references=("sales",), events=file)
            started = time.process_time()
            canonical_json(await replay_through_memory(job, Refusals(file)))
            return {f"replay, {label}": (time.process_time() - started) * 1e6 / len(lines)}

    return measure


def sparse() -> list[bytes]:
    """Few events over half a year, an hour and a half apart."""
    lines = []
    for number, (_, value, _) in enumerate(records(SPARSE_EVENTS, people=SPARSE_EVENTS // 10)):
        event = orjson.loads(value)
        event["occurred_at_ms"] = event["received_at_ms"] = START_MS + number * HOUR_MS * 3 // 2
        lines.append(orjson.dumps(event))
    return lines


def all_parts(dense: list[bytes]) -> list[Part]:
    """What is guarded."""
    parts = [counting(people) for people in PEOPLE] + [collecting(*each) for each in FORMATS]
    return [*parts, replaying("dense", dense), replaying("half a year", sparse())]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What each part may cost here, by name, and how much above that is too much."""

    stored: dict[str, float]
    tolerance: float = TOLERANCE

    def is_within(self, name: str, ratio: float) -> bool:
        """Whether a ratio decides that a part has not become dearer."""
        stored = self.stored.get(name)
        return stored is not None and ratio <= stored * (1 + self.tolerance)


def bounds_of(baselines: dict[str, dict[str, float]], processor: str) -> Bounds:
    """Of this processor, or of all others together."""
    if processor in baselines:
        return Bounds(baselines[processor])
    names = {name for parts in baselines.values() for name in parts}
    return Bounds({name: max(b.get(name, 0.0) for b in baselines.values()) for name in names}, TOLERANCE_OF_OTHERS)


def this_processor() -> str:
    """Its name and the size of its cache."""
    with contextlib.suppress(OSError):
        said = dict(re.findall(r"^(model name|cache size)\s*: (.*)$", CPU_INFO.read_text(), flags=re.M))
        return ", ".join(said[each] for each in ("model name", "cache size") if each in said)
    return platform.processor() or platform.machine()


async def measure(parts: Sequence[Part], rounds: int, *, dense: list[bytes], bounds: Bounds) -> dict[str, list[float]]:
    """Ratios to the bare loop, one for each round; a part that is within the bound needs no further one."""
    ratios: dict[str, list[float]] = {}
    for number in range(rounds):
        left = []
        for part in parts:
            gc.collect()
            before = bare_loop(dense)
            measured = await part(number)
            unit = min(before, bare_loop(dense))
            for name, us in measured.items():
                ratios.setdefault(name, []).append(us / unit)
            if not all(bounds.is_within(name, min(ratios[name])) for name in measured):
                left.append(part)
        if not (parts := left):
            break
        print(f"bench: round {number + 1} of {rounds} at most; {len(parts)} to go", file=sys.stderr, flush=True)
    return ratios


def compared(ratios: dict[str, float], bounds: Bounds) -> tuple[str, bool]:
    """(a table, whether nothing has become dearer than allowed)."""
    out, is_good = io.StringIO(), True
    print(f"{'CPU per event over the bare loop':40} {'now':>7} {'stored':>7} {'change':>7}", file=out)
    for name, now in ratios.items():
        stored = bounds.stored.get(name)
        is_dearer = stored is not None and not bounds.is_within(name, now)
        is_good = is_good and not is_dearer
        was = "" if stored is None else f"{stored:7.1f} {now / stored - 1:+7.0%}"
        print(f"{name:40} {now:7.1f} {was}{'  too dear' if is_dearer else ''}".rstrip(), file=out)
    return out.getvalue().rstrip(), is_good


def main() -> int:
    """Exit code: 1 where something has become dearer than allowed."""
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="at most (default 10); with --save, so many")
    parser.add_argument("--save", action="store_true", help="make this the baseline of this processor")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="another one")
    options = parser.parse_args()
    baselines: dict[str, dict[str, float]] = {}
    with contextlib.suppress(FileNotFoundError):
        baselines = json.loads(options.baseline.read_text())
    processor = this_processor()
    bounds = Bounds({}) if options.save else bounds_of(baselines, processor)
    print(f"bench: {processor}; more than {bounds.tolerance:.0%} above the stored ratio is too dear", file=sys.stderr)
    dense = [value for _, value, _ in records(EVENTS // 2, people=EVENTS // 20)]
    parts = all_parts(dense)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as every process of ours has it
    ratios = asyncio.run(measure(parts, options.rounds, dense=dense, bounds=bounds))
    text, is_good = compared({name: min(those) for name, those in ratios.items()}, bounds)
    print(text)
    if options.save:
        baselines[processor] = {name: round(statistics.median(those), 2) for name, those in ratios.items()}
        options.baseline.write_text(json.dumps(baselines, indent=1) + "\n")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
