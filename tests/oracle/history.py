"""From the log to histories: watermarks, what is late, which events are copies, which names find a place.

This is the only part in which the order of the log matters, and only where the rules say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import xxhash

from tests.oracle.deals import deals_now, lines_of
from tests.oracle.definition import Dimension, Funnel, Rule, value_at
from tests.oracle.event import LOST, ORDER, REFUND, RESTATED, SCORED, STAGE, WITHDRAWN, Event
from tests.oracle.journeys import steps_of
from tests.oracle.orders import by_time, has_order, is_taken_back, lies_behind, orders_of, withdrawn_events
from tests.oracle.places import place_now
from tests.oracle.values import (
    OTHER,
    UNKNOWN,
    amount_of,
    class_of,
    further_amount_of,
    lower_ids_of,
    person_of,
    placeholders_in,
    plain_text,
    real_id,
    same_name,
    shown,
)

REASON_CAP = 100
SPEND_IS_KNOWN_BY = ["channel", "campaign", "source", "medium", "content", "term"]
DEFAULT_SOURCE = "default"
SILENCE_MS = 400 * 24 * 3_600_000
CHANGES_OF_ORDERS = {"order_withdrawn": WITHDRAWN, "order_restated": RESTATED}


@dataclass
class Spend:
    """The statement that stands for one (source, day, campaign and the like, currency)."""

    received: int
    id: str
    minor: int
    values: tuple[str, ...]
    """Under which it counts."""


@dataclass
class Person:
    """A person's history, and which event of it a copy of (source, id) would be compared with."""

    partition: int
    events: list[Event] = field(default_factory=list)
    originals: dict[tuple[str, str], Event] = field(default_factory=dict)


@dataclass
class Link:
    """To whom an id belongs, when that was received, and when the id was heard of last."""

    higher: str
    received: int
    seen: int


@dataclass
class World:
    """Everything a funnel knows after a log."""

    funnel: Funnel
    delay: int
    watermarks: dict[int, int] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    spend: dict[tuple[str, str, tuple[str | None, ...], str], Spend] = field(default_factory=dict)
    names: list[list[str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    accepted: int = 0
    duplicates: int = 0
    late: int = 0
    persons: int = 0
    placeholder_ids: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """By class of traffic."""
    surplus: int = 0
    most_of_person: int | None = None
    """So many events a person may have from the horizon on."""
    link_conflicts: int = 0
    links: dict[str, Link] = field(default_factory=dict)
    partition_of: Callable[[str], int] = lambda _person: 0

    def horizon_of(self, person: str) -> int:
        """Of the partition that holds a person."""
        watermark = self.watermarks.get(self.partition_of(person))
        return -(2**62) if watermark is None else watermark - self.funnel.window - self.funnel.lateness


def _received(partition: int, at: int, world: World) -> None:
    world.watermarks[partition] = max(world.watermarks.get(partition, at - world.delay), at - world.delay)


def _classify(funnel: Funnel, raw: dict[str, Any]) -> tuple[str, tuple[int, ...], str | None] | None:
    """(kind, stages, fixed reason) of a relevant event; None for one the funnel does not look at."""
    name, properties, context = same_name(raw["name"]), raw.get("properties") or {}, raw.get("context") or {}

    def is_meant(rule: Rule) -> bool:
        return rule.matches(name, properties, context)

    if name in CHANGES_OF_ORDERS:
        return CHANGES_OF_ORDERS[name], (), None
    for rule in funnel.lost:
        if any(is_meant(one) for one in rule.on):
            return LOST, (), rule.reason
    matched = [at for at, stage in enumerate(funnel.stages) if any(is_meant(one) for one in stage.on)]
    orders = tuple(at for at in matched if funnel.is_order_stage(at))
    if orders:
        return ORDER, orders, None
    if matched:
        return STAGE, (max(matched),), None
    if any(is_meant(one) for one in funnel.refunds):
        return REFUND, (), None
    return (SCORED, (), None) if _points(funnel, raw) else None


def _points(funnel: Funnel, raw: dict[str, Any]) -> int:
    """Of every rule that means the event, within a thousand."""
    if funnel.scoring is None:
        return 0
    name, properties, context = same_name(raw["name"]), raw.get("properties") or {}, raw.get("context") or {}
    given = [
        points
        for rules, points in funnel.scoring.rules
        if any(rule.matches(name, properties, context) for rule in rules)
    ]
    return max(-1000, min(1000, sum(given)))


def _listed(dimension: Dimension, names: list[str], text: str | None) -> str:
    """Where a value is counted: itself, `other` or `unknown`; the first names in the log take the places."""
    if text is None:
        return UNKNOWN
    if dimension.values is not None:
        return shown(text) if text in dimension.values else OTHER
    return _under_cap(names, dimension.cap, text)


def _under_cap(names: list[str], cap: int, text: str) -> str:
    if text not in names and len(names) < cap:
        names.append(text)
    return shown(text) if text in names else OTHER


def _own_values(world: World, raw: dict[str, Any]) -> tuple[str, ...]:
    properties, context = raw.get("properties") or {}, raw.get("context") or {}
    return tuple(
        UNKNOWN
        if dimension.prop == "journey.touches"
        else _listed(dimension, world.names[at], plain_text(value_at(dimension.prop, properties, context)))
        for at, dimension in enumerate(world.funnel.dimensions)
    )


def _event(world: World, raw: dict[str, Any], what: tuple[str, tuple[int, ...], str | None], horizon: int) -> Event:
    kind, stages, fixed = what
    properties = raw.get("properties") or {}
    source, event_id = raw.get("source") or DEFAULT_SOURCE, str(raw["id"])
    reason = ""
    if kind == LOST:
        said = fixed if fixed is not None else properties.get("reason")
        text = plain_text(said)
        reason = UNKNOWN if text is None else _under_cap(world.reasons, REASON_CAP, text)
    return Event(
        source=source,
        id=event_id,
        occurred=occurred_of(raw),
        tie=xxhash.xxh3_64_intdigest(f"{source}\0{event_id}".encode()),
        kind=kind,
        stages=stages,
        values=_nothing_known(world) if kind in (WITHDRAWN, RESTATED) else _own_values(world, raw),
        amount=amount_of(properties, world.funnel.currency),
        order_id=real_id(properties.get("order_id")),
        refund_id=real_id(properties.get("refund_id")) if kind == REFUND else None,
        reason=reason,
        points=_points(world.funnel, raw),
        unit=None if world.funnel.unit is None else real_id(properties.get(world.funnel.unit)),
        cost=further_amount_of(properties, "cost", world.funnel.currency),
        discount=further_amount_of(properties, "discount", world.funnel.currency),
        horizon=horizon,
    )


def _nothing_known(world: World) -> tuple[str, ...]:
    return (UNKNOWN,) * len(world.funnel.dimensions)


def received_of(raw: dict[str, Any]) -> int:
    """When the collector received it; a replay file may leave it out."""
    received = raw.get("received_at_ms")
    return int(raw["occurred_at_ms"] if received is None else received)


def occurred_of(raw: dict[str, Any]) -> int:
    """When it occurred: never after it was received."""
    return min(int(raw["occurred_at_ms"]), received_of(raw))


def _apply(world: World, raw: dict[str, Any], person: str) -> None:
    funnel = world.funnel
    source = raw.get("source") or DEFAULT_SOURCE
    if funnel.sources is not None and source not in funnel.sources:
        return
    what = _classify(funnel, raw)
    if what is None:
        return
    traffic = class_of(raw.get("properties") or {})
    if traffic not in funnel.traffic:
        world.left_out[traffic] = world.left_out.get(traffic, 0) + 1
        return
    world.placeholder_ids += placeholders_in(raw)
    occurred = occurred_of(raw)
    horizon = world.horizon_of(person)
    if received_of(raw) - occurred > funnel.lateness or occurred < horizon:
        world.late += 1
        return
    world.accepted += 1
    _give(world, person, _event(world, raw, what, horizon))  # a copy takes places for names too: they stand in the log


def _give(world: World, person: str, event: Event) -> None:
    """An accepted event belongs to the person of its id, or to whom that is linked, if it is young enough for them."""
    link = _link_of(world, person)
    if link is not None:
        link.seen = max(link.seen, event.occurred)
        if event.occurred >= link.received - world.funnel.window:
            if event.occurred < world.horizon_of(link.higher):
                world.accepted -= 1
                world.late += 1
            else:
                _give(world, link.higher, replace(event, horizon=world.horizon_of(link.higher)))
            return
    _take(world, person, event, world.horizon_of(person))


def _take(world: World, person: str, event: Event, horizon: int) -> None:
    """An event becomes part of a history."""
    funnel = world.funnel
    history = world.people.setdefault(person, Person(world.partition_of(person)))
    original = history.originals.get((event.source, event.id))
    is_copy = original is not None and original.occurred >= horizon
    if not is_copy and world.most_of_person == sum(one.occurred >= horizon for one in history.events):
        world.surplus += 1
        world.accepted -= 1
        return
    if not history.events or _is_forgotten(funnel, history, horizon):
        world.persons += 1
    _leave_behind(funnel, history, horizon)
    if original is not None and is_copy:
        world.duplicates += 1
        world.accepted -= 1
        if event.occurred >= original.occurred:
            return
        history.events.remove(original)
    event = replace(event, is_behind=event.is_behind or lies_behind(history.events, event, horizon))
    history.events.append(event)
    history.originals[event.source, event.id] = event


def _link_of(world: World, person: str) -> Link | None:
    """Kept until the id has been silent for 400 days."""
    link = world.links.get(person)
    if link is not None and world.watermarks.get(world.partition_of(person), 0) > link.seen + SILENCE_MS:
        del world.links[person]
        return None
    return link


def _claim(world: World, lower: str, higher: str, raw: dict[str, Any]) -> None:
    """An event with several ids: the first to claim an id gets it, and its events from one window before."""
    received, horizon = received_of(raw), world.horizon_of(lower)
    if received - occurred_of(raw) > world.funnel.lateness or occurred_of(raw) < horizon:
        return
    link = _link_of(world, lower)
    if link is None:
        world.links[lower] = Link(higher, received, received)
        _move(world, lower, higher, max(received - world.funnel.window, horizon))
    elif link.higher == higher:
        link.seen = max(link.seen, received)
    else:
        world.link_conflicts += 1


def _move(world: World, lower: str, higher: str, since: int) -> None:
    """The events of an id that now belong to another."""
    history = world.people.get(lower)
    if history is None:
        return
    horizon = world.horizon_of(lower)
    was_there = bool(history.events) and not _is_forgotten(world.funnel, history, horizon)
    _leave_behind(world.funnel, history, horizon)
    moved = sorted((event for event in history.events if event.occurred >= since), key=by_time)
    history.events = [event for event in history.events if event.occurred < since]
    history.originals = {key: event for key, event in history.originals.items() if event not in moved}
    if was_there and _is_forgotten(world.funnel, history, horizon):
        world.persons -= 1
    for event in moved:
        if event.occurred < world.horizon_of(higher):
            world.accepted -= 1
            world.late += 1
        else:
            # What an order or refund lay behind stays with the other person; a change of an order is too late for good.
            is_behind = event.is_behind and event.kind in (WITHDRAWN, RESTATED)
            _give(world, higher, replace(event, horizon=world.horizon_of(higher), is_behind=is_behind))


def _leave_behind(funnel: Funnel, history: Person, horizon: int) -> None:
    """What lies behind the horizon is what it is and booked where it is for good, whatever comes later."""
    withdrawn = withdrawn_events(history.events)
    orders = {id(order.first): order for order in orders_of(funnel, history.events)}
    for at, event in enumerate(history.events):
        if event.occurred >= horizon:
            continue
        left = event
        if id(event) in orders:
            order = orders[id(event)]
            left = replace(event, worth=(order.amount, order.cost, order.discount))
        elif event in withdrawn or (event.kind == REFUND and is_taken_back(history.events, event)):
            left = replace(event, is_gone=True)
        elif event.kind in (REFUND, WITHDRAWN) and event.place is None:
            left = replace(event, place=place_now(funnel, history.events, event))
        elif event.kind == RESTATED and not has_order(history.events, event.order_id):
            left = replace(event, is_behind=True)
        history.events[at] = left
        if history.originals.get((event.source, event.id)) is event:
            history.originals[event.source, event.id] = left
    if funnel.unit is not None:
        _leave_parted(funnel, history, horizon - funnel.lead_in)


def _leave_parted(funnel: Funnel, history: Person, horizon: int) -> None:
    """What lies one `lead_in` behind the horizon belongs to its deal for good, whatever becomes of another."""
    if not any(event.occurred < horizon and not event.is_parted for event in history.events):
        return
    steps = steps_of(funnel, history.events, orders_of(funnel, history.events))
    deals = {id(event): deal for event, deal in deals_now(funnel, steps)}
    for at, event in enumerate(history.events):
        if event.occurred < horizon and id(event) in deals and not event.is_parted:
            left = replace(event, deal=deals[id(event)], is_parted=True)
            history.events[at] = left
            if history.originals.get((event.source, event.id)) is event:
                history.originals[event.source, event.id] = left


def _forget(world: World, person: str) -> None:
    """From now on nobody has this history: it stays as it is, and whoever has the id later begins with nothing."""
    world.links.pop(person, None)
    history = world.people.pop(person, None)
    if history is not None:
        world.people[f"nobody {len(world.people)} {len(history.events)} {person}"] = history


def _is_forgotten(funnel: Funnel, history: Person, horizon: int) -> bool:
    """Nothing at or after the horizon, no journey that reaches it, no order or refund id: new when it comes again.

    With a unit a deal that begins may still move what lies one `lead_in` behind the horizon. With scores a person is
    known for as long as points may count."""
    horizon -= funnel.lead_in if funnel.unit is not None else 0
    life = 0 if funnel.scoring is None else funnel.scoring.life
    if any(event.occurred >= horizon - life or _is_for_life(event) for event in history.events):
        return False
    return all(journey.end < horizon for journey in lines_of(funnel, steps_of(funnel, history.events, [])))


def _is_for_life(event: Event) -> bool:
    """Orders, and ids of refunds and withdrawals."""
    return (
        event.kind == ORDER or event.refund_id is not None or (event.kind == WITHDRAWN and event.order_id is not None)
    )


def _day_of_spend(world: World, raw: dict[str, Any], stated: Any) -> str | None:
    if stated is None:
        at = min(occurred_of(raw), received_of(raw))
        return datetime.fromtimestamp(at / 1000, ZoneInfo(world.funnel.timezone)).date().isoformat()
    text = stated.strip() if isinstance(stated, str) else ""
    try:
        return text if len(text) == 10 and date.fromisoformat(text).year >= 1970 else None
    except ValueError:
        return None


def _apply_spend(world: World, raw: dict[str, Any]) -> None:
    source, properties = raw.get("source") or DEFAULT_SOURCE, raw.get("properties") or {}
    if world.funnel.sources is not None and source not in world.funnel.sources:
        return
    amount = amount_of(properties, world.funnel.currency)
    day = _day_of_spend(world, raw, properties.get("day"))
    if amount is None or day is None:
        return
    names = [*SPEND_IS_KNOWN_BY, *(dimension.prop for dimension in world.funnel.dimensions)]
    stated = [value_at(name, properties, raw.get("context") or {}) for name in names]
    key = (source, day, tuple(plain_text(value) for value in stated), amount.currency)
    new = Spend(received_of(raw), str(raw["id"]), amount.minor, _own_values(world, raw))
    old = world.spend.get(key)
    if old is None or (new.received, new.id) > (old.received, old.id):
        world.spend[key] = new


def read_log(
    funnel: Funnel,
    log: Iterable[dict[str, Any]],
    *,
    watermark_delay_ms: int = 60_000,
    final_watermark_ms: int | None = None,
    partitions: int = 1,
    partition_of: Callable[[str], int] = lambda _person: 0,
    most_of_person: int | None = None,
) -> World:
    """Everything known after `log` (native events, `{"tick": ms}` and `{"forget": ms, <ids>}`, in log order) has been
    applied."""
    names: list[list[str]] = [[] for _ in funnel.dimensions]
    world = World(funnel, watermark_delay_ms, names=names, most_of_person=most_of_person, partition_of=partition_of)
    final = [] if final_watermark_ms is None else [{"tick": final_watermark_ms + watermark_delay_ms}]
    for raw in [*log, *final]:
        if "tick" in raw:
            for partition in range(partitions):
                _received(partition, int(raw["tick"]), world)
            continue
        person = person_of(raw)
        if "forget" in raw:
            _forget(world, person or "")
            continue
        if any(rule.matches(same_name(raw["name"]), raw.get("properties") or {}) for rule in funnel.ad_spend):
            _received(0, received_of(raw), world)
            _apply_spend(world, raw)
            continue
        if person is None:
            continue
        _received(partition_of(person), received_of(raw), world)
        _apply(world, raw, person)
        for lower in lower_ids_of(raw):
            _received(partition_of(lower), received_of(raw), world)
            _claim(world, lower, person, raw)
    return world
