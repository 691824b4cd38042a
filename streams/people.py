"""Reads one person from the store: which ids belong together, and what is booked of them. Never writes.

The state of a person names the id above it; a fact at the owner of that names the ids below. A fact may be older than
the link itself, so an id below counts only where its own state says so. For questions about one person, not for
counting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from schemas.counters import CODE_UNKNOWN, OTHER, REASONS, UNKNOWN
from schemas.funnel.model import Funnel
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, utc_text
from streams.core.booked import BookedEntry, journeys_of
from streams.core.header import as_of, chunks_of, link_of, words_of
from streams.core.person import key_of_field, person_field
from streams.core.plan import Plan
from streams.core.planning import plan_of
from streams.core.sealed import chunk_fields
from streams.core.tree import children_of, fact_key
from streams.core.upgrades import UPGRADES, upgraded
from streams.state import CHUNK_SEPARATOR, PartitionMeta
from streams.store.port import PartitionStore

_SPANS = (("d", DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS), ("s", 1000))
MAX_IDS = 5_000
"""More ids than that are not followed."""
_AT_ONCE: Final = 16
"""Reads on their way: each has a connection of its own."""
_T = TypeVar("_T")
WrittenNames = Mapping[tuple[int, int], str]
"""See CounterReader.written_names."""
_Reasons = Mapping[int, tuple[str, str]]
"""By code: the reason, and as it was first written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stage entry, as people read it."""

    stage: str
    at_ms: int
    outcome: str
    reason: str | None
    written_reason: str
    """The reason as it was first written."""
    why: str


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey of one of the person's ids: a deal where its funnel has a unit."""

    funnel: str
    id: str
    deal: str | None
    state: str
    """won (it has entered an order stage), or the outcome of its last entry."""
    began_at_ms: int
    ends_at_ms: int
    entries: tuple[Entry, ...]


@dataclass(slots=True)
class Tree:
    """A person: the highest id, and everything linked to it."""

    root: str
    ids: list[str] = field(default_factory=list)
    """The highest first."""
    journeys: list[Journey] = field(default_factory=list)
    """The oldest first, funnel by funnel."""

    @property
    def deals(self) -> list[str]:
        """Unit values of the journeys, each once."""
        return list(dict.fromkeys(journey.deal for journey in self.journeys if journey.deal is not None))


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is stored of one id in one funnel."""

    funnel: Funnel
    plan: Plan
    packed: bytes
    sealed: Sequence[bytes]


class People:
    """Asks a store about persons. `partitions`: what each that has state remembers; `written`: by funnel_id, how names
    were first written.

    All ids of a rank are asked for at once, so a tree of a thousand ids takes as many reads as one of three.
    """

    def __init__(
        self,
        store: PartitionStore,
        partitions: Mapping[int, PartitionMeta],
        *,
        funnels: Sequence[Funnel],
        written: Mapping[str, WrittenNames],
    ) -> None:
        self._store = store
        self._written = written
        self._partitions = partitions
        self._funnels = [(funnel, plan_of(funnel)) for funnel in funnels]
        self._known: dict[bytes, list[_Stored]] = {}
        self._reasons: dict[str, _Reasons] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def tree(self, key: bytes) -> Tree | None:
        """The person whom an id belongs to; None where nothing of the id is known."""
        root = await self._root(key)
        ids = await self._below(root)
        if ids == [key] and not self._known[key]:
            return None
        tree = Tree(text_of(root), [text_of(each) for each in ids])
        for each in ids:
            tree.journeys += await self._journeys(each)
        tree.journeys.sort(key=lambda journey: (journey.funnel, journey.entries[0].at_ms, journey.began_at_ms))
        return tree

    async def _root(self, key: bytes) -> bytes:
        """The highest id; ranks rise with every step, so there are at most two."""
        await self._fetch([key])
        while highers := self._highers(key):
            key = highers[0]
            await self._fetch([key])
        return key

    def _highers(self, key: bytes) -> list[bytes]:
        """The ids above an id; of several funnels nearly always one."""
        links = [link_of(stored.plan, stored.packed) for stored in self._known[key]]
        return [link.higher for link in links if link is not None]

    async def _below(self, root: bytes) -> list[bytes]:
        """An id and all below it, rank by rank."""
        ids, rank = [root], [root]
        while rank:
            children = [pair for pair in await self._children(rank) if pair[1] not in ids][: MAX_IDS - len(ids)]
            await self._fetch([child for _, child in children])
            rank = list(dict.fromkeys(child for parent, child in children if parent in self._highers(child)))
            ids += rank
        return ids

    async def _children(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """(id, id below it), as the facts name them."""
        parents = {fact_key(funnel.funnel_id, person_field(key)): key for key in keys for funnel, _ in self._funnels}
        reads = [self._in_turn(self._store.read_facts(partition, list(parents))) for partition in self._partitions]
        return [
            (parents[fact], key_of_field(child))
            for facts in await asyncio.gather(*reads)
            for fact, packed in facts.items()
            for child in children_of(packed)
        ]

    async def _fetch(self, keys: Iterable[bytes]) -> None:
        """Make ids known."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._known]
        self._known |= {key: [] for key in wanted}
        if not wanted:
            return
        reads = [self._read(partition, *each, wanted) for each in self._funnels for partition in self._partitions]
        for stored in await asyncio.gather(*reads):
            for key, value in stored.items():
                self._known[key].append(value)

    async def _read(self, partition: int, funnel: Funnel, plan: Plan, keys: Sequence[bytes]) -> dict[bytes, _Stored]:
        names = {person_field(key): key for key in keys}
        persons = dict(await self._persons(partition, plan, names=list(names)))
        stored = {}
        for name, key in names.items():
            packed = persons[name]
            chunks = [] if packed is None else _chunk_fields(plan, name=name, packed=packed)
            while chunks:  # both as of one apply: a worker may be counting the person just now
                together = await self._persons(partition, plan, names=[name, *chunks])
                packed = together[name]
                now = [] if packed is None else _chunk_fields(plan, name=name, packed=packed)
                if now == chunks:
                    persons.update(together)
                    break
                chunks = now
            if packed is not None:
                stored[key] = _Stored(funnel, plan, packed, [persons[each] or b"" for each in chunks])
        return stored

    async def _persons(self, partition: int, plan: Plan, *, names: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        loaded = await self._in_turn(self._store.read(partition, plan.funnel_id, persons=names))
        booked_until = self._partitions[partition].booked_until.get(plan.funnel_id, 0)
        return {
            name: packed if packed is None or CHUNK_SEPARATOR in name else as_of(plan, packed, booked_until)
            for name, packed in upgraded(plan, loaded, UPGRADES).persons.items()
        }

    async def _in_turn(self, read: Awaitable[_T]) -> _T:
        async with self._turns:
            return await read

    async def _journeys(self, key: bytes) -> list[Journey]:
        journeys = []
        for stored in self._known[key]:
            reasons = await self._reasons_of(stored.funnel.funnel_id)
            journeys += [
                Journey(
                    funnel=stored.funnel.funnel_id,
                    id=text_of(key),
                    deal=text_of(told.unit) or None,
                    state=told.state,
                    began_at_ms=told.begins_at,
                    ends_at_ms=told.ends_at,
                    entries=tuple(_entry(stored.funnel, entry, reasons=reasons) for entry in told.entries),
                )
                for told in journeys_of(stored.plan, stored.packed, stored.sealed)
            ]
        return journeys

    async def _reasons_of(self, funnel_id: str) -> _Reasons:
        if funnel_id not in self._reasons:
            registers, written = await self._store.registers(funnel_id), self._written.get(funnel_id, {})
            names = {
                code: (name, written.get((register, code), name))
                for (register, name), code in registers.items()
                if register == REASONS
            }
            self._reasons[funnel_id] = {**names, CODE_UNKNOWN: (UNKNOWN, UNKNOWN)}
        return self._reasons[funnel_id]


def _chunk_fields(plan: Plan, *, name: bytes, packed: bytes) -> list[bytes]:
    return list(chunk_fields(name, chunks_of(words_of(plan, packed)[1])))


def text_of(key: bytes) -> str:
    """A person key as it is shown and typed."""
    return key.decode(errors="replace")


def _span(ms: int) -> str:
    """A duration by its two largest units: `2 h 5 min`."""
    parts = []
    for unit, unit_ms in _SPANS:
        amount, ms = divmod(ms, unit_ms)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _entry(funnel: Funnel, entry: BookedEntry, *, reasons: _Reasons) -> Entry:
    reason, written = reasons.get(entry.reason, (OTHER, OTHER)) if entry.reason >= 0 else (None, UNKNOWN)
    why = _why(funnel, entry, reason=written)
    return Entry(funnel.stages[entry.stage].name, entry.at, entry.outcome, reason, written, why)


def _why(funnel: Funnel, entry: BookedEntry, *, reason: str) -> str:
    """One sentence."""
    limit = f"within its {_span(entry.deadline - entry.at)}"
    until = utc_text(entry.deadline)
    onward = "" if entry.next_at < 0 else funnel.stages[entry.next_stage].name
    after = _span(entry.next_at - entry.at)
    if entry.outcome == "completed":
        return "it is the last stage"
    if entry.outcome == "lost":
        return f"lost ({reason}) {_span(entry.lost_at - entry.at)} later, {limit}"
    if entry.outcome == "advanced":
        return f"advanced to {onward} {after} later, {limit}"
    if entry.outcome == "abandoned":
        late = f"; it went on to {onward} {after} later" if onward else ""
        lost = f"; lost ({reason}) at {utc_text(entry.lost_at)}, after that" if entry.lost_at >= 0 else ""
        return f"no event of a later stage by {until}{late}{lost}"
    return f"it may go on until {until}" + (", and waits longer than is normal" if entry.outcome == "stalled" else "")
