"""What the watermark alone decides: entries stalled or abandoned by now, people that can be folded or forgotten.

A person's deadline is booked once the watermark is past it, at the end of a chunk or in an apply of its own. Where that
only changes the status of the last entry, the person is not written: once nothing is left to be booked, the partition
remembers the watermark (`WakeUps.booked_until`), and the status of a stored person follows from it
(`streams.core.header.as_of`). An apply that leaves something for the next one writes the persons.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.times import MINUTE_MS
from streams.core.header import (
    AT_SHIFT,
    DEALS,
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
from streams.core.outcomes import EXPIRES, STALLS, counted_by
from streams.core.plan import INFINITE, RESOLVED
from streams.core.settling import refresh, retire
from streams.core.state import FunnelState

_AT_ONCE = 4
"""So many times the limit are booked in one go where that leaves nothing: an apply of its own costs more."""


def collect_due(state: FunnelState, watermark_ms: int) -> None:
    """Queue every person whose second has come."""
    wake_ups = state.cache.wake_ups
    wake_ups.queue.extend(wake_ups.due(watermark_ms))


def fire(state: FunnelState, watermark_ms: int, limit: int) -> None:
    """Look at queued persons, at most `limit` that change; those not in memory stay queued.

    Persons whom this chunk has given a wake-up before `booked_until` are looked at in any case: it holds for them too.
    A queue of up to `_AT_ONCE` times the limit is worked off in one go: those whom time alone changes are not written.
    """
    cache, wake_ups, plan = state.cache, state.cache.wake_ups, state.plan
    waiting: list[bytes] = []
    by_header: dict[bytes, tuple[bytes, Words]] = {}
    others: dict[bytes, bytes] = {}
    """By person, for the queue may name one twice."""
    again: list[tuple[bytes, int]] = []
    queue, partly, get, unpack = wake_ups.queue, cache.partly, cache.persons.get, plan.header.unpack_from
    change, abandon, window = plan.change, plan.abandon, plan.window
    not_plain = (LINKED | DEALS | RESOLVED) << FLAGS_SHIFT if plan.has_fast_paths else -1
    amount = HAS_AMOUNT << FLAGS_SHIFT
    queue.extendleft(wake_ups.overdue)
    limit += len(wake_ups.overdue)
    wake_ups.overdue.clear()
    # Booked from the header nobody is written: it costs nothing of the limit where everything is booked at once.
    price = 0 if len(queue) <= limit * _AT_ONCE else 1
    while queue and limit > 0:
        key = queue.popleft()
        packed = get(key)
        if packed is None or key in partly:
            if not cache.is_known(key):
                waiting.append(key)  # else the person is gone, and its wake-up with it
            continue
        words = unpack(packed)
        last_word, start_word, entry_word, _, _, _ = words
        is_plain = not last_word & not_plain
        if is_plain:  # as `wake` says, but for the call
            passed, entered, end = last_word & PASSED_MASK, entry_word >> AT_SHIFT, (start_word >> AT_SHIFT) + window
            wake_ms = min(entered + change[last_word >> FLAGS_SHIFT & STATUS_MASK][passed], end)
        else:
            wake_ms = wake(plan, packed)
        if wake_ms >= watermark_ms:
            again.append((key, wake_ms))
        # Where the open value goes too, the header does not say how much it is.
        elif is_plain and not (last_word & amount and watermark_ms > min(entered + abandon[passed - 1], end)):
            by_header[key] = packed, words
            limit -= price
        else:
            others[key] = packed
            limit -= 1
    again += [(key, _book_person(state, key, packed, watermark_ms)) for key, packed in others.items()]
    again += _book_headers(state, by_header, watermark_ms)
    # Not `arm`: these are later than what was known, and the buckets' bounds stay true.
    wake_ups.wheel.push([entry for entry in again if entry[1] < INFINITE])
    wake_ups.settle_armed()
    queue.extendleft(reversed(waiting))
    wake_ups.fired += len(by_header) + len(others)
    # Something is left: `booked_until` cannot speak for everybody, so what the header has decided is written.
    if wake_ups.pending(watermark_ms):
        cache.dirty.update((key, cache.persons[key]) for key in by_header)
    else:
        wake_ups.booked_until = watermark_ms
    # A look at the whole wheel, so once per wake-up of everybody in it.
    if not queue and wake_ups.fired and wake_ups.fired >= wake_ups.wheel.size:
        wake_ups.renew_deadlines()


def _book_person(state: FunnelState, key: bytes, packed: bytes, watermark_ms: int) -> int:
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


def _book_headers(
    state: FunnelState, due: Mapping[bytes, tuple[bytes, Words]], watermark_ms: int
) -> list[tuple[bytes, int]]:
    """Book deadlines of open last entries, for which the header is enough; when to look at whom again."""
    plan, persons, counts, word = state.plan, state.cache.persons, state.contributions.counts, state.plan.word.pack
    abandon, window, code_bits, family_bits = plan.abandon, plan.window, plan.code_bits, plan.family_bits
    settled = plan.keep + plan.lead_in
    expires, stalls = counted_by(plan, EXPIRES), counted_by(plan, STALLS)
    again: list[tuple[bytes, int]] = []
    for key, (packed, (last_word, start_word, entry_word, _, _, code)) in due.items():
        status, stage = last_word >> FLAGS_SHIFT & STATUS_MASK, (last_word & PASSED_MASK) - 1
        entered, end = entry_word >> AT_SHIFT, (start_word >> AT_SHIFT) + window
        entry_key = (entered // MINUTE_MS << code_bits | code) << family_bits
        abandoned_at = entered + abandon[stage]
        if abandoned_at > end:
            abandoned_at = end
        if watermark_ms > abandoned_at:
            after, by_cohort, by_period, stalled = expires[status]
            counts[entry_key | by_cohort[stage]] += 1
            counts[(abandoned_at // MINUTE_MS << code_bits | code) << family_bits | by_period[stage]] += 1
            look_at = max((last_word >> AT_SHIFT) + plan.score_life, end) + settled
        else:  # it is due, so its stall time has passed
            after, _, _, stalled = stalls[status]
            look_at = abandoned_at
        if stalled:
            counts[entry_key | plan.f_stalled[stage]] += stalled
        persons[key] = word(last_word & ~(STATUS_MASK << FLAGS_SHIFT) | after << FLAGS_SHIFT) + packed[8:]
        again.append((key, look_at))
    return again
