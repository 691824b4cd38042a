"""What the worker is compared with, each in a process of its own: the barest reader, and Faust as its manual shows it.

`python -m bench.baselines loop|faust KAFKA TOPIC EVENTS` prints a JSON object: events, seconds, cpu_seconds, both from
the first record on, so that neither pays for its start.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
import uuid
from typing import Any, NoReturn

import orjson

PARTITIONS = 8


class Clock:
    """Wall and CPU time since the first record."""

    def __init__(self) -> None:
        self.started = 0.0
        self._cpu = 0.0

    def start(self) -> None:
        """The first record is here."""
        self.started, self._cpu = time.perf_counter(), time.process_time()

    def finish(self, events: int) -> NoReturn:
        """Print the result and end the process, whatever still runs in it."""
        result = {
            "events": events,
            "seconds": time.perf_counter() - self.started,
            "cpu_seconds": time.process_time() - self._cpu,
        }
        os.write(1, json.dumps(result).encode() + b"\n")  # not print: Faust turns that into log lines
        os._exit(0)


async def read_loop(kafka: str, topic: str, *, events: int) -> NoReturn:
    """aiokafka `getmany` and orjson: decode every event, count it, do nothing else."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        fetch_min_bytes=65_536,
        fetch_max_wait_ms=200,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    clock = Clock()
    counts: dict[str, int] = {}
    read = before_clock = 0
    gc.freeze()
    while read < events:
        batches = await consumer.getmany(timeout_ms=1000, max_records=5000)
        for batch in batches.values():
            for record in batch:
                name = orjson.loads(record.value or b"")["name"]
                counts[name] = counts.get(name, 0) + 1
            read += len(batch)
        if read and not clock.started:
            before_clock = read
            clock.start()
    clock.finish(read - before_clock)


def stock_faust(kafka: str, topic: str, *, events: int) -> None:
    """One agent, one event at a time, bytes and orjson: Faust's fastest documented way to see every event."""
    import faust

    app = faust.App(
        f"bench-{uuid.uuid4().hex[:8]}",
        broker=f"kafka://{kafka}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        value_serializer="raw",
        key_serializer="raw",
        datadir=f"/tmp/faust-{os.getpid()}",  # noqa: S108 - never written: there are no tables
    )
    source = app.topic(topic, key_serializer="raw", value_serializer="raw")

    async def count(stream: Any) -> None:
        clock = Clock()
        counts: dict[str, int] = {}
        read = 0
        async for value in stream:
            name = orjson.loads(value)["name"]
            counts[name] = counts.get(name, 0) + 1
            if not clock.started:
                clock.start()
            else:
                read += 1
                if read >= events:
                    clock.finish(read)

    app.agent(source, name="count")(count)
    faust.Worker(app, loglevel="error", quiet=True).execute_from_commandline()


def main() -> None:
    """Entry point."""
    kind, kafka, topic, events = sys.argv[1:]
    if kind == "loop":
        asyncio.run(read_loop(kafka, topic, events=int(events)))
    else:
        stock_faust(kafka, topic, events=int(events))


if __name__ == "__main__":
    main()
