"""Where orders and refunds are booked: a stage and the values of its dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from tests.oracle.deals import lines_of
from tests.oracle.definition import Funnel
from tests.oracle.event import ORDER, Event
from tests.oracle.journeys import Entry, Journey, Step, by_place, steps_of
from tests.oracle.orders import Order, orders_of
from tests.oracle.scores import with_temperatures
from tests.oracle.values import UNKNOWN

NEVER = (2**62, 0, 0)


def values_of_entry(funnel: Funnel, journey: Journey, entry: Entry) -> tuple[str, ...]:
    """Of `last` dimensions: what the journey said until the entry had its outcome."""
    place = by_place(funnel)
    came = min(place(step) for step in journey.steps if step.stage == entry.stage)
    went = min((place(step) for step in journey.steps if step.stage == entry.next_stage is not None), default=NEVER)
    until = entry.deadline
    if entry.outcome == "completed":
        until = entry.at
    elif entry.outcome == "lost" and entry.loss is not None:
        until = entry.loss.occurred
    said = [
        step
        for step in journey.steps
        if place(step) <= came or (place(step) < went and step.event.occurred <= until and entry.outcome != "completed")
    ]
    return _mixed(funnel, journey, entry.event, said)


def values_of_order(funnel: Funnel, journey: Journey, first: Event) -> tuple[str, ...]:
    """Of `last` dimensions: what the journey said up to it."""
    place = by_place(funnel)
    (own,) = [step for step in journey.steps if step.event is first]
    return _mixed(funnel, journey, first, [step for step in journey.steps if place(step) <= place(own)])


def _mixed(funnel: Funnel, journey: Journey, own: Event, said: list[Step]) -> tuple[str, ...]:
    """By each dimension's attribution."""
    events = [step.event for step in sorted(said, key=by_place(funnel)) if step.stage is not None]
    values = []
    for at, dimension in enumerate(funnel.dimensions):
        if dimension.prop == "journey.touches":
            touches = sum(event.kind != ORDER for event in events)
            values.append(str(touches) if touches <= 20 else "more")
        elif dimension.attribution == "last":
            stated = [event.values[at] for event in events if event.values[at] != UNKNOWN]
            values.append(stated[-1] if stated else UNKNOWN)
        else:
            values.append((journey.first if dimension.attribution == "first" else own).values[at])
    return tuple(values)


@dataclass(frozen=True)
class Placed:
    """An order that belongs to a stage, with its values."""

    order: Order
    stage: str
    nth: int
    values: tuple[str, ...]
    is_joined: bool
    """Its journey began before it came to an order stage."""


def placed_of(funnel: Funnel, orders: list[Order], journeys: list[Journey]) -> list[Placed]:
    """Every order that has a stage, at its place."""
    placed = []
    for order in orders:
        if order.stage is not None:
            (journey,) = [one for one in journeys if any(step.event is order.first for step in one.steps)]
            stage = funnel.stages[order.stage]
            values = values_of_order(funnel, journey, order.first)
            is_joined = not funnel.is_order_stage(journey.steps[0].stage or 0)
            placed.append(Placed(order, stage.name, stage.nth or 0, values, is_joined))
    return placed


def refund_place(funnel: Funnel, refund: Event, placed: list[Placed]) -> tuple[str, tuple[str, ...]] | None:
    """That of its order, else the first order stage and its own values; None in a funnel without orders."""
    order_stages = [stage.name for stage in funnel.stages if stage.nth is not None]
    known = [one for one in placed if refund.order_id is not None and one.order.first.order_id == refund.order_id]
    if not order_stages:
        return None
    return (known[0].stage, known[0].values) if known else (order_stages[0], refund.values)


def place_now(funnel: Funnel, history: list[Event], refund: Event) -> tuple[str, tuple[str, ...]] | None:
    """Where a refund is booked by a history as it is."""
    seen = with_temperatures(funnel, history)
    refund = next(now for now, then in zip(seen, history, strict=True) if then is refund)
    history, orders = seen, orders_of(funnel, seen)
    return refund_place(funnel, refund, placed_of(funnel, orders, lines_of(funnel, steps_of(funnel, history, orders))))
