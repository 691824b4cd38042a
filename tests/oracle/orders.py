"""Orders and refunds of one person: which events are which, what is withdrawn, and what each is worth.

Declarative on purpose, over the whole history at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.oracle.definition import Funnel
from tests.oracle.event import ORDER, REFUND, RESTATED, WITHDRAWN, Event
from tests.oracle.values import Amount

Amounts = Callable[[Event], Amount | None]


@dataclass(frozen=True)
class Order:
    """A distinct order: its earliest event is the order; `stage` is None while no stage's `nth` is reached."""

    first: Event
    further: list[Event]
    ordinal: int
    stage: int | None
    amount: Amount | None
    cost: Amount | None
    discount: Amount | None


@dataclass(frozen=True)
class Refund:
    """Money that went back, at an event's time; `order_id` names its order."""

    event: Event
    amount: Amount


def by_time(event: Event) -> tuple[int, int]:
    """The order of events of one instant."""
    return event.occurred, event.tie


def _withdrawals(history: Iterable[Event], order_id: str | None) -> list[Event]:
    return [one for one in history if one.kind == WITHDRAWN and one.order_id == order_id and not one.is_behind]


def withdrawn_until(history: Iterable[Event], order_id: str | None) -> float:
    """The time of an order's latest withdrawal; what is of that time or earlier is withdrawn."""
    if order_id is None:
        return float("-inf")
    return max((one.occurred for one in _withdrawals(history, order_id)), default=float("-inf"))


def withdrawn_events(history: list[Event]) -> list[Event]:
    """Order events that left the history: they stay in `events` and are nothing else."""
    return [
        event
        for event in history
        if event.kind == ORDER and (event.is_gone or event.occurred <= withdrawn_until(history, event.order_id))
    ]


def _groups(history: list[Event], kind: str, id_of: Callable[[Event], str | None]) -> list[list[Event]]:
    """Events of one id, by time; an event without an id stands alone."""
    by_id: dict[object, list[Event]] = {}
    for event in history:
        if event.kind == kind:
            by_id.setdefault(event if id_of(event) is None else id_of(event), []).append(event)
    return sorted((sorted(group, key=by_time) for group in by_id.values()), key=lambda group: by_time(group[0]))


def _first_stated(group: list[Event], amount: Amounts) -> Amount | None:
    return next((amount(one) for one in group if amount(one) is not None and not one.is_behind), None)


def _worth(history: list[Event], group: list[Event], amount: Amounts) -> Amount | None:
    """By the latest restatement that states it, else by the earliest event that does."""
    order_id = group[0].order_id
    restated = [
        event
        for event in history
        if event.kind == RESTATED
        and order_id is not None
        and event.order_id == order_id
        and not event.is_behind
        and event.occurred > withdrawn_until(history, order_id)
        and amount(event) is not None
    ]
    return amount(max(restated, key=by_time)) if restated else _first_stated(group, amount)


def worth_now(history: list[Event], group: list[Event]) -> tuple[Amount | None, Amount | None, Amount | None]:
    """Value, cost and discount of an order by a history as it is."""
    return (
        _worth(history, group, lambda event: event.amount),
        _worth(history, group, lambda event: event.cost),
        _worth(history, group, lambda event: event.discount),
    )


def orders_of(funnel: Funnel, history: list[Event]) -> list[Order]:
    """The person's distinct orders in the order in which `nth` counts them."""
    gone = withdrawn_events(history)
    groups = _groups([one for one in history if one not in gone], ORDER, lambda event: event.order_id)
    orders = []
    for ordinal, group in enumerate(groups, start=1):
        reached = [stage for stage in group[0].stages if (funnel.stages[stage].nth or 0) <= ordinal]
        worth = group[0].worth or worth_now(history, group)
        orders.append(Order(group[0], group[1:], ordinal, max(reached, default=None), *worth))
    return orders


def is_taken_back(history: list[Event], refund: Event) -> bool:
    """A cancelled order is told both ways: the refund that a withdrawal makes void."""
    if refund.is_gone:
        return True
    if refund.order_id is None:
        return False
    later = [one.occurred for one in history if one.kind == ORDER and one.order_id == refund.order_id]
    for withdrawal in _withdrawals(history, refund.order_id):
        if withdrawal.horizon <= refund.occurred <= withdrawal.occurred:
            return True
        if withdrawal.occurred < refund.occurred and not any(
            withdrawal.occurred < at <= refund.occurred for at in later
        ):
            return True
    return False


def refunds_of(history: list[Event]) -> list[Refund]:
    """What went back: refunds, and withdrawals that came when their order lay behind the horizon."""
    staying = [one for one in history if one.kind == REFUND and not is_taken_back(history, one)]
    groups = _groups(staying, REFUND, lambda event: event.refund_id)
    refunds = [Refund(group[0], found) for group in groups if (found := _first_stated(group, lambda e: e.amount))]
    late = [one for one in history if one.kind == WITHDRAWN and one.is_behind and one.amount is not None]
    for order_id in {one.order_id for one in late}:
        earliest = min((one for one in late if one.order_id == order_id), key=by_time)
        if earliest.amount is not None:
            refunds.append(Refund(earliest, earliest.amount))
    return refunds


def has_order(history: list[Event], order_id: str | None) -> bool:
    """Whether an order is there, with an event that is not withdrawn."""
    gone = withdrawn_events(history)
    return any(one.kind == ORDER and one.order_id == order_id and one not in gone for one in history)


def lies_behind(history: list[Event], event: Event, horizon: int) -> bool:
    """Whether what an event names (its order, or the refund it repeats) lies behind the horizon."""
    others = [one for one in history if one is not event]
    if event.kind == REFUND and event.refund_id is not None:
        same = [one for one in others if one.kind == REFUND and one.refund_id == event.refund_id]
        same = [one for one in same if not is_taken_back(others, one)]
    elif event.kind in (ORDER, WITHDRAWN, RESTATED) and event.order_id is not None:
        gone = withdrawn_events(others)
        same = [one for one in others if one.kind == ORDER and one.order_id == event.order_id and one not in gone]
    else:
        return False
    return any(one.occurred < horizon for one in same)
