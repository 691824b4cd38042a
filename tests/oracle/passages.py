"""What answers of reports are made of, with its exact times: every entry, order, refund and statement of spend.

No counter, no bucket and no histogram: a question is answered by looking at each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.oracle.counting import dimension_cells, local_day
from tests.oracle.deals import lines_of
from tests.oracle.definition import Funnel
from tests.oracle.history import World
from tests.oracle.journeys import Entry, Journey, entries_of, steps_of
from tests.oracle.orders import orders_of, refunds_of
from tests.oracle.places import Placed, placed_of, refund_place, values_of_entry
from tests.oracle.scores import with_temperatures


@dataclass(frozen=True)
class Passage:
    """An entry of a journey, under its values."""

    entry: Entry
    journey: Journey
    values: tuple[str, ...]


@dataclass(frozen=True)
class Money:
    """An amount at an instant (or on a day), under its stage and values."""

    day: str
    stage: str
    currency: str
    minor: int
    values: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Of everybody."""

    funnel: Funnel
    watermark: int
    journeys: Sequence[Sequence[Passage]]
    customers: Sequence[Sequence[Placed]]
    """The orders of each person who has any, oldest first."""
    refunds: Sequence[Money]
    spend: Sequence[Money]

    def day(self, at: int) -> str:
        """The date in the funnel's time zone."""
        return local_day(at, self.funnel.timezone)

    def lies_in(self, values: tuple[str, ...], cell: str) -> bool:
        """Whether something with these values counts in a cell."""
        return cell in dimension_cells(self.funnel, values)

    def passages(self, cell: str, days: Iterable[str] | None = None) -> list[Passage]:
        """Entries of a cell, of all time or of some days."""
        known = None if days is None else set(days)
        return [
            one
            for journey in self.journeys
            for one in journey
            if self.lies_in(one.values, cell) and (known is None or self.day(one.entry.at) in known)
        ]

    def cells(self, dimension: int) -> list[str]:
        """The labels of a dimension that anything counts under."""
        values = {one.values[dimension] for journey in self.journeys for one in journey}
        return sorted(f"{self.funnel.dimensions[dimension].name}={value}" for value in values)


def facts_of(world: World) -> Facts:
    """Of a world whose people all lie in one partition."""
    funnel, watermark = world.funnel, world.watermarks.get(0, 0)
    journeys: list[list[Passage]] = []
    customers: list[list[Placed]] = []
    refunds: list[Money] = []
    for person in world.people.values():
        history = with_temperatures(funnel, person.events)
        orders = orders_of(funnel, history)
        steps = steps_of(funnel, history, orders)
        now = max([watermark, *(step.event.occurred for step in steps)])
        lines = lines_of(funnel, steps)
        journeys += [
            [Passage(one, line, values_of_entry(funnel, line, one)) for one in entries_of(funnel, line, now)]
            for line in lines
        ]
        placed = placed_of(funnel, orders, lines)
        if placed:
            customers.append(sorted(placed, key=lambda one: (one.order.first.occurred, one.order.first.tie)))
        for refund in refunds_of(history):
            place = refund.event.place or refund_place(funnel, refund.event, placed)
            if place is not None:
                day = local_day(refund.event.occurred, funnel.timezone)
                refunds.append(Money(day, place[0], refund.amount.currency, refund.amount.minor, place[1]))
    spend = [Money(day, "", currency, one.minor, one.values) for (_, day, _, currency), one in world.spend.items()]
    return Facts(funnel, watermark, journeys, customers, refunds, spend)
