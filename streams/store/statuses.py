"""How far all partitions of a space are counted: the reads that everybody makes who asks about a space as a whole."""

from __future__ import annotations

from streams.state import PartitionMeta
from streams.store.port import CounterReader, PartitionStatus


async def statuses_of(reader: CounterReader) -> dict[int, PartitionStatus]:
    """Of every partition that has state. Raises as `CounterReader.status`."""
    statuses = {partition: await reader.status(partition) for partition in await reader.partitions()}
    return {partition: status for partition, status in statuses.items() if status is not None}


async def metas_of(reader: CounterReader) -> dict[int, PartitionMeta]:
    """What each partition that has state remembers."""
    return {partition: status.meta for partition, status in (await statuses_of(reader)).items()}
