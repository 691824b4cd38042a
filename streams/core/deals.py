"""Several deals of one person at once (semantics.md 3a): whose journey an event belongs to, and the fold of that.

The parting is one sweep back and one forth over all steps of a person. It looks ahead as far as a deal can have a
lead-in, so it is settled one `lead_in` behind the horizon only. What lies between, the base keeps as steps: their
orders and refunds are settled, their places in journeys are not. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from streams.core.base import Base, Deal, FirstOrder, Identity, Journey, Step
from streams.core.changes import standing, withdrawn_behind
from streams.core.journeys import AFTER_STAGES, History, Owner, closes, enter, go_on, lose
from streams.core.kept import KeptEvent
from streams.core.person import Person
from streams.core.plan import ORDER, REFUND, Plan
from streams.core.scoring import scores_behind

_NOWHERE = Owner(-1, 0, b"")
"""Of a loss with a value outside of every journey of that value."""


def is_parted(person: Person) -> bool:
    """Whether a person has deals, or something behind the horizon that a deal may still take."""
    base = person.base
    return bool(base.deals or base.newest) or any(event.unit for event in person.events)


def part(plan: Plan, base: Base, steps: Sequence[Step]) -> list[Owner | None]:
    """The deal that each step belongs to; None: the person's own line."""
    owners: list[Owner | None] = [None] * len(steps)
    begun = [_owner_of(deal) for deal in base.deals if deal.is_begun]
    begins = _own_lines(plan, begun, steps, owners)
    leads = _lead_ins(plan, steps, begins)
    running = _Running(plan, sorted([*begun, *begins.values()], key=_place))
    for number, step in enumerate(steps):
        at, stage, _, event, worth = step
        running.move_to(at)
        if event.unit:
            owner = owners[number]
            if owner is not None and owner is not _NOWHERE:
                running.note(owner, is_closed=closes(plan, step))
            continue
        # A loss ends and an order completes: neither leads to something else.
        may_lead = stage != AFTER_STAGES and worth is None
        owners[number] = running.open_one(at) or (leads[number] if may_lead else None) or running.last_one(at)
    return owners


def _place(owner: Owner) -> tuple[int, int]:
    return owner.begins_at, owner.event_hash


def _owner_of(deal: Deal) -> Owner:
    return Owner(*deal.identity, is_closed=deal.is_closed, is_completed=deal.is_completed)


def _own_lines(
    plan: Plan, begun: Sequence[Owner], steps: Sequence[Step], owners: list[Owner | None]
) -> dict[int, Owner]:
    """Fills the owners of the steps with a value; the deals that begin, by the number of their first step."""
    begins: dict[int, Owner] = {}
    lines = {owner.unit: owner for owner in begun}
    for number, (at, stage, event_hash, event, _) in enumerate(steps):
        if not event.unit:
            continue
        owner = lines.get(event.unit)
        if owner is not None and at > owner.begins_at + plan.window:
            owner = None  # its window is over: the next stage with this value begins another deal
        if stage == AFTER_STAGES:
            owners[number] = owner or _NOWHERE
            continue
        # Where completion ends a journey, a lower stage begins anew; the last one again is a repetition.
        if owner is None or (plan.ends_at_completion and owner.is_completed and stage < plan.last):
            owner = lines[event.unit] = begins[number] = Owner(at, event_hash, event.unit)
        owners[number] = owner
        owner.reach = max(owner.reach, stage)
        owner.is_completed = owner.is_completed or stage == plan.last
    return begins


def _lead_ins(plan: Plan, steps: Sequence[Step], begins: dict[int, Owner]) -> list[Owner | None]:
    """By step: the deal that begins first after it, reaches its stage, and has no order in between; None: too far."""
    leads: list[Owner | None] = [None] * len(steps)
    nearest: list[Owner | None] = [None] * plan.stages
    """By stage: the first deal behind the step that reaches it."""
    for number in range(len(steps) - 1, -1, -1):
        at, stage, _, event, worth = steps[number]
        # It led to the order: nothing before an order leads to a deal behind it.
        if worth is not None:
            nearest = [None] * plan.stages
        owner = begins.get(number)
        if owner is not None:
            for reached in range(owner.reach + 1):
                other = nearest[reached]
                if other is None or _place(owner) < _place(other):
                    nearest[reached] = owner
        elif not event.unit and stage != AFTER_STAGES:
            led_to = nearest[stage]
            leads[number] = led_to if led_to is not None and led_to.begins_at - at <= plan.lead_in else None
    return leads


class _Running:
    """The deals that have begun at an instant, in the sweep forth."""

    def __init__(self, plan: Plan, deals: list[Owner]) -> None:
        self._window = plan.window
        self._deals = deals
        self._ranks = {owner.identity: rank for rank, owner in enumerate(deals)}
        self._begun = 0
        self._open: list[int] = []
        """Heap of ranks, the last begun first; what is closed by now is taken out when it comes to the top."""

    def move_to(self, at: int) -> None:
        """Deals that begin until then have begun, and are open before their first event."""
        while self._begun < len(self._deals) and self._deals[self._begun].begins_at <= at:
            self._list(self._deals[self._begun])
            self._begun += 1

    def note(self, owner: Owner, *, is_closed: bool) -> None:
        """An event of a deal's own value."""
        owner.is_closed = is_closed
        self._list(owner)

    def _list(self, owner: Owner) -> None:
        if not owner.is_closed and not owner.is_listed:
            owner.is_listed = True
            heappush(self._open, -self._ranks[owner.identity])

    def open_one(self, at: int) -> Owner | None:
        """The open deal that began last."""
        while self._open:
            owner = self._deals[-self._open[0]]
            # The window of one that began last ends last: if it is over, all others' are.
            if not owner.is_closed:
                return owner if at <= owner.begins_at + self._window else None
            owner.is_listed = False
            heappop(self._open)
        return None

    def last_one(self, at: int) -> Owner | None:
        """The deal that began last, open or not."""
        owner = self._deals[self._begun - 1] if self._begun else None
        return owner if owner is not None and at <= owner.begins_at + self._window else None


def run(plan: Plan, base: Base, history: History, count: int) -> tuple[Journey | None, dict[Identity, Journey]]:
    """The pass over the first `count` steps of a parted history: the own journey under way, and those of deals."""
    own = None if base.journey is None else base.journey.copy()
    deals = {deal.identity: deal.journey.copy() for deal in base.deals}
    for (_, _, unit), journey in deals.items():
        journey.unit = unit
    history.journeys += [*([] if own is None else [own]), *deals.values()]
    for number in range(count):
        step, owner = history.steps[number], history.owners[number]
        if owner is None:
            own = go_on(plan, history, own, step)
        elif owner is not _NOWHERE:
            _take(plan, history, deals, owner, step)
    return own, deals


def _take(plan: Plan, history: History, deals: dict[Identity, Journey], owner: Owner, step: Step) -> None:
    at, stage, _, event, _ = step
    if stage == AFTER_STAGES:
        lose(deals[owner.identity], at, event.reason)
        return
    journey = deals.get(owner.identity)
    if journey is None:
        journey = deals[owner.identity] = Journey(at, event.code, [], owner.begins_at)
        journey.unit = owner.unit
        history.journeys.append(journey)
    enter(plan, history, journey, step)


def fold_deals(plan: Plan, base: Base, events: Sequence[KeptEvent], horizon: int, history: History) -> Base:
    """The base after all events behind the horizon have passed; `history` is the pass over all events.

    Orders and refunds are settled there, journeys one `lead_in` behind it.
    """
    folded = Base()
    _fold_money(base, events, horizon, history, folded)
    settled = horizon - plan.lead_in
    folded.scores = scores_behind(plan, base, events, horizon, settled=settled)
    folded.steps = [step for step in history.steps if settled <= step[0] < horizon]
    newest = max([base.newest, *(event.at for event in events if event.at < horizon)])
    folded.newest = newest if newest >= settled else 0
    if folded.first_order is None:
        first = min((order for order in history.orders if order.at < settled), default=None)
        folded.first_order = None if first is None else FirstOrder(first.at, first.stage, first.code)
    _fold_journeys(plan, base, history, settled, folded)
    return folded


def is_foldable(plan: Plan, base: Base, horizon: int) -> bool:
    """Whether something in a base is settled by now."""
    settled = horizon - plan.lead_in
    journeys = [deal.journey for deal in base.deals] + ([] if base.journey is None else [base.journey])
    times = [*(step[0] for step in base.steps[:1]), *([base.newest] if base.newest else [])]
    times += [at + plan.score_life for at, _ in base.scores[:1]]
    return any(at < settled for at in times) or any(journey.begins_at + plan.window < settled for journey in journeys)


def _fold_money(base: Base, events: Sequence[KeptEvent], horizon: int, history: History, folded: Base) -> None:
    behind = [event for event in standing(base, events).live if event.at < horizon]
    orders = [event.order for event in behind if event.kind == ORDER]
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    known = {order for order in orders if order and order not in base.orders}
    moved = {step[3].order for step in base.steps if step[4] is not None and step[3].order}
    folded.orders = {**base.orders, **{order: history.known[order] for order in known | moved}}
    folded.orders_count = base.orders_count + len(known) + orders.count(0)
    folded.refunds = base.refunds | {event.refund for event in behind if event.kind == REFUND and event.refund}
    folded.first_order = base.first_order
    folded.withdrawn = withdrawn_behind(base, events, horizon) - known


def _fold_journeys(plan: Plan, base: Base, history: History, settled: int, folded: Base) -> None:
    """What can still take an event: the journey of the own line, of each value the last deal, and what led to deals."""
    count = sum(step[0] < settled for step in history.steps)
    past = History()
    past.steps, past.owners = history.steps, history.owners
    own, journeys = run(plan, base, past, count)
    if own is not None and own.started_at + plan.window >= settled:
        folded.journey = own
    states = _states(plan, base, past, count)
    newest = {identity[2]: identity for identity in sorted(states)}
    for identity, journey in journeys.items():
        state = states.get(identity)
        if state is None:  # it has not begun: these are its lead-ins
            folded.deals.append(Deal(identity, journey, is_begun=False, is_closed=False, is_completed=False))
        elif newest[identity[2]] == identity and journey.begins_at + plan.window >= settled:
            is_closed, is_completed = state
            folded.deals.append(Deal(identity, journey, is_begun=True, is_closed=is_closed, is_completed=is_completed))


def _states(plan: Plan, base: Base, past: History, count: int) -> dict[Identity, tuple[bool, bool]]:
    """Whether each deal that has begun is closed and completed by the events with its value."""
    states = {deal.identity: (deal.is_closed, deal.is_completed) for deal in base.deals if deal.is_begun}
    for step, owner in zip(past.steps[:count], past.owners, strict=False):
        if owner is not None and owner is not _NOWHERE and step[3].unit:
            _, was_completed = states.get(owner.identity, (False, False))
            states[owner.identity] = closes(plan, step), was_completed or step[1] == plan.last
    return states
