"""Journeys as a pass makes them (semantics.md 3): what it takes, what it yields, and one step of it.

The passes are `streams.core.history`; which line of journeys an event belongs to is `streams.core.deals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from schemas.attribution import MOST_TOUCHES
from streams.core.base import Entry, FirstOrder, Identity, Journey, Step, Worth
from streams.core.kept import KeptEvent
from streams.core.plan import Plan
from streams.core.registers import FIRST_CODE


class OrderBooked(NamedTuple):
    """An order at its stage, with the values of its journey and its own."""

    at: int
    event_hash: int
    stage: int
    code: int
    worth: Worth
    is_joined: bool
    """Its journey began before it came to an order stage."""


class RefundBooked(NamedTuple):
    """A refund under the stage and values of its order."""

    at: int
    stage: int
    code: int
    minor: int
    currency: int


AFTER_STAGES: Final = 64
"""At one instant lost events come after the stages."""
Restated: TypeAlias = dict[int, list[KeptEvent]]
"""What stands of the restatements of an order, oldest first."""


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
        "owners",
        "refund_ids",
        "refunds",
        "steps",
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
        self.steps: list[Step] = []
        """With a unit: all steps in order, those of the base included."""
        self.owners: list[Owner | None] = []
        """With a unit: whose journey each step belongs to; None: the person's own line."""


class Owner:
    """A deal as the parting sees it: a journey of the events of one unit value."""

    __slots__ = ("begins_at", "event_hash", "is_closed", "is_completed", "is_listed", "reach", "unit")

    def __init__(
        self, begins_at: int, event_hash: int, unit: bytes, *, is_closed: bool = False, is_completed: bool = False
    ) -> None:
        self.begins_at = begins_at
        self.event_hash = event_hash
        """Of the event with which it begins."""
        self.unit = unit
        self.is_closed = is_closed
        """Its last event with the value was a loss, an order or of the last stage."""
        self.is_completed = is_completed
        """It has an event of the last stage with the value."""
        self.reach = -1
        """The furthest stage of its events with the value."""
        self.is_listed = False
        """It is among those that may be open, in the sweep of `streams.core.deals`."""

    @property
    def identity(self) -> Identity:
        """What it is known by, whatever becomes of it."""
        return self.begins_at, self.event_hash, self.unit


def closes(plan: Plan, step: Step) -> bool:
    """Whether a deal is no longer open after such an event with its value."""
    _, stage, _, _, worth = step
    return stage == AFTER_STAGES or stage == plan.last or worth is not None


def enter(plan: Plan, history: History, journey: Journey, step: Step) -> None:
    """Take a stage event into a journey that runs: an entry, a repeat, perhaps an order."""
    at, stage, event_hash, event, worth = step
    is_next = not journey.entries or stage > journey.entries[-1].stage
    if plan.last_mask:
        _touch(plan, journey, step)
    if not is_next and worth is None:
        return
    code = plan.mixed(journey.code, event.code)
    if is_next:
        money = (-1, 0) if plan.is_order[stage] else (event.minor, event.currency)
        journey.entries.append(Entry(stage, at, code, *money))
    if worth is not None:
        history.orders.append(
            OrderBooked(at, event_hash, stage, code, worth, is_joined=is_joined(plan, journey.entries))
        )
        if event.order:
            history.known[event.order] = (stage, code)


def is_joined(plan: Plan, entries: Sequence[Entry]) -> bool:
    """Whether what led to the orders of a journey with these entries is known."""
    return bool(entries) and not plan.is_order[entries[0].stage]


def _touch(plan: Plan, journey: Journey, step: Step) -> None:
    """The values that a journey has of its latest event. The entry under way has them until its outcome."""
    at, stage, _, event, worth = step
    code = journey.code
    for mask in plan.last_masks:
        if event.code & mask:  # of what states none the one before stays
            code = code & ~mask | event.code & mask
    for shift, mask in plan.touch_fields:
        touches = max(code >> shift & mask, FIRST_CODE) + (worth is None)
        code = code & ~(mask << shift) | min(touches, FIRST_CODE + MOST_TOUCHES + 1) << shift
    journey.code = code
    last = journey.entries[-1] if journey.entries else None
    if last is None or not stage <= last.stage < plan.last:
        return
    if last.loss_at < 0 and at <= deadline_of(plan, journey, last):
        last.code = last.code & ~plan.last_mask | code & plan.last_mask


def deadline_of(plan: Plan, journey: Journey, entry: Entry) -> int:
    """When an entry is abandoned."""
    return min(entry.at + plan.abandon[entry.stage], journey.begins_at + plan.window)


def lose(journey: Journey, at: int, reason: int) -> None:
    """The first loss after an entry is the one that counts."""
    last = journey.entries[-1]
    if last.loss_at < 0:
        last.loss_at, last.reason = at, reason


def ends_before(plan: Plan, journey: Journey, at: int, stage: int) -> bool:
    """Whether the person's own journey takes no event of that time and stage any more."""
    if at > journey.started_at + plan.window:
        return True
    return plan.ends_at_completion and journey.entries[-1].stage == plan.last and stage < plan.last


def go_on(plan: Plan, history: History, journey: Journey | None, step: Step) -> Journey | None:
    """A step of the person's own line: the journey under way after it."""
    at, stage, _, event, _ = step
    if stage == AFTER_STAGES:
        if journey is not None and at <= journey.started_at + plan.window:
            lose(journey, at, event.reason)
        return journey
    if journey is None or ends_before(plan, journey, at, stage):
        journey = Journey(at, event.code, [])
        history.journeys.append(journey)
    enter(plan, history, journey, step)
    return journey
