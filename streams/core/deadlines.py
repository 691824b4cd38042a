"""What the watermark alone decides: entries stalled or abandoned by now, people that can be folded or forgotten.

A person's deadline is booked once the watermark is past it, at the end of a chunk or in an apply of its own; until then
the status that is stored with the person says what stands in the books.
"""

from __future__ import annotations

from schemas.times import MINUTE_MS
from streams.core.person import HAS_AMOUNT, STATUS_MASK
from streams.core.plan import INFINITE, RESOLVED, STALLED
from streams.core.state import FunnelState

_SHARE = 4
"""The bounds of buckets are raised when this share of the wheel has fired."""


def collect_due(state: FunnelState, watermark_ms: int) -> None:
    """Queue every person whose second has come."""
    state.queue.extend(state.wheel.due(watermark_ms))


def fire(state: FunnelState, watermark_ms: int, limit: int) -> None:
    """Look at queued persons, at most `limit` that change; those not in memory stay queued."""
    changed = 0
    waiting: list[bytes] = []
    persons, queue = state.persons, state.queue
    while queue and changed < limit:
        key = queue.popleft()
        blob = persons.get(key)
        if blob is None or key in state.partly:
            if not state.is_known(key):
                waiting.append(key)
            continue
        wake = state.wake_of(blob)
        if wake < watermark_ms:
            changed += 1
            wake = _fire_one(state, key, blob, watermark_ms)
        if wake < INFINITE:
            state.wheel.push(key, wake)
    queue.extendleft(reversed(waiting))
    state.fired += changed
    if not queue and state.fired and state.fired * _SHARE >= state.wheel.size:
        state.raise_tmin()
        state.fired = 0


def _fire_one(state: FunnelState, key: bytes, blob: bytes, watermark_ms: int) -> int:
    """Book what is due for a person; when to look again."""
    if state.plan.has_fast_paths:
        wake = _fire_header(state, key, blob, watermark_ms)
        if wake >= 0:
            return wake
    if state.is_forgotten(blob, watermark_ms - state.plan.keep):
        state.retire(key, blob, watermark_ms)
        return INFINITE
    state.refresh(key, blob, watermark_ms)
    return state.wake_of(state.persons[key])


def _fire_header(state: FunnelState, key: bytes, blob: bytes, watermark_ms: int) -> int:
    """Book the deadline of the last entry from the header alone; when to look again, -1 where it is not enough."""
    plan, counts = state.plan, state.books.counts
    q1, q2, q3, _, _, code = plan.header.unpack_from(blob)
    status, stage, at = q1 >> 8 & STATUS_MASK, (q1 & 255) - 1, q3 >> 16
    if status == RESOLVED:
        return -1
    here = (at // MINUTE_MS << plan.code_bits | code) << plan.family_bits
    end = (q2 >> 16) + plan.window
    deadline = min(at + plan.abandon[stage], end)
    if watermark_ms <= deadline:
        counts[here | plan.f_stalled[stage]] += 1
        decided, wake = STALLED, deadline
    elif q1 >> 8 & HAS_AMOUNT:
        return -1
    else:
        counts[here | plan.f_abandoned_cohort[stage]] += 1
        there = (deadline // MINUTE_MS << plan.code_bits | code) << plan.family_bits
        counts[there | plan.f_abandoned_period[stage]] += 1
        if status == STALLED:
            counts[here | plan.f_stalled[stage]] -= 1
        decided, wake = RESOLVED, max(q1 >> 16, end) + plan.keep
    q1 = q1 & ~(STATUS_MASK << 8) | decided << 8
    state.persons[key] = plan.quad.pack(q1) + blob[8:]
    state.dirty[key] = None
    return int(wake)
