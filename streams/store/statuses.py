"""How far all partitions of a space are counted: the reads that everybody makes who asks about a space as a whole."""

from __future__ import annotations

import asyncio

from streams.state import PartitionMeta
from streams.store.port import CounterReader, PartitionStatus


async def statuses_of(reader: CounterReader) -> dict[int, PartitionStatus]:
    """Of every partition that has state. Raises as `CounterReader.status`."""
    partitions = await reader.partitions()
    statuses = zip(partitions, await asyncio.gather(*map(reader.status, partitions)), strict=True)
    return {partition: status for partition, status in statuses if status is not None}


async def metas_of(reader: CounterReader) -> dict[int, PartitionMeta]:
    """What each partition that has state remembers."""
    return {partition: status.meta for partition, status in (await statuses_of(reader)).items()}
