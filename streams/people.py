"""Reads one person from the store: which ids belong together, and what is booked of them. Never writes.

The state of a person names the id above it; a fact at the owner of that names the ids below. A fact may be older than
the link itself, so an id below counts only where its own state says so. One more read per id: for questions about one
person, not for counting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.counters import CODE_UNKNOWN, UNKNOWN
from schemas.funnel.model import Funnel
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, utc_text
from streams.core.booked import ToldEntry, journeys_of
from streams.core.cache import chunk_fields
from streams.core.header import chunks_of, link_of, words_of
from streams.core.person import person_field
from streams.core.plan import Plan
from streams.core.planning import plan_of
from streams.core.registers import REASONS
from streams.core.tree import children_of, fact_key
from streams.core.upgrades import UPGRADES, upgraded
from streams.store.port import PartitionStore

_SPANS = (("d", DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS), ("s", 1000))
MAX_IDS = 5_000
"""More ids than that are not followed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stage entry, as people read it."""

    stage: str
    at_ms: int
    outcome: str
    reason: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey of one of the person's ids."""

    funnel: str
    id: str
    deal: str | None
    entries: tuple[Entry, ...]


@dataclass(slots=True)
class Tree:
    """A person: the highest id, and everything linked to it."""

    root: str
    ids: list[str] = field(default_factory=list)
    """The highest first."""
    journeys: list[Journey] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is stored of one id in one funnel."""

    funnel: Funnel
    plan: Plan
    packed: bytes
    sealed: Sequence[bytes]


class People:
    """Asks a store about persons. `partitions`: those that have state."""

    def __init__(self, store: PartitionStore, partitions: Sequence[int], funnels: Sequence[Funnel]) -> None:
        self._store = store
        self._partitions = partitions
        self._funnels = [(funnel, plan_of(funnel)) for funnel in funnels]
        self._known: dict[bytes, list[_Stored]] = {}
        self._reasons: dict[str, Mapping[int, str]] = {}

    async def tree(self, key: bytes) -> Tree | None:
        """The person whom an id belongs to; None where nothing of the id is known."""
        root = await self._root(key)
        ids = await self._below(root)
        if ids == [key] and not await self._stored(key):
            return None
        tree = Tree(text_of(root), [text_of(one) for one in ids])
        for one in ids:
            tree.journeys += await self._journeys(one)
        return tree

    async def _root(self, key: bytes) -> bytes:
        """The highest id; ranks rise with every step, so there are at most two."""
        while highers := await self._highers(key):
            key = highers[0]
        return key

    async def _highers(self, key: bytes) -> list[bytes]:
        """The ids above an id; of several funnels nearly always one."""
        links = [link_of(one.plan, one.packed) for one in await self._stored(key)]
        return [link.higher for link in links if link is not None]

    async def _below(self, root: bytes) -> list[bytes]:
        """An id and all below it."""
        ids = [root]
        for key in ids:
            for child in await self._children(key):
                if child not in ids and len(ids) < MAX_IDS and key in await self._highers(child):
                    ids.append(child)
        return ids

    async def _children(self, key: bytes) -> list[bytes]:
        facts = [fact_key(funnel.funnel_id, person_field(key)) for funnel, _ in self._funnels]
        children: dict[bytes, None] = {}
        for partition in self._partitions:
            for fact in (await self._store.read_facts(partition, facts)).values():
                children.update(dict.fromkeys(child.replace(b"\xff0", b"\0") for child in children_of(fact)))
        return list(children)

    async def _stored(self, key: bytes) -> list[_Stored]:
        if key not in self._known:
            self._known[key] = [one for funnel, plan in self._funnels for one in await self._read(key, funnel, plan)]
        return self._known[key]

    async def _read(self, key: bytes, funnel: Funnel, plan: Plan) -> list[_Stored]:
        name, stored = person_field(key), []
        for partition in self._partitions:
            loaded = await self._store.read(partition, funnel.funnel_id, persons=[name])
            packed = upgraded(plan, loaded, UPGRADES).persons[name]
            if packed is None:
                continue
            fields = chunk_fields(name, chunks_of(words_of(plan, packed)[1]))
            chunks = upgraded(plan, await self._store.read(partition, funnel.funnel_id, persons=fields), UPGRADES)
            stored.append(_Stored(funnel, plan, packed, [chunks.persons[each] or b"" for each in fields]))
        return stored

    async def _journeys(self, key: bytes) -> list[Journey]:
        journeys = []
        for one in await self._stored(key):
            reasons = await self._reasons_of(one.funnel.funnel_id)
            for told in journeys_of(one.plan, one.packed, one.sealed):
                entries = tuple(_entry(one.funnel, entry, reasons) for entry in told.entries)
                journeys.append(Journey(one.funnel.funnel_id, text_of(key), None, entries))
        return journeys

    async def _reasons_of(self, funnel_id: str) -> Mapping[int, str]:
        if funnel_id not in self._reasons:
            registers = await self._store.registers(funnel_id)
            names = {code: name for (register, name), code in registers.items() if register == REASONS}
            self._reasons[funnel_id] = {**names, CODE_UNKNOWN: UNKNOWN}
        return self._reasons[funnel_id]


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


def _entry(funnel: Funnel, entry: ToldEntry, reasons: Mapping[int, str]) -> Entry:
    reason = reasons.get(entry.reason, "other") if entry.reason >= 0 else None
    return Entry(
        funnel.stages[entry.stage].name, entry.at, entry.outcome, reason, _why(funnel, entry, reason or UNKNOWN)
    )


def _why(funnel: Funnel, entry: ToldEntry, reason: str) -> str:
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
