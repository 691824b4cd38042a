"""What evidence is made of is read in pieces; together they are the whole, however an import comes in."""

from __future__ import annotations

import pytest

from schemas.funnel.load import parse_funnel
from schemas.times import DAY_MS, HOUR_MS
from streams.evidence.history import Place
from streams.exporter import judged
from streams.exporter.evidence_samples import fill_evidence
from streams.exporter.evidence_source import EvidenceSource
from streams.exporter.page import Page
from streams.report.document.question import QuestionError
from streams.report.questions.targets_file import parse_targets
from streams.report.services.targets import check_targets
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import PartitionProcessor
from tests.support.processing import log_records
from tests.support.rows import rows
from tests.support.shop import SHOP, SHOP_FILE, shop_event, shop_events

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
        newest = source.newest
        await source.refresh()
        if partition == 1:
            assert source.newest is newest  # a week apart: nothing can be said of both
    whole = EvidenceSource(reader, [SHOP], clock_ms=lambda: NOW)
    await whole.refresh()
    assert _hours(source) == _hours(whole)
    assert source.newest[0].values == whole.newest[0].values


def _hours(source: EvidenceSource) -> dict[Place, list[float]]:
    """Entries, and how many went on within three days, of every place."""
    hours = source._known[SHOP.funnel_id].hours
    every = {place: (hours.entries(place, *hours.span), hours.went_on(place, 8, *hours.span)) for place in hours.places}
    return {place: [*entries, *went_on] for place, (entries, went_on) in every.items()}


SLOW = """
name: slow
conversion_window: 7d
stages:
  - {name: lead, on: [lead], stalled_after: 3d}
  - {name: payment, on: [payment], order: true}
dimensions:
  - {name: channel, attribution: first}
"""


@rows("text", [SLOW, SLOW.replace(", stalled_after: 3d", "")])  # nobody says how slow the other one is
async def test_people_who_take_days_are_judged_by_what_they_have_done_since_their_hour_was_first_read(
    text: str,
) -> None:
    """Leads of three weeks, every second of whom pays after seventy hours; a look every few hours of the last days."""
    funnel = parse_funnel(text)
    start, now = NOW // DAY_MS * DAY_MS - 21 * DAY_MS, [0]
    leads = [(number, start + number * HOUR_MS // 2, {"channel": "mail"}) for number in range(2 * 20 * 24)]
    events = [shop_event("lead", *lead) for lead in leads]
    events += [shop_event("payment", number, at_ms + 70 * HOUR_MS, {}) for number, at_ms, _ in leads[::2]]
    records = [record for _, record in log_records(sorted(events, key=lambda event: event["received_at_ms"]), 1)]
    space = MemorySpace(clock_ms=lambda: now[0])
    store, reader = MemoryPartitionStore(space), MemoryCounterReader(space)
    await store.check_funnels({funnel.funnel_id: funnel.fingerprint})
    processor = PartitionProcessor(store, 0, [funnel], clock_ms=lambda: now[0])
    await processor.claim()
    source = EvidenceSource(reader, [funnel], clock_ms=lambda: now[0])
    for now[0] in range(start + 18 * DAY_MS, start + 19 * DAY_MS, 5 * HOUR_MS + HOUR_MS // 2):
        new = [one for one in records[processor.offset :] if one.timestamp < now[0]]
        await processor.process(new, processor.offset + len(new))
        await source.refresh()
        fresh = EvidenceSource(reader, [funnel], clock_ms=lambda: now[0])
        await fresh.refresh()
        assert source.newest[0].standings == fresh.newest[0].standings != []
        assert max(each.evidence.nats for each in source.newest[0].standings) < 2
        assert source.newest[0].agreed == fresh.newest[0].agreed
        assert source.newest[0].values == fresh.newest[0].values


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


async def test_agreed_times_and_running_targets_are_judged_with_the_evidence() -> None:
    """Of 60 leads 30 pay in a minute, the others do not, but for those who are lost; a month's target is far away."""
    shop = parse_funnel(SHOP_FILE.replace("abandon_after: 7d}", "abandon_after: 7d, stalled_after: 10m}"))
    space = MemorySpace(clock_ms=lambda: NOW)
    store = MemoryPartitionStore(space)
    await store.check_funnels({shop.funnel_id: shop.fingerprint})
    processor = PartitionProcessor(store, 0, [shop], clock_ms=lambda: NOW)
    await processor.claim()
    people = [*shop_events(NOW - 3 * HOUR_MS), shop_event("click", 999, NOW, {})]
    records = [record for _, record in log_records(people, 1)]
    await processor.process(records, len(records))
    targets = parse_targets(
        "targets: [{stage: payment, of: revenue, period: 2025-06, goal: 1000},"
        " {stage: lead, period: 2025-05, goal: 1}, {stage: lead, period: 2026, goal: 1}]"
    )
    check_targets([shop], targets)
    source = EvidenceSource(MemoryCounterReader(space), [shop], clock_ms=lambda: NOW, targets=targets, threshold=7.5)
    await source.refresh()
    page = Page()
    fill_evidence(page, source.newest, now_ms=NOW)
    assert page.samples[judged.EVIDENCE_THRESHOLD.name] == {("shop", "3"): 7.5}
    place = ("shop", "3", "lead")
    assert page.samples[judged.SLA_SECONDS.name] == {place: 900}
    within, breached = page.samples[judged.SLA_KEPT.name][place], page.samples[judged.SLA_BREACHED.name][place]
    assert (within, breached) == (30, 20)
    target = ("shop", "3", "payment", "revenue", "", "2025-06")
    assert page.samples[judged.TARGET["goal"].name] == {target: 1000}
    assert page.samples[judged.TARGET["fact"].name][target] == pytest.approx(30 * 19.99)
    with pytest.raises(QuestionError, match="no such stage"):
        check_targets([shop], parse_targets("targets: [{stage: demo, period: 2025-06, goal: 1}]"))
