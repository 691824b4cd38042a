"""The hot loop: one operation of a chunk after the other, by the cheapest path that is exact.

The paths work on the packed person: a few fields of the header and the bytes of the tail, never on objects. Each is
taken only where the header makes the outcome certain. Everything else goes the general path (`streams.core.general`),
which defines what is right: both leave the same state and contributions. What goes there waits for the end of the
chunk, with all that follows of the same person, so that they are counted together. Here, in one loop with local names:

* first event of a person
* copy that is not earlier than the kept event
* repeat of a stage already passed, in order, or late but after the last entry

What else comes in order is in `streams.core.inorder`.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.times import MINUTE_MS
from streams.core.chunk import Op
from streams.core.general import count_waiting
from streams.core.header import (
    AT_SHIFT,
    BELOW_AT,
    COUNT_MASK,
    DEALS,
    FLAGS_SHIFT,
    LINKED,
    PASSED_MASK,
    STATUS_MASK,
    is_linked,
)
from streams.core.heavy import heavy_of, kept_time, may_be_full
from streams.core.inorder import begin, in_order
from streams.core.kept import EVENT_AT_SHIFT, EXT_AMOUNT
from streams.core.links import perform
from streams.core.plan import FORGET, ORDER
from streams.core.settling import shorten
from streams.core.state import FunnelState


def step(state: FunnelState, ops: Sequence[Op]) -> None:
    """Do the operations of a chunk, in their order."""
    if state.plan.has_fast_paths:
        _steps(state, ops)
    elif state.plan.counts_together:
        _generally(state, ops)
    else:
        for op in ops:
            count_waiting(state, op[0])
            perform(state, op)
    count_waiting(state)


def _generally(state: FunnelState, ops: Sequence[Op]) -> None:
    """Every operation on the general path, a person's events together."""
    for op in ops:
        key = op[0]
        packed = state.cache.persons.get(key)
        if op[3] < FORGET and (key in state.waiting or packed is None or not is_linked(packed)):
            state.waiting.setdefault(key, []).append(op)
        else:
            perform(state, op)


def _steps(state: FunnelState, ops: Sequence[Op]) -> None:  # noqa: C901, PLR0912, PLR0915 - one loop, see the module
    plan, cache = state.plan, state.cache
    persons, dirty, counts, armed = cache.persons, cache.dirty, state.contributions.counts, cache.wake_ups.armed
    get, unpack, word = persons.get, plan.header.unpack_from, plan.word.pack
    record, newcomer = plan.record.pack, plan.newcomer.pack
    longest = plan.header.size + plan.longest_tail
    code_bits, family_bits = plan.code_bits, plan.family_bits
    window, change, last = plan.window, plan.change, plan.last
    f_events, f_begins, first_wake = plan.f_events, plan.f_begins, plan.wake
    completed_at = plan.stages if plan.ends_at_completion else 0
    waiting = state.waiting
    linked, is_apart = LINKED << FLAGS_SHIFT, (LINKED | DEALS) << FLAGS_SHIFT
    accepted = duplicates = newcomers = 0
    for op in ops:
        key, at, event_hash, kind, code, horizon, whole = op
        if kind >= FORGET:
            perform(state, op)
            continue
        if waiting and key in waiting:  # what comes after an event that waits must wait too
            waiting[key].append(op)
            continue
        packed = get(key)
        if packed is None:
            # Nothing but the stage counts: no amount, no order, and the last stage would be completed at once.
            if kind < last and whole is None:
                counts[(at // MINUTE_MS << code_bits | code) << family_bits | f_begins[kind]] += 1
                time = at << AT_SHIFT
                # flags 0: OPEN, one entry without an amount; no chunks, no orders, no base
                event = at << EVENT_AT_SHIFT | kind
                packed = newcomer(time | kind + 1, time, time, 0, code, code, event_hash, event, code)
                persons[key] = dirty[key] = packed
                armed[key] = at + first_wake[kind]
                newcomers += 1
                continue
            # A loss or refund begins no journey.
            if kind <= ORDER and begin(state, op):
                accepted += 1
            else:
                waiting[key] = [op]
            continue
        tail = record(event_hash, at << EVENT_AT_SHIFT | kind, code)
        last_word, start_word, entry_word, base_bytes, _, _ = unpack(packed)
        if last_word & is_apart:  # somebody who is another person's, or has deals
            if last_word & linked:
                perform(state, op)
            else:
                waiting[key] = [op]
            continue
        # A tail that grew too long is cut first. The first comparison spares most persons the second.
        if len(packed) > longest and len(packed) - base_bytes > longest:
            packed = shorten(state, key, packed, horizon)
            last_word, start_word, entry_word, _, _, _ = unpack(packed)
        if (start_word & COUNT_MASK or len(packed) > longest) and may_be_full(state, key, packed):
            waiting[key] = [op]
            continue
        # Perhaps a copy: the hash stands in the bytes, or in those of a sealed chunk.
        if tail[:8] in packed or (start_word & COUNT_MASK and event_hash in heavy_of(cache, key).times):
            # Of copies the earliest counts. One that is kept behind the horizon is folded, and this event new.
            if horizon <= kept_time(cache, key, packed, tail[:8]) <= at:
                duplicates += 1
            else:
                waiting[key] = [op]
            continue
        passed = last_word & PASSED_MASK
        entered = entry_word >> AT_SHIFT
        if (
            kind < passed  # the journey under way has passed this stage: no new entry
            and at <= (start_word >> AT_SHIFT) + window  # the journey can still take it
            and (passed != completed_at or kind == last)  # and is not ended by having been completed
            and at > entered  # it comes after the last entry, so none of the entries becomes another one
            and at <= entered + change[last_word >> FLAGS_SHIFT & STATUS_MASK][passed]  # and decides nothing about it
            # Sealed chunks follow each other in time: an event older than their end does not belong into the tail.
            and (at > last_word >> AT_SHIFT or not start_word & COUNT_MASK or at > heavy_of(cache, key).ends[-1])
            and (whole is None or not whole.unit)  # and it is no deal's
        ):
            counts[(at // MINUTE_MS << code_bits | code) << family_bits | f_events[kind]] += 1
            if whole is not None:
                tail += record(whole.minor, whole.currency << 8 | EXT_AMOUNT, 0)
            if at > last_word >> AT_SHIFT:
                packed = word(at << AT_SHIFT | last_word & BELOW_AT) + packed[8:]
            persons[key] = dirty[key] = packed + tail
            accepted += 1
            continue
        # Newer than all the person has; what comes late changes more than the end of a history.
        if at > last_word >> AT_SHIFT and in_order(state, op, packed):
            accepted += 1
        else:
            waiting[key] = [op]
    state.count_stat("accepted", accepted + newcomers)
    state.count_stat("persons", newcomers)
    state.count_stat("duplicates", duplicates)
