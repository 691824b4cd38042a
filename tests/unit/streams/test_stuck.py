"""Who is stuck: of all persons those who wait for longest, as their journeys and the counters say."""

from __future__ import annotations

from streams.people import People
from streams.report.document.question import ReportQuestion
from streams.report.services.reads import summed
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.stuck import Stuck
from tests.support.shop import PEOPLE, SHOP, fill

NOW = 1_780_000_000_000


async def counted() -> tuple[MemoryPartitionStore, MemoryCounterReader]:
    space = MemorySpace(clock_ms=lambda: NOW)
    store = MemoryPartitionStore(space)
    await fill(store, SHOP, now_ms=NOW)
    return store, MemoryCounterReader(space)


async def test_the_longest_waiting_of_all_persons_with_the_counts_of_the_counters() -> None:
    store, reader = await counted()
    statuses = {partition: await reader.status(partition) for partition in await reader.partitions()}
    people, waiting = (
        People(
            store, {number: status.meta for number, status in statuses.items() if status}, funnels=[SHOP], written={}
        ),
        [],
    )
    for number in range(PEOPLE):
        tree = await people.tree(f"u:u{number}".encode())
        waiting += [
            (entry.at_ms, entry.stage)
            for journey in (tree.journeys if tree else ())
            for entry in journey.entries
            if entry.outcome in ("open", "stalled")
        ]
    document = await Stuck(store, reader, funnel=SHOP).document(most=7)
    cells, watermark_ms = await summed(reader, ReportQuestion.parse(SHOP, {"grain": "total", "dim": ""}, now_ms=NOW))
    assert document["open"] == sum(families.get("open", 0) for families in cells[""].values()) == len(waiting)  # type: ignore[misc]
    assert document["watermark_ms"] == watermark_ms
    told = [(each["entered_at_ms"], each["stage"]) for each in document["persons"]]
    assert told == sorted(waiting)[:7]
    assert all(each["until_ms"] > NOW for each in document["persons"])


async def test_only_entries_with_the_value_that_is_asked_for() -> None:
    store, reader = await counted()
    document = await Stuck(store, reader, funnel=SHOP).document(most=1000, wanted={"channel": "mail"})
    assert {each["values"]["channel"] for each in document["persons"]} == {"mail"}
    assert document["open"] == len(document["persons"]) > 0
