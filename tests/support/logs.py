"""Events files on a real log: the records that a replay in memory counts, written to the topics of a space."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from funnelcast.replay.memory import HISTORICAL, ReplayJob, read_lines
from producers.ingest.verdicts import Accepted, Ticked
from producers.sink.port import partition_for
from schemas.record import encode_tick

Record = tuple[int, bytes | None, bytes, int]
"""Partition, key, value, time."""


def records_of(job: ReplayJob) -> Iterable[Record]:
    """What the file of a replay is on the log."""
    ingest = job.ingest()
    for _, line in read_lines(job.events):
        verdict = ingest.native(line, sender=HISTORICAL, received_at_ms=None)
        if isinstance(verdict, Accepted):
            for key, value in verdict.records:
                yield partition_for(key, job.partitions), key, value, verdict.received_at_ms
        elif isinstance(verdict, Ticked):
            yield from ticks(job.partitions, verdict.tick_ms)


def ticks(partitions: int, time_ms: int) -> Iterable[Record]:
    """A tick in every partition."""
    for partition in range(partitions):
        yield partition, None, encode_tick(time_ms), time_ms


async def write_log(producer: AIOKafkaProducer, topic: str, records: Iterable[Record]) -> dict[int, int]:
    """Write them in their order; the next offset of each partition that got any."""
    sent = [
        await producer.send(topic, value, key=key, partition=partition, timestamp_ms=time_ms)
        for partition, key, value, time_ms in records
    ]
    ends: dict[int, int] = {}
    for answer in await asyncio.gather(*sent):
        ends[answer.partition] = max(ends.get(answer.partition, 0), answer.offset + 1)
    return ends


def slices(records: Iterable[Record], longest_ms: int) -> Iterable[list[Record]]:
    """Cut where the time has moved that far."""
    part: list[Record] = []
    for record in records:
        if part and record[3] > part[0][3] + longest_ms:
            yield part
            part = []
        part.append(record)
    yield part
