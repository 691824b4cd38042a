"""Fast paths for an event that is newer than everything the person has: next stage, next journey, loss, order.

Every function decides first whether its path is certain and books afterwards; False means "nothing was done, go the
general way". Two laws carry them: only the last entry of the last journey can be open, and an event newer than that
entry's deadline decides it. What the watermark has decided and this event would take back goes the general way.

Local names and written-out counting, no objects: a tenth to a half of all events pass here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from schemas.counters import Family, family
from streams.core.busy import base_before, recent
from streams.core.chunk import Op
from streams.core.person import (
    FOR_LIFE,
    HAS_AMOUNT,
    MANY_ORDERS,
    SEVERAL,
    STATUS_MASK,
    Entry,
    Single,
    pack_single,
)
from streams.core.plan import EDGES_MS, LOST, NO_STAGE, OPEN, ORDER, RESOLVED, STALLED
from streams.core.state import FunnelState
from streams.core.walk import walk

_VALUE, _OPEN_VALUE = family(Family.VALUE), family(Family.OPEN_VALUE)
_ORDERS, _REVENUE = family(Family.ORDERS), family(Family.REVENUE)

Header = tuple[int, int, int, int, int, int]
"""As packed: last_at, flags, stage + 1 | t0, chunks | entered_at, orders | cold bytes | first code | entry code."""


def begin(state: FunnelState, op: Op) -> bool:
    """A person's first event, of a stage or an order."""
    key, at, tie, kind, code, _, single = op
    plan = state.plan
    to = kind if kind < ORDER or single is None else plan.order_stage(single.mask, 1)
    if to == NO_STAGE:
        return False
    here = (at // 60_000 << plan.code_bits | code) << plan.family_bits
    state.books.counts[here | plan.f_events[to]] += 1
    flags = _start(state, here, at, to, code, single)
    orders = 0
    if kind == ORDER and single is not None:
        orders = 1
        flags |= FOR_LIFE
        _book_order(state, single, to, code)
    q = at << 16
    tail = pack_single(plan, single or Single(at, tie, to, code))
    blob = plan.header.pack(q | flags << 8 | to + 1, q, q | orders, 0, code, code) + tail
    state.persons[key] = blob
    state.dirty[key] = None
    state.stats["persons"] += 1
    state.arm(key, state.wake_of(blob))
    return True


def in_order(state: FunnelState, op: Op, blob: bytes) -> bool:
    """Count an event that is newer than all its person has, and no copy."""
    _, at, _, kind, _, horizon, _ = op
    plan = state.plan
    header = plan.header.unpack_from(blob)
    if (not header[0] & 255 or at > (header[1] >> 16) + plan.window) and state.is_forgotten(blob, horizon):
        return False
    if kind < ORDER:
        return _stage(state, op, blob, header, kind, ())
    if kind == ORDER:
        return _order(state, op, blob, header)
    return kind == LOST and _loss(state, op, blob, header)


def _order(state: FunnelState, op: Op, blob: bytes, header: Header) -> bool:
    key, at, _, _, _, _, single = op
    plan = state.plan
    q1, q2, q3, cold, first, last_code = header
    assert single is not None  # noqa: S101 - orders always are whole events
    if q3 & 0xFFFF >= MANY_ORDERS:
        return False
    if single.order and _may_be_known(state, key, blob, header, single.order):
        return _further_event(state, op, blob, header)
    to = plan.order_stage(single.mask, (q3 & 0xFFFF) + 1)
    if to == NO_STAGE:
        _keep(state, op, blob, (q1 | FOR_LIFE << 8, q2, q3 + 1, cold, first, last_code))
        return True
    entries: Sequence[Entry] = ()
    stage, entered = (q1 & 255) - 1, q3 >> 16
    if 0 <= stage < to and at <= (q2 >> 16) + plan.window:
        if not q1 >> 8 & (HAS_AMOUNT | SEVERAL):
            entries = (Entry(stage, entered, last_code),)
        else:
            person = recent(state, key, blob)
            entries = walk(plan, person.base, person.singles).journeys[-1].entries
    return _stage(state, op, blob, (q1, q2, q3 + 1, cold, first, last_code), to, entries)


def _may_be_known(state: FunnelState, key: bytes, blob: bytes, header: Header, order: int) -> bool:
    """Whether an order id stands anywhere in the person (rarely: something that looks like it)."""
    start = state.plan.header.size + header[3]
    if order.to_bytes(8, "little") in blob[start:] or order.to_bytes(8, "big") in blob[:start]:
        return True
    chunks = header[1] & 0xFFFF
    return chunks > 0 and base_before(state, key, blob, chunks).orders.get(order) is not None


def _further_event(state: FunnelState, op: Op, blob: bytes, header: Header) -> bool:
    """A later event of an order that is known: an event of its stage and nothing more."""
    key, at, _, _, code, _, single = op
    plan = state.plan
    person = recent(state, key, blob)
    order = 0 if single is None else single.order
    booked = person.base.orders.get(order) or walk(plan, person.base, person.singles).known.get(order)
    if booked is None:
        return False
    if booked[0] != NO_STAGE:
        here = (at // 60_000 << plan.code_bits | code) << plan.family_bits
        state.books.counts[here | plan.f_events[booked[0]]] += 1
    _keep(state, op, blob, header)
    return True


def _stage(state: FunnelState, op: Op, blob: bytes, header: Header, to: int, entries: Sequence[Entry]) -> bool:
    """An event of the stage `to`; `entries` of the journey under way where they are known."""
    _, at, _, kind, code, _, single = op
    plan = state.plan
    counts, bits, low = state.books.counts, plan.code_bits, plan.family_bits
    q1, q2, q3, cold, first, last_code = header
    flags, stage, entered = q1 >> 8 & 255, (q1 & 255) - 1, q3 >> 16
    status = flags & STATUS_MASK
    end = (q2 >> 16) + plan.window
    is_next = stage < 0 or at > end or (plan.completion and stage == plan.last and to < plan.last)
    advances = not is_next and to > stage
    deadline = 0
    if stage >= 0:
        deadline = min(entered + plan.abandon[stage], end)
        if status == RESOLVED:
            if advances and at <= deadline:
                return False
        elif flags & HAS_AMOUNT and not entries and (advances or at > deadline):
            return False
    there = (entered // 60_000 << bits | last_code) << low
    if status != RESOLVED:
        status = _decide(state, header, at, deadline, there, entries)
    moment = at // 60_000 << bits
    counts[(moment | code) << low | plan.f_events[to]] += 1
    top = stage
    if is_next:
        flags = flags & FOR_LIFE | _start(state, (moment | code) << low, at, to, code, single)
        q2, q3, first, last_code, top = at << 16 | q2 & 0xFFFF, at << 16 | q3 & 0xFFFF, code, code, to
    elif advances:
        if status == RESOLVED:
            counts[there | plan.f_revived_cohort[stage]] += 1
            counts[(moment | last_code) << low | plan.f_revived_period[stage]] += 1
        else:
            counts[there | plan.f_advanced_cohort[stage]] += 1
            counts[(moment | last_code) << low | plan.f_advanced_period[stage]] += 1
            if status == STALLED:
                counts[there | plan.f_stalled[stage]] -= 1
            if flags & HAS_AMOUNT:
                _close_value(state, entries[-1])
        counts[there | plan.f_transitions_cohort[stage][to]] += 1
        counts[there | plan.f_durations[stage][to] + bisect_left(EDGES_MS, at - entered)] += 1
        code = first & plan.first_mask | code & plan.stage_mask
        here = (moment | code) << low
        counts[here | plan.f_transitions_period[stage][to]] += 1
        for jumped in range(stage + 1, to):
            counts[here | plan.f_skipped[jumped]] += 1
        if plan.is_order[to]:
            _book_won(state, entries)
        flags = flags & FOR_LIFE | SEVERAL | _enter(state, here, at, to, code, single)
        q3, last_code, top = at << 16 | q3 & 0xFFFF, code, to
    else:
        code = first & plan.first_mask | code & plan.stage_mask
        flags = flags & ~STATUS_MASK | status
    if kind == ORDER and single is not None:
        flags |= FOR_LIFE
        _book_order(state, single, to, code)
    _keep(state, op, blob, (flags << 8 | top + 1, q2, q3, cold, first, last_code))
    return True


def _loss(state: FunnelState, op: Op, blob: bytes, header: Header) -> bool:
    _, at, _, _, code, _, single = op
    plan = state.plan
    counts, bits, low = state.books.counts, plan.code_bits, plan.family_bits
    q1, q2, q3, cold, first, last_code = header
    assert single is not None  # noqa: S101 - losses always are whole events
    flags, stage, entered = q1 >> 8 & 255, (q1 & 255) - 1, q3 >> 16
    status = flags & STATUS_MASK
    deadline = min(entered + plan.abandon[stage], (q2 >> 16) + plan.window) if stage >= 0 else -1
    hits = stage < plan.last and at <= deadline
    if status == RESOLVED:
        if hits:
            return False
    elif flags & HAS_AMOUNT:
        return False
    there = (entered // 60_000 << bits | last_code) << low
    if status != RESOLVED:
        status = _decide(state, header, at, deadline, there, ())
    counts[(at // 60_000 << bits | code) << low | plan.f_events_lost] += 1
    if hits:
        counts[there | plan.f_lost_cohort[stage] + single.reason] += 1
        counts[(at // 60_000 << bits | last_code) << low | plan.f_lost_period[stage] + single.reason] += 1
        if status == STALLED:
            counts[there | plan.f_stalled[stage]] -= 1
        status = RESOLVED
    _keep(state, op, blob, ((flags & ~STATUS_MASK | status) << 8 | stage + 1, q2, q3, cold, first, last_code))
    return True


def _decide(state: FunnelState, header: Header, at: int, deadline: int, there: int, entries: Sequence[Entry]) -> int:
    """What an event at `at` makes of the open last entry before anything else; its new status."""
    plan, counts = state.plan, state.books.counts
    q1, _, q3, _, _, last_code = header
    status, stage = q1 >> 8 & STATUS_MASK, (q1 & 255) - 1
    if at > deadline:
        counts[there | plan.f_abandoned_cohort[stage]] += 1
        key = (deadline // 60_000 << plan.code_bits | last_code) << plan.family_bits | plan.f_abandoned_period[stage]
        counts[key] += 1
        if status == STALLED:
            counts[there | plan.f_stalled[stage]] -= 1
        if q1 >> 8 & HAS_AMOUNT:
            _close_value(state, entries[-1])
        return RESOLVED
    if status == OPEN and at > (q3 >> 16) + plan.stall[stage]:
        counts[there | plan.f_stalled[stage]] += 1
        return STALLED
    return status


def _close_value(state: FunnelState, entry: Entry) -> None:
    """An entry is no longer open: its value is no open value."""
    if entry.minor > 0:
        place = (entry.at // 60_000, entry.code, entry.stage, _OPEN_VALUE | entry.currency << 8)
        state.books.money[place] -= entry.minor


def _book_won(state: FunnelState, entries: Sequence[Entry]) -> None:
    """An order stage is entered: what led to it has won, back to the order stage before."""
    plan = state.plan
    for entry in reversed(entries):
        here = (entry.at // 60_000 << plan.code_bits | entry.code) << plan.family_bits
        state.books.counts[here | plan.f_won[entry.stage]] += 1
        if plan.is_order[entry.stage]:
            break


def _start(state: FunnelState, here: int, at: int, to: int, code: int, single: Single | None) -> int:
    """A journey starts. Flags of the header."""
    state.books.counts[here | state.plan.f_started[to]] += 1
    return _enter(state, here, at, to, code, single)


def _enter(state: FunnelState, here: int, at: int, to: int, code: int, single: Single | None) -> int:
    """An entry is made. Flags of the header."""
    plan, counts = state.plan, state.books.counts
    counts[here | plan.f_entries[to]] += 1
    status = OPEN
    if to == plan.last:
        counts[here | plan.f_completed[to]] += 1
        status = RESOLVED
    if single is None or single.minor < 0 or plan.is_order[to]:
        return status
    if single.minor > 0:
        state.books.money[at // 60_000, code, to, _VALUE | single.currency << 8] += single.minor
        if status == OPEN:
            state.books.money[at // 60_000, code, to, _OPEN_VALUE | single.currency << 8] += single.minor
    return status | HAS_AMOUNT


def _book_order(state: FunnelState, single: Single, stage: int, code: int) -> None:
    money, minute = state.books.money, single.at // 60_000
    currency = single.currency if single.minor >= 0 else state.plan.currency
    money[minute, code, stage, _ORDERS | currency << 8] += 1
    if single.minor > 0:
        money[minute, code, stage, _REVENUE | currency << 8] += single.minor


def _keep(state: FunnelState, op: Op, blob: bytes, header: Header) -> None:
    """Append the event and write the header anew; `header[0]` needs no time."""
    key, at, tie, kind, code, _, single = op
    plan = state.plan
    q1, q2, q3, cold, first, last_code = header
    q1 = at << 16 | q1 & 0xFFFF
    tail = plan.record.pack(tie, at << 8 | kind, code) if single is None else pack_single(plan, single)
    changed = plan.header.pack(q1, q2, q3, cold, first, last_code) + blob[plan.header.size :] + tail
    state.persons[key] = changed
    state.dirty[key] = None
    wake = state.wake_of(changed)
    if wake < state.wake_of(blob):
        state.arm(key, wake)
