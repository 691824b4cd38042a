"""The one pass over a person's events (semantics.md 3): from a base and the events after it to journeys and orders.

A pure function; the fold (`fold`) is the same pass over the events behind the horizon, keeping what can still matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.counters import STAGE_LOST
from streams.core.person import Base, Entry, Hot, Journey, Layered, Single
from streams.core.plan import LOST, NO_STAGE, OPEN, ORDER, RESOLVED, STALLED, Plan

_AFTER_STAGES: Final = 64
"""At one instant lost events come after the stages."""


class OrderBooked(NamedTuple):
    """An order at its stage, with the values of its journey and its own."""

    at: int
    stage: int
    code: int
    minor: int
    currency: int


class RefundBooked(NamedTuple):
    """A refund under the stage and values of its order."""

    at: int
    stage: int
    code: int
    minor: int
    currency: int


_Step = tuple[int, int, int, Single]


class Walk:
    """What a history amounts to."""

    __slots__ = ("events", "journeys", "known", "newest", "orders", "orders_count", "refund_ids", "refunds")

    def __init__(self) -> None:
        self.journeys: list[Journey] = []
        self.events: list[tuple[int, int, int]] = []
        """(at, stage, own code) of every event that counts as one; lost events under STAGE_LOST."""
        self.orders: list[OrderBooked] = []
        self.refunds: list[RefundBooked] = []
        self.known: dict[int, tuple[int, int]] = {}
        """Orders that are not in the base: id -> (stage, code)."""
        self.orders_count = 0
        self.refund_ids: set[int] = set()
        self.newest = -1
        """Time of the newest stage or lost event walked; -1 for none."""


def walk(plan: Plan, base: Base, singles: Sequence[Single]) -> Walk:
    """The pass. Neither argument is changed."""
    found = Walk()
    steps = _steps(plan, base, singles, found)
    journey = None
    if base.journey is not None:
        journey = base.journey.copy()
        found.journeys.append(journey)
    for at, stage, _, single in steps:
        if stage == _AFTER_STAGES:
            if journey is not None and at <= journey.t0 + plan.window:
                last = journey.entries[-1]
                if last.loss_at < 0:
                    last.loss_at, last.reason = at, single.reason
            continue
        if journey is None or _ends_before(plan, journey, at, stage):
            journey = Journey(at, single.code, [])
            found.journeys.append(journey)
        code = plan.mixed(journey.first, single.code)
        if not journey.entries or stage > journey.entries[-1].stage:
            money = (-1, 0) if plan.is_order[stage] else (single.minor, single.currency)
            journey.entries.append(Entry(stage, at, code, *money))
        if single.kind == ORDER:
            currency = single.currency if single.minor >= 0 else plan.currency
            found.orders.append(OrderBooked(at, stage, code, single.minor, currency))
            if single.order:
                found.known[single.order] = (stage, code)
    _refunds(plan, base, singles, found)
    return found


def _ends_before(plan: Plan, journey: Journey, at: int, stage: int) -> bool:
    if at > journey.t0 + plan.window:
        return True
    return plan.completion and journey.entries[-1].stage == plan.last and stage < plan.last


def _steps(plan: Plan, base: Base, singles: Sequence[Single], found: Walk) -> list[_Step]:
    """Stage and lost events in order; of orders the first events alone. Fills events, newest and orders_count."""
    steps: list[_Step] = []
    orders: dict[int, list[Single]] = {}
    events = found.events
    for one in singles:
        kind = one.kind
        if kind < ORDER:
            steps.append((one.at, kind, one.tie, one))
            events.append((one.at, kind, one.code))
        elif kind == LOST:
            steps.append((one.at, _AFTER_STAGES, one.tie, one))
            events.append((one.at, STAGE_LOST, one.code))
        elif kind == ORDER:
            orders.setdefault(one.order or ~len(orders), []).append(one)
    if orders:
        _order_steps(plan, base, orders, found, steps)
    steps.sort()
    if steps:
        found.newest = steps[-1][0]
    return steps


def _order_steps(plan: Plan, base: Base, orders: dict[int, list[Single]], found: Walk, steps: list[_Step]) -> None:
    groups: list[list[Single]] = []
    for order, group in orders.items():
        booked = base.orders.get(order)
        if booked is None:
            groups.append(sorted(group))
        elif booked[0] != NO_STAGE:
            found.events += [(one.at, booked[0], one.code) for one in group]
    groups.sort(key=lambda group: group[0][:2])
    for ordinal, group in enumerate(groups, start=base.orders_count + 1):
        first = group[0]
        stage = plan.order_stage(first.mask, ordinal)
        if stage == NO_STAGE:
            if first.order:
                found.known[first.order] = (NO_STAGE, 0)
            continue
        steps.append((first.at, stage, first.tie, first))
        found.events += [(one.at, stage, one.code) for one in group]
    found.orders_count = len(groups)


def _refunds(plan: Plan, base: Base, singles: Sequence[Single], found: Walk) -> None:
    groups: dict[int, Single] = {}
    for one in singles:
        if one.kind > LOST and one.refund not in base.refunds:
            key = one.refund or ~len(groups)
            if key not in groups or one < groups[key]:
                groups[key] = one
    for one in groups.values():
        if one.refund:
            found.refund_ids.add(one.refund)
        if one.minor < 0 or not plan.order_stages:
            continue
        stage, code = NO_STAGE, 0
        if one.order:
            stage, code = base.orders.get(one.order) or found.known.get(one.order) or (NO_STAGE, 0)
        if stage == NO_STAGE:
            stage, code = plan.order_stages[0], 0
        found.refunds.append(RefundBooked(one.at, stage, code, one.minor, one.currency))


def fold(plan: Plan, base: Base, behind: Sequence[Single], horizon: int) -> Base:
    """The base after everything of `behind` (all of it behind the horizon, nothing else is) has passed."""
    found = walk(plan, base, behind)
    folded = Base()
    if found.journeys and found.journeys[-1].t0 + plan.window >= horizon:
        folded.journey = found.journeys[-1]
    folded.orders_count = base.orders_count + found.orders_count
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    folded.orders = {**base.orders, **found.known} if found.known else base.orders
    folded.refunds = base.refunds | found.refund_ids if found.refund_ids else base.refunds
    return folded


def checkpoint(plan: Plan, base: Base, singles: Sequence[Single]) -> Base:
    """The base after some more events, all older than any that follow; the last journey stays, ended or not."""
    found = walk(plan, base, singles)
    after = Base()
    after.journey = found.journeys[-1] if found.journeys else None
    after.orders_count = base.orders_count + found.orders_count
    after.orders = Layered(base.orders, found.known) if found.known else base.orders
    after.refunds = base.refunds | found.refund_ids if found.refund_ids else base.refunds
    return after


def deadline_of(plan: Plan, t0: int, stage: int, entered_at: int) -> int:
    """When an entry is abandoned."""
    return min(entered_at + plan.abandon[stage], t0 + plan.window)


def status_of(plan: Plan, found: Walk, watermark: int) -> int:
    """What the last entry of the last journey is at a watermark: OPEN, STALLED or RESOLVED."""
    if not found.journeys:
        return RESOLVED
    journey = found.journeys[-1]
    last = journey.entries[-1]
    deadline = deadline_of(plan, journey.t0, last.stage, last.at)
    now = max(watermark, found.newest)
    if last.stage == plan.last or now > deadline or 0 <= last.loss_at <= deadline:
        return RESOLVED
    return STALLED if now > last.at + plan.stall[last.stage] else OPEN


def hot_of(plan: Plan, found: Walk, *, last_at: int, orders: int, horizon: int) -> Hot:
    """The header's view of a walk: the journey under way, if any can still take an event."""
    if not found.journeys or found.journeys[-1].t0 + plan.window < horizon:
        return Hot(last_at, orders=orders)
    journey = found.journeys[-1]
    last, several = journey.entries[-1], len(journey.entries) > 1
    return Hot(last_at, last.stage + 1, journey.t0, last.at, journey.first, last.code, last.minor >= 0, orders, several)
