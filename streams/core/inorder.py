"""Fast paths for an event that is newer than everything the person has: next stage, next journey, loss, order.

Every function decides first whether its path is certain and books afterwards; False means "nothing was done, go the
general way". Two laws carry them: only the last entry of the last journey can be open, and an event newer than that
entry's deadline decides it. What the watermark has decided and this event would take back goes the general way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from schemas.counters import Family, family
from streams.core.intake import Op
from streams.core.person import FOR_LIFE, HAS_AMOUNT, STATUS_MASK, Entry, Single, pack_single, unpack_person
from streams.core.plan import EDGES_MS, LOST, NO_STAGE, OPEN, ORDER, RESOLVED, STALLED
from streams.core.state import SlotState
from streams.core.walk import walk

_VALUE, _OPEN_VALUE = family(Family.VALUE), family(Family.OPEN_VALUE)
_ORDERS, _REVENUE = family(Family.ORDERS), family(Family.REVENUE)


class _Last(NamedTuple):
    """The last entry of the journey under way, as the header has it."""

    flags: int
    stage: int
    """-1 without a journey."""
    t0: int
    chunks: int
    at: int
    cold: int
    first: int
    code: int

    @property
    def status(self) -> int:
        return self.flags & STATUS_MASK


def begin(state: SlotState, op: Op) -> None:
    """A person's first event, of a plain stage."""
    key, at, tie, stage, code, _, single = op
    plan = state.plan
    tail = pack_single(plan, single or Single(at, tie, stage, code))
    _count(state, at, code, plan.f_events[stage])
    flags = _start(state, at, stage, code, single)
    q = at << 16
    blob = plan.header.pack(q | flags << 8 | stage + 1, q, q, 0, code, code) + tail
    state.persons[key] = blob
    state.dirty[key] = None
    state.stats["persons"] += 1
    state.arm(key, state.wake_of(blob))


def in_order(state: SlotState, op: Op) -> bool:
    """Count an event that is newer than all its person has, and no copy."""
    key, at, _, kind, _, horizon, _ = op
    plan = state.plan
    blob = state.persons[key]
    if state.is_long(blob):
        blob = state.seal(key, blob, horizon)
    q1, q2, q3, cold, first, code = plan.header.unpack_from(blob)
    last = _Last(q1 >> 8 & 255, (q1 & 255) - 1, q2 >> 16, q2 & 0xFFFF, q3 >> 16, cold, first, code)
    if (last.stage < 0 or at > last.t0 + plan.window) and state.is_forgotten(blob, horizon):
        return False
    if kind < ORDER:
        return _stage(state, op, blob, last, kind, ())
    if kind == ORDER:
        return not last.chunks and _order(state, op, blob, last)
    return kind == LOST and _loss(state, op, blob, last)


def _order(state: SlotState, op: Op, blob: bytes, last: _Last) -> bool:
    _, at, _, _, code, _, single = op
    plan = state.plan
    assert single is not None  # noqa: S101 - orders always are whole events
    entries: Sequence[Entry] = ()
    ordinal = 1
    if last.flags & FOR_LIFE or (last.stage >= 0 and at <= last.t0 + plan.window):
        person = unpack_person(plan, blob, ())
        found = walk(plan, person.base, person.singles)
        ordinal = person.base.orders_count + found.orders_count + 1
        if found.journeys:
            entries = found.journeys[-1].entries
        if single.order:
            booked = person.base.orders.get(single.order) or found.known.get(single.order)
            if booked is not None:
                if booked[0] != NO_STAGE:
                    _count(state, at, code, plan.f_events[booked[0]])
                _keep(state, op, blob, last, last.flags)
                return True
    stage = plan.order_stage(single.mask, ordinal)
    if stage == NO_STAGE:
        _keep(state, op, blob, last, last.flags | FOR_LIFE)
        return True
    return _stage(state, op, blob, last, stage, entries)


def _stage(state: SlotState, op: Op, blob: bytes, last: _Last, stage: int, entries: Sequence[Entry]) -> bool:
    """An event of a stage; `entries` of the last journey where they are known."""
    _, at, _, kind, code, _, single = op
    plan = state.plan
    end = last.t0 + plan.window
    is_next = last.stage < 0 or at > end or (plan.completion and last.stage == plan.last and stage < plan.last)
    decided = _decided(state, last, at)
    status = last.status if decided is None else decided
    advances = not is_next and stage > last.stage
    if advances and status == RESOLVED and at <= min(last.at + plan.abandon[last.stage], end):
        return False
    if last.flags & HAS_AMOUNT and not entries and (decided == RESOLVED or (advances and status != RESOLVED)):
        return False
    if decided is not None:
        _decide(state, last, decided, entries)
    _count(state, at, code, plan.f_events[stage])
    if is_next:
        last = _Last(last.flags & FOR_LIFE, stage, at, last.chunks, at, last.cold, code, code)
        flags = last.flags | _start(state, at, stage, code, single)
    elif advances:
        code = plan.mixed(last.first, code)
        _advance(state, last, status, at, stage, entries)
        _count(state, at, code, plan.f_transitions_period[last.stage][stage])
        for jumped in range(last.stage + 1, stage):
            _count(state, at, code, plan.f_skipped[jumped])
        flags = last.flags & FOR_LIFE | _enter(state, at, stage, code, single)
        last = last._replace(stage=stage, at=at, code=code)
    else:
        code = plan.mixed(last.first, code)
        flags = last.flags & ~STATUS_MASK | status
    if kind == ORDER and single is not None:
        flags |= FOR_LIFE
        _book_order(state, single, stage, code)
    _keep(state, op, blob, last, flags)
    return True


def _loss(state: SlotState, op: Op, blob: bytes, last: _Last) -> bool:
    _, at, _, _, code, _, single = op
    plan = state.plan
    assert single is not None  # noqa: S101 - losses always are whole events
    decided = _decided(state, last, at)
    status = last.status if decided is None else decided
    if last.flags & HAS_AMOUNT and (decided == RESOLVED or status != RESOLVED):
        return False
    hits = 0 <= last.stage < plan.last and at <= min(last.at + plan.abandon[last.stage], last.t0 + plan.window)
    if hits and status == RESOLVED:
        return False
    if decided is not None:
        _decide(state, last, decided, ())
    _count(state, at, code, plan.f_events_lost)
    if hits:
        _count(state, last.at, last.code, plan.f_lost_cohort[last.stage] + single.reason)
        _count(state, at, last.code, plan.f_lost_period[last.stage] + single.reason)
        if status == STALLED:
            _count(state, last.at, last.code, plan.f_stalled[last.stage], -1)
        status = RESOLVED
    _keep(state, op, blob, last, last.flags & ~STATUS_MASK | status)
    return True


def _decided(state: SlotState, last: _Last, at: int) -> int | None:
    """What an event at `at` makes of the last entry: RESOLVED (abandoned), STALLED, or None: as it was."""
    if last.status == RESOLVED:
        return None
    plan = state.plan
    if at > last.at + plan.abandon[last.stage] or at > last.t0 + plan.window:
        return RESOLVED
    return STALLED if last.status == OPEN and at > last.at + plan.stall[last.stage] else None


def _decide(state: SlotState, last: _Last, decided: int, entries: Sequence[Entry]) -> None:
    plan, stage, code = state.plan, last.stage, last.code
    if decided == STALLED:
        _count(state, last.at, code, plan.f_stalled[stage])
        return
    deadline = min(last.at + plan.abandon[stage], last.t0 + plan.window)
    _count(state, last.at, code, plan.f_abandoned_cohort[stage])
    _count(state, deadline, code, plan.f_abandoned_period[stage])
    _no_longer_open(state, last, last.status, entries)


def _no_longer_open(state: SlotState, last: _Last, status: int, entries: Sequence[Entry]) -> None:
    """Take the live gauges of the last entry back."""
    if status == STALLED:
        _count(state, last.at, last.code, state.plan.f_stalled[last.stage], -1)
    if last.flags & HAS_AMOUNT and entries[-1].minor > 0:
        place = (last.at // 60_000, last.code, last.stage, _OPEN_VALUE | entries[-1].currency << 8)
        state.books.money[place] -= entries[-1].minor


def _advance(state: SlotState, last: _Last, status: int, at: int, to: int, entries: Sequence[Entry]) -> None:
    """The last entry goes on, whatever it was before."""
    plan, stage, code = state.plan, last.stage, last.code
    if status == RESOLVED:
        _count(state, last.at, code, plan.f_revived_cohort[stage])
        _count(state, at, code, plan.f_revived_period[stage])
    else:
        _count(state, last.at, code, plan.f_advanced_cohort[stage])
        _count(state, at, code, plan.f_advanced_period[stage])
        _no_longer_open(state, last, status, entries)
    _count(state, last.at, code, plan.f_transitions_cohort[stage][to])
    _count(state, last.at, code, plan.f_durations[stage][to] + bisect_left(EDGES_MS, at - last.at))
    if plan.is_order[to]:
        for entry in reversed(entries):
            _count(state, entry.at, entry.code, plan.f_won[entry.stage])
            if plan.is_order[entry.stage]:
                break


def _start(state: SlotState, at: int, stage: int, code: int, single: Single | None) -> int:
    """A journey starts. Flags of the header."""
    _count(state, at, code, state.plan.f_started[stage])
    return _enter(state, at, stage, code, single)


def _enter(state: SlotState, at: int, stage: int, code: int, single: Single | None) -> int:
    """An entry is made. Flags of the header."""
    plan = state.plan
    _count(state, at, code, plan.f_entries[stage])
    is_last = stage == plan.last
    if is_last:
        _count(state, at, code, plan.f_completed[stage])
    status = RESOLVED if is_last else OPEN
    if single is None or single.minor < 0 or plan.is_order[stage]:
        return status
    if single.minor > 0:
        state.books.money[at // 60_000, code, stage, _VALUE | single.currency << 8] += single.minor
        if not is_last:
            state.books.money[at // 60_000, code, stage, _OPEN_VALUE | single.currency << 8] += single.minor
    return status | HAS_AMOUNT


def _book_order(state: SlotState, single: Single, stage: int, code: int) -> None:
    money, minute = state.books.money, single.at // 60_000
    currency = single.currency if single.minor >= 0 else state.plan.currency
    money[minute, code, stage, _ORDERS | currency << 8] += 1
    if single.minor > 0:
        money[minute, code, stage, _REVENUE | currency << 8] += single.minor


def _count(state: SlotState, at: int, code: int, number: int, amount: int = 1) -> None:
    plan = state.plan
    state.books.counts[(at // 60_000 << plan.code_bits | code) << plan.family_bits | number] += amount


def _keep(state: SlotState, op: Op, blob: bytes, last: _Last, flags: int) -> None:
    """Append the event and write the header anew."""
    key, at, tie, kind, code, _, single = op
    header = state.plan.header
    packed = header.pack(
        at << 16 | flags << 8 | last.stage + 1,
        last.t0 << 16 | last.chunks,
        last.at << 16,
        last.cold,
        last.first,
        last.code,
    )
    changed = packed + blob[header.size :] + pack_single(state.plan, single or Single(at, tie, kind, code))
    state.persons[key] = changed
    state.dirty[key] = None
    wake = state.wake_of(changed)
    if wake < state.wake_of(blob):
        state.arm(key, wake)
