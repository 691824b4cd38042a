"""Where orders and refunds are booked: a stage and the values of its dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from tests.oracle.deals import lines_of
from tests.oracle.definition import Funnel
from tests.oracle.event import Event
from tests.oracle.journeys import Journey, steps_of
from tests.oracle.orders import Order, orders_of
from tests.oracle.scores import with_temperatures


def mixed(funnel: Funnel, first: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """Values of an entry or order: by each dimension's attribution, those of the journey's first event or its own."""
    return tuple(
        first[at] if dimension.attribution == "first" else own[at] for at, dimension in enumerate(funnel.dimensions)
    )


@dataclass(frozen=True)
class Placed:
    """An order that belongs to a stage, with its values."""

    order: Order
    stage: str
    nth: int
    values: tuple[str, ...]


def placed_of(funnel: Funnel, orders: list[Order], journeys: list[Journey]) -> list[Placed]:
    """Every order that has a stage, at its place."""
    placed = []
    for order in orders:
        if order.stage is not None:
            (journey,) = [one for one in journeys if any(step.event is order.first for step in one.steps)]
            stage = funnel.stages[order.stage]
            values = mixed(funnel, journey.first.values, order.first.values)
            placed.append(Placed(order, stage.name, stage.nth or 0, values))
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
