"""What persons may take of a worker's memory: a bound that holds, a number to see it by, a warning before it is met."""

from __future__ import annotations

from pathlib import Path

from schemas.funnel.load import load_funnels
from streams.report.document.counters import build_document, canonical_json
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.memory import PERSON_BYTES, MemoryBound, memory_limit
from streams.worker.partition import PartitionProcessor
from tests.support.histories import history

SALES = load_funnels(["sales"])


async def counted(max_persons: int) -> tuple[bytes, int]:
    space = MemorySpace(clock_ms=lambda: 0)
    lane = PartitionProcessor(MemoryPartitionStore(space), 0, SALES, max_persons=max_persons)
    await lane.claim()
    log = history(3_000)
    most = 0
    for start in range(0, len(log), 100):
        part = log[start : start + 100]
        await lane.process(part, part[-1].offset + 1)
        most = max(most, lane.engine.held().persons)
    return canonical_json([await build_document(MemoryCounterReader(space), SALES[0])]), most


async def test_persons_over_the_bound_are_left_to_the_store_and_counted_all_the_same() -> None:
    whole, everybody = await counted(1_000_000)
    bounded, most = await counted(20)
    assert everybody > 40
    assert most <= 20
    assert bounded == whole


def test_a_bound_that_does_not_fit_is_said_with_one_that_does() -> None:
    bound = MemoryBound(persons=250_000, funnels=2, limit=1_000_000_000)
    assert bound.bytes_of(8) == 8 * 2 * 250_000 * PERSON_BYTES
    message = bound.warning(8)
    assert message is not None
    enough = int(message.rpartition("at most ")[2].partition(";")[0].replace(",", ""))
    assert MemoryBound(persons=enough, funnels=2, limit=bound.limit).warning(8) is None
    assert MemoryBound(persons=enough + 1, funnels=2, limit=bound.limit).warning(8) is not None
    assert bound.warning(1) is None


def test_no_partition_needs_nothing() -> None:
    assert MemoryBound(persons=250_000, funnels=1, limit=1).warning(0) is None


def test_the_limit_is_the_containers_where_there_is_one(tmp_path: Path) -> None:
    limited, unlimited = tmp_path / "limited", tmp_path / "unlimited"
    limited.write_text("1048576\n")
    unlimited.write_text("max\n")
    assert memory_limit((unlimited, limited)) == 1_048_576
    assert memory_limit((tmp_path / "absent", unlimited)) > 100_000_000
