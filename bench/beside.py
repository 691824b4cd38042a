"""CPU of the counting core in two working trees, in turn on the same events: what a change to the core gains or costs.

    python -m bench.beside OTHER [--events N] [--people N ...] [--chunk N ...] [--funnel NAME]

OTHER is another tree of this project (`git worktree add ../before main`). Each tree counts in a process of its own, and
they take turns every few chunks, so that both meet the same machine: a neighbour that makes one slow makes the other
slow. The ratio is the median of the turns. Decode, count, deadlines, roll-up; no store, no Kafka.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from bench.workload import records
from schemas.funnel.load import load_funnels
from streams.core.chunk import Record
from streams.core.engine import PartitionEngine
from streams.core.planning import plan_of
from streams.store.memory import MemoryPartitionStore, MemorySpace

HERE: Final = Path(__file__).resolve().parent.parent
EVENTS_PER_TURN: Final = 2_000
_WARM_UP: Final = 10
"""One turn in so many, at the beginning, counts for nothing: names are new, and the tables small."""


def serve(events: Path, funnel: str, chunk: int) -> None:
    """One tree's process: counts as many chunks as a line of its input says, and answers with their CPU seconds."""
    engine = PartitionEngine([plan_of(one) for one in load_funnels([funnel])])
    store, start = MemoryPartitionStore(MemorySpace(clock_ms=lambda: 0)), 0
    stream = pickle.loads(events.read_bytes())  # noqa: S301 - written by this run
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    for line in sys.stdin:
        began = time.process_time()
        for _ in range(int(line)):
            _count(engine, store, stream[start : start + chunk])
            start += chunk
        print(time.process_time() - began, flush=True)


def _count(engine: PartitionEngine, store: MemoryPartitionStore, chunk: Sequence[Record]) -> None:
    prepared = engine.prepare(chunk)
    for funnel_id, names in prepared.new_names.items():
        codes = asyncio.run(store.register(funnel_id, names, engine.registers.caps(funnel_id)))
        engine.admit_names(funnel_id, codes)
    engine.admit_facts(dict.fromkeys(engine.needs(prepared).facts))
    engine.apply(prepared)
    while engine.meta.pending:
        engine.fire()


class _Tree:
    """A working tree's process."""

    def __init__(self, root: Path, events: Path, *, funnel: str, chunk: int) -> None:
        command = [sys.executable, __file__, "--serve", str(events), "--funnel", funnel, "--chunk", str(chunk)]
        environment = os.environ | {"PYTHONPATH": str(root)}
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(
            command, cwd=root, env=environment, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        self._root = root
        self.turns: list[float] = []

    def __enter__(self) -> _Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()

    def count(self, chunks: int) -> None:
        """A turn. RuntimeError where the process has ended."""
        ask, answer = _pipes(self._child)
        try:
            ask.write(f"{chunks}\n")
            ask.flush()
            self.turns.append(float(answer.readline()))
        except (BrokenPipeError, ValueError):
            raise RuntimeError(f"the process of {self._root} has ended: its last words are above") from None


def _pipes(child: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert child.stdin is not None
    assert child.stdout is not None
    return child.stdin, child.stdout


def beside(other: Path, *, events: int, people: int, chunk: int, funnel: str) -> tuple[float, float, float]:
    """(us an event there, us an event here, median of here over there)."""
    chunks = max(1, EVENTS_PER_TURN // chunk)
    turns = events // (chunks * chunk)
    if turns < 2:
        raise ValueError(f"{events} events are too few for two turns of {chunks * chunk}")
    with tempfile.NamedTemporaryFile(prefix="funnelcast-bench-") as file:
        path = Path(file.name)
        path.write_bytes(pickle.dumps(list(records(events, people=people))))
        options: dict[str, Any] = {"funnel": funnel, "chunk": chunk}
        with _Tree(other, path, **options) as there, _Tree(HERE, path, **options) as here:
            for turn in range(turns):
                for tree in (there, here) if turn % 2 else (here, there):
                    tree.count(chunks)
    skip = max(1, turns // _WARM_UP)
    before, now = there.turns[skip:], here.turns[skip:]
    unit = 1e6 / (len(now) * chunks * chunk)
    ratio = statistics.median(new / old for new, old in zip(now, before, strict=True))
    return sum(before) * unit, sum(now) * unit, ratio


def main() -> int:
    """Print a small table. Exit code 2 for an OTHER that is no tree of this project."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.beside", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, nargs="?", help="the tree to compare with")
    parser.add_argument("--events", type=int, default=100_000, help="default 100,000")
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 200_000, 2_000_000])
    parser.add_argument("--chunk", type=int, nargs="+", default=[4_000, 80], help="events in a chunk")
    parser.add_argument("--funnel", default="sales")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve, options.funnel, options.chunk[0])
        return 0
    if options.other is None or not (options.other / "streams/core/engine.py").is_file():
        parser.error("name another working tree of this project (git worktree add ../before main)")
    for people in options.people:
        for chunk in options.chunk:
            job = {"events": options.events, "people": people, "chunk": chunk, "funnel": options.funnel}
            try:
                before, now, ratio = beside(options.other, **job)
            except KeyboardInterrupt:
                return 130
            except (RuntimeError, ValueError) as error:
                print(f"bench: {error}", file=sys.stderr)
                return 1
            print(
                f"{people:>9} people, chunks of {chunk:>5}: {before:6.2f} us, here {now:6.2f}, ratio {ratio:.2f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
