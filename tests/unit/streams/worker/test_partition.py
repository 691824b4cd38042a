"""One partition's loop over the memory store and the real core: fences, restarts, deadlines, late events."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas.errors import BrokerUnavailableError
from schemas.funnel.load import load_funnel
from streams.core.handover import Held
from streams.core.outgoing import Outgoing, OutgoingKind
from streams.report.document.counters import build_document, canonical_json
from streams.state import Fence, PartitionMeta
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import FencedError, LogRecord, PartitionProcessor
from tests.support.histories import START, event, history, tick

MINUTE = 60_000
WEEK = 7 * 24 * 60 * MINUTE
FUNNEL = load_funnel("sales")


def processor(space: MemorySpace, **settings: object) -> PartitionProcessor:
    """A processor of partition 0."""
    return PartitionProcessor(MemoryPartitionStore(space), 0, [FUNNEL], **settings)  # type: ignore[arg-type]


async def document(space: MemorySpace) -> bytes:
    """The counters document."""
    return canonical_json(await build_document(MemoryCounterReader(space), FUNNEL))


async def in_one_go(log: Sequence[LogRecord]) -> bytes:
    """The document after one worker read everything."""
    space = MemorySpace()
    counting = processor(space)
    await counting.claim()
    await counting.process(log, len(log))
    assert counting.meta.pending == 0
    return await document(space)


async def test_a_restart_between_any_two_batches_leaves_the_same_document() -> None:
    log = history(60)
    expected = await in_one_go(log)
    space = MemorySpace()
    position = 0
    while position < len(log):
        counting = processor(space)
        await counting.claim()
        assert counting.offset == position
        await counting.process(log[position : position + 7], position + len(log[position : position + 7]))
        position = counting.offset
    assert await document(space) == expected


async def test_a_worker_that_was_replaced_is_fenced_and_changes_nothing() -> None:
    log = history(20)
    space = MemorySpace()
    zombie, owner = processor(space), processor(space)
    await zombie.claim()
    await zombie.process(log[:10], 10)
    await owner.claim()
    before = await document(space)
    with pytest.raises(FencedError):
        await zombie.process(log[10:], len(log))
    assert zombie.fence is None
    assert await document(space) == before
    await owner.process(log[10:], len(log))
    assert await document(space) == await in_one_go(log)
    await zombie.claim()
    assert zombie.offset == len(log)


async def test_it_stops_between_chunks_when_it_must_and_stands_at_a_chunks_end() -> None:
    log = history(6_000)
    space = MemorySpace()
    counting = processor(space)
    await counting.claim()
    await counting.process(log, len(log), proceed=lambda: False)
    assert 0 < counting.offset < len(log)
    assert counting.fence == await MemoryPartitionStore(space).peek(0)
    await counting.process(log[counting.offset :], len(log))
    assert await document(space) == await in_one_go(log)


async def test_deadlines_of_many_people_are_booked_in_writes_of_their_own_at_one_offset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.core.engine.FIRE_LIMIT", 400)
    log = history(4000)
    space = MemorySpace()
    counting = processor(space)
    await counting.claim()
    await counting.process(log[:-1], len(log) - 1)
    before = counting.fence
    await counting.process(log[-1:], len(log))
    after = counting.fence
    assert before is not None
    assert after is not None
    assert after.seq > before.seq + 1
    assert counting.meta.pending == 0
    assert counting.meta.marker == "end"


async def test_deadlines_that_a_predecessor_left_are_booked_after_the_claim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.core.engine.FIRE_LIMIT", 400)
    log = history(4000)
    space = MemorySpace()

    class Impatient(MemoryPartitionStore):
        """Dies after the first write of the last batch."""

        left = 1

        async def apply(self, partition: int, fence: Fence, next_offset: int, writes: object) -> bool:
            if fence.offset == len(log):
                raise RuntimeError("killed")
            return await super().apply(partition, fence, next_offset, writes)  # type: ignore[arg-type]

    dying = PartitionProcessor(Impatient(space), 0, [FUNNEL])
    await dying.claim()
    with pytest.raises(RuntimeError, match="killed"):
        await dying.process(log, len(log))
    heir = processor(space)
    await heir.claim()
    assert heir.offset == len(log)
    assert heir.meta.pending > 0
    await heir.book_due()
    assert heir.meta.pending == 0
    assert await document(space) == await in_one_go(log)


def with_a_late_event() -> list[LogRecord]:
    """A tick, and an event that came a week after it happened."""
    return [tick(0, START + WEEK + MINUTE), event(1, "impression", "v", START, received=START + WEEK + MINUTE)]


async def test_nothing_is_applied_when_publishing_fails_and_the_next_owner_publishes_the_same() -> None:
    space = MemorySpace()
    store = MemoryPartitionStore(space)

    class Topic:
        def __init__(self, failure: Exception | None = None) -> None:
            self.failure = failure
            self.published: list[Outgoing] = []

        async def publish(self, records: Sequence[Outgoing]) -> None:
            self.published.extend(records)  # written, and the acknowledgement lost
            if self.failure is not None:
                raise self.failure

    first, second = Topic(BrokerUnavailableError("away")), Topic()
    dying = processor(space, publisher=first)
    await dying.claim()
    before = await store.peek(0)
    with pytest.raises(BrokerUnavailableError):
        await dying.process(with_a_late_event(), 2)
    assert await store.peek(0) == before
    assert dying.fence is None
    heir = processor(space, publisher=second)
    await heir.claim()
    assert heir.offset == 0
    await heir.process(with_a_late_event(), 2)
    assert heir.offset == 2
    assert len(second.published) == 1
    assert second.published == first.published


async def test_warm_reads_what_the_first_chunk_would_have_to_wait_for() -> None:
    space = MemorySpace()
    first, heir = processor(space), processor(space)
    await first.claim()
    log = [event(number, "impression", f"v{number}", START + number * MINUTE) for number in range(120)]
    for record in log:
        await first.process([record], record.offset + 1)
    await heir.claim()
    assert heir.engine.needs(None)
    await heir.warm()
    assert not heir.engine.needs(None)
    assert heir.engine.held().persons > 0


async def test_late_events_are_safe_before_the_cursor_moves() -> None:
    space = MemorySpace()
    store = MemoryPartitionStore(space)
    seen: list[tuple[int, OutgoingKind, str, int]] = []

    class Topic:
        async def publish(self, records: Sequence[Outgoing]) -> None:
            fence = await store.peek(0)
            assert fence is not None
            seen.extend(
                (fence.offset, record.kind, record.header("funnel"), int(record.header("age_ms"))) for record in records
            )

    class Observer:
        late = 0
        records = 0

        def on_chunk(self, records: int, seconds: float) -> None:
            self.records += records

        def on_apply(self, meta: PartitionMeta, held: Held) -> None:
            assert meta.records > 0
            assert held == (0, 0)  # the first event is too old to be kept, the second too late

        def on_late(self, funnel_id: str, count: int) -> None:
            self.late += count

    observer = Observer()
    counting = processor(space, publisher=Topic(), observer=observer)
    await counting.claim()
    await counting.process(with_a_late_event(), 2)
    assert [record[:3] for record in seen] == [(0, OutgoingKind.LATE, FUNNEL.funnel_id)]
    assert seen[0][3] >= WEEK - MINUTE
    assert observer.late == 1
    assert observer.records == 2
    assert counting.offset == 2
