"""The hot loop: one event of a chunk after the other, by the cheapest path that is exact.

The paths work on the packed person: a few header fields and the bytes of the tail, never on objects. Each is taken only
where the header makes the outcome certain; everything else goes the general way (`FunnelState.slow`), which defines
what is right: both leave the same books (tests hold one against the other). Here, in one loop with local names:

* first event of a person
* copy that is not earlier than the kept event
* repeat of a stage already passed, in order, or late but after the last entry

What else comes in order is in `streams.core.inorder`.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.core.busy import busy_of, kept_at
from streams.core.chunk import Forget, Op
from streams.core.inorder import begin, in_order
from streams.core.person import EXT_AMOUNT, STATUS_MASK
from streams.core.plan import ORDER
from streams.core.state import FunnelState


def step(state: FunnelState, ops: Sequence[Op], forgets: Sequence[Forget] = ()) -> None:
    """Count the events of a chunk, and forget people in between."""
    start = 0
    for end, key, name, horizon in forgets:
        _count(state, ops[start:end])
        state.forget(key, name, horizon)
        start = end
    _count(state, ops[start:] if start else ops)


def _count(state: FunnelState, ops: Sequence[Op]) -> None:
    if state.plan.has_fast_paths:
        _steps(state, ops)
    else:
        for op in ops:
            state.slow(op)


def _steps(state: FunnelState, ops: Sequence[Op]) -> None:  # one loop on purpose, see the module
    plan, slow = state.plan, state.slow
    persons, dirty, counts = state.persons, state.dirty, state.books.counts
    get, unpack, quad, record = persons.get, plan.header.unpack_from, plan.quad.pack, plan.record.pack
    longest = plan.header.size + plan.longest_tail
    bits, low, window, f_events, change = plan.code_bits, plan.family_bits, plan.window, plan.f_events, plan.change
    completed_at = plan.stages if plan.completion else 0
    last = plan.last
    f_entries, f_started, fresh, arm, first_wake = plan.f_entries, plan.f_started, plan.fresh.pack, state.arm, plan.wake
    accepted = duplicates = first_events = 0
    for op in ops:
        key, at, tie, kind, code, horizon, single = op
        blob = get(key)
        if blob is None:
            if kind < last and single is None:
                here = (at // 60_000 << bits | code) << low
                counts[here | f_events[kind]] += 1
                counts[here | f_entries[kind]] += 1
                counts[here | f_started[kind]] += 1
                q = at << 16
                persons[key] = fresh(q | kind + 1, q, q, 0, code, code, tie, at << 8 | kind, code)
                dirty[key] = None
                arm(key, at + first_wake[kind])
                first_events += 1
                continue
            if kind <= ORDER and begin(state, op):
                accepted += 1
            else:
                slow(op)
            continue
        tail = record(tie, at << 8 | kind, code)
        q1, q2, q3, cold, _, _ = unpack(blob)
        if len(blob) > longest and len(blob) - cold > longest:
            blob = state.shorten(key, blob, horizon)
            q1, q2, q3, _, _, _ = unpack(blob)
        if tail[:8] in blob or (q2 & 0xFFFF and tie in busy_of(state, key).ties):
            if horizon <= kept_at(state, key, blob, tail[:8]) <= at:
                duplicates += 1
            else:
                slow(op)
            continue
        passed = q1 & 255
        if (
            kind < passed
            and at <= (q2 >> 16) + window
            and (passed != completed_at or kind == last)
            and at > q3 >> 16
            and at <= (q3 >> 16) + change[q1 >> 8 & STATUS_MASK][passed]
            and (at > q1 >> 16 or not q2 & 0xFFFF or at > busy_of(state, key).ends[-1])
        ):
            counts[(at // 60_000 << bits | code) << low | f_events[kind]] += 1
            if single is not None:
                tail += record(single.minor, single.currency << 8 | EXT_AMOUNT, 0)
            persons[key] = (quad(at << 16 | q1 & 0xFFFF) + blob[8:] if at > q1 >> 16 else blob) + tail
            dirty[key] = None
            accepted += 1
            continue
        if at > q1 >> 16 and in_order(state, op, blob):
            accepted += 1
        else:
            slow(op)
    stats = state.stats
    stats["accepted"] = stats.get("accepted", 0) + accepted + first_events
    stats["persons"] = stats.get("persons", 0) + first_events
    stats["duplicates"] = stats.get("duplicates", 0) + duplicates
