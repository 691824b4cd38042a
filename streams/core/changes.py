"""Orders that change (semantics.md 1): which events of a person stand, after withdrawals and restatements. Pure.

Asked before anything else. A withdrawal takes the events and restatements of its order that are of its time or older
out of the history, and the refunds that tell the same cancellation.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import xxhash

from streams.core.base import Base
from streams.core.kept import KeptEvent
from streams.core.plan import ORDER, REFUND, RESTATED, VOID, WITHDRAWN


class Standing(NamedTuple):
    """A person's events by what they are now."""

    live: Sequence[KeptEvent]
    """What counts: stage, lost, order and refund events."""
    withdrawn: Sequence[KeptEvent] = ()
    """Order events that are events and nothing else."""
    restated: dict[int, list[KeptEvent]] = {}  # noqa: RUF012 - never changed
    """By order, oldest first: what stands of its restatements."""


def standing(base: Base, events: Sequence[KeptEvent]) -> Standing:
    """The events as they stand."""
    changes = [event for event in events if event.kind in (WITHDRAWN, RESTATED)]
    # Nearly always: the events themselves are handed on.
    if not changes and not base.withdrawn:
        return Standing(events)
    gone: dict[int, int] = {}
    """Order -> time of its latest withdrawal."""
    for change in changes:
        if change.kind == WITHDRAWN and change.order:
            gone[change.order] = max(change.at, gone.get(change.order, -1))
    restated: dict[int, list[KeptEvent]] = {}
    for change in sorted(changes):
        if change.kind == RESTATED and change.order and change.at > gone.get(change.order, -1):
            restated.setdefault(change.order, []).append(change)
    withdrawn = [event for event in events if event.kind == ORDER and event.at <= gone.get(event.order, -1)]
    times = _times(events)
    live = [
        event
        for event in events
        if event.kind <= REFUND
        and not (event.kind == ORDER and event.at <= gone.get(event.order, -1))
        and not (event.kind == REFUND and event.order and _is_void(base, gone, times, event))
    ]
    return Standing(live, withdrawn, restated)


def as_it_comes(base: Base, change: KeptEvent) -> KeptEvent:
    """A withdrawal or restatement as it is kept; `base` holds all that lies behind the horizon at its record.

    Of an order that lies there nothing changes: the withdrawal is a refund with its own value, the restatement void.
    """
    if not change.order or base.orders.get(change.order) is None:
        return change
    if change.kind == WITHDRAWN and change.minor >= 0:
        return change._replace(kind=REFUND, refund=_refund_of(change.order))
    return change._replace(kind=VOID)


def after_fold(events: Sequence[KeptEvent], horizon: int) -> list[KeptEvent]:
    """What is kept when everything behind the horizon is folded: later events, and the restatements of their orders.

    But for those that a withdrawal behind the horizon has taken out of the history: it is folded, and they stay out.
    """
    orders = {event.order for event in events if event.kind == ORDER and event.order and event.at >= horizon}
    gone: dict[int, int] = {}
    for event in events:
        if event.kind == WITHDRAWN and event.at < horizon:
            gone[event.order] = max(event.at, gone.get(event.order, -1))
    return [
        event
        for event in events
        if event.at >= horizon
        or (event.kind == RESTATED and event.order in orders and event.at > gone.get(event.order, -1))
    ]


def _refund_of(order: int) -> int:
    """The id of the one refund that all withdrawals of an order are."""
    return xxhash.xxh3_64_intdigest(b"withdrawn" + order.to_bytes(8, "little")) or 1


def withdrawn_behind(base: Base, events: Sequence[KeptEvent], horizon: int) -> set[int]:
    """Orders with a withdrawal behind the horizon, or known to be withdrawn."""
    return base.withdrawn | {
        event.order for event in events if event.kind == WITHDRAWN and event.order and event.at < horizon
    }


def _is_void(base: Base, gone: Mapping[int, int], times: Mapping[int, Sequence[int]], refund: KeptEvent) -> bool:
    """A cancelled order is told both ways: the refund of it is none. `times` are those of each order's events."""
    of_order = times.get(refund.order, ())
    place = bisect_right(of_order, refund.at)
    last = of_order[place - 1] if place else -1
    if refund.order in base.withdrawn and last < 0:
        return True
    return refund.order in gone and (refund.at <= gone[refund.order] or last <= gone[refund.order])


def _times(events: Sequence[KeptEvent]) -> dict[int, list[int]]:
    """Times of each order's events, ascending."""
    times: dict[int, list[int]] = {}
    for at, order in sorted((event.at, event.order) for event in events if event.kind == ORDER and event.order):
        times.setdefault(order, []).append(at)
    return times
