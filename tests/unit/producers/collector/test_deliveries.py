"""A delivery that comes again, once stored, is answered and not stored again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from producers.collector.deliveries import Deliveries
from producers.formats.port import BaseEndpoint, Reading, Request, RoutePath
from producers.ingest.verdicts import Accepted, Deferred, Outcome, Rejected, Sender
from producers.sink.port import MemorySink, Outgoing, SinkUnavailableError
from schemas.reasons import RejectReason
from tests.support.collector import TOPICS, CollectorInMemory
from tests.support.waiting import until

KEY = ("shop", "/hooks", "d-1")
DAY_MS = 86_400_000


class Hooks(BaseEndpoint):
    """Three outcomes for one delivery, which the body names."""

    paths = (RoutePath("POST", "/hooks"),)

    def read(self, request: Request, sender: Sender) -> Reading:
        name = request.body.decode()
        verdicts: list[Outcome] = [
            Accepted(f"{name}-a", "click", b"a:v", b"{}", request.received_at_ms),
            Rejected(RejectReason.UNKNOWN_STAGE, "no", f"{name}-r"),
            Deferred(f"{name}-d", b"deal-1", b"{}"),
        ]
        return Reading([request.body] * 3, verdicts, delivery=name)


class SlowSink(MemorySink):
    """Acknowledges when told."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go_on = asyncio.Event()

    async def put(self, records: Sequence[Outgoing], **options: bool) -> None:
        self.begun += 1
        await self.go_on.wait()
        await super().put(records, **options)


def collector_of(directory: Path, sink: MemorySink | None = None) -> CollectorInMemory:
    collector = CollectorInMemory(directory, sink=sink or MemorySink())
    collector.app._routes.add(Hooks())
    return collector


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return collector_of(tmp_path)


def stored(collector: CollectorInMemory) -> list[int]:
    return [len(collector.sink.records(topic)) for topic in (TOPICS.events, TOPICS.rejected, TOPICS.hooks)]


def outcomes(collector: CollectorInMemory) -> list[float]:
    """Received, accepted, rejected, deduplicated."""
    became = [
        collector.metric("events_total", source="source-server", outcome=outcome)
        for outcome in ("accepted", "rejected", "deduplicated")
    ]
    return [collector.metric("events_received_total", source="source-server"), *became]


async def test_the_same_delivery_is_stored_once(collector: CollectorInMemory) -> None:
    for _ in range(3):
        assert (await collector.post(b"d-1", "/hooks")).status_code == 200
    assert stored(collector) == [1, 1, 1]
    assert outcomes(collector) == [9, 2, 1, 6]
    await collector.post(b"d-2", "/hooks")
    assert stored(collector) == [2, 2, 2]


async def test_what_was_not_acknowledged_is_not_known(collector: CollectorInMemory) -> None:
    collector.sink.failure = SinkUnavailableError("away", 5)
    assert (await collector.post(b"d-1", "/hooks")).status_code == 503
    collector.sink.failure = None
    assert (await collector.post(b"d-1", "/hooks")).status_code == 200
    assert stored(collector) == [1, 1, 1]
    assert outcomes(collector) == [3, 2, 1, 0]


async def until_begun(sink: SlowSink, copies: int, collector: CollectorInMemory) -> None:
    await until(lambda: sink.begun >= 1 and collector.app._under_way >= copies)


async def test_two_copies_at_once_are_stored_once(tmp_path: Path) -> None:
    sink = SlowSink()
    collector = collector_of(tmp_path, sink)
    copies = [asyncio.create_task(collector.post(b"d-1", "/hooks")) for _ in range(5)]
    await until_begun(sink, 5, collector)
    assert sink.begun == 1
    sink.go_on.set()
    assert {one.status_code for one in await asyncio.gather(*copies)} == {200}
    assert stored(collector) == [1, 1, 1]
    assert outcomes(collector) == [15, 2, 1, 12]


async def test_a_copy_is_stored_when_the_first_one_failed(tmp_path: Path) -> None:
    sink = SlowSink()
    collector = collector_of(tmp_path, sink)
    copies = [asyncio.create_task(collector.post(b"d-1", "/hooks")) for _ in range(2)]
    await until_begun(sink, 2, collector)
    copies[0].cancel()
    sink.go_on.set()
    assert (await copies[1]).status_code == 200
    assert stored(collector) == [1, 1, 1]


async def test_memory_is_bounded_in_number_and_time() -> None:
    deliveries = Deliveries(size=2)
    for number, name in enumerate("abc"):
        key = ("shop", "/hooks", name)
        assert await deliveries.begin(key, number)
        deliveries.end(key, number, is_stored=True)
    assert len(deliveries) == 2
    assert not await deliveries.begin(("shop", "/hooks", "c"), DAY_MS)
    assert await deliveries.begin(("shop", "/hooks", "a"), 4)
    deliveries.end(("shop", "/hooks", "a"), 4, is_stored=False)
    assert await deliveries.begin(("shop", "/hooks", "c"), DAY_MS + 2)


async def test_names_of_two_sources_are_two_names() -> None:
    deliveries = Deliveries()
    assert await deliveries.begin(KEY, 1)
    assert await deliveries.begin(("bank", *KEY[1:]), 1)
