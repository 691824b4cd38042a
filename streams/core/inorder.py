"""Fast paths for an event that is newer than everything the person has: next stage, next journey, loss, order.

Every function decides first whether its path is certain and contributes afterwards; False means "nothing was done, take
the general path". Two laws carry them:

* only the last entry of the last journey can be open
* an event newer than that entry's deadline decides it

What the watermark has decided and this event would take back goes the general path.

Written-out counting and local names, no objects: of the benchmark's events 7 to 13 % pass here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from schemas.times import MINUTE_MS
from streams.core.base import Entry, FirstOrder
from streams.core.chunk import Op
from streams.core.contributions import add_lead_time, add_loss_time
from streams.core.entries import add_order_booked, add_won, close_value, enter, entry_of, known_entries, remember
from streams.core.header import (
    AT_SHIFT,
    BELOW_AT,
    CHANGES,
    COUNT_MASK,
    DEALS,
    FLAGS_MASK,
    FLAGS_SHIFT,
    FOR_LIFE,
    HAS_AMOUNT,
    LINKED,
    MANY_ORDERS,
    PASSED_MASK,
    SEVERAL,
    STATUS_MASK,
    Words,
    deadline,
    is_forgotten,
    wake,
    words_of,
)
from streams.core.heavy import may_be_known, person_since
from streams.core.history import replay
from streams.core.journeys import is_joined
from streams.core.kept import EVENT_AT_SHIFT, KIND_BYTE, KeptEvent, pack_event
from streams.core.outcomes import GOES_ON, IS_LOST, REVIVES, add_outcome, decide, is_certain
from streams.core.plan import EDGES_MS, LOST, NO_STAGE, ORDER, RESOLVED, Plan
from streams.core.state import FunnelState


def begin(state: FunnelState, op: Op) -> bool:
    """A person's first event, of a stage or an order."""
    key, at, event_hash, kind, code, _, whole = op
    plan, cache = state.plan, state.cache
    if whole is not None and whole.unit:
        return False  # a deal
    stage = kind if kind < ORDER or whole is None else plan.order_stage(whole.mask, 1)
    if stage == NO_STAGE:
        return False  # an order that is too early in the count to enter a stage begins no journey
    entry_key = plan.key_of(at, code)
    state.contributions.counts[entry_key | plan.f_begins[stage]] += 1
    flags = enter(state, at, stage, code, whole)
    orders = 0
    if kind == ORDER and whole is not None:
        orders = 1
        flags |= FOR_LIFE
        first = FirstOrder(at, stage, code)
        state.contributions.counts[entry_key | plan.f_customers[stage]] += 1
        add_order_booked(state, whole, stage, code, ordinal=1, first=first, has_led=False)
    time = at << AT_SHIFT
    # A whole event has an amount, mask or ids with it; of any other the record says everything.
    tail = pack_event(plan, whole or KeptEvent(at, event_hash, stage, code))
    packed = plan.header.pack(time | flags << FLAGS_SHIFT | stage + 1, time, time | orders, 0, code, code) + tail
    cache.persons[key] = cache.dirty[key] = packed
    state.stats["persons"] += 1
    cache.wake_ups.arm(key, wake(plan, packed))
    return True


def in_order(state: FunnelState, op: Op, packed: bytes) -> bool:
    """Count an event that is newer than all its person has, and no copy."""
    _, at, _, kind, _, horizon, whole = op
    plan = state.plan
    if whole is not None and whole.unit:
        return False  # the person's first event of a deal
    words = words_of(plan, packed)
    # Without a journey that can take the event the person may be long gone, and new again.
    is_idle = not words[0] & PASSED_MASK or at > (words[1] >> AT_SHIFT) + plan.window
    if is_idle and is_forgotten(plan, packed, horizon):
        return False
    if kind < ORDER:
        entries = known_entries(state, op[0], words) if words[0] & PASSED_MASK else ()
        return _stage(state, op, packed, words, kind, entries)
    if words[0] >> FLAGS_SHIFT & CHANGES and words[1] & COUNT_MASK:
        return False  # an event in an older chunk may be withdrawn by a newer one
    if kind == ORDER:
        return _order(state, op, packed, words)
    return kind == LOST and _loss(state, op, packed, words)  # a refund looks for its order: the general path


def by_itself(state: FunnelState, op: Op) -> bool:
    """An event that came by another way than the loop over a chunk, on a person with nothing out of the ordinary: newer
    than all that it has. False: the general path."""
    plan, packed = state.plan, state.cache.persons.get(op[0])
    if not plan.has_fast_paths or op[3] > LOST:
        return False
    if packed is None:
        return op[3] <= ORDER and begin(state, op)
    last_word, start_word, *_ = words_of(plan, packed)
    # The loop over a chunk looks these up; here a call of the general path costs no more than the questions would.
    is_plain = not last_word >> FLAGS_SHIFT & (LINKED | DEALS) and not start_word & COUNT_MASK
    if not is_plain or len(packed) > plan.header.size + plan.longest_tail or op[1] <= last_word >> AT_SHIFT:
        return False
    # Bytes that look like its hash are perhaps a copy.
    return op[2].to_bytes(8, "little") not in packed and in_order(state, op, packed)


def _order(state: FunnelState, op: Op, packed: bytes, words: Words) -> bool:
    key, at, _, _, _, _, whole = op
    plan = state.plan
    last_word, start_word, entry_word, base_bytes, first_code, entry_code = words
    assert whole is not None  # noqa: S101 - orders always are whole events
    if entry_word & COUNT_MASK >= MANY_ORDERS:
        return False  # the header no longer knows how many there are
    if whole.order and may_be_known(state.cache, key, packed, whole.order):
        return _further_event(state, op, packed, words)
    words = (last_word, start_word, entry_word + 1, base_bytes, first_code, entry_code)
    ordinal = (entry_word & COUNT_MASK) + 1
    stage = plan.order_stage(whole.mask, ordinal)
    if stage == NO_STAGE:  # an order that enters no stage is counted, and nothing else
        _keep(state, op, packed, (last_word | FOR_LIFE << FLAGS_SHIFT, *words[1:]))
        return True
    top = (last_word & PASSED_MASK) - 1
    goes_on = top >= 0 and at <= (start_word >> AT_SHIFT) + plan.window
    # An order of the journey under way: its entries may have won, and where it began must be known. A later order: so
    # must be where the customer is counted.
    entries, first = known_entries(state, key, words) if goes_on else (), state.cache.first_orders.get(key)
    if (ordinal > 1 and first is None) or (goes_on and not entries):
        person = person_since(state.cache, key, packed)
        before = replay(plan, person.base, person.events)
        entries, first = before.journeys[-1].entries if goes_on else (), before.first_order
    return _stage(state, op, packed, words, stage, entries, ordinal=ordinal, first=first)


def _further_event(state: FunnelState, op: Op, packed: bytes, words: Words) -> bool:
    """A later event of an order that is known: an event of its stage and nothing more."""
    key, at, _, _, code, _, whole = op
    plan = state.plan
    person = person_since(state.cache, key, packed)
    order = 0 if whole is None else whole.order
    booked = person.base.orders.get(order) or replay(plan, person.base, person.events).known.get(order)
    if booked is None:
        return False  # other bytes that look like the id
    if whole is None or max(whole.minor, whole.cost, whole.discount) >= 0:
        return False  # it may be the first that says what the order is worth
    if booked[0] != NO_STAGE:
        state.contributions.counts[plan.key_of(at, code) | plan.f_events[booked[0]]] += 1
    _keep(state, op, packed, words)
    return True


def _stage(  # noqa: C901, PLR0912, PLR0915 - the usual event: calls would cost more than it does
    state: FunnelState,
    op: Op,
    packed: bytes,
    words: Words,
    stage: int,
    entries: Sequence[Entry],
    *,
    ordinal: int = 0,
    first: FirstOrder | None = None,
) -> bool:
    """An event of a stage; `entries` of the journey under way where they are known. Of an order its number, and the
    person's first order of a stage, where there is one."""
    key, at, _, kind, code, _, whole = op
    plan, counts = state.plan, state.contributions.counts
    code_bits, family_bits = plan.code_bits, plan.family_bits
    last_word, start_word, entry_word, base_bytes, first_code, entry_code = words
    flags, top, entered = last_word >> FLAGS_SHIFT & FLAGS_MASK, (last_word & PASSED_MASK) - 1, entry_word >> AT_SHIFT
    status = flags & STATUS_MASK
    end = (start_word >> AT_SHIFT) + plan.window
    # Nothing is under way, the window is over, or completion ended the journey and this is no repetition of its end.
    is_next = top < 0 or at > end or (plan.ends_at_completion and top == plan.last and stage < plan.last)
    advances = not is_next and stage > top
    abandoned_at = 0
    if top >= 0:
        abandoned_at = min(entered + plan.abandon[top], end)
        if advances and at <= abandoned_at and not is_certain(status, GOES_ON):
            return False  # in time, but the deadline was booked: it takes back what was decided
        if advances and status == RESOLVED and _may_be_lost(plan, packed, words):
            return False  # what goes on after a loss counts among the times of the lost
        if status != RESOLVED and flags & HAS_AMOUNT and not entries and (advances or at > abandoned_at):
            return False  # the open value goes, and only the entry says how much it is
    minute_bits = at // MINUTE_MS << code_bits
    entry_key = (entered // MINUTE_MS << code_bits | entry_code) << family_bits
    if status != RESOLVED:  # an event newer than the deadline shows that it has passed, whatever the watermark says
        status = decide(state, words, at, abandoned_at, entry_key)
        if flags & HAS_AMOUNT and (advances or status == RESOLVED):
            close_value(state, entries[-1])
    counts[(minute_bits | code) << family_bits | (plan.f_begins if is_next else plan.f_events)[stage]] += 1
    if is_next:
        flags = flags & (FOR_LIFE | CHANGES) | enter(state, at, stage, code, whole)
        start_word, entry_word = at << AT_SHIFT | start_word & BELOW_AT, at << AT_SHIFT | entry_word & BELOW_AT
        first_code, entry_code, top = code, code, stage
        remember(state, key, [entry_of(plan, stage, at, code, whole)])
    elif advances:
        period_key = (minute_bits | entry_code) << family_bits
        happening = REVIVES if status == RESOLVED else GOES_ON
        add_outcome(state, status, happening, top, entry_key, period_key)
        counts[entry_key | plan.f_transitions_cohort[top][stage]] += 1
        counts[entry_key | plan.f_durations[top][stage] + bisect_left(EDGES_MS, at - entered)] += 1
        counts[entry_key | plan.f_duration_seconds[top][stage]] += (at - entered) // 1000
        # An entry has the first values of its journey beside the values of its own event.
        code = first_code & plan.first_mask | code & plan.stage_mask
        new_key = (minute_bits | code) << family_bits
        counts[new_key | plan.f_arrives[top][stage]] += 1
        if plan.is_order[stage]:
            add_won(state, entries)
            # The lead time is that of the first order of a journey.
            if not any(plan.is_order[entry.stage] for entry in entries):
                entry = Entry(stage, at, code)
                add_lead_time(plan, start_word >> AT_SHIFT, entry, sign=1, into=state.contributions)
        flags = flags & (FOR_LIFE | CHANGES) | SEVERAL | enter(state, at, stage, code, whole)
        entry_word, entry_code, top = at << AT_SHIFT | entry_word & BELOW_AT, code, stage
        remember(state, key, [*entries, entry_of(plan, stage, at, code, whole)] if entries else [])
    else:
        code = first_code & plan.first_mask | code & plan.stage_mask
        flags = flags & ~STATUS_MASK | status
    if kind == ORDER and whole is not None:
        flags |= FOR_LIFE
        if first is None:
            first = FirstOrder(at, stage, code)
            counts[plan.key_of(at, code) | plan.f_customers[stage]] += 1
        state.cache.first_orders[key] = first
        has_led = not is_next and is_joined(plan, entries)
        add_order_booked(state, whole, stage, code, ordinal=ordinal, first=first, has_led=has_led)
    last_word = flags << FLAGS_SHIFT | top + 1
    _keep(state, op, packed, (last_word, start_word, entry_word, base_bytes, first_code, entry_code))
    return True


def _may_be_lost(plan: Plan, packed: bytes, words: Words) -> bool:
    """Whether a loss of the last entry may be among what is kept: only the bytes of a short tail tell."""
    kinds = packed[plan.header.size + KIND_BYTE :: plan.record.size]
    return bool(words[3] or words[1] & COUNT_MASK) or LOST in kinds


def _loss(state: FunnelState, op: Op, packed: bytes, words: Words) -> bool:
    _, at, _, _, code, _, whole = op
    plan, counts = state.plan, state.contributions.counts
    last_word, _, entry_word, _, _, entry_code = words
    assert whole is not None  # noqa: S101 - losses always are whole events
    flags, top, entered = last_word >> FLAGS_SHIFT & FLAGS_MASK, (last_word & PASSED_MASK) - 1, entry_word >> AT_SHIFT
    status = flags & STATUS_MASK
    abandoned_at = deadline(plan, words) if top >= 0 else -1
    # What is completed cannot be lost, and a loss after the deadline changes no outcome.
    hits = top < plan.last and at <= abandoned_at
    if 0 <= top < plan.last and abandoned_at < at <= (words[1] >> AT_SHIFT) + plan.window:
        return False  # perhaps the first reason after the deadline: only the entry says
    if hits and not is_certain(status, IS_LOST):
        return False
    if status != RESOLVED and flags & HAS_AMOUNT:
        return False  # the open value goes, and only the entry says how much it is
    entry_key = plan.key_of(entered, entry_code)
    if status != RESOLVED:
        status = decide(state, words, at, abandoned_at, entry_key)
    counts[plan.key_of(at, code) | plan.f_events_lost] += 1
    if hits:
        period_key, reason = plan.key_of(at, entry_code), whole.reason
        status = add_outcome(state, status, IS_LOST, top, entry_key, period_key, reason)
        add_loss_time(plan, top, entry_key, at - entered, sign=1, into=state.contributions)
    last_word = (flags & ~STATUS_MASK | status) << FLAGS_SHIFT | top + 1
    _keep(state, op, packed, (last_word, *words[1:]))
    return True


def _keep(state: FunnelState, op: Op, packed: bytes, words: Words) -> None:
    """Append the event and write the header anew; the first word needs no time."""
    key, at, event_hash, kind, code, _, whole = op
    plan, cache = state.plan, state.cache
    last_word, start_word, entry_word, base_bytes, first_code, entry_code = words
    last_word = at << AT_SHIFT | last_word & BELOW_AT
    if whole is None:
        tail = plan.record.pack(event_hash, at << EVENT_AT_SHIFT | kind, code)
    else:
        tail = pack_event(plan, whole)
    header = plan.header.pack(last_word, start_word, entry_word, base_bytes, first_code, entry_code)
    changed = header + packed[plan.header.size :] + tail
    cache.persons[key] = cache.dirty[key] = changed
    wake_ms = wake(plan, changed)
    if wake_ms < wake(plan, packed):
        cache.wake_ups.arm(key, wake_ms)
