"""Who is stuck: the persons whose entries wait for longest, out of the whole state. Reads the store, writes nothing.

Every person is looked at once, bucket by bucket, so memory is bounded by a batch of buckets and by how many are wanted.
Only those whose header says that an entry is open, and who wait for longer than those found so far, are unpacked.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from schemas.counters import currency_text
from schemas.funnel.model import Funnel
from streams.core.header import AT_SHIFT, DEALS, FLAGS_SHIFT, PASSED_MASK, STATUS_MASK, as_of, chunks_of, words_of
from streams.core.history import replay, statuses_of
from streams.core.journey_changes import OPEN, STALLED, Outcome, outcomes_of
from streams.core.journeys import deadline_of
from streams.core.person import key_of_field, unpack_person
from streams.core.plan import RESOLVED, Plan
from streams.core.plan import STALLED as IS_STALLED
from streams.core.planning import plan_of
from streams.core.registers import name_of_code, values_of
from streams.core.sealed import chunk_fields
from streams.core.upgrades import UPGRADES, upgraded
from streams.people import text_of
from streams.report.services.reads import check_definition, watermark_of
from streams.state import CHUNK_SEPARATOR, PERSON_BUCKETS
from streams.store.port import CounterReader, PartitionStore

_BUCKETS_PER_READ = 16


class StuckPerson(TypedDict):
    """One entry without an outcome."""

    person: str
    """As `funnelcast person` takes it."""
    deal: str | None
    """The unit value."""
    stage: str
    state: str
    """`stalled`: open for longer than the stage says is normal; else `open`."""
    entered_at_ms: int
    until_ms: int
    """When it becomes abandoned."""
    value_minor: int | None
    currency: str | None
    values: dict[str, str]
    """Of the entry, by dimension."""


class StuckDocument(TypedDict):
    """The persons who wait for longest, and how many wait."""

    funnel: str
    version: int
    watermark_ms: int | None
    open: int
    """Entries without an outcome, stalled ones among them."""
    stalled: int
    persons: list[StuckPerson]
    """Stalled ones first, then by how long they wait."""


Wanted = Mapping[str, str]
"""Values by dimension that an entry must have."""
_Rank = tuple[bool, int]
"""(is stalled, - entered at): the greater, the more it is stuck."""


@dataclass(slots=True)
class _MostStuck:
    """The most stuck so far: a heap whose first is the least stuck of them."""

    most: int
    open: int = 0
    stalled: int = 0
    heap: list[tuple[_Rank, str, int, StuckPerson]] = field(default_factory=list)

    def has_place(self, rank: _Rank) -> bool:
        """For one that is so much stuck."""
        return len(self.heap) < self.most or rank > self.heap[0][0]

    def add(self, rank: _Rank, person: StuckPerson) -> None:
        """Takes the place of the least stuck."""
        heapq.heappush(self.heap, (rank, person["person"], len(self.heap), person))
        if len(self.heap) > self.most:
            heapq.heappop(self.heap)


class Stuck:
    """Looks for them in one funnel."""

    def __init__(self, store: PartitionStore, reader: CounterReader, *, funnel: Funnel) -> None:
        self._store, self._reader = store, reader
        self._funnel, self._plan = funnel, plan_of(funnel)
        self._names: dict[int, dict[int, str]] = {}
        """By register and code."""

    async def document(
        self,
        *,
        most: int,
        wanted: Wanted | None = None,
        on_progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> StuckDocument:
        """At most `most` entries, of those that have the values wanted. Raises as a report."""
        await check_definition(self._reader, self._funnel)
        partitions = await self._reader.partitions()
        registers = await self._store.registers(self._funnel.funnel_id)
        for (register, name), code in registers.items():
            self._names.setdefault(register, {})[code] = name
        stuck, batches = _MostStuck(most), list(range(0, PERSON_BUCKETS, _BUCKETS_PER_READ))
        for number, partition in enumerate(partitions):
            for step, first in enumerate(batches):
                await self._look_at(
                    partition, range(first, first + _BUCKETS_PER_READ), stuck=stuck, wanted=wanted or {}
                )
                on_progress(number * len(batches) + step + 1, len(partitions) * len(batches))
        persons = [item[-1] for item in sorted(stuck.heap, key=lambda item: (item[0], item[1]), reverse=True)]
        return {
            "funnel": self._funnel.name,
            "version": self._funnel.version,
            "watermark_ms": await watermark_of(self._reader),
            "open": stuck.open,
            "stalled": stuck.stalled,
            "persons": persons,
        }

    async def _look_at(self, partition: int, buckets: Sequence[int], *, stuck: _MostStuck, wanted: Wanted) -> None:
        funnel_id = self._funnel.funnel_id
        status = await self._reader.status(partition)
        booked_until = 0 if status is None else status.meta.booked_until.get(funnel_id, 0)
        read = await self._store.read(partition, funnel_id, buckets=buckets)
        for bucket in upgraded(self._plan, read, UPGRADES).buckets.values():
            for name, stored in bucket.items():
                if CHUNK_SEPARATOR in name:
                    continue
                packed = as_of(self._plan, stored, booked_until)
                if self._may_be_stuck(packed, stuck, wanted=wanted):
                    for outcome in self._undecided(
                        packed, _sealed(self._plan, name=name, packed=packed, bucket=bucket)
                    ):
                        self._take(name, outcome, stuck=stuck, wanted=wanted)

    def _may_be_stuck(self, packed: bytes, stuck: _MostStuck, *, wanted: Wanted) -> bool:
        """By the header alone. Counts an entry that is not unpacked."""
        last_word, _, entry_word, *_ = words_of(self._plan, packed)
        flags = last_word >> FLAGS_SHIFT
        status = flags & STATUS_MASK
        if status == RESOLVED or not last_word & PASSED_MASK:
            return False
        if wanted or flags & DEALS or stuck.has_place((status == IS_STALLED, -(entry_word >> AT_SHIFT))):
            return True
        stuck.open += 1
        stuck.stalled += status == IS_STALLED
        return False

    def _undecided(self, packed: bytes, sealed: Sequence[bytes]) -> Iterable[Outcome]:
        person = unpack_person(self._plan, packed, sealed)
        history = replay(self._plan, person.base, person.events)
        outcomes = outcomes_of(self._plan, history, statuses_of(self._plan, person, history))
        return (outcome for outcome in outcomes.values() if outcome.state in (OPEN, STALLED))

    def _take(self, name: bytes, outcome: Outcome, *, stuck: _MostStuck, wanted: Wanted) -> None:
        values = values_of(self._plan, outcome.entry.code, self._name)
        if any(values[dimension] != value for dimension, value in wanted.items()):
            return
        is_stalled = outcome.state == STALLED
        stuck.open += 1
        stuck.stalled += is_stalled
        rank = (is_stalled, -outcome.entry.at)
        if stuck.has_place(rank):
            stuck.add(rank, self._person_of(name, outcome, values=values))

    def _person_of(self, name: bytes, outcome: Outcome, *, values: dict[str, str]) -> StuckPerson:
        entry, journey = outcome.entry, outcome.journey
        return {
            "person": text_of(key_of_field(name)),
            "deal": text_of(journey.unit) or None,
            "stage": self._funnel.stages[entry.stage].name,
            "state": outcome.state,
            "entered_at_ms": entry.at,
            "until_ms": deadline_of(self._plan, journey, entry),
            "value_minor": entry.minor if entry.minor >= 0 else None,
            "currency": currency_text(entry.currency) if entry.minor >= 0 else None,
            "values": values,
        }

    def _name(self, register: int, code: int) -> str:
        return name_of_code(self._names.get(register, {}), code)


def _sealed(plan: Plan, *, name: bytes, packed: bytes, bucket: Mapping[bytes, bytes]) -> list[bytes]:
    """The sealed chunks of a person: they lie in the same bucket."""
    return [bucket[each] for each in chunk_fields(name, chunks_of(words_of(plan, packed)[1]))]
