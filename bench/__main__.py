"""`python -m bench`: one table on a real Apache Kafka and Valkey; `--quick` for a small run, `--only NAME` for a part.

`make bench` writes the table into docs/performance.md.

Figures are medians over the repetitions, every part of which runs in the same repetition, so that a slow minute of the
machine meets all of them; CPU time is compared rather than wall time wherever both tell the same.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench import collector, idle, latency, memory, merges, scrape, throughput
from bench.log import FilledLog, fill
from bench.table import Figures, machine, write_into
from funnelcast.stack.real_kafka import RealKafka

PARTS = ("throughput", "memory", "idle", "collector", "latency", "merges", "scrape")
PEOPLE = (10_000, 200_000, 2_000_000)
BROKER_JVM = ("-Xmx768m", "-XX:+UseSerialGC")
"""The default compilers: the broker runs for minutes here."""


class Bench:
    """One run of the benchmark; parts by name."""

    def __init__(self, kafka: str, options: argparse.Namespace) -> None:
        self.kafka, self.options = kafka, options
        self.figures = Figures()
        self._logs: list[FilledLog] = []

    def parts(self) -> dict[str, Callable[[int], Awaitable[None]]]:
        """What can be measured, each called with the repetition's number."""
        return {name: getattr(self, name) for name in PARTS}

    async def run(self) -> None:
        """Measure the chosen parts."""
        for number in range(1, self.options.repeat + 1):
            for name, part in self.parts().items():
                if self.options.only in (None, name):
                    say(f"{name}, {number} of {self.options.repeat}")
                    self.figures.part = name
                    await part(number)

    async def throughput(self, number: int) -> None:
        """See `bench.throughput`."""
        if not self._logs:
            for people in PEOPLE:
                say(f"writing {self.options.events:,} events of {people:,} people")
                self._logs.append(await fill(self.kafka, f"people{people}", events=self.options.events, people=people))
        await throughput.measure(self.kafka, self._logs, self.figures)

    async def memory(self, number: int) -> None:
        """See `bench.memory`."""
        await memory.measure(self.kafka, self.options.events // 5, self.figures)

    async def scrape(self, number: int) -> None:
        """See `bench.scrape`."""
        await scrape.measure(self.kafka, self.figures)

    async def idle(self, number: int) -> None:
        """See `bench.idle`."""
        await idle.measure(self.kafka, f"idle{number}", 5.0 if self.options.quick else 20.0, self.figures)

    async def collector(self, number: int) -> None:
        """See `bench.collector`."""
        await collector.measure(self.kafka, f"collector{number}", 2.0 if self.options.quick else 5.0, self.figures)

    async def latency(self, number: int) -> None:
        """See `bench.latency`."""
        await latency.measure(self.kafka, f"latency{number}", 5.0 if self.options.quick else 20.0, self.figures)

    async def merges(self, number: int) -> None:
        """See `bench.merges`."""
        seconds = 5.0 if self.options.quick else 20.0
        await merges.measure(self.kafka, number, events=self.options.events, seconds=seconds, figures=self.figures)


def say(text: str) -> None:
    """Progress, beside the table."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


async def run(options: argparse.Namespace) -> None:
    """Start a broker, measure, print, save."""
    async with RealKafka(jvm=BROKER_JVM) as kafka:
        bench = Bench(kafka.bootstrap, options)
        await bench.run()
    facts = machine()
    measured_on = (
        f"{facts['cores']} cores ({facts['processor']}), Python {facts['python']}; {options.events:,} events a log, "
        f"preset sales, 8 partitions, zstd; repetitions: {options.repeat}"
    )
    print(measured_on)
    print(bench.figures.text())
    if options.write is not None:
        write_into(options.write, f"{measured_on}.\n\n{bench.figures.markdown()}")
    bench.figures.save({"events": options.events, "repeat": options.repeat, "only": options.only})


def parse(arguments: list[str] | None = None) -> Any:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="50,000 events, short times")
    parser.add_argument("--events", type=int, default=None, help="events of each log (default 300,000)")
    parser.add_argument("--repeat", type=int, default=None, help="repetitions (default 1)")
    parser.add_argument("--only", choices=PARTS, default=None, help="one part")
    parser.add_argument("--write", type=Path, default=None, metavar="PAGE", help="a page to put the table into")
    options = parser.parse_args(arguments)
    options.events = options.events or (50_000 if options.quick else 300_000)
    options.repeat = options.repeat or 1
    return options


if __name__ == "__main__":
    asyncio.run(run(parse()))
