"""What a pass leads to, as a base for the events that follow, and whether they find the same in two passes. Pure."""

from __future__ import annotations

from copy import copy

from streams.core.base import Base, Layered
from streams.core.journeys import History, is_joined
from streams.core.plan import Plan


def base_after(base: Base, history: History) -> Base:
    """The base after the events of a pass, all older than any that follow."""
    after = Base()
    after.journey = history.journeys[-1] if history.journeys else None
    after.orders_count = base.orders_count + history.orders_count
    after.orders = Layered(base.orders, history.known) if history.known else base.orders
    after.refunds = base.refunds | history.refund_ids if history.refund_ids else base.refunds
    after.first_order = history.first_order
    after.withdrawn = base.withdrawn - history.known.keys()
    return after


def with_more_orders(base: Base, more: int) -> Base:
    """The base as it is with some more orders before it, of which no later event knows."""
    if not more:
        return base
    again = copy(base)
    again.orders_count += more
    return again


def is_same_pass(plan: Plan, first: Base, other: Base) -> bool:
    """Whether later events find the same, where the orders and refunds that are known are the same."""
    counts = first.orders_count, other.orders_count
    if (counts[0] != counts[1] and min(counts) < plan.most_nth) or first.first_order != other.first_order:
        return False
    return has_same_journey(first, other)


def has_same_journey(first: Base, other: Base) -> bool:
    """Whether the same journey is under way, or none."""
    mine, theirs = first.journey, other.journey
    if mine is None or theirs is None:
        return mine is theirs
    return (
        mine.started_at == theirs.started_at
        and mine.code == theirs.code
        and [entry.key for entry in mine.entries] == [entry.key for entry in theirs.entries]
    )


def takes_no_notice(plan: Plan, *, old: Base, new: Base, onward: Base, until: int) -> bool:
    """Whether events up to `until` that led from `old` to `onward` without a change of the journey do so from `new`,
    too."""
    if old.journey is None or new.journey is None or plan.ends_at_completion or old.refunds != onward.refunds:
        return False
    if not has_same_journey(old, onward):
        return False
    last, now = old.journey.entries[-1], new.journey.entries[-1]
    if old.orders_count != onward.orders_count:  # an order has values of its journey, and may be joined to it
        is_alike = is_joined(plan, old.journey.entries) == is_joined(plan, new.journey.entries)
        if not is_alike or (old.journey.code ^ new.journey.code) & plan.journey_mask:
            return False
    is_in_time = until <= new.journey.started_at + plan.window
    # A loss is passed over only behind another loss: where one was, there has to be one now.
    return is_in_time and now.stage >= last.stage and (now.loss_at >= 0 or last.loss_at < 0)
