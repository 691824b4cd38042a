"""Facts of a partition go the way of its counts: read before the apply, written with the cursor, exactly once.

No feature keeps facts yet, so a small engine does: it counts the records of every key, and remembers who was last seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from schemas.funnel.load import load_funnel
from streams.core.chunk import Prepared, Record
from streams.core.engine import PartitionEngine
from streams.core.facts import Facts
from streams.core.handover import Changes
from streams.state import Fence, Writes
from streams.store.memory import MemoryPartitionStore, MemorySpace
from streams.store.port import StoreUnavailableError
from streams.worker import partition as processing
from streams.worker.partition import FencedError, LogRecord, PartitionProcessor
from tests.support.histories import history
from tests.support.rows import rows

FUNNEL = load_funnel("sales")
COUNTED, ODD = b"\x01", b"\x02"


class RecordCounter(PartitionEngine):
    """Counts as ever, and keeps two facts of every key: how many records, and (only while that is odd) a mark."""

    def prepare(self, records: Sequence[Record]) -> Prepared:
        prepared = super().prepare(records)
        prepared.facts = [COUNTED + key for key, _, _ in records if key is not None]
        return prepared

    def apply(self, prepared: Prepared) -> Changes:
        for name in prepared.facts:
            count = int(self.facts.get(name) or b"0") + 1
            self.facts.put(name, b"%d" % count)
            self.facts.put(ODD + name[1:], b"" if count % 2 else None)
        return super().apply(prepared)


class Dying(MemoryPartitionStore):
    """A store whose connection breaks now and then, before a write or before its answer."""

    def __init__(self, space: MemorySpace, rng: Random) -> None:
        super().__init__(space)
        self._rng = rng

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        chance = self._rng.random()
        if chance < 0.2:
            raise StoreUnavailableError("the connection broke before the write")
        applied = await super().apply(partition, fence, next_offset, writes)
        if chance < 0.4:
            raise StoreUnavailableError("the connection broke before the answer")
        return applied


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processing, "PartitionEngine", RecordCounter)


async def stored(space: MemorySpace) -> dict[bytes, bytes]:
    pages = [await MemoryPartitionStore(space).list_facts(0, kind[0]) for kind in (COUNTED, ODD)]
    return {key: value for page in pages for key, value in page.facts.items()}


def expected(log: Sequence[LogRecord]) -> dict[bytes, bytes]:
    counts = Counter(record.key for record in log if record.key is not None)
    odd = {ODD + key: b"" for key, count in counts.items() if count % 2}
    return {**{COUNTED + key: b"%d" % count for key, count in counts.items()}, **odd}


@rows("seed", range(5))
async def test_workers_that_die_at_any_write_count_every_record_once(seed: int) -> None:
    log, space, rng = history(40), MemorySpace(), Random(seed)
    processor = PartitionProcessor(Dying(space, rng), 0, [FUNNEL])
    await processor.claim()
    while processor.offset < len(log):
        end = min(len(log), processor.offset + rng.randint(1, 9))
        try:
            await processor.process(log[processor.offset : end], end)
        except StoreUnavailableError:
            processor = PartitionProcessor(Dying(space, rng), 0, [FUNNEL])
            await processor.claim()
    assert await stored(space) == expected(log)


async def test_a_worker_that_was_replaced_writes_no_fact_and_reads_the_others_after_its_next_claim() -> None:
    log, space = history(20), MemorySpace()
    zombie, owner = (PartitionProcessor(MemoryPartitionStore(space), 0, [FUNNEL]) for _ in range(2))
    await zombie.claim()
    await zombie.process(log[:10], 10)
    await owner.claim()
    with pytest.raises(FencedError):
        await zombie.process(log[10:20], 20)
    assert await stored(space) == expected(log[:10])
    await owner.process(log[10:15], 15)
    await zombie.claim()
    await zombie.process(log[15:], len(log))
    assert await stored(space) == expected(log)


def test_what_is_known_is_not_read_again_until_it_has_become_much() -> None:
    facts = Facts(max_facts=2)
    assert facts.missing([b"\x01a", b"\x01b", b"\x01a"]) == [b"\x01a", b"\x01b"]
    facts.admit({b"\x01a": b"1", b"\x01b": None})
    facts.put(b"\x01b", b"2")
    facts.admit({b"\x01b": None})
    assert (facts.get(b"\x01a"), facts.get(b"\x01b")) == (b"1", b"2")
    assert facts.missing([b"\x01a", b"\x01b"]) == []
    assert facts.take_changes() == {b"\x01b": b"2"}
    facts.put(b"\x01c", None)
    assert facts.take_changes() == {b"\x01c": None}
    assert facts.missing([b"\x01a"]) == [b"\x01a"]
    with pytest.raises(KeyError):
        facts.get(b"\x01a")
