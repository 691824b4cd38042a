"""Which line of journeys a stage or lost event belongs to: the deals of a person, and what no deal takes (3a).

Declarative on purpose: every event without a unit value looks at all deals of the person.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.oracle.definition import Funnel
from tests.oracle.event import ORDER, Event
from tests.oracle.journeys import Journey, Step, by_place, journeys_of


@dataclass
class Deal:
    """A journey of the events of one unit value: it begins at its first stage event and lasts one window."""

    own: list[Step]
    end: int
    taken: list[Step]

    @property
    def begin(self) -> Step:
        """Its first event with the value."""
        return self.own[0]

    @property
    def began(self) -> tuple[int, int]:
        """Deals that begin at one instant follow each other by the tie of that event."""
        return self.begin.event.occurred, self.begin.event.tie

    def lasts(self, at: int) -> bool:
        """Whether an instant lies within it."""
        return self.begin.event.occurred <= at <= self.end


def lines_of(funnel: Funnel, steps: list[Step]) -> list[Journey]:
    """All journeys of a person: of its deals, and of what belongs to none."""
    if funnel.unit is None:
        return journeys_of(funnel, steps)
    deals = _deals(funnel, steps)
    left = []
    for step in steps:
        if step.event.unit is None:
            deal = _deal_of(funnel, steps, deals, step)
            if deal is None:
                left.append(step)
            else:
                deal.taken.append(step)
    of_deals = [Journey(sorted([*deal.own, *deal.taken], key=by_place(funnel)), deal.end) for deal in deals]
    return [*of_deals, *journeys_of(funnel, left)]


def _deals(funnel: Funnel, steps: list[Step]) -> list[Deal]:
    deals = []
    for value in dict.fromkeys(step.event.unit for step in steps if step.event.unit is not None):
        line = journeys_of(funnel, [step for step in steps if step.event.unit == value])
        deals += [Deal(journey.steps, journey.end, []) for journey in line]
    return sorted(deals, key=lambda deal: deal.began)


def deals_now(funnel: Funnel, steps: list[Step]) -> list[tuple[Event, tuple[int, int] | None]]:
    """Every event without a unit value, and what says which deal it belongs to."""
    deals = _deals(funnel, steps)
    left = [step for step in steps if step.event.unit is None]
    steps_with_deals = [(step.event, _deal_of(funnel, steps, deals, step)) for step in left]
    return [(event, None if deal is None else deal.began) for event, deal in steps_with_deals]


def _deal_of(funnel: Funnel, steps: list[Step], deals: list[Deal], step: Step) -> Deal | None:
    if step.event.is_parted:
        return next((deal for deal in deals if deal.began == step.event.deal), None)
    at = step.event.occurred
    running = [deal for deal in deals if deal.lasts(at)]
    is_open = [deal for deal in running if _is_open(funnel, deal, step)]
    if is_open:
        return is_open[-1]
    led_to = [deal for deal in deals if _leads_in(funnel, steps, deal, step)]
    if led_to:
        return led_to[0]
    return running[-1] if running else None


def _is_open(funnel: Funnel, deal: Deal, step: Step) -> bool:
    """Nothing with its value has closed it before that event."""
    place = by_place(funnel)
    before = [one for one in deal.own if place(one) < place(step)]
    return not before or not _closes(funnel, before[-1])


def _closes(funnel: Funnel, step: Step) -> bool:
    return step.stage is None or step.event.kind == ORDER or step.stage == funnel.last


def _leads_in(funnel: Funnel, steps: list[Step], deal: Deal, step: Step) -> bool:
    place = by_place(funnel)
    if step.stage is None or step.event.kind == ORDER or place(deal.begin) < place(step):
        return False
    if deal.begin.event.occurred - step.event.occurred > funnel.lead_in:
        return False
    if not any(own.stage is not None and own.stage >= step.stage for own in deal.own):
        return False
    return not any(one.event.kind == ORDER and place(step) < place(one) < place(deal.begin) for one in steps)
