"""Journeys and outcomes of one person, evaluated over the whole history at once.

Declarative on purpose: `entered` is decided from the minima `e_k`, not in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tests.oracle.definition import Funnel
from tests.oracle.event import LOST, STAGE, Event
from tests.oracle.orders import Order, by_time

NEVER = math.inf


@dataclass
class Step:
    """A stage or lost event as section 3 sees it; `stage` is None for a lost event."""

    event: Event
    stage: int | None


@dataclass
class Journey:
    """A journey's steps in order; the first one is a stage event at `t0`. It takes events until `end`."""

    steps: list[Step]
    end: int

    @property
    def t0(self) -> int:
        """When it started."""
        return self.steps[0].event.occurred

    @property
    def first(self) -> Event:
        """Its earliest event, whose values are the `first` values."""
        return self.steps[0].event


@dataclass(frozen=True)
class Entry:
    """A stage entry and what became of it."""

    stage: int
    event: Event
    previous: int | None
    """The stage of the transition that led here; None where the journey started here."""
    next_stage: int | None
    next_at: float
    outcome: str
    """completed, lost, advanced, abandoned or open."""
    deadline: int
    loss: Event | None
    is_stalled: bool
    is_won: bool
    is_late_loss: bool
    """`loss` came after the deadline: it changed nothing."""

    @property
    def at(self) -> int:
        """e_k."""
        return self.event.occurred

    @property
    def is_revived(self) -> bool:
        """Whether it went on after it had been given up."""
        return self.outcome in ("abandoned", "lost") and self.next_stage is not None


def by_place(funnel: Funnel) -> Callable[[Step], tuple[int, int, int]]:
    """The order of section 3: by time, stage and tie; at one instant lost events come last."""
    after_all = len(funnel.stages)
    return lambda step: (step.event.occurred, after_all if step.stage is None else step.stage, step.event.tie)


def steps_of(funnel: Funnel, history: list[Event], orders: list[Order]) -> list[Step]:
    """Stage and lost events in the order of section 3; of an order only its first event."""
    steps = [Step(event, event.stages[0]) for event in history if event.kind == STAGE]
    steps += [Step(order.first, order.stage) for order in orders if order.stage is not None]
    steps += [Step(event, None) for event in history if event.kind == LOST]
    return sorted(steps, key=by_place(funnel))


def journeys_of(funnel: Funnel, steps: list[Step]) -> list[Journey]:
    """The journeys; lost events outside of one are in none."""
    journeys: list[Journey] = []
    for step in steps:
        journey = journeys[-1] if journeys else None
        takes = journey is not None and step.event.occurred <= journey.end
        if takes and journey is not None and funnel.reentry == "completion" and step.stage is not None:
            is_completed = any(earlier.stage == funnel.last for earlier in journey.steps)
            takes = not (is_completed and step.stage < funnel.last)
        if takes and journey is not None:
            journey.steps.append(step)
        elif step.stage is not None:
            journeys.append(Journey([step], step.event.occurred + funnel.window))
    return journeys


def entries_of(funnel: Funnel, journey: Journey, now: int) -> list[Entry]:
    """Every stage entry of a journey with its outcome at `now`."""
    e: dict[int, Event] = {}
    for stage in range(len(funnel.stages)):
        of_stage = [step.event for step in journey.steps if step.stage == stage]
        if of_stage:
            e[stage] = min(of_stage, key=by_time)
    entered = [k for k in sorted(e) if all(e[m].occurred >= e[k].occurred for m in e if m > k)]
    losses = [step.event for step in journey.steps if step.stage is None]
    return [_entry(funnel, journey, e, entered, losses, j, now) for j in entered]


def _entry(
    funnel: Funnel, journey: Journey, e: dict[int, Event], entered: list[int], losses: list[Event], j: int, now: int
) -> Entry:
    at = e[j].occurred
    next_stage = min((k for k in entered if k > j), default=None)
    next_at: float = NEVER if next_stage is None else e[next_stage].occurred
    stage = funnel.stages[j]
    deadline = journey.end
    if stage.abandon_after is not None:
        deadline = min(deadline, at + stage.abandon_after)
    loss = min((one for one in losses if at <= one.occurred < next_at), key=by_time, default=None)
    if j == funnel.last:
        outcome = "completed"
    elif loss is not None and loss.occurred <= deadline:
        outcome = "lost"
    elif next_at <= deadline:
        outcome = "advanced"
    elif now > deadline:
        outcome = "abandoned"
    else:
        outcome = "open"
    return Entry(
        stage=j,
        event=e[j],
        previous=max((k for k in entered if k < j), default=None),
        next_stage=next_stage,
        next_at=next_at,
        outcome=outcome,
        deadline=deadline,
        loss=loss if outcome in ("lost", "abandoned") else None,
        is_stalled=outcome == "open" and stage.stalled_after is not None and now > at + stage.stalled_after,
        is_won=any(k > j and funnel.is_order_stage(k) for k in entered),
        is_late_loss=outcome == "abandoned",
    )
