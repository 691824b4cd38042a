"""A deal's story as it is published: what stands in each record, by hand."""

from __future__ import annotations

import json
from typing import Any

from schemas.funnel.load import parse_funnel
from streams.core.outgoing import FUNNEL_HEADER, Outgoing, OutgoingKind
from streams.core.place import ONLY_PARTITION
from streams.store.memory import MemoryPartitionStore, MemorySpace
from streams.worker.partition import PartitionProcessor
from tests.support.processing import log_records

FUNNEL = parse_funnel(
    """
name: deals
version: 2
currency: EUR
conversion_window: 30d
unit: deal_id
journeys: true
stages:
  - {name: lead, on: [lead], abandon_after: 7d, stalled_after: 2d}
  - {name: offer, on: [offer], abandon_after: 10d}
  - {name: payment, on: [payment], order: true}
lost: [{on: [deal_lost]}]
dimensions: [{name: channel, attribution: first}, {name: manager, attribution: stage}]
"""
)
START, DAY = 1_735_689_600_000, 86_400_000


class Publisher:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def publish(self, records: Any) -> None:
        self.records += records


def event(name: str, day: float, received: float | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "id": f"{name}-{day}",
        "name": name,
        "occurred_at_ms": START + int(day * DAY),
        "received_at_ms": START + int((day if received is None else received) * DAY),
        "user_id": "ann",
        "source": "crm",
        "properties": properties,
    }


async def published(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """What a worker publishes of them."""
    publisher = Publisher()
    processor = PartitionProcessor(MemoryPartitionStore(MemorySpace()), ONLY_PARTITION, [FUNNEL], publisher=publisher)
    await processor.claim()
    for _, record in log_records(list(events), 1):
        await processor.process([record], record.offset + 1)
    assert {record.kind for record in publisher.records} <= {OutgoingKind.JOURNEY}
    assert {record.header(FUNNEL_HEADER) for record in publisher.records} <= {"deals@2"}
    assert {record.key for record in publisher.records} <= {b"u:ann"}
    return [json.loads(record.value) for record in publisher.records]


async def test_a_deal_is_stalled_abandoned_and_taken_up_again() -> None:
    changes = await published(
        event("lead", 0, deal_id="D-1", channel="fair", manager="ann"),
        event("of_no_funnel", 3),  # moves the watermark
        event("lead", 8.5, deal_id="D-2"),
        event("offer", 9, deal_id="D-1", value="500", manager="bob"),
        event("deal_lost", 10, deal_id="D-1", reason="price"),
    )
    mine = [change for change in changes if change["deal"] == "D-1"]
    assert [(each["stage"], each["change"], each["was"], each["reason"]) for each in mine] == [
        ("lead", "stalled", "open", None),
        ("lead", "abandoned", "stalled", None),
        ("lead", "revived", "abandoned", None),
        ("offer", "lost", "open", "price"),
    ]
    assert mine[3] == {
        "id": mine[3]["id"],
        "funnel": "deals",
        "version": 2,
        "person": "u:ann",
        "deal": "D-1",
        "stage": "offer",
        "entered_at_ms": START + 9 * DAY,
        "change": "lost",
        "at_ms": START + 10 * DAY,
        "was": "open",
        "reason": "price",
        "value_minor": 500_00,
        "currency": "EUR",
        "values": {"channel": "fair", "manager": "bob"},
        "started_at_ms": START,
        "age_ms": DAY,
    }
    assert len({each["id"] for each in changes}) == len(changes)


async def test_an_event_that_comes_late_takes_a_decision_back() -> None:
    changes = await published(
        event("lead", 0, deal_id="D-1"),
        event("lead", 7.5, deal_id="D-2"),
        event("offer", 6.5, received=8, deal_id="D-1"),
    )
    first = [change for change in changes if change["entered_at_ms"] == START]
    of_first = [(each["change"], each["was"]) for each in first]
    assert of_first == [("stalled", "open"), ("abandoned", "stalled"), ("advanced", "abandoned")]


async def test_a_loss_that_comes_late_changes_nothing_of_what_was_revived() -> None:
    changes = await published(
        event("lead", 0, deal_id="D-1"),
        event("offer", 8, deal_id="D-1"),
        event("deal_lost", 6, received=8.5, deal_id="D-1", reason="price"),
    )
    of_lead = [(change["change"], change["was"]) for change in changes if change["stage"] == "lead"]
    assert of_lead == [("stalled", "open"), ("abandoned", "stalled"), ("revived", "abandoned")]


async def test_a_funnel_that_does_not_publish_counts_by_the_same_definition() -> None:
    quiet = FUNNEL.model_copy(update={"journeys": False})
    publisher = Publisher()
    processor = PartitionProcessor(MemoryPartitionStore(MemorySpace()), ONLY_PARTITION, [quiet], publisher=publisher)
    await processor.claim()
    for _, record in log_records([event("lead", 0), event("deal_lost", 1)], 1):
        await processor.process([record], record.offset + 1)
    assert publisher.records == []
    assert quiet.fingerprint == FUNNEL.fingerprint


async def test_a_deal_is_known_by_its_value_as_it_was_sent() -> None:
    """Long ones, which are kept by their beginning and a hash, stay apart."""
    longs = ["é" * 60 + end for end in "ab"]
    changes = await published(
        *(event("lead", day / 10, deal_id=value) for day, value in enumerate([*longs, 7, " x-1 "])), event("lead", 5)
    )
    names = [change["deal"] for change in changes if change["change"] == "stalled"]
    assert sorted(names)[:2] == ["7", "x-1"]
    assert len({*names}) == 4
    assert all(name.startswith("é" * 40) and len(name.encode()) < 100 for name in sorted(names)[2:])
