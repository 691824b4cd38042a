"""What evidence is made of is read in pieces; together they are the whole, however an import comes in."""

from __future__ import annotations

from schemas.times import DAY_MS
from streams.exporter.evidence_source import EvidenceSource
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import PartitionProcessor
from tests.support.counted import SHOP, log_records, shop_events

NOW = 1_750_000_000_000


async def test_an_import_between_two_looks_is_seen_whole_and_judged_when_the_partitions_have_come_together() -> None:
    space = MemorySpace(clock_ms=lambda: NOW, expires=False)
    store, reader = MemoryPartitionStore(space), MemoryCounterReader(space)
    await store.check_funnels({SHOP.funnel_id: SHOP.fingerprint})
    source = EvidenceSource(reader, [SHOP], clock_ms=lambda: NOW)
    every = [event for day in range(8) for event in shop_events(NOW - (8 - day) * DAY_MS, people=6)]
    unique = [{**event, "id": f"{event['id']}-{number}"} for number, event in enumerate(every)]
    logs: dict[int, list[object]] = {0: [], 1: []}
    for partition, record in log_records(unique, 2):
        logs[partition].append(record)
    processors = {}
    for partition in logs:
        processors[partition] = PartitionProcessor(store, partition, [SHOP], clock_ms=lambda: NOW)
        await processors[partition].claim()
    # one partition begins, the other one is through; then the first goes on
    for partition, taken in ((0, slice(0, 2)), (1, slice(None)), (0, slice(2, None))):
        records = logs[partition][taken]
        await processors[partition].process(records, records[-1].offset + 1)  # type: ignore[arg-type, attr-defined]
        made = source.newest
        await source.refresh()
        if partition == 1:
            assert source.newest is made  # a week apart: nothing can be said of both
    whole = EvidenceSource(reader, [SHOP], clock_ms=lambda: NOW)
    await whole.refresh()
    assert source._known[SHOP.funnel_id].cells == whole._known[SHOP.funnel_id].cells
    assert source.newest[0].values == whole.newest[0].values


async def test_where_nothing_was_counted_since_the_evidence_stands() -> None:
    space = MemorySpace(clock_ms=lambda: NOW)
    store = MemoryPartitionStore(space)
    await store.check_funnels({SHOP.funnel_id: SHOP.fingerprint})
    processor = PartitionProcessor(store, 0, [SHOP], clock_ms=lambda: NOW)
    await processor.claim()
    records = [record for _, record in log_records(shop_events(NOW), 1)]
    await processor.process(records, len(records))
    clock = iter(range(10))
    source = EvidenceSource(MemoryCounterReader(space), [SHOP], clock_ms=lambda: next(clock))
    await source.refresh()
    (first,) = source.newest
    await source.refresh()
    (second,) = source.newest
    assert second.values is first.values
    assert second.made_at_ms > first.made_at_ms


async def test_a_partition_that_runs_far_ahead_while_it_is_read_leaves_the_evidence_as_it_was() -> None:
    space = MemorySpace(clock_ms=lambda: NOW)
    store = MemoryPartitionStore(space)
    await store.check_funnels({SHOP.funnel_id: SHOP.fingerprint})
    processor = PartitionProcessor(store, 0, [SHOP], clock_ms=lambda: NOW)
    await processor.claim()
    records = [record for _, record in log_records([*shop_events(NOW - 4 * DAY_MS), *shop_events(NOW)], 1)]
    half = len(records) // 2
    await processor.process(records[:half], half)

    class Slow(MemoryCounterReader):
        async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
            if not processor_went_on:
                processor_went_on.append(True)
                await processor.process(records[half:], len(records))
            return await super().registers(funnel_id)

    processor_went_on: list[bool] = []
    source = EvidenceSource(Slow(space), [SHOP], clock_ms=lambda: NOW)
    await source.refresh()
    assert source.newest == []
    await source.refresh()
    assert len(source.newest) == 1
