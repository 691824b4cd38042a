"""Records of the events topic through the real core in memory, to the counters document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.funnel.model import Funnel
from schemas.record import encode_tick
from streams.report.document import build_document
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import LogRecord, PartitionProcessor


async def document_of(
    records: Iterable[tuple[bytes | None, bytes, int]], funnel: Funnel, *, until_ms: int | None = None
) -> dict[str, Any]:
    """The document of (key, value, time) in one partition, with the watermark at `until_ms`."""
    space = MemorySpace(clock_ms=lambda: 0)
    store = MemoryPartitionStore(space)
    await store.check_funnels({f"{funnel.name}@{funnel.version}": funnel.fingerprint})
    processor = PartitionProcessor(store, 0, [funnel], watermark_delay_ms=0)
    await processor.claim()
    log = [LogRecord(key, value, at, number) for number, (key, value, at) in enumerate(records)]
    if until_ms is not None:
        log.append(LogRecord(None, encode_tick(until_ms), until_ms, len(log)))
    await processor.process(log, len(log))
    await processor.settle()
    return await build_document(MemoryCounterReader(space), funnel)
