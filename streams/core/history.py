"""The one pass over a person's events (semantics.md 3): from a base and the events after it to journeys and orders.

Pure: no argument is changed. `fold` is the same pass over the events behind the horizon and keeps what can still
matter; `checkpoint` is the same pass over a sealed chunk and keeps all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.counters import STAGE_LOST
from streams.core.base import Base, FirstOrder, Journey, Step, Worth
from streams.core.changes import standing, withdrawn_behind
from streams.core.deals import part, run
from streams.core.header import Header
from streams.core.journeys import AFTER_STAGES, History, RefundBooked, Restated, deadline_of, go_on
from streams.core.kept import AT_MASK, KeptEvent
from streams.core.passes import base_after
from streams.core.person import Person
from streams.core.plan import LOST, NO_STAGE, OPEN, ORDER, REFUND, RESOLVED, STALLED, Plan, Status
from streams.core.scoring import scored, scores_behind


def replay(plan: Plan, base: Base, events: Sequence[KeptEvent]) -> History:
    """The pass."""
    return _pass(plan, base, scored(plan, base, events))


def _pass(plan: Plan, base: Base, events: Sequence[KeptEvent]) -> History:
    """The same, over events that have their temperatures."""
    history = History()
    live, withdrawn, restated = standing(base, events)
    history.occurrences += [(event.at, plan.lowest_order_stage(event.mask), event.code) for event in withdrawn]
    steps = _steps(plan, base, live, history, restated)
    if plan.has_deals:
        history.steps = [*base.steps, *steps]
        # Without deals and values every step is of the own line: the parting looks at all steps twice and would find
        # nothing.
        has_some = base.deals or any(step[3].unit for step in history.steps)
        history.owners = part(plan, base, history.steps) if has_some else [None] * len(history.steps)
        run(plan, base, history, len(history.steps))
    else:
        journey = None
        if base.journey is not None:
            journey = base.journey.copy()
            history.journeys.append(journey)
        for step in steps:
            journey = go_on(plan, history, journey, step)
    _find_first_order(base, history)
    _refunds(plan, base, live, history)
    return history


def _find_first_order(base: Base, history: History) -> None:
    """The earliest order of life that has a stage; what is in the base is older than any event."""
    history.first_order = base.first_order
    if base.first_order is None and history.orders:
        first = min(history.orders)
        history.first_order, history.new_customer = FirstOrder(first.at, first.stage, first.code), True


def _steps(plan: Plan, base: Base, events: Sequence[KeptEvent], history: History, restated: Restated) -> list[Step]:
    """Stage and lost events in order; of orders the first events alone. Fills occurrences, newest and orders_count."""
    steps: list[Step] = []
    orders: dict[int, list[KeptEvent]] = {}
    occurrences = history.occurrences
    for event in events:
        kind = event.kind
        if kind < ORDER:
            steps.append((event.at, kind, event.event_hash, event, None))
            occurrences.append((event.at, kind, event.code))
        elif kind == LOST:
            steps.append((event.at, AFTER_STAGES, event.event_hash, event, None))
            occurrences.append((event.at, STAGE_LOST, event.code))
        elif kind == ORDER:
            # One without an id is an order by itself: a number below 0 is no id.
            orders.setdefault(event.order or ~len(orders), []).append(event)
    if orders:
        steps += _order_steps(plan, base, orders, history, restated)
    steps.sort()
    if steps:
        history.newest = steps[-1][0]
    return steps


def _order_steps(
    plan: Plan, base: Base, orders: dict[int, list[KeptEvent]], history: History, restated: Restated
) -> list[Step]:
    """The first event of every order at the stage that its number of order gives it."""
    groups: list[list[KeptEvent]] = []
    for order, group in orders.items():
        booked = base.orders.get(order)
        if booked is None:
            groups.append(sorted(group))
        # A further event of an order that is settled: it happened, and changes nothing.
        elif booked[0] != NO_STAGE:
            history.occurrences += [(event.at, booked[0], event.code) for event in group]
    # An order has its number by its first event: by time, and of one instant by hash.
    groups.sort(key=lambda group: group[0][:2])
    steps: list[Step] = []
    for ordinal, group in enumerate(groups, start=base.orders_count + 1):
        first = group[0]
        stage = plan.order_stage(first.mask, ordinal)
        if stage == NO_STAGE:
            # It has a number all the same: a refund or a later event of it must find that it is known.
            if first.order:
                history.known[first.order] = (NO_STAGE, 0)
            continue
        # The latest restatement that states an amount decides, then the order's own events.
        stated = [*reversed(restated.get(first.order, ())), *group] if restated else group
        worth = worth_of(plan, stated, is_nth=plan.is_nth(stage, ordinal))
        steps.append((first.at, stage, first.event_hash, first, worth))
        history.occurrences += [(event.at, stage, event.code) for event in group]
    history.orders_count = len(groups)
    return steps


def worth_of(plan: Plan, group: Sequence[KeptEvent], *, is_nth: bool) -> Worth:
    """What an order is worth by what states it, the first that does; the funnel's currency where nothing does."""
    amount = next(((event.minor, event.currency) for event in group if event.minor >= 0), (-1, plan.currency))
    cost = next(((event.cost, event.currency) for event in group if event.cost >= 0), (-1, 0))
    discount = next(((event.discount, event.currency) for event in group if event.discount >= 0), (-1, 0))
    return Worth(*amount, *cost, *discount, is_nth)


def _refunds(plan: Plan, base: Base, events: Sequence[KeptEvent], history: History) -> None:
    groups: dict[int, list[KeptEvent]] = {}
    for event in events:
        if event.kind == REFUND and event.refund not in base.refunds:
            groups.setdefault(event.refund or ~len(groups), []).append(event)
    for group in groups.values():
        group.sort()
        event = group[0]
        if event.refund:
            history.refund_ids.add(event.refund)
        stated = next((one for one in group if one.minor >= 0), None)
        # Nothing is said to be given back, or there is nothing it could have been paid for.
        if stated is None or not plan.order_stages:
            continue
        stage, code = NO_STAGE, 0
        if event.order:
            stage, code = history.known.get(event.order) or base.orders.get(event.order) or (NO_STAGE, 0)
        if stage == NO_STAGE:
            # Its order is not known: it is booked where orders begin, with its own values.
            stage, code = plan.order_stages[0], event.code
        history.refunds.append(RefundBooked(event.at, stage, code, stated.minor, stated.currency))


def fold(plan: Plan, base: Base, events: Sequence[KeptEvent], horizon: int) -> Base:
    """The base after all events behind the horizon have passed; what stands of them is decided by all events."""
    live = standing(base, scored(plan, base, events)).live
    history = _pass(plan, base, [event for event in live if event.at < horizon])
    folded = Base()
    folded.scores = scores_behind(plan, base, events, horizon, settled=horizon)
    # The window of an older one is over: no event that may still come can enter it.
    if history.journeys and history.journeys[-1].started_at + plan.window >= horizon:
        folded.journey = history.journeys[-1]
    folded.orders_count = base.orders_count + history.orders_count
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    folded.orders = {**base.orders, **history.known} if history.known else base.orders
    folded.refunds = base.refunds | history.refund_ids if history.refund_ids else base.refunds
    folded.first_order = history.first_order
    folded.withdrawn = withdrawn_behind(base, events, horizon) - history.known.keys()
    return folded


def checkpoint(plan: Plan, base: Base, events: Sequence[KeptEvent]) -> Base:
    """The base after some more events, all older than any that follow; the last journey stays, ended or not."""
    return base_after(base, replay(plan, base, events))


def status_at(plan: Plan, history: History, watermark: int) -> Status:
    """What the last entry of the last journey is at a watermark: OPEN, STALLED or RESOLVED."""
    if not history.journeys:
        return RESOLVED
    return status_of_journey(plan, history.journeys[-1], max(watermark, history.newest))


def statuses_of(plan: Plan, person: Person, history: History) -> Sequence[Status]:
    """What is booked for the last entry of each journey."""
    if person.has_deals:
        return [status_of_journey(plan, journey, person.changes_at) for journey in history.journeys]
    statuses = [RESOLVED] * len(history.journeys)
    statuses[-1:] = [person.status] if statuses else []
    return statuses


def decide(plan: Plan, person: Person, history: History, watermark: int) -> None:
    """Say in a person what is booked at a watermark."""
    if not person.has_deals:
        person.status = status_at(plan, history, watermark)
        return
    now = max(watermark, history.newest)
    changes = (_change_of(plan, journey, now) for journey in history.journeys)
    person.changes_at = min(changes, default=AT_MASK)
    person.status = RESOLVED if person.changes_at == AT_MASK else OPEN


def _change_of(plan: Plan, journey: Journey, now: int) -> int:
    """When the last entry of a journey changes by itself; AT_MASK for never."""
    status = status_of_journey(plan, journey, now)
    if status == RESOLVED:
        return AT_MASK
    last = journey.entries[-1]
    stalls_at = last.at + plan.stall[last.stage] if status == OPEN else AT_MASK
    return min(stalls_at, deadline_of(plan, journey, last), AT_MASK)


def status_of_journey(plan: Plan, journey: Journey, now: int) -> Status:
    """What the last entry of a journey is: OPEN, STALLED or RESOLVED."""
    last = journey.entries[-1]
    deadline = deadline_of(plan, journey, last)
    # Completed, over, or lost before it was over: time changes nothing any more.
    if last.stage == plan.last or now > deadline or 0 <= last.loss_at <= deadline:
        return RESOLVED
    return STALLED if now > last.at + plan.stall[last.stage] else OPEN


def header_of_deals(plan: Plan, person: Person, history: History, *, last_at: int, orders: int, settled: int) -> Header:
    """The header of a person with deals: when all of it is over, and when something changes by itself."""
    begins = [journey.begins_at for journey in history.journeys if journey.begins_at + plan.window >= settled]
    is_under_way = bool(begins or person.base.steps)
    started_at = max(begins, default=0)
    return Header(last_at, int(is_under_way), started_at, entered_at=person.changes_at, orders=orders)


def header_of(plan: Plan, history: History, *, last_at: int, orders: int, horizon: int) -> Header:
    """The header's view of a history: the journey under way, if any can still take an event."""
    # No event that may still come fits into its window.
    if not history.journeys or history.journeys[-1].started_at + plan.window < horizon - plan.lead_in:
        return Header(last_at, orders=orders)
    journey = history.journeys[-1]
    last = journey.entries[-1]
    return Header(
        last_at,
        passed=last.stage + 1,
        started_at=journey.started_at,
        entered_at=last.at,
        first_code=journey.code,
        entry_code=last.code,
        has_amount=last.minor >= 0,
        orders=orders,
        has_several=len(journey.entries) > 1,
    )
