"""What the watermark alone decides: entries stalled or abandoned by now, people that can be folded or forgotten.

A person's deadline is booked once the watermark is past it, at the end of a chunk or in an apply of its own. Where that
only changes the status of the last entry, the person is not written: once nothing is left to be booked, the partition
remembers the watermark (`PersonCache.booked_until`), and the status of a stored person follows from it
(`streams.core.header.as_of`). An apply that leaves something for the next one writes the persons.
"""

from __future__ import annotations

from streams.core.general import refresh, retire
from streams.core.header import (
    AT_SHIFT,
    DEALS,
    FLAGS_SHIFT,
    HAS_AMOUNT,
    STATUS_MASK,
    Words,
    deadline,
    is_forgotten,
    is_linked,
    wake,
)
from streams.core.links import end_silent
from streams.core.outcomes import decide
from streams.core.plan import INFINITE, RESOLVED
from streams.core.state import FunnelState

_SHARE = 4
"""The bounds of buckets are renewed when this share of the wheel has fired."""


def collect_due(state: FunnelState, watermark_ms: int) -> None:
    """Queue every person whose second has come."""
    state.cache.queue.extend(state.cache.wheel.due(watermark_ms))


def fire(state: FunnelState, watermark_ms: int, limit: int) -> None:
    """Look at queued persons, at most `limit` that change; those not in memory stay queued.

    Persons whom this chunk has given a wake-up before `booked_until` are looked at in any case: it holds for them too.
    """
    cache = state.cache
    changed = 0
    waiting: list[bytes] = []
    unwritten: list[bytes] = []
    persons, queue = cache.persons, cache.queue
    queue.extendleft(cache.overdue)
    limit += len(cache.overdue)
    cache.overdue.clear()
    while queue and changed < limit:
        key = queue.popleft()
        packed = persons.get(key)
        if packed is None or key in cache.partly:
            if not cache.is_known(key):
                waiting.append(key)  # else the person is gone, and its wake-up with it
            continue
        wake_ms = wake(state.plan, packed)
        if wake_ms < watermark_ms:
            changed += 1
            wake_ms = _fire_person(state, key, packed, watermark_ms, unwritten)
        if wake_ms < INFINITE:
            cache.wheel.push(key, wake_ms)
    queue.extendleft(reversed(waiting))
    cache.fired += changed
    if cache.pending(watermark_ms):
        cache.dirty.update(dict.fromkeys(unwritten))
    else:
        cache.booked_until = watermark_ms
    if not queue and cache.fired and cache.fired * _SHARE >= cache.wheel.size:
        cache.renew_deadlines()


def _fire_person(state: FunnelState, key: bytes, packed: bytes, watermark_ms: int, unwritten: list[bytes]) -> int:
    """Book what is due for a person; when to look again. `unwritten` gets it where only its status has changed."""
    if is_linked(packed):
        end_silent(state, key, watermark_ms)
        still = state.cache.persons.get(key)
        if still is None:
            return INFINITE
        packed = still
    if state.plan.has_fast_paths:
        wake_ms = _fire_header(state, key, packed, watermark_ms)
        if wake_ms >= 0:
            unwritten.append(key)
            return wake_ms
    if is_forgotten(state.plan, packed, watermark_ms - state.plan.keep):
        retire(state, key, packed, watermark_ms)
    else:
        refresh(state, key, packed, watermark_ms)
    left = state.cache.persons.get(key)
    return INFINITE if left is None else wake(state.plan, left)


def _fire_header(state: FunnelState, key: bytes, packed: bytes, watermark_ms: int) -> int:
    """Book the deadline of the last entry from the header alone; when to look again, -1 where it is not enough."""
    plan = state.plan
    words: Words = plan.header.unpack_from(packed)
    last_word, start_word, entry_word, _, _, entry_code = words
    if last_word >> FLAGS_SHIFT & STATUS_MASK == RESOLVED or last_word >> FLAGS_SHIFT & DEALS:
        return -1  # nothing is open: the person is due to be folded or forgotten; or several entries may be
    abandoned_at = deadline(plan, words)
    if watermark_ms > abandoned_at and last_word >> FLAGS_SHIFT & HAS_AMOUNT:
        return -1  # the open value goes too, and the header does not say how much it is
    entry_key = plan.key_of(entry_word >> AT_SHIFT, entry_code)
    status = decide(state, words, watermark_ms, abandoned_at, entry_key)
    last_word = last_word & ~(STATUS_MASK << FLAGS_SHIFT) | status << FLAGS_SHIFT
    state.cache.persons[key] = plan.word.pack(last_word) + packed[plan.word.size :]
    if status != RESOLVED:
        return abandoned_at
    end = (start_word >> AT_SHIFT) + plan.window
    return max((last_word >> AT_SHIFT) + plan.score_life, end) + plan.keep + plan.lead_in
