"""What a history contributes to the counters (semantics.md 4 and 5), added to a chunk's contributions with a sign.

A change of a history is booked as minus before, plus after; what did not change cancels to zero. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from schemas.counters import STAGE_LOST, Family, family, lifetime_sub
from schemas.times import MINUTE_MS
from streams.core.base import Entry, FirstOrder, Journey
from streams.core.journeys import History, OrderBooked, deadline_of
from streams.core.plan import AGES_MS, EDGES_MS, RESOLVED, STALLED, Plan, Status


class Contributions:
    """What a chunk adds to the counters at the finest cell: minute, code of all dimensions, family."""

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        """`Plan` count key -> amount."""
        self.money: defaultdict[tuple[int, int, int, int], int] = defaultdict(int)
        """(minute, code, stage, family code) -> amount, for families by currency."""
        self.spend: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        """(day, code, currency) -> amount: of nobody, and of no time of the day."""


def add_contributions(
    plan: Plan, history: History, statuses: Sequence[Status], *, sign: int, into: Contributions
) -> None:
    """Add those of a history; `statuses` are those of the last entry of each journey."""
    _add_occurrences(plan, history, sign, into)
    for journey, status in zip(history.journeys, statuses, strict=True):
        _add_journey(plan, journey, status, sign, into)


def add_ended(plan: Plan, history: History, *, sign: int, into: Contributions) -> None:
    """Add those of a history but for its last journey, which goes on in the events that follow."""
    _add_occurrences(plan, history, sign, into)
    for journey in history.journeys[:-1]:
        _add_journey(plan, journey, RESOLVED, sign, into)


def _add_occurrences(plan: Plan, history: History, sign: int, into: Contributions) -> None:
    counts, key_of = into.counts, plan.key_of
    for at, stage, code in history.occurrences:
        number = plan.f_events_lost if stage == STAGE_LOST else plan.f_events[stage]
        counts[key_of(at, code) | number] += sign
    for order in history.orders:
        add_order(plan, order, history.first_order, sign=sign, into=into)
    first = history.first_order
    if history.new_customer and first is not None:
        counts[key_of(first.at, first.code) | plan.f_customers[first.stage]] += sign
    for refund in history.refunds:
        place = (refund.at // MINUTE_MS, refund.code, refund.stage, family(Family.REFUNDS, refund.currency))
        into.money[place] += sign * refund.minor


def add_order(plan: Plan, order: OrderBooked, first: FirstOrder | None, *, sign: int, into: Contributions) -> None:
    """An order at its own time, and its revenue at the person's first order too."""
    worth, minute = order.worth, order.at // MINUTE_MS
    into.money[minute, order.code, order.stage, family(Family.ORDERS, worth.currency)] += sign
    if order.is_joined:
        into.counts[plan.key_of(order.at, order.code) | plan.f_orders_joined[order.stage]] += sign
    if worth.is_nth:
        into.counts[plan.key_of(order.at, order.code) | plan.f_reached[order.stage]] += sign
    for base, amount, currency in (
        (Family.REVENUE, worth.minor, worth.currency),
        (Family.COST, worth.cost, worth.cost_currency),
        (Family.DISCOUNT, worth.discount, worth.discount_currency),
    ):
        if amount > 0:
            into.money[minute, order.code, order.stage, family(base, currency)] += sign * amount
    # -1 is an amount that nobody stated; 0 would change no sum.
    if worth.minor > 0 and first is not None:
        lifetime = family(Family.LIFETIME, lifetime_sub(worth.currency, bisect_left(AGES_MS, order.at - first.at)))
        into.money[first.at // MINUTE_MS, first.code, first.stage, lifetime] += sign * worth.minor


def _add_journey(plan: Plan, journey: Journey, status: Status, sign: int, into: Contributions) -> None:
    counts, key_of = into.counts, plan.key_of
    previous: Entry | None = None
    has_sold = False
    for entry in journey.entries:
        if plan.is_order[entry.stage]:
            # Of the first order alone; a journey that begins with one took no time to it.
            if not has_sold and previous is not None:
                add_lead_time(plan, journey.started_at, entry, sign=sign, into=into)
            has_sold = True
        entry_key = key_of(entry.at, entry.code)
        counts[entry_key | plan.f_entries[entry.stage]] += sign
        if entry.minor > 0:
            _add_money(into, entry, Family.VALUE, sign)
        if previous is None:
            counts[entry_key | plan.f_started[entry.stage]] += sign
        else:
            counts[entry_key | plan.f_transitions_period[previous.stage][entry.stage]] += sign
            for jumped in range(previous.stage + 1, entry.stage):
                counts[entry_key | plan.f_skipped[jumped]] += sign
            _add_outcome(plan, journey, previous, entry, RESOLVED, sign, into)
        previous = entry
    if previous is not None:
        _add_outcome(plan, journey, previous, None, status, sign, into)
    _add_won(plan, journey, sign, into)


def add_lead_time(plan: Plan, started_at: int, entry: Entry, *, sign: int, into: Contributions) -> None:
    """From the start of a journey to its first entry of an order stage, at that entry."""
    took, entry_key = entry.at - started_at, plan.key_of(entry.at, entry.code)
    into.counts[entry_key | plan.f_lead_time[entry.stage] + bisect_left(EDGES_MS, took)] += sign
    into.counts[entry_key | plan.f_lead_seconds[entry.stage]] += sign * (took // 1000)


def add_loss_time(plan: Plan, stage: int, entry_key: int, took: int, *, sign: int, into: Contributions) -> None:
    """From an entry to the loss that ended it, at the entry."""
    into.counts[entry_key | plan.f_loss_time[stage] + bisect_left(EDGES_MS, took)] += sign
    into.counts[entry_key | plan.f_loss_seconds[stage]] += sign * (took // 1000)


def _add_won(plan: Plan, journey: Journey, sign: int, into: Contributions) -> None:
    is_won = False
    for entry in reversed(journey.entries):
        if is_won:
            into.counts[plan.key_of(entry.at, entry.code) | plan.f_won[entry.stage]] += sign
        is_won = is_won or plan.is_order[entry.stage]


def _add_outcome(
    plan: Plan, journey: Journey, entry: Entry, onward: Entry | None, status: Status, sign: int, into: Contributions
) -> None:
    """The outcome of one entry; `status` matters for an entry that has no successor."""
    counts, key_of = into.counts, plan.key_of
    stage, code = entry.stage, entry.code
    entry_key = key_of(entry.at, code)
    deadline = deadline_of(plan, journey, entry)
    is_revived = True
    """Whether a successor comes after the entry had its outcome."""
    is_lost = 0 <= entry.loss_at <= deadline
    if stage == plan.last:
        counts[entry_key | plan.f_completed[stage]] += sign
    # The order of these questions is that of time: what came first is the outcome.
    elif is_lost:
        counts[entry_key | plan.f_lost_cohort[stage] + entry.reason] += sign
        counts[key_of(entry.loss_at, code) | plan.f_lost_period[stage] + entry.reason] += sign
        add_loss_time(plan, stage, entry_key, entry.loss_at - entry.at, sign=sign, into=into)
    elif onward is not None and onward.at <= deadline:
        is_revived = False
        counts[entry_key | plan.f_advanced_cohort[stage]] += sign
        counts[key_of(onward.at, code) | plan.f_advanced_period[stage]] += sign
    # It went on when it was over already, or time has decided.
    elif onward is not None or status == RESOLVED:
        counts[entry_key | plan.f_abandoned_cohort[stage]] += sign
        counts[key_of(deadline, code) | plan.f_abandoned_period[stage]] += sign
        if entry.loss_at >= 0:  # after the deadline: it changes no outcome, but the reason is known
            counts[entry_key | plan.f_lost_late_cohort[stage] + entry.reason] += sign
            counts[key_of(entry.loss_at, code) | plan.f_lost_late_period[stage] + entry.reason] += sign
    else:
        if status == STALLED:
            counts[entry_key | plan.f_stalled[stage]] += sign
        if entry.minor > 0:
            _add_money(into, entry, Family.OPEN_VALUE, sign)
    if onward is not None:
        _add_onward(plan, entry, onward, entry_key=entry_key, is_lost=is_lost, sign=sign, into=into)
        if is_revived:
            counts[entry_key | plan.f_revived_cohort[stage]] += sign
            counts[key_of(onward.at, code) | plan.f_revived_period[stage]] += sign


def _add_onward(
    plan: Plan, entry: Entry, onward: Entry, *, entry_key: int, is_lost: bool, sign: int, into: Contributions
) -> None:
    """The transition out of an entry, and how long it took."""
    counts, stage = into.counts, entry.stage
    counts[entry_key | plan.f_transitions_cohort[stage][onward.stage]] += sign
    edge = bisect_left(EDGES_MS, onward.at - entry.at)
    counts[entry_key | plan.f_durations[stage][onward.stage] + edge] += sign
    if is_lost:
        counts[entry_key | plan.f_durations_of_lost[stage][onward.stage] + edge] += sign
    counts[entry_key | plan.f_duration_seconds[stage][onward.stage]] += sign * ((onward.at - entry.at) // 1000)


def _add_money(into: Contributions, entry: Entry, base: Family, sign: int) -> None:
    into.money[entry.at // MINUTE_MS, entry.code, entry.stage, family(base, entry.currency)] += sign * entry.minor
