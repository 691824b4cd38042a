"""Contributions of a history to the counters (semantics.md 4 and 5), added to a chunk's books with a sign.

A change of a history is booked as minus before, plus after; what did not change cancels to zero.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from schemas.counters import STAGE_LOST, Family, family
from schemas.times import MINUTE_MS
from streams.core.person import Entry, Journey
from streams.core.plan import EDGES_MS, RESOLVED, STALLED, Plan
from streams.core.walk import Walk, deadline_of


class Books:
    """What a chunk adds to the counters at the finest cell: minute, code of all dimensions, family."""

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        """`Plan` count key -> amount."""
        self.money: defaultdict[tuple[int, int, int, int], int] = defaultdict(int)
        """(minute, code, stage, family code) -> amount, for families by currency."""


def book(plan: Plan, found: Walk, status: int, *, sign: int, books: Books) -> None:
    """Add the contributions of a walk whose last entry stands as `status` says."""
    _book_events(plan, found, sign, books)
    last = len(found.journeys) - 1
    for at, journey in enumerate(found.journeys):
        _book_journey(plan, journey, status if at == last else RESOLVED, sign, books)


def _book_events(plan: Plan, found: Walk, sign: int, books: Books) -> None:
    counts, bits, low = books.counts, plan.code_bits, plan.family_bits
    for at, stage, code in found.events:
        number = plan.f_events_lost if stage == STAGE_LOST else plan.f_events[stage]
        counts[(at // MINUTE_MS << bits | code) << low | number] += sign
    for order in found.orders:
        minute, currency = order.at // MINUTE_MS, order.currency
        books.money[minute, order.code, order.stage, family(Family.ORDERS, currency)] += sign
        if order.minor > 0:
            books.money[minute, order.code, order.stage, family(Family.REVENUE, currency)] += sign * order.minor
    for refund in found.refunds:
        place = (refund.at // MINUTE_MS, refund.code, refund.stage, family(Family.REFUNDS, refund.currency))
        books.money[place] += sign * refund.minor


def _book_journey(plan: Plan, journey: Journey, status: int, sign: int, books: Books) -> None:
    counts, bits, low = books.counts, plan.code_bits, plan.family_bits
    previous: Entry | None = None
    for entry in journey.entries:
        here = (entry.at // MINUTE_MS << bits | entry.code) << low
        counts[here | plan.f_entries[entry.stage]] += sign
        if entry.minor > 0:
            _money(books, entry, Family.VALUE, sign)
        if previous is None:
            counts[here | plan.f_started[entry.stage]] += sign
        else:
            counts[here | plan.f_transitions_period[previous.stage][entry.stage]] += sign
            for jumped in range(previous.stage + 1, entry.stage):
                counts[here | plan.f_skipped[jumped]] += sign
            _book_outcome(plan, journey, previous, entry, RESOLVED, sign, books)
        previous = entry
    if previous is not None:
        _book_outcome(plan, journey, previous, None, status, sign, books)
    _book_won(plan, journey, sign, books)


def _book_won(plan: Plan, journey: Journey, sign: int, books: Books) -> None:
    is_won = False
    for entry in reversed(journey.entries):
        if is_won:
            key = (entry.at // MINUTE_MS << plan.code_bits | entry.code) << plan.family_bits | plan.f_won[entry.stage]
            books.counts[key] += sign
        is_won = is_won or plan.is_order[entry.stage]


def _book_outcome(
    plan: Plan, journey: Journey, entry: Entry, onward: Entry | None, status: int, sign: int, books: Books
) -> None:
    """The outcome of one entry; `status` matters for an entry that has no successor."""
    counts, bits, low = books.counts, plan.code_bits, plan.family_bits
    stage, code = entry.stage, entry.code
    here = (entry.at // MINUTE_MS << bits | code) << low
    deadline = deadline_of(plan, journey.t0, stage, entry.at)
    is_given_up = True
    if stage == plan.last:
        counts[here | plan.f_completed[stage]] += sign
    elif 0 <= entry.loss_at <= deadline:
        counts[here | plan.f_lost_cohort[stage] + entry.reason] += sign
        counts[(entry.loss_at // MINUTE_MS << bits | code) << low | plan.f_lost_period[stage] + entry.reason] += sign
    elif onward is not None and onward.at <= deadline:
        is_given_up = False
        counts[here | plan.f_advanced_cohort[stage]] += sign
        counts[(onward.at // MINUTE_MS << bits | code) << low | plan.f_advanced_period[stage]] += sign
    elif onward is not None or status == RESOLVED:
        counts[here | plan.f_abandoned_cohort[stage]] += sign
        counts[(deadline // MINUTE_MS << bits | code) << low | plan.f_abandoned_period[stage]] += sign
    else:
        if status == STALLED:
            counts[here | plan.f_stalled[stage]] += sign
        if entry.minor > 0:
            _money(books, entry, Family.OPEN_VALUE, sign)
    if onward is None:
        return
    counts[here | plan.f_transitions_cohort[stage][onward.stage]] += sign
    edge = bisect_left(EDGES_MS, onward.at - entry.at)
    counts[here | plan.f_durations[stage][onward.stage] + edge] += sign
    if is_given_up:
        counts[here | plan.f_revived_cohort[stage]] += sign
        counts[(onward.at // MINUTE_MS << bits | code) << low | plan.f_revived_period[stage]] += sign


def _money(books: Books, entry: Entry, base: Family, sign: int) -> None:
    books.money[entry.at // MINUTE_MS, entry.code, entry.stage, family(base, entry.currency)] += sign * entry.minor
