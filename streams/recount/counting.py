"""Counts partitions from their first record up to given cursors, in step, with what they forward to one another.

The counting is the worker's own (`streams.worker.partition`). What differs is the way of a forward: not through the
log, but to its partition when all partitions have reached the same time. Between two such meetings the log's clock
moves by less than the slack, so that no forward comes behind a horizon (docs/decisions/identity.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from schemas.record import encode_tick
from streams.core.engine import PERSONS_PER_CHUNK
from streams.core.outgoing import Outgoing, OutgoingKind
from streams.core.place import Place
from streams.recount.history import History
from streams.store.port import PartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor

MAX_PERSONS = 1_000_000
NEVER = 1 << 62
BUDGET = 50_000
"""Records after which a step comes back, so that progress is seen."""


class Forwarded(NamedTuple):
    """A record on its way to another partition."""

    key: bytes
    value: bytes


class Stepped(NamedTuple):
    """What a step did."""

    records: int
    is_done: bool
    """Whether nothing is left up to the time that was asked for."""
    forwards: list[Forwarded]


class Part(Protocol):
    """Some partitions being counted, here or in another process."""

    async def aim(self, targets: Mapping[int, int]) -> None:
        """Up to which offset each partition is to be counted."""

    async def head_ms(self) -> int | None:
        """Time of the earliest record that waits; None where all targets are reached."""

    async def step(self, until_ms: int) -> Stepped:
        """Count what is not later, some of it."""

    async def receive(self, forwards: Sequence[Forwarded]) -> list[Forwarded]:
        """Count what was forwarded; what that forwards in turn."""


class Partitions:
    """A `Part` in this process."""

    def __init__(
        self,
        store: PartitionStore,
        funnel: Funnel,
        *,
        history: History,
        partitions: Sequence[int],
        total: int,
        watermark_delay_ms: int,
        max_person_events: int,
        chunk_persons: int = PERSONS_PER_CHUNK,
    ) -> None:
        self._history = history
        self._total = total
        self._outbox: list[Forwarded] = []
        self._targets: dict[int, int] = {}
        self._waiting: dict[int, tuple[Sequence[Any], int]] = {}
        self.processors = {
            partition: PartitionProcessor(
                store,
                Place(partition, total),
                [funnel],
                watermark_delay_ms=watermark_delay_ms,
                max_persons=MAX_PERSONS,
                max_person_events=max_person_events,
                chunk_persons=chunk_persons,
                publisher=self,
            )
            for partition in partitions
        }
        self._offsets: dict[int, int] = {}

    async def start(self) -> dict[int, int]:
        """Claim every partition; where each begins."""
        begins = await self._history.open(list(self.processors))
        for partition, processor in self.processors.items():
            await processor.claim()
            self._offsets[partition] = max(processor.offset, begins[partition])
        return begins

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Forwards wait for the next meeting; late events and journeys were told when they happened."""
        self._outbox += [Forwarded(one.key, one.value) for one in records if one.kind is OutgoingKind.FORWARD]

    async def aim(self, targets: Mapping[int, int]) -> None:
        self._targets = {partition: targets[partition] for partition in self.processors}

    async def head_ms(self) -> int | None:
        heads = [records[0].timestamp for p in self.processors if (records := await self._ahead(p))]
        return min(heads, default=None)

    async def step(self, until_ms: int) -> Stepped:
        counted, is_done = 0, False
        while counted < BUDGET and not is_done:
            taken = [await self._count_some(partition, until_ms) for partition in self.processors]
            counted, is_done = counted + sum(taken), not any(taken)
        return Stepped(counted, is_done, self._take())

    async def receive(self, forwards: Sequence[Forwarded]) -> list[Forwarded]:
        by_partition: dict[int, list[Forwarded]] = {}
        for forward in forwards:
            by_partition.setdefault(partition_of(forward.key, self._total), []).append(forward)
        for partition, processor in self.processors.items():
            here, cursor = by_partition.get(partition, []), self._offsets[partition]
            records = [LogRecord(forward.key, forward.value, 0, cursor - 1) for forward in here]
            if records:
                await processor.process(records, cursor)
        return self._take()

    async def finish(self) -> None:
        """Move the cursors of partitions whose last offsets hold no records: by a tick that says nothing."""
        for partition, processor in self.processors.items():
            cursor = self._offsets[partition]
            if processor.offset != cursor:
                await processor.process([LogRecord(None, encode_tick(0), 0, cursor - 1)], cursor)

    def _take(self) -> list[Forwarded]:
        taken, self._outbox = self._outbox, []
        return taken

    async def _ahead(self, partition: int) -> Sequence[Any]:
        """The next records, without counting them; none where the target is reached."""
        while partition not in self._waiting or not self._waiting[partition][0]:
            offset = self._waiting.pop(partition, ((), self._offsets[partition]))[1]
            self._offsets[partition] = max(offset, self._offsets[partition])
            if self._offsets[partition] >= self._targets[partition]:
                return ()
            self._waiting[partition] = await self._history.read(
                partition, start=self._offsets[partition], end=self._targets[partition]
            )
        return self._waiting[partition][0]

    async def _count_some(self, partition: int, until_ms: int) -> int:
        """Count what was read of a partition, as far as it is due; how many records. No partition runs ahead, so that
        little of what is read waits for another one."""
        records, due = await self._ahead(partition), 0
        if records and (due := _due(records, until_ms)):
            reached = self._waiting[partition][1]
            later = records[due:]
            cursor = later[0].offset if later else reached
            self._waiting[partition] = (later, reached)
            await self.processors[partition].process(records[:due], cursor)
            self._offsets[partition] = cursor
            await asyncio.sleep(0)
        return due


def _due(records: Sequence[Any], until_ms: int) -> int:
    """How many of the first records are not later than a time."""
    if records[-1].timestamp <= until_ms and max(record.timestamp for record in records) <= until_ms:
        return len(records)
    return next(number for number, record in enumerate(records) if record.timestamp > until_ms)


class Progress(Protocol):
    """Is told how many records were counted."""

    def __call__(self, records: int) -> None: ...


async def count_up_to(
    parts: Sequence[Part], targets: Mapping[int, int], *, slack_ms: int, total: int, progress: Progress
) -> None:
    """Count every partition up to its target, and everything that is forwarded."""
    await asyncio.gather(*(part.aim(targets) for part in parts))
    while (heads := [head for head in await _each(parts, "head_ms") if head is not None]) != []:
        until_ms = min(heads) + slack_ms if total > 1 else NEVER
        forwards: list[Forwarded] = []
        waiting = list(parts)
        while waiting:
            steps: list[Stepped] = await _each(waiting, "step", until_ms)
            progress(sum(step.records for step in steps))
            forwards += [one for step in steps for one in step.forwards]
            waiting = [part for part, step in zip(waiting, steps, strict=True) if not step.is_done]
        await deliver(parts, forwards)


async def deliver(parts: Sequence[Part], forwards: Sequence[Forwarded]) -> None:
    """Until nothing is forwarded any more. A part takes what is for its partitions."""
    while forwards:
        answers: list[list[Forwarded]] = await _each(parts, "receive", forwards)
        forwards = [one for answer in answers for one in answer]


async def _each(parts: Sequence[Part], what: str, *arguments: Any) -> list[Any]:
    return await asyncio.gather(*(getattr(part, what)(*arguments) for part in parts))


def slack_of(funnel: Funnel, watermark_delay_ms: int) -> int:
    """How far the clock may move between two meetings."""
    return (min(funnel.conversion_window_ms, funnel.allowed_lateness_ms) + watermark_delay_ms) * 3 // 4
