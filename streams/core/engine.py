"""The counting engine of one partition: all funnels, exactly as semantics.md says, as a pure state machine.

The caller does all I/O, in this order per chunk: `prepare` -> register `new_names` and `admit_names` -> read what
`needs` asks for and `admit` it (until it asks for nothing) -> `apply` -> store the changes with the next offset; then,
while `meta.pending`, `needs(None)`/`admit` -> `fire` -> store the changes with the same offset. What is read must be as
new as the last changes. An engine whose store refused a write is thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.counters import CellGroup, Cells
from schemas.funnel.model import Funnel
from streams.core.chunk import Prepared, Record
from streams.core.contributions import Contributions
from streams.core.deadlines import collect_due, fire
from streams.core.decode import Decoder
from streams.core.expiry import Expiry
from streams.core.intake import FunnelIntake, Intake
from streams.core.outgoing import Outgoing
from streams.core.plan import Plan
from streams.core.registers import Registers
from streams.core.rollup import RollUp
from streams.core.state import FunnelState
from streams.core.step import step
from streams.defaults import MAX_PERSONS, WATERMARK_DELAY_MS
from streams.state import Claim, Loaded, PartitionMeta

__all__ = ["Changes", "FunnelChanges", "Needs", "PartitionEngine", "Prepared", "Record"]

FIRE_LIMIT = 1500
PERSONS_PER_CHUNK = 2000
RECORDS_PER_CHUNK = 20_000
_STATS = ("accepted", "duplicates", "late", "persons", "placeholder_ids", "link_conflicts")


@dataclass(slots=True)
class Needs:
    """What must be read before going on."""

    buckets: list[int] = field(default_factory=list)
    persons: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class FunnelChanges:
    """What an apply changes for one funnel; as `FunnelWrites`, but cells are deltas."""

    persons: dict[bytes, bytes | None]
    earliest_deadlines: dict[int, int]
    deltas: Cells
    expired: list[CellGroup]
    core_state: bytes | None


@dataclass(slots=True)
class Changes:
    """What an apply changes."""

    funnels: dict[str, FunnelChanges]
    outgoing: list[Outgoing] = field(default_factory=list)
    """To be published and acknowledged before the changes are stored."""


class _Parts:
    """One funnel's parts."""

    def __init__(
        self,
        funnel: Funnel,
        decoder: Decoder,
        registers: Registers,
        *,
        delay_ms: int,
        max_persons: int,
    ) -> None:
        self.plan = Plan(funnel)
        self.intake = FunnelIntake(self.plan, decoder, registers.funnels[funnel.funnel_id], delay_ms=delay_ms)
        self.state = FunnelState(self.plan, max_persons=max_persons)
        self.rollup = RollUp(self.plan)
        self.expiry = Expiry()
        self.dimsets = 1 + len(self.plan.dimensions) + len(self.plan.pairs)


class PartitionEngine:
    """All funnels of one partition. See the module for the order of calls."""

    def __init__(
        self,
        funnels: Sequence[Funnel],
        *,
        watermark_delay_ms: int = WATERMARK_DELAY_MS,
        registers: Registers | None = None,
        max_persons: int = MAX_PERSONS,
    ) -> None:
        self.funnel_ids = tuple(funnel.funnel_id for funnel in funnels)
        self.registers = Registers(funnels) if registers is None else registers
        self.meta = PartitionMeta()
        self._delay = watermark_delay_ms
        decoder = Decoder(funnels)
        self._parts = {
            funnel.funnel_id: _Parts(
                funnel,
                decoder,
                self.registers,
                delay_ms=watermark_delay_ms,
                max_persons=max_persons,
            )
            for funnel in funnels
        }
        self._intake = Intake(decoder, {name: parts.intake for name, parts in self._parts.items()})
        self._bind_stats()

    def _bind_stats(self) -> None:
        for name, parts in self._parts.items():
            stats = self.meta.stats.setdefault(name, {})
            for one in _STATS:
                stats.setdefault(one, 0)
            parts.state.stats = stats

    def restore(self, claim: Claim) -> None:
        """Continue from stored state. Once, on a new engine."""
        self.meta = msgspec.msgpack.decode(msgspec.msgpack.encode(claim.meta), type=PartitionMeta)
        self._bind_stats()
        for name, parts in self._parts.items():
            if name in claim.earliest_deadlines:
                parts.state.cache.restore(claim.earliest_deadlines[name])
            parts.expiry.restore(claim.core_state.get(name))
        self._count_pending()

    def snapshot_meta(self) -> PartitionMeta:
        """A copy of `meta` to be stored."""
        return msgspec.structs.replace(
            self.meta,
            sessions=dict(self.meta.sessions),
            stats={funnel_id: dict(stats) for funnel_id, stats in self.meta.stats.items()},
        )

    def chunk_end(
        self,
        records: Sequence[Record],
        start: int = 0,
        *,
        max_persons: int = PERSONS_PER_CHUNK,
        max_records: int = RECORDS_PER_CHUNK,
    ) -> int:
        """How far to take records from `start` so that not too many persons change at once."""
        end = min(len(records), start + max_records)
        keys: set[bytes | None] = set()
        at = start
        while at < end and len(keys) < max_persons:  # as many more as there is room for, all at once
            more = min(end, at + max_persons - len(keys))
            keys.update([record[0] for record in records[at:more]])
            at = more
        return at

    def prepare(self, records: Sequence[Record]) -> Prepared:
        """Decode a chunk and decide what does not depend on persons; changes nothing."""
        return self._intake.prepare(records, self.meta)

    def admit_names(self, funnel_id: str, codes: Mapping[tuple[int, str], int]) -> None:
        """Take over the codes the store gave to new names."""
        self.registers.load(funnel_id, codes)

    def needs(self, prepared: Prepared | None) -> dict[str, Needs]:
        """What must be read before `apply(prepared)`, or (None) before `fire()`; empty when nothing is missing."""
        found: dict[str, Needs] = {}
        for name, parts in self._parts.items():
            one = Needs()
            if prepared is not None:
                one.persons = parts.state.cache.missing(prepared.funnels[name].keys())
                if prepared.max_received_ms is not None:
                    one.buckets = parts.state.cache.due_buckets(prepared.max_received_ms - self._delay)
            elif self.meta.watermark_ms is not None:
                one.buckets = parts.state.cache.due_buckets(self.meta.watermark_ms)
                one.persons = parts.state.cache.due_missing(FIRE_LIMIT)
            if one.buckets or one.persons:
                found[name] = one
        return found

    def admit(self, funnel_id: str, loaded: Loaded) -> None:
        """Take over what was read."""
        self._parts[funnel_id].state.cache.admit(loaded)

    def apply(self, prepared: Prepared) -> Changes:
        """Count a chunk: move the watermark, count the events, book deadlines that passed (the first of them)."""
        meta = self.meta
        meta.records += prepared.records
        meta.sessions = prepared.sessions
        meta.marker = prepared.marker or meta.marker
        meta.forgets = prepared.forgets
        meta.last_event_ms = max(meta.last_event_ms, prepared.last_event_ms)
        if prepared.max_received_ms is not None:
            meta.max_received_ms = prepared.max_received_ms
            meta.watermark_ms = prepared.max_received_ms - self._delay
        outgoing: list[Outgoing] = []
        for name, parts in self._parts.items():
            one = prepared.funnels[name]
            parts.intake.resolve(one)
            for stat, amount in one.stats.items():
                parts.state.stats[stat] = parts.state.stats.get(stat, 0) + amount
            for stat, amount in (("undecodable", prepared.undecodable), ("retries", prepared.retries)):
                if amount:
                    parts.state.stats[stat] = parts.state.stats.get(stat, 0) + amount
            step(parts.state, one.ops)
            outgoing += one.outgoing
        changes = self._changes(FIRE_LIMIT)
        changes.outgoing = outgoing
        return changes

    def fire(self, limit: int = FIRE_LIMIT) -> Changes | None:
        """Book deadlines that passed, at most `limit` per funnel; None when none is due."""
        return self._changes(limit) if self.meta.pending else None

    def _changes(self, limit: int) -> Changes:
        watermark = self.meta.watermark_ms
        changes = Changes({})
        for name, parts in self._parts.items():
            if watermark is not None:
                collect_due(parts.state, watermark)
                fire(parts.state, watermark, limit)
                changes.funnels[name] = self._changes_of(parts, watermark)
        self._count_pending()
        return changes

    def _changes_of(self, parts: _Parts, watermark: int) -> FunnelChanges:
        state = parts.state
        deltas = parts.rollup.cells(state.contributions, watermark)
        state.contributions = Contributions()
        expired = parts.expiry.expired(watermark, parts.dimsets)
        is_changed = parts.expiry.note(deltas) or bool(expired)
        persons, deadlines = state.cache.take_changes()
        core_state = parts.expiry.core_state() if is_changed else None
        return FunnelChanges(persons, deadlines, deltas, expired, core_state)

    def _count_pending(self) -> None:
        watermark = self.meta.watermark_ms
        states = [parts.state for parts in self._parts.values()]
        self.meta.pending = 0 if watermark is None else sum(state.cache.pending(watermark) for state in states)
