"""A runner without Kafka and without a store: when it claims, keeps, refuses, holds and gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from schemas.errors import BrokerUnavailableError
from streams.state import Fence
from streams.transport.errors import LogGapError
from streams.transport.port import Batch, LogRange
from streams.worker import runner
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import FencedError
from streams.worker.runner import HOLD_AT, PartitionRunner, Surroundings
from streams.worker.turns import Turns
from tests.support.waiting import until


class Record(NamedTuple):
    """What a batch holds."""

    offset: int


class FakePlacement:
    """Remembers what it is asked; hands nothing over."""

    def __init__(self) -> None:
        self.placed: list[int] = []
        self.held: list[bool] = []
        self.range = LogRange(0, 1_000_000)
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def assigned(self) -> frozenset[int]:
        return frozenset({0})

    async def log_range(self, partition: int) -> LogRange:
        return self.range

    async def place(self, partition: int, offset: int) -> int:
        if self.failures:
            raise self.failures.pop()
        self.placed.append(offset)
        number = len(self.placed)
        await self.gate.wait()
        return number

    def hold(self, partition: int) -> None:
        self.held.append(True)

    def release(self, partition: int) -> None:
        self.held.append(False)

    def highwater(self, partition: int) -> int | None:
        return None


class FakeProcessor:
    """Counts claims and records what it was given."""

    def __init__(self) -> None:
        self.stored = Fence(0, 0, 0)
        self.fence: Fence | None = None
        self.offset = 0
        self.claims = 0
        self.got: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail_next: list[Exception] = []

    async def claim(self) -> None:
        self.claims += 1
        self.stored = self.fence = Fence(self.claims, self.stored.offset, self.stored.seq)
        self.offset = self.stored.offset

    async def process(self, records: Sequence[Any], next_offset: int, *, proceed: Callable[[], bool]) -> None:
        self.fence = None
        await self.gate.wait()
        if self.fail_next:
            raise self.fail_next.pop()
        self.got.extend(record.offset for record in records)
        self.offset = next_offset
        self.stored = self.fence = Fence(self.claims, next_offset, self.stored.seq + 1)

    async def warm(self) -> None:
        return

    async def book_due(self) -> None:
        return


class Bench:
    """A runner with its fakes."""

    def __init__(self) -> None:
        self.placement = FakePlacement()
        self.processor = FakeProcessor()
        self.fatal: list[Exception] = []
        self.metrics = WorkerMetrics()
        surroundings = Surroundings("events", self.placement, self._peek, self.metrics, Turns(), self.fatal.append)
        self.runner = PartitionRunner(0, self.processor, surroundings=surroundings)

    async def _peek(self, partition: int) -> Fence:
        return self.processor.stored

    async def placed(self, times: int) -> None:
        await until(lambda: len(self.placement.placed) >= times and self.runner.is_placed)

    def put(self, prev: int, following: int, *, placement_id: int | None = None) -> None:
        number = len(self.placement.placed) if placement_id is None else placement_id
        self.runner.put(Batch(0, number, prev, following, [Record(offset) for offset in range(prev, following)]))


@pytest.fixture(autouse=True)
def _old_tasks_end_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A next life that waited until an old task is cancelled would wait for ever."""
    monkeypatch.setattr(runner, "END_SECONDS", 1e6)


async def test_batches_that_continue_the_cursor_are_processed_in_order() -> None:
    bench = Bench()
    bench.runner.start()
    await bench.placed(1)
    bench.put(0, 3)
    bench.put(3, 5)
    await until(lambda: bench.processor.got == [0, 1, 2, 3, 4])
    await bench.runner.close(1)
    assert bench.fatal == []


async def test_a_batch_of_an_earlier_placement_is_dropped() -> None:
    bench = Bench()
    bench.runner.start()
    await bench.placed(1)
    bench.put(0, 3, placement_id=0)
    bench.put(0, 2)
    await until(lambda: bench.processor.got == [0, 1])
    await bench.runner.close(1)


async def test_a_broken_chain_places_again_at_the_cursor() -> None:
    bench = Bench()
    bench.runner.start()
    await bench.placed(1)
    bench.put(5, 8)
    await bench.placed(2)
    assert bench.placement.placed == [0, 0]
    assert bench.processor.got == []
    assert bench.processor.claims == 1
    await bench.runner.close(1)


async def test_a_hole_between_waiting_batches_is_not_joined_over() -> None:
    bench = Bench()
    bench.processor.gate.clear()
    bench.runner.start()
    await bench.placed(1)
    bench.put(0, 3)
    await until(lambda: bench.processor.fence is None)
    bench.put(3, 5)
    bench.put(7, 9)
    bench.processor.gate.set()
    await bench.placed(2)
    assert bench.placement.placed == [0, 5]
    assert bench.processor.got == [0, 1, 2, 3, 4]
    assert bench.processor.claims == 1
    await bench.runner.close(1)


async def test_a_fenced_write_claims_and_places_again() -> None:
    bench = Bench()
    bench.processor.fail_next = [FencedError()]
    bench.runner.start()
    await bench.placed(1)
    bench.put(0, 3)
    await bench.placed(2)
    assert bench.processor.claims == 2
    bench.put(0, 3)
    await until(lambda: bench.processor.got == [0, 1, 2])
    await bench.runner.close(1)


async def test_a_partition_kept_over_a_rebalance_is_not_claimed_again() -> None:
    bench = Bench()
    bench.runner.start()
    await bench.placed(1)
    bench.put(0, 3)
    await until(lambda: bench.processor.offset == 3)
    bench.runner.suspend()
    bench.runner.start()
    await bench.placed(2)
    assert bench.processor.claims == 1
    assert bench.placement.placed == [0, 3]
    bench.runner.suspend()
    bench.processor.stored = Fence(9, 7, 7)  # somebody else owned it meanwhile
    bench.runner.start()
    await bench.placed(3)
    assert bench.processor.claims == 2
    await bench.runner.close(1)


async def test_a_chunk_under_way_is_finished_before_the_partition_starts_anew() -> None:
    bench = Bench()
    bench.processor.gate.clear()
    bench.runner.start()
    await bench.placed(1)
    bench.put(0, 3)
    await until(lambda: bench.processor.fence is None)
    bench.runner.suspend()
    bench.runner.start()
    await asyncio.sleep(0)
    assert len(bench.placement.placed) == 1
    bench.processor.gate.set()
    await bench.placed(2)
    assert bench.placement.placed == [0, 3]
    assert bench.processor.claims == 1
    await bench.runner.close(1)


async def test_a_position_that_arrives_after_the_partition_was_taken_away_does_not_count() -> None:
    bench = Bench()
    bench.placement.gate.clear()
    bench.runner.start()
    await until(lambda: bench.placement.placed == [0])
    bench.runner.suspend()
    bench.placement.gate.set()
    await bench.runner.close(1)
    assert not bench.runner.is_placed
    bench.put(0, 3)
    assert bench.metrics.registry.get_sample_value("funnel_worker_batches_total") == 0


async def test_the_pause_of_a_partition_that_stays_is_measured_and_no_other() -> None:
    bench = Bench()

    def pauses() -> float | None:
        return bench.metrics.registry.get_sample_value("funnel_worker_rebalance_pause_seconds_count")

    bench.runner.start()
    await bench.placed(1)
    bench.runner.repair()
    await bench.placed(2)
    assert pauses() == 0
    bench.runner.suspend()
    bench.runner.start()
    await bench.placed(3)
    assert pauses() == 1
    await bench.runner.close(1)


async def test_a_full_queue_holds_the_partition_and_an_empty_one_releases_it() -> None:
    bench = Bench()
    bench.processor.gate.clear()
    bench.runner.start()
    await bench.placed(1)
    bench.placement.held.clear()
    bench.put(0, 1500)
    await until(lambda: bench.processor.fence is None)
    for number in range(1, HOLD_AT + 1):
        bench.put(1500 * number, 1500 * (number + 1))
    assert bench.placement.held == [True]
    bench.processor.gate.set()
    await until(lambda: bench.processor.offset == 1500 * (HOLD_AT + 1))
    assert bench.placement.held == [True, False]
    await bench.runner.close(1)


async def test_a_cursor_outside_the_log_is_fatal_and_places_nothing() -> None:
    bench = Bench()
    bench.placement.range = LogRange(10, 20)
    bench.runner.start()
    await until(lambda: bench.fatal)
    assert isinstance(bench.fatal[0], LogGapError)
    assert "the log starts at 10" in str(bench.fatal[0])
    assert bench.placement.placed == []
    await bench.runner.close(1)


async def test_a_placement_that_fails_is_tried_again() -> None:
    bench = Bench()
    bench.placement.failures = [BrokerUnavailableError("away")]
    bench.runner.start()
    await bench.placed(1)
    assert bench.processor.claims == 1
    await bench.runner.close(1)


async def test_a_bug_reaches_the_host() -> None:
    bench = Bench()
    bench.processor.fail_next = [ValueError("bug")]
    bench.runner.start()
    await bench.placed(1)
    bench.put(0, 1)
    await until(lambda: bench.fatal)
    assert isinstance(bench.fatal[0], ValueError)
    await bench.runner.close(1)


async def test_a_store_rolled_back_under_a_quiet_partition_is_claimed_again() -> None:
    bench = Bench()
    bench.runner.start()
    await bench.placed(1)
    bench.put(0, 3)
    await until(lambda: bench.processor.offset == 3)
    bench.processor.stored = Fence(1, 1, 1)
    bench.runner.repair()
    await until(lambda: len(bench.placement.placed) == 2, what="the old task is not waited for")
    assert bench.placement.placed == [0, 1]
    assert bench.processor.claims == 2
    await bench.runner.close(1)
