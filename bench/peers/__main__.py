"""`python -m bench.peers`: the same job on our worker and on other engines, on one real Apache Kafka, in one run.

README.md beside this file says what the job is, how it is measured and with which settings. `make bench-peers` writes
the table into docs/performance.md. A contender that cannot be built, ends, or counts wrong is named with the reason.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from bench import log
from bench.children import measured_child
from bench.peers import tools
from bench.peers.contender import Contender, ContenderError, JobLog, program
from bench.peers.job import PEOPLE_SHARE, records
from bench.peers.measure import measured
from bench.peers.ours import ours
from bench.peers.reference import right_cells, values_of
from bench.peers.table import BEGIN, END, Table
from bench.table import machine, write_into
from funnelcast.stack.real_kafka import KafkaFilesError, RealKafka, RealKafkaError
from schemas.topics import Topics

BROKER_JVM = ("-Xmx768m", "-XX:+UseSerialGC")
EVENTS = 1_000_000
SLOW_SHARE = 20
"""The slowest contender gets a log of its own, so many times shorter, or its run alone would take an hour."""
LEAST_EVENTS = 20_000
FAUST_LOGS = ("-faust-people-changelog", "-faust-cells-changelog")
"""Its tables' topics."""

CONTENDERS: dict[str, Contender] = {
    "funnelcast (worker and Valkey)": ours,
    "Flink, heap": program("flink-heap", lambda: tools.java("FlinkJob"), "hashmap"),
    "Flink, RocksDB": program("flink-rocksdb", lambda: tools.java("FlinkJob"), "rocksdb"),
    "Kafka Streams, exactly once": program("streams", lambda: tools.java("StreamsJob")),
    "Quix Streams, exactly once": program("quix", lambda: tools.python("quix.py")),
    "stock Faust, tables": program("faust", lambda: tools.python("stock_faust.py"), logs=FAUST_LOGS),
}
SLOW = frozenset({"stock Faust, tables"})


async def write_log(kafka: str, name: str, *, events: int, people: int) -> JobLog:
    """A log of the job, and what is right for it."""
    say(f"writing {events:,} events of {people:,} people")
    await log.write(kafka, name, stream=records(events, people=people))
    values = await values_of(kafka, Topics(name).events, partitions=log.PARTITIONS)
    right = right_cells(values)
    distinct = sum(counts[0] for counts in right.values())
    return JobLog(name, Topics(name).events, len(values), distinct, people, right)


async def run(options: argparse.Namespace) -> Table:
    """All repetitions."""
    table = Table()
    async with RealKafka(jvm=BROKER_JVM) as kafka:
        assert kafka.pid is not None
        job = await write_log(kafka.bootstrap, "job", events=options.events, people=options.people)
        short = max(LEAST_EVENTS, options.events // SLOW_SHARE)
        slow = await write_log(kafka.bootstrap, "short", events=short, people=short // PEOPLE_SHARE) if SLOW else job
        for number in range(1, options.repeat + 1):
            loop = await measured_child("bench.baselines", "loop", kafka.bootstrap, job.topic, str(job.records))
            table.loop(loop["cpu_seconds"] / loop["events"] * 1e6)
            for name, contender in CONTENDERS.items():
                if options.only and name not in options.only:
                    continue
                say(f"{name}, {number} of {options.repeat}")
                try:
                    log_of = slow if name in SLOW else job
                    table.add(name, await measured(contender, kafka.bootstrap, job=log_of, broker=kafka.pid))
                except ContenderError as error:
                    say(f"{name}: {error}")
                    table.fail(name, str(error))
    return table


def say(text: str) -> None:
    """Progress, beside the table."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def conditions(options: argparse.Namespace, load: float) -> str:
    """What the figures were measured under, and what that does to them."""
    facts = machine()
    text = (
        f"{facts['cores']} cores ({facts['processor']}), Python {facts['python']}; {options.events:,} events of "
        f"{options.people:,} people, 8 partitions, zstd; load of the machine before the run: {load:.1f}."
    )
    if options.events < EVENTS:
        text += " A short log: the JVMs compile during much of it and are dearer than in the long run."
    if load > facts["cores"]:
        text += " The machine was busy with other work."
    return text


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help=f"records of the log (default {EVENTS:,})")
    parser.add_argument("--people", type=int, default=None, help="default: a fifth of the events")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (default 3)")
    parser.add_argument(
        "--only",
        action="append",
        choices=CONTENDERS,
        default=None,
        metavar="NAME",
        help="one contender; may be given again",
    )
    parser.add_argument("--write", type=Path, default=None, metavar="PAGE", help="a page to put the table into")
    options = parser.parse_args(arguments)
    if options.events < LEAST_EVENTS:
        parser.error(f"--events {options.events}: at least {LEAST_EVENTS}, or starting is all there is to measure")
    if options.repeat < 1 or (options.people is not None and options.people < 1):
        parser.error("--repeat and --people: at least 1")
    if options.write is not None and not (options.write.is_file() and BEGIN in options.write.read_text("utf-8")):
        parser.error(f"--write {options.write}: a page with a line {BEGIN}")
    options.people = options.people or options.events // PEOPLE_SHARE
    return options


def main() -> int:
    """Exit code: 1 where a contender could not be measured."""
    options, before = parse(), os.getloadavg()[0]
    try:
        table = asyncio.run(run(options))
    except KeyboardInterrupt:
        say("stopped; nothing was written")
        return 130
    except (KafkaFilesError, RealKafkaError) as error:
        say(str(error))
        return 1
    measured_on = conditions(options, before)
    print(measured_on)
    print(table.text())
    if options.write is not None:
        write_into(options.write, f"{measured_on}\n\n{table.markdown()}", begin=BEGIN, end=END)
    return 1 if table.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
