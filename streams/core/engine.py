"""The counting engine of one partition: all funnels, exactly as semantics.md says, as a pure state machine.

The caller does all I/O, in this order per chunk: `prepare` -> register `new_names` and `admit_names` -> read what
`needs` asks for and `admit` it (until it asks for nothing) -> `apply` -> store the changes with the next offset; then,
while `meta.pending`, `needs(None)`/`admit` -> `fire` -> store the changes with the same offset. What is read must be as
new as the last changes. An engine whose store refused a write is thrown away.

**What a person is.** Everybody known under one key. Counters are a pure function of the persons' events and the
watermark: `history.replay` makes journeys of events, `contributions` makes counts of journeys. An event that changes a
history is counted as "minus what the history contributed, plus what it contributes now". That is the general path
(`general`), and the definition of what is right. It handles every event, and costs what the person's events cost.

**How a person becomes bytes.** Events older than the horizon (watermark - window - allowed lateness) can change no
more. They are folded into a base: the journey under way, order and refund ids. Later events stay as records of one
size, the tail. A header stands before both (`header`, `person`). Most persons are a header and one to five records, 50
to 140 bytes, and stay packed: nothing unpacks them on the fast paths. A tail that grows long is cut into sealed chunks,
so that an event of a heavy person costs what happened since (`heavy`).

**What is certain from a header.** Only the last entry of the last journey can be open, and the header says what is
booked for it. So an event newer than all the person has can do four things only: repeat a passed stage, go on, be lost,
or begin the next journey; and each is a handful of counts at times that the header knows. The watermark alone can make
that entry stalled or abandoned. What would take back a decision (an event in time that arrives after its deadline was
booked), what lies between older events, and open amounts that only the entry knows go the general path.

**Who goes where.** In the benchmark's stream, 10 events a person, 5 % copies and 10 % out of order: 72 % repeats, 10 %
first events and 5 % copies in the loop of `step`, 13 % in `inorder`, next to none on the general path. With 1.5 events
a person 67 % are first events. Deadlines are booked from the header too (`deadlines`).

    log -> intake (decode, match) -> [operations] -> step -> inorder, heavy, general -> contributions -> rollup -> cells
           registers (codes)                         cache (packed persons, wake-ups) <- deadlines <- timers

**What may go wrong.** Nothing in a record stops the engine: what cannot be read is counted as undecodable. Bytes that
look like a hash are taken for a possible copy, and the general path decides. A chunk that is prepared before the one
ahead of it was applied, or changes that are not stored, make an engine wrong without a sign: throw it away and claim
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from streams.core.chunk import Prepared, Record
from streams.core.contributions import Contributions
from streams.core.deadlines import collect_due, fire
from streams.core.decode import Decoder
from streams.core.expiry import Expiry
from streams.core.facts import Facts
from streams.core.funnel_intake import FunnelIntake
from streams.core.handover import Changes, FunnelChanges, FunnelNeeds, Held, Needs
from streams.core.intake import Intake
from streams.core.journey_changes import ChangeRecords
from streams.core.outgoing import Outgoing
from streams.core.place import ONLY_PARTITION, Place
from streams.core.plan import Plan
from streams.core.registers import FunnelRegisters, Registers
from streams.core.rollup import RollUp
from streams.core.spend import book
from streams.core.state import FunnelState
from streams.core.step import step
from streams.core.tree import note
from streams.core.upgrades import UPGRADES, Upgrades, upgraded, upgraded_core_state
from streams.defaults import MAX_PERSON_EVENTS, MAX_PERSONS, WATERMARK_DELAY_MS
from streams.state import FIRST_LAYOUT, Claim, Loaded, PartitionMeta

FIRE_LIMIT = 5_000
PERSONS_PER_CHUNK = 4_000
RECORDS_PER_CHUNK = 20_000
_FIRST_RECORDS = 500
_STATS = ("accepted", "duplicates", "late", "persons", "placeholder_ids", "link_conflicts")


class _Funnel:
    """What counts one funnel."""

    def __init__(self, plan: Plan, intake: FunnelIntake, state: FunnelState, registers: FunnelRegisters) -> None:
        self.plan = plan
        self.intake = intake
        self.state = state
        self.rollup = RollUp(plan)
        self.expiry = Expiry()
        self.change_records = ChangeRecords(plan, registers)
        self.dimsets = 1 + len(plan.dimensions) + len(plan.pairs)


class PartitionEngine:
    """All funnels of one partition. See the module for the order of calls."""

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        watermark_delay_ms: int = WATERMARK_DELAY_MS,
        registers: Registers | None = None,
        max_persons: int = MAX_PERSONS,
        max_person_events: int = MAX_PERSON_EVENTS,
        upgrades: Upgrades = UPGRADES,
        place: Place = ONLY_PARTITION,
    ) -> None:
        self.layout = FIRST_LAYOUT + len(upgrades)
        """Layout of the bytes it makes."""
        self._upgrades = upgrades
        self.funnel_ids = tuple(plan.funnel_id for plan in plans)
        self.registers = Registers(plans) if registers is None else registers
        self.meta = PartitionMeta()
        self.facts = Facts()
        self._delay = watermark_delay_ms
        decoder = Decoder(plans)
        self._funnels: dict[str, _Funnel] = {}
        for plan in plans:
            registers_of_funnel = self.registers.funnels[plan.funnel_id]
            intake = FunnelIntake(plan, decoder, registers_of_funnel, delay_ms=watermark_delay_ms, place=place)
            state = FunnelState(plan, max_persons=max_persons, max_events=max_person_events, place=place)
            self._funnels[plan.funnel_id] = _Funnel(plan, intake, state, registers_of_funnel)
        self._intake = Intake(decoder, {funnel_id: funnel.intake for funnel_id, funnel in self._funnels.items()})
        self._bind_stats()

    def _bind_stats(self) -> None:
        for funnel_id, funnel in self._funnels.items():
            funnel.state.stats = self.meta.stats.setdefault(funnel_id, {})
            for name in _STATS:
                funnel.state.stats.setdefault(name, 0)

    def restore(self, claim: Claim) -> None:
        """Continue from stored state. Once, on a new engine."""
        self.meta = msgspec.msgpack.decode(msgspec.msgpack.encode(claim.meta), type=PartitionMeta)
        self._bind_stats()
        for funnel_id, funnel in self._funnels.items():
            if funnel_id in claim.earliest_deadlines:
                booked_until = self.meta.booked_until.get(funnel_id, 0)
                funnel.state.cache.restore(claim.earliest_deadlines[funnel_id], booked_until)
            funnel.state.forwards = self.meta.forwards.get(funnel_id, 0)
            funnel.expiry.restore(self._newest_core_state(claim, funnel_id))
        self._count_pending()

    def _newest_core_state(self, claim: Claim, funnel_id: str) -> bytes | None:
        packed, layouts = claim.core_state.get(funnel_id), claim.layouts.get(funnel_id)
        if packed is None or layouts is None:
            return packed
        return upgraded_core_state(packed, layouts.core_state, self._upgrades)

    def snapshot_meta(self) -> PartitionMeta:
        """A copy of `meta` to be stored."""
        return msgspec.structs.replace(
            self.meta,
            sessions=dict(self.meta.sessions),
            forwards=dict(self.meta.forwards),
            booked_until=dict(self.meta.booked_until),
            forwards_from={funnel_id: dict(numbers) for funnel_id, numbers in self.meta.forwards_from.items()},
            stats={funnel_id: dict(stats) for funnel_id, stats in self.meta.stats.items()},
        )

    def held(self) -> Held:
        """What is in memory, of all funnels."""
        caches = [funnel.state.cache for funnel in self._funnels.values()]
        return Held(sum(len(cache.persons) for cache in caches), sum(cache.wake_ups.wheel.size for cache in caches))

    def chunk_end(
        self,
        records: Sequence[Record],
        start: int = 0,
        *,
        max_persons: int = PERSONS_PER_CHUNK,
        max_records: int = RECORDS_PER_CHUNK,
    ) -> int:
        """How far to take records from `start` so that not too many persons change at once."""
        if not self.meta.records:  # most of its names are new, and an event with a new name costs three times as much
            max_records = min(max_records, _FIRST_RECORDS)
        end = min(len(records), start + max_records)
        keys: set[bytes | None] = set()
        index = start
        while index < end and len(keys) < max_persons:  # as many more as there is room for, all at once
            stop = min(end, index + max_persons - len(keys))
            keys.update([record[0] for record in records[index:stop]])
            index = stop
        return index

    def prepare(self, records: Sequence[Record]) -> Prepared:
        """Decode a chunk and decide what does not depend on persons; changes nothing."""
        return self._intake.prepare(records, self.meta)

    def admit_names(self, funnel_id: str, codes: Mapping[tuple[int, str], int]) -> None:
        """Take over the codes the store gave to new names."""
        self.registers.load(funnel_id, codes)

    def needs(self, prepared: Prepared | None) -> Needs:
        """What must be read before `apply(prepared)`, or (None) before `fire()`."""
        missing = Needs(facts=[] if prepared is None else self.facts.missing(prepared.facts))
        for funnel_id, funnel in self._funnels.items():
            needs, cache = FunnelNeeds(), funnel.state.cache
            if prepared is not None:
                needs.persons = cache.missing(prepared.funnels[funnel_id].keys(), funnel.state.place)
                if prepared.max_received_ms is not None:
                    needs.buckets = cache.wake_ups.due_buckets(prepared.max_received_ms - self._delay)
            elif self.meta.watermark_ms is not None:
                needs.buckets = cache.wake_ups.due_buckets(self.meta.watermark_ms)
                needs.persons = cache.due_missing(FIRE_LIMIT)
            if needs.buckets or needs.persons:
                missing.funnels[funnel_id] = needs
        return missing

    def admit(self, funnel_id: str, loaded: Loaded) -> None:
        """Take over what was read."""
        self._funnels[funnel_id].state.cache.admit(self.upgraded(funnel_id, loaded))

    def admit_facts(self, facts: Mapping[bytes, bytes | None]) -> None:
        """Take over the facts that were read."""
        self.facts.admit(facts)

    def upgraded(self, funnel_id: str, loaded: Loaded) -> Loaded:
        """What was read, everything in this engine's layout."""
        return upgraded(self._funnels[funnel_id].plan, loaded, self._upgrades)

    def core_state(self, funnel_id: str) -> bytes:
        """The funnel's own small state as it is stored."""
        return self._funnels[funnel_id].expiry.core_state()

    def apply(self, prepared: Prepared) -> Changes:
        """Count a chunk: move the watermark, count the events, book deadlines that passed (the first of them)."""
        self._move(prepared)
        outgoing: list[Outgoing] = []
        for funnel_id, funnel in self._funnels.items():
            chunk, state = prepared.funnels[funnel_id], funnel.state
            funnel.intake.resolve(chunk)
            for stat, amount in chunk.stats.items():
                state.count_stat(stat, amount)
            if prepared.undecodable:
                state.count_stat("undecodable", prepared.undecodable)
            if prepared.retries:
                state.count_stat("retries", prepared.retries)
            state.ids = chunk.ids
            step(state, chunk.ops)
            for statement in chunk.spend:
                book(statement, funnel.intake.code_of(statement.properties), self.facts, state.contributions)
            note(state, self.facts)
            outgoing += chunk.outgoing
            if state.refused:
                outgoing += self._intake.surplus(funnel_id, state.refused, prepared.source)
                state.refused = []
        changes = self._changes(FIRE_LIMIT)
        changes.outgoing = outgoing + changes.outgoing
        return changes

    def _move(self, prepared: Prepared) -> None:
        """Take over the partition's clock as it is after the chunk."""
        meta = self.meta
        meta.records += prepared.records
        meta.sessions = prepared.sessions
        meta.marker = prepared.marker or meta.marker
        meta.forgets = prepared.forgets
        meta.forwards_from, meta.forwards_applied = prepared.forwards_from, prepared.forwards_applied
        meta.last_event_ms = max(meta.last_event_ms, prepared.last_event_ms)
        if prepared.max_received_ms is not None:
            meta.max_received_ms = prepared.max_received_ms
            meta.watermark_ms = prepared.max_received_ms - self._delay

    def fire(self, limit: int = FIRE_LIMIT) -> Changes | None:
        """Book deadlines that passed, at most `limit` per funnel; None when none is due."""
        return self._changes(limit) if self.meta.pending else None

    def _changes(self, limit: int) -> Changes:
        watermark = self.meta.watermark_ms
        changes = Changes({})
        for funnel_id, funnel in self._funnels.items():
            state = funnel.state
            if watermark is not None:
                collect_due(state, watermark)
                fire(state, watermark, limit)
                self.meta.booked_until[funnel_id] = state.cache.wake_ups.booked_until
            changes.funnels[funnel_id] = self._changes_of(funnel, watermark or 0)
            changes.outgoing += [*state.outgoing, *funnel.change_records.records(state.journey_changes)]
            state.outgoing, state.journey_changes = [], []
            if state.forwards:
                self.meta.forwards[funnel_id] = state.forwards
        changes.facts = self.facts.take_changes()
        self._count_pending()
        return changes

    def _changes_of(self, funnel: _Funnel, watermark: int) -> FunnelChanges:
        state, expiry = funnel.state, funnel.expiry
        deltas = funnel.rollup.cells(state.contributions, watermark)
        state.contributions = Contributions()
        expired = expiry.expired(watermark, funnel.dimsets)
        is_changed = expiry.note(deltas) or bool(expired)
        persons, erased, deadlines = state.cache.take_changes()
        core_state = expiry.core_state() if is_changed else None
        return FunnelChanges(persons, erased, deadlines, deltas, expired, core_state)

    def _count_pending(self) -> None:
        watermark = self.meta.watermark_ms
        caches = [funnel.state.cache for funnel in self._funnels.values()]
        self.meta.pending = 0 if watermark is None else sum(cache.wake_ups.pending(watermark) for cache in caches)
