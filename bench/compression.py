"""What compressing events costs everybody: `python -m bench.compression`, a real Apache Kafka, a minute or two.

For each codec, in turn, the same events in whole batches of a producer (the CPU of building and compressing them), into
a topic of the broker (its CPU), and out again by the bare read loop (its CPU). A batch holds so many events as a
collector at that rate puts into one: few at a low rate, hundreds at a high one.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import cramjam
from aiokafka import AIOKafkaProducer
from aiokafka.codec import zstd_encode
from aiokafka.record._crecords import default_records

from bench.children import cpu_seconds, measured_child
from bench.log import PARTITIONS
from bench.table import Figures
from bench.workload import records
from funnelcast.stack.real_kafka import RealKafka
from schemas.partition import partition_of
from schemas.topics import Topics
from streams.admin import ensure_topics

Encode = Callable[[Any], Any]
_built_in: Final[Encode] = zstd_encode
CODECS: Final[dict[str, tuple[str | None, Encode]]] = {
    "zstd, level 3": ("zstd", _built_in),
    "zstd, level 1": ("zstd", lambda payload: bytes(cramjam.zstd.compress(payload, level=1))),
    "lz4": ("lz4", _built_in),
    "snappy": ("snappy", _built_in),
    "none": (None, _built_in),
}
"""aiokafka offers no level: that of its zstd is cramjam's own, 3."""


async def measure(kafka: RealKafka, space: str, codec: str, *, events: int, batch: int, figures: Figures) -> None:
    """One repetition of one codec."""
    topic = Topics(space).events
    await ensure_topics(kafka.bootstrap, Topics(space), partitions=PARTITIONS, historical=True)
    stream = [(partition_of(key, PARTITIONS), key, value, at) for key, value, at in records(events, people=20_000)]
    library: Any = default_records
    name, library.zstd_encode = CODECS[codec]
    assert kafka.pid is not None
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, compression_type=name, max_batch_size=1 << 20, enable_idempotence=True
    ) as producer:
        broker, began = cpu_seconds(kafka.pid), time.process_time()
        size = await _write(producer, topic, stream=stream, batch=batch)
        spent = time.process_time() - began
    loop = await measured_child("bench.baselines", "loop", kafka.bootstrap, topic, str(events))
    broker = cpu_seconds(kafka.pid) - broker
    add = partial(figures.add, unit="us/event")
    label = f"{codec}, batches of {batch}"
    add(f"{label}: producer", spent / events * 1e6)
    add(f"{label}: broker, in and out", broker / events * 1e6)
    add(f"{label}: read loop", loop["cpu_seconds"] / loop["events"] * 1e6)
    add(f"{label}: all", (spent + broker) / events * 1e6 + loop["cpu_seconds"] / loop["events"] * 1e6)
    figures.add(f"{label}: on the wire", size / events, unit="B/event")


async def _write(producer: Any, topic: str, *, stream: list[tuple[int, bytes, bytes, int]], batch: int) -> int:
    """Bytes sent."""
    batches: list[Any] = []
    waiting: dict[int, Any] = {}
    for partition, key, value, at in stream:
        builder = waiting.get(partition)
        if builder is None:
            builder = waiting[partition] = producer.create_batch()
        builder.append(key=key, value=value, timestamp=at)
        if builder.record_count() == batch:
            batches.append(waiting.pop(partition))
            builder.close()
            await producer.send_batch(builder, topic, partition=partition)
    for partition, builder in waiting.items():
        batches.append(builder)
        builder.close()
        await producer.send_batch(builder, topic, partition=partition)
    await producer.flush()
    return sum(builder.size() for builder in batches)


async def _all(options: argparse.Namespace) -> None:
    figures = Figures()
    async with RealKafka() as kafka:
        for number in range(options.repeat):
            for batch in options.batch:
                for place, codec in enumerate(CODECS):
                    space = f"codec{place}-{batch}-{number}"
                    await measure(kafka, space, codec, events=options.events, batch=batch, figures=figures)
    print(figures.text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.compression", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[10, 500], help="events in a batch (default 10 and 500)"
    )
    parser.add_argument("--repeat", type=int, default=3)
    asyncio.run(_all(parser.parse_args()))
