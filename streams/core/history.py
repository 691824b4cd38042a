"""The one pass over a person's events (semantics.md 3): from a base and the events after it to journeys and orders.

Pure: no argument is changed. `fold` is the same pass over the events behind the horizon and keeps what can still
matter; `checkpoint` is the same pass over a sealed chunk and keeps all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from schemas.counters import STAGE_LOST
from streams.core.changes import standing, withdrawn_behind
from streams.core.header import Header
from streams.core.person import Base, Entry, FirstOrder, Journey, KeptEvent, Layered
from streams.core.plan import LOST, NO_STAGE, OPEN, ORDER, REFUND, RESOLVED, STALLED, Plan, Status

_AFTER_STAGES: Final = 64
"""At one instant lost events come after the stages."""


class Worth(NamedTuple):
    """Money of an order: each sum from the earliest event that states it; -1 for none."""

    minor: int
    currency: int
    cost: int
    cost_currency: int
    discount: int
    discount_currency: int
    is_nth: bool
    """Its number is exactly the one that its stage waits for."""


class OrderBooked(NamedTuple):
    """An order at its stage, with the values of its journey and its own."""

    at: int
    event_hash: int
    stage: int
    code: int
    worth: Worth


class RefundBooked(NamedTuple):
    """A refund under the stage and values of its order."""

    at: int
    stage: int
    code: int
    minor: int
    currency: int


Restated: TypeAlias = dict[int, list[KeptEvent]]
"""What stands of the restatements of an order, oldest first."""
_Step: TypeAlias = tuple[int, int, int, KeptEvent, Worth | None]
"""(at, stage or _AFTER_STAGES, event_hash, event, worth of an order): sorted, the order in which a journey takes them.
"""


class History:
    """What a person's events amount to."""

    __slots__ = (
        "first_order",
        "journeys",
        "known",
        "new_customer",
        "newest",
        "occurrences",
        "orders",
        "orders_count",
        "refund_ids",
        "refunds",
    )

    def __init__(self) -> None:
        self.journeys: list[Journey] = []
        self.occurrences: list[tuple[int, int, int]] = []
        """(at, stage, own code) of every event that counts as one; lost events under STAGE_LOST."""
        self.orders: list[OrderBooked] = []
        self.refunds: list[RefundBooked] = []
        self.known: dict[int, tuple[int, int]] = {}
        """Orders that are not in the base: id -> (stage, code)."""
        self.orders_count = 0
        self.refund_ids: set[int] = set()
        self.newest = -1
        """Time of the newest stage or lost event; -1 for none."""
        self.first_order: FirstOrder | None = None
        """Of the person's life, the base included."""
        self.new_customer = False
        """It is among these events, not in the base."""


def replay(plan: Plan, base: Base, events: Sequence[KeptEvent]) -> History:
    """The pass."""
    history = History()
    live, withdrawn, restated = standing(base, events)
    history.occurrences += [(event.at, plan.lowest_order_stage(event.mask), event.code) for event in withdrawn]
    steps = _steps(plan, base, live, history, restated)
    journey = None
    if base.journey is not None:
        journey = base.journey.copy()
        history.journeys.append(journey)
    for at, stage, event_hash, event, worth in steps:
        if stage == _AFTER_STAGES:
            if journey is not None and at <= journey.started_at + plan.window:
                _lose(journey, at, event.reason)
            continue
        if journey is None or _ends_before(plan, journey, at, stage):
            journey = Journey(at, event.code, [])
            history.journeys.append(journey)
        code = plan.mixed(journey.first_code, event.code)
        if not journey.entries or stage > journey.entries[-1].stage:
            money = (-1, 0) if plan.is_order[stage] else (event.minor, event.currency)
            journey.entries.append(Entry(stage, at, code, *money))
        if worth is not None:
            history.orders.append(OrderBooked(at, event_hash, stage, code, worth))
            if event.order:
                history.known[event.order] = (stage, code)
    _find_first_order(base, history)
    _refunds(plan, base, live, history)
    return history


def _find_first_order(base: Base, history: History) -> None:
    """The earliest order of life that has a stage; what is in the base is older than any event."""
    history.first_order = base.first_order
    if base.first_order is None and history.orders:
        first = min(history.orders)
        history.first_order, history.new_customer = FirstOrder(first.at, first.stage, first.code), True


def _lose(journey: Journey, at: int, reason: int) -> None:
    """The first loss after an entry is the one that counts."""
    last = journey.entries[-1]
    if last.loss_at < 0:
        last.loss_at, last.reason = at, reason


def _ends_before(plan: Plan, journey: Journey, at: int, stage: int) -> bool:
    if at > journey.started_at + plan.window:
        return True
    return plan.ends_at_completion and journey.entries[-1].stage == plan.last and stage < plan.last


def _steps(plan: Plan, base: Base, events: Sequence[KeptEvent], history: History, restated: Restated) -> list[_Step]:
    """Stage and lost events in order; of orders the first events alone. Fills occurrences, newest and orders_count."""
    steps: list[_Step] = []
    orders: dict[int, list[KeptEvent]] = {}
    occurrences = history.occurrences
    for event in events:
        kind = event.kind
        if kind < ORDER:
            steps.append((event.at, kind, event.event_hash, event, None))
            occurrences.append((event.at, kind, event.code))
        elif kind == LOST:
            steps.append((event.at, _AFTER_STAGES, event.event_hash, event, None))
            occurrences.append((event.at, STAGE_LOST, event.code))
        elif kind == ORDER:
            orders.setdefault(event.order or ~len(orders), []).append(event)
    if orders:
        steps += _order_steps(plan, base, orders, history, restated)
    steps.sort()
    if steps:
        history.newest = steps[-1][0]
    return steps


def _order_steps(
    plan: Plan, base: Base, orders: dict[int, list[KeptEvent]], history: History, restated: Restated
) -> list[_Step]:
    """The first event of every order at the stage that its number of order gives it."""
    groups: list[list[KeptEvent]] = []
    for order, group in orders.items():
        booked = base.orders.get(order)
        if booked is None:
            groups.append(sorted(group))
        elif booked[0] != NO_STAGE:
            history.occurrences += [(event.at, booked[0], event.code) for event in group]
    groups.sort(key=lambda group: group[0][:2])
    steps: list[_Step] = []
    for ordinal, group in enumerate(groups, start=base.orders_count + 1):
        first = group[0]
        stage = plan.order_stage(first.mask, ordinal)
        if stage == NO_STAGE:
            if first.order:
                history.known[first.order] = (NO_STAGE, 0)
            continue
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
        if stated is None or not plan.order_stages:
            continue
        stage, code = NO_STAGE, 0
        if event.order:
            stage, code = base.orders.get(event.order) or history.known.get(event.order) or (NO_STAGE, 0)
        if stage == NO_STAGE:
            stage, code = plan.order_stages[0], event.code
        history.refunds.append(RefundBooked(event.at, stage, code, stated.minor, stated.currency))


def fold(plan: Plan, base: Base, events: Sequence[KeptEvent], horizon: int) -> Base:
    """The base after all events behind the horizon have passed; what stands of them is decided by all events."""
    live = standing(base, events).live
    history = replay(plan, base, [event for event in live if event.at < horizon])
    folded = Base()
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
    history = replay(plan, base, events)
    after = Base()
    after.journey = history.journeys[-1] if history.journeys else None
    after.orders_count = base.orders_count + history.orders_count
    after.orders = Layered(base.orders, history.known) if history.known else base.orders
    after.refunds = base.refunds | history.refund_ids if history.refund_ids else base.refunds
    after.first_order = history.first_order
    after.withdrawn = base.withdrawn - history.known.keys()
    return after


def deadline_of(plan: Plan, journey: Journey, entry: Entry) -> int:
    """When an entry is abandoned."""
    return min(entry.at + plan.abandon[entry.stage], journey.started_at + plan.window)


def status_at(plan: Plan, history: History, watermark: int) -> Status:
    """What the last entry of the last journey is at a watermark: OPEN, STALLED or RESOLVED."""
    if not history.journeys:
        return RESOLVED
    journey = history.journeys[-1]
    last = journey.entries[-1]
    deadline = deadline_of(plan, journey, last)
    now = max(watermark, history.newest)
    if last.stage == plan.last or now > deadline or 0 <= last.loss_at <= deadline:
        return RESOLVED
    return STALLED if now > last.at + plan.stall[last.stage] else OPEN


def header_of(plan: Plan, history: History, *, last_at: int, orders: int, horizon: int) -> Header:
    """The header's view of a history: the journey under way, if any can still take an event."""
    if not history.journeys or history.journeys[-1].started_at + plan.window < horizon:
        return Header(last_at, orders=orders)
    journey = history.journeys[-1]
    last = journey.entries[-1]
    return Header(
        last_at,
        passed=last.stage + 1,
        started_at=journey.started_at,
        entered_at=last.at,
        first_code=journey.first_code,
        entry_code=last.code,
        has_amount=last.minor >= 0,
        orders=orders,
        has_several=len(journey.entries) > 1,
    )
