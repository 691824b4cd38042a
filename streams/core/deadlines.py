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
    FLAGS_MASK,
    FLAGS_SHIFT,
    HAS_AMOUNT,
    LINKED,
    PASSED_MASK,
    STATUS_MASK,
    Words,
    is_forgotten,
    is_linked,
    wake,
)
from streams.core.links import end_silent
from streams.core.outcomes import decide
from streams.core.plan import INFINITE, RESOLVED
from streams.core.state import FunnelState

_AT_ONCE = 4
"""So many times the limit are booked in one go where that leaves nothing: an apply of its own costs more."""


def collect_due(state: FunnelState, watermark_ms: int) -> None:
    """Queue every person whose second has come."""
    state.cache.queue.extend(state.cache.due(watermark_ms))


def fire(state: FunnelState, watermark_ms: int, limit: int) -> None:  # noqa: C901, PLR0912 - one loop
    """Look at queued persons, at most `limit` that change; those not in memory stay queued.

    Persons whom this chunk has given a wake-up before `booked_until` are looked at in any case: it holds for them too.
    A queue of up to `_AT_ONCE` times the limit is worked off in one go: those whom time alone changes are not written.
    """
    cache, plan = state.cache, state.plan
    fired = 0
    waiting: list[bytes] = []
    unwritten: list[bytes] = []
    persons, queue, partly = cache.persons, cache.queue, cache.partly
    again: list[tuple[bytes, int]] = []
    unpack, change, window, is_fast = plan.header.unpack_from, plan.change, plan.window, plan.has_fast_paths
    queue.extendleft(cache.overdue)
    limit += len(cache.overdue)
    cache.overdue.clear()
    price = 0 if len(queue) <= limit * _AT_ONCE else 1
    while queue and limit > 0:
        key = queue.popleft()
        packed = persons.get(key)
        if packed is None or key in partly:
            if not cache.is_known(key):
                waiting.append(key)  # else the person is gone, and its wake-up with it
            continue
        words = unpack(packed)
        flags = words[0] >> FLAGS_SHIFT & FLAGS_MASK
        is_plain = is_fast and flags & STATUS_MASK != RESOLVED and not flags & (LINKED | DEALS)
        if is_plain:  # as `wake` says, but for the call
            wake_ms = (words[2] >> AT_SHIFT) + change[flags & STATUS_MASK][words[0] & PASSED_MASK]
            end = (words[1] >> AT_SHIFT) + window
            if wake_ms > end:
                wake_ms = end
        else:
            wake_ms = wake(plan, packed)
        if wake_ms < watermark_ms:
            fired += 1
            wake_ms = _fire_header(state, key, packed, words, watermark_ms) if is_plain else -1
            if wake_ms >= 0:
                unwritten.append(key)
                limit -= price
            else:
                wake_ms = _fire_person(state, key, packed, watermark_ms)
                limit -= 1
        if wake_ms < INFINITE:
            again.append((key, wake_ms))
    cache.wheel.push(again)
    cache.settle_armed()
    queue.extendleft(reversed(waiting))
    cache.fired += fired
    if cache.pending(watermark_ms):
        cache.dirty.update(dict.fromkeys(unwritten))
    else:
        cache.booked_until = watermark_ms
    # A look at the whole wheel, so once per wake-up of everybody in it.
    if not queue and cache.fired and cache.fired >= cache.wheel.size:
        cache.renew_deadlines()


def _fire_person(state: FunnelState, key: bytes, packed: bytes, watermark_ms: int) -> int:
    """Book what is due for a person, whatever it is; when to look again."""
    if is_linked(packed):
        end_silent(state, key, watermark_ms)
        still = state.cache.persons.get(key)
        if still is None:
            return INFINITE
        packed = still
    if is_forgotten(state.plan, packed, watermark_ms - state.plan.keep):
        retire(state, key, packed, watermark_ms)
    else:
        refresh(state, key, packed, watermark_ms)
    left = state.cache.persons.get(key)
    return INFINITE if left is None else wake(state.plan, left)


def _fire_header(state: FunnelState, key: bytes, packed: bytes, words: Words, watermark_ms: int) -> int:
    """Book the deadline of an open last entry from the header alone; when to look again, -1 where it is not enough."""
    plan = state.plan
    last_word, start_word, entry_word, _, _, entry_code = words
    end = (start_word >> AT_SHIFT) + plan.window
    abandoned_at = min((entry_word >> AT_SHIFT) + plan.abandon[(last_word & PASSED_MASK) - 1], end)
    if watermark_ms > abandoned_at and last_word >> FLAGS_SHIFT & HAS_AMOUNT:
        return -1  # the open value goes too, and the header does not say how much it is
    status = decide(state, words, watermark_ms, abandoned_at, plan.key_of(entry_word >> AT_SHIFT, entry_code))
    last_word = last_word & ~(STATUS_MASK << FLAGS_SHIFT) | status << FLAGS_SHIFT
    state.cache.persons[key] = plan.word.pack(last_word) + packed[plan.word.size :]
    if status != RESOLVED:
        return abandoned_at
    return max((last_word >> AT_SHIFT) + plan.score_life, end) + plan.keep + plan.lead_in
