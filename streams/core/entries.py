"""Entries of the journey under way, for the fast paths: which are known without a replay, and what is counted when one
is made, wins, or is no longer open. The general path counts the same in `streams.core.contributions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.counters import Family, family
from schemas.times import MINUTE_MS
from streams.core.base import Entry, FirstOrder
from streams.core.contributions import add_order
from streams.core.header import FLAGS_SHIFT, HAS_AMOUNT, PASSED_MASK, SEVERAL, Words, entered_at
from streams.core.history import worth_of
from streams.core.journeys import OrderBooked
from streams.core.kept import KeptEvent
from streams.core.plan import OPEN, RESOLVED, Plan
from streams.core.state import FunnelState

_VALUE, _OPEN_VALUE = family(Family.VALUE), family(Family.OPEN_VALUE)


def known_entries(state: FunnelState, key: bytes, words: Words) -> Sequence[Entry]:
    """Of the journey under way, where they are known without a walk."""
    last_word, _, entry_word, _, _, entry_code = words
    if last_word >> FLAGS_SHIFT & (HAS_AMOUNT | SEVERAL):
        return state.cache.entries.get(key, ())
    return (Entry((last_word & PASSED_MASK) - 1, entered_at(entry_word), entry_code),)


def entry_of(plan: Plan, stage: int, at: int, code: int, whole: KeptEvent | None) -> Entry:
    if whole is None or plan.is_order[stage]:
        return Entry(stage, at, code)
    return Entry(stage, at, code, whole.minor, whole.currency)


def remember(state: FunnelState, key: bytes, entries: list[Entry]) -> None:
    """The entries of the journey under way; none: they are not known. One without an amount is in the header."""
    if len(entries) > 1 or (entries and entries[0].minor >= 0):
        state.cache.entries[key] = entries
    else:
        state.cache.entries.pop(key, None)


def enter(state: FunnelState, at: int, stage: int, code: int, whole: KeptEvent | None) -> int:
    """An entry is made: its amount is counted, the entry itself is already. Flags of the header."""
    plan, money = state.plan, state.contributions.money
    status = RESOLVED if stage == plan.last else OPEN
    if whole is None or whole.minor < 0 or plan.is_order[stage]:
        return status
    if whole.minor > 0:
        money[at // MINUTE_MS, code, stage, _VALUE | whole.currency << 8] += whole.minor
        if status == OPEN:
            money[at // MINUTE_MS, code, stage, _OPEN_VALUE | whole.currency << 8] += whole.minor
    return status | HAS_AMOUNT


def close_value(state: FunnelState, entry: Entry) -> None:
    """An entry is no longer open: its value is no open value."""
    if entry.minor > 0:
        place = (entry.at // MINUTE_MS, entry.code, entry.stage, _OPEN_VALUE | entry.currency << 8)
        state.contributions.money[place] -= entry.minor


def add_won(state: FunnelState, entries: Sequence[Entry]) -> None:
    """An order stage is entered: what led to it has won, back to the order stage before."""
    plan, counts = state.plan, state.contributions.counts
    for entry in reversed(entries):
        counts[plan.key_of(entry.at, entry.code) | plan.f_won[entry.stage]] += 1
        if plan.is_order[entry.stage]:
            break


def add_order_booked(
    state: FunnelState, whole: KeptEvent, stage: int, code: int, *, ordinal: int, first: FirstOrder, has_led: bool
) -> None:
    worth = worth_of(state.plan, (whole,), is_nth=state.plan.is_nth(stage, ordinal))
    order = OrderBooked(whole.at, whole.event_hash, stage, code, worth, has_led)
    add_order(state.plan, order, first, sign=1, into=state.contributions)
