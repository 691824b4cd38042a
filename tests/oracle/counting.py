"""Counters of all histories: every family in every bucket and dimension value, as the counters document has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.deals import lines_of
from tests.oracle.definition import Funnel, read_funnel
from tests.oracle.event import LOST, STAGE, Event
from tests.oracle.history import Person, World, read_log
from tests.oracle.journeys import Entry, Journey, entries_of, steps_of
from tests.oracle.orders import Order, by_time, orders_of, refunds_of, withdrawn_events
from tests.oracle.places import Placed, placed_of, refund_place, values_of_entry
from tests.oracle.scores import with_temperatures
from tests.oracle.values import Amount

EDGES_SECONDS = [10, 60, 300, 900, 3600, 14_400, 43_200, 86_400]
EDGES_SECONDS += [days * 86_400 for days in (3, 7, 14, 30, 45, 60, 90, 120, 180, 365)]
AGES_DAYS = [0, 30, 60, 90, 180, 365]
JOINED = "orders_joined"
OF_LOST = "durations_of_lost"
INTERNAL = (JOINED, OF_LOST)
"""Counted for metrics alone; no part of the document."""
HOUR_MS = 3_600_000
KEEP_MINUTES_MS = 48 * HOUR_MS
KEEP_HOURS_MS = 90 * 24 * HOUR_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Document = dict[str, Any]


@dataclass(frozen=True)
class Count:
    """One contribution: `amount` at an instant, under a stage, family (and sub-key) and dimension values."""

    at: int
    stage: str
    family: str
    sub: str | None
    amount: int
    values: tuple[str, ...]


def edge_of(duration_ms: int) -> str:
    """The upper edge (inclusive) of the histogram bucket a duration falls into."""
    for seconds in EDGES_SECONDS:
        if duration_ms <= seconds * 1000:
            return str(seconds)
    return "inf"


def _of_events(funnel: Funnel, history: list[Event], orders: list[Order]) -> Iterator[Count]:
    for event in history:
        if event.kind == LOST:
            yield Count(event.occurred, "lost", "events", None, 1, event.values)
        elif event.kind == STAGE:
            yield Count(event.occurred, funnel.stages[event.stages[0]].name, "events", None, 1, event.values)
    for order in orders:
        if order.stage is not None:
            for event in [order.first, *order.further]:
                yield Count(event.occurred, funnel.stages[order.stage].name, "events", None, 1, event.values)
    for event in withdrawn_events(history):
        yield Count(event.occurred, funnel.stages[min(event.stages)].name, "events", None, 1, event.values)


def _of_entry(funnel: Funnel, entry: Entry, values: tuple[str, ...]) -> Iterator[Count]:
    stage = funnel.stages[entry.stage]
    money = entry.event.amount if stage.nth is None else None

    def here(family: str, sub: str | None = None, amount: int = 1, at: float = entry.at) -> Count:
        return Count(int(at), stage.name, family, sub, amount, values)

    yield here("entries")
    if money is not None:
        yield here("value", money.currency, money.minor)
    if entry.previous is None:
        yield here("started")
    else:
        yield Count(entry.at, funnel.stages[entry.previous].name, "transitions.period", stage.name, 1, values)
        for jumped in range(entry.previous + 1, entry.stage):
            yield Count(entry.at, funnel.stages[jumped].name, "skipped", None, 1, values)
    if entry.next_stage is not None:
        onward = funnel.stages[entry.next_stage].name
        yield here("transitions.cohort", onward)
        yield here("durations", f"{onward} {edge_of(int(entry.next_at) - entry.at)}")
        yield here("duration_seconds", onward, (int(entry.next_at) - entry.at) // 1000)
        if entry.outcome == "lost":
            yield here(OF_LOST, f"{onward} {edge_of(int(entry.next_at) - entry.at)}")
    if entry.is_won:
        yield here("won")
    if entry.is_revived:
        yield here("revived.cohort")
        yield here("revived.period", at=entry.next_at)
    if entry.outcome == "completed":
        yield here("completed")
    elif entry.outcome == "advanced":
        yield here("advanced.cohort")
        yield here("advanced.period", at=entry.next_at)
    elif entry.outcome == "abandoned":
        yield here("abandoned.cohort")
        yield here("abandoned.period", at=entry.deadline)
        if entry.loss is not None:
            yield here("lost_late.cohort", entry.loss.reason)
            yield here("lost_late.period", entry.loss.reason, at=entry.loss.occurred)
    elif entry.loss is not None:
        took = entry.loss.occurred - entry.at
        yield here("loss_time", edge_of(took))
        yield here("loss_time_seconds", amount=took // 1000)
        yield here("lost.cohort", entry.loss.reason)
        yield here("lost.period", entry.loss.reason, at=entry.loss.occurred)
    else:
        yield here("open")
        if entry.is_stalled:
            yield here("stalled")
        if money is not None:
            yield here("open_value", money.currency, money.minor)


def _of_lead_time(funnel: Funnel, journey: Journey, entries: list[Entry]) -> Iterator[Count]:
    """From the journey's start to its first entry of an order stage, under and at that entry."""
    sold = [entry for entry in entries if funnel.is_order_stage(entry.stage)]
    first = min(sold, key=lambda entry: entry.stage, default=None)
    if first is None or first.previous is None:
        return
    took, values = first.at - journey.t0, values_of_entry(funnel, journey, first)
    name = funnel.stages[first.stage].name
    yield Count(first.at, name, "lead_time", edge_of(took), 1, values)
    yield Count(first.at, name, "lead_time_seconds", None, took // 1000, values)


def _of_orders(funnel: Funnel, placed: list[Placed]) -> Iterator[Count]:
    for placed_event in placed:
        order, at = placed_event.order, placed_event.order.first.occurred
        currency = funnel.currency if order.amount is None else order.amount.currency
        yield Count(at, placed_event.stage, "orders", currency, 1, placed_event.values)
        if placed_event.is_joined:
            yield Count(at, placed_event.stage, JOINED, None, 1, placed_event.values)
        if order.ordinal == placed_event.nth:
            yield Count(at, placed_event.stage, "reached", None, 1, placed_event.values)
        for family, amount in (("revenue", order.amount), ("cost", order.cost), ("discount", order.discount)):
            if amount is not None:
                yield Count(at, placed_event.stage, family, amount.currency, amount.minor, placed_event.values)


def age_of(milliseconds: int) -> str:
    """The upper edge (inclusive), in days, of the age of an order since the customer's first one."""
    for days in AGES_DAYS:
        if milliseconds <= days * 86_400_000:
            return str(days)
    return "inf"


def _of_customer(placed: list[Placed]) -> Iterator[Count]:
    """A person's orders of life, booked at the first one."""
    if not placed:
        return
    first = min(placed, key=lambda one: by_time(one.order.first))
    at = first.order.first.occurred
    yield Count(at, first.stage, "customers", None, 1, first.values)
    for placed_event in placed:
        amount: Amount | None = placed_event.order.amount
        if amount is not None:
            age = age_of(placed_event.order.first.occurred - at)
            yield Count(at, first.stage, "lifetime", f"{amount.currency} {age}", amount.minor, first.values)


def _of_refunds(funnel: Funnel, history: list[Event], placed: list[Placed]) -> Iterator[Count]:
    for refund in refunds_of(history):
        place = refund.event.place or refund_place(funnel, refund.event, placed)
        if place is not None:
            stage, values = place
            yield Count(refund.event.occurred, stage, "refunds", refund.amount.currency, refund.amount.minor, values)


def contributions(funnel: Funnel, history: list[Event], watermark: int) -> list[Count]:
    """Everything a history counts at a watermark: a pure function of the two."""
    history = with_temperatures(funnel, history)
    orders = orders_of(funnel, history)
    steps = steps_of(funnel, history, orders)
    journeys = lines_of(funnel, steps)
    now = max([watermark, *(step.event.occurred for step in steps)])
    counts = list(_of_events(funnel, history, orders))
    for journey in journeys:
        entries = entries_of(funnel, journey, now)
        for entry in entries:
            counts += _of_entry(funnel, entry, values_of_entry(funnel, journey, entry))
        counts += _of_lead_time(funnel, journey, entries)
    placed = placed_of(funnel, orders, journeys)
    counts += [*_of_orders(funnel, placed), *_of_customer(placed), *_of_refunds(funnel, history, placed)]
    return counts


def local_day(at_ms: int, timezone: str) -> str:
    """The date an instant has in a time zone."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(timezone)).date().isoformat()


@lru_cache(maxsize=50_000)
def buckets_of(at_ms: int, timezone: str, watermark: int) -> tuple[tuple[str, str], ...]:
    """(grain, label) of every bucket an instant falls into and that is still kept at the watermark."""
    buckets = [("total", "all"), ("day", local_day(at_ms, timezone))]
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    hour_end = (at_ms // HOUR_MS + 1) * HOUR_MS
    if hour_end > watermark - KEEP_HOURS_MS:
        buckets.append(("hour", moment.strftime("%Y-%m-%dT%HZ")))
    minute_end = (at_ms // 60_000 + 1) * 60_000
    if minute_end > watermark - KEEP_MINUTES_MS:
        buckets.append(("minute", moment.strftime("%Y-%m-%dT%H:%MZ")))
    return tuple(buckets)


def dimension_cells(funnel: Funnel, values: tuple[str, ...]) -> list[str]:
    """The labels of the cells a contribution belongs to: the whole, each dimension, each declared pair."""
    cells = [""]
    named = [f"{dimension.name}={value}" for dimension, value in zip(funnel.dimensions, values, strict=True)]
    cells += named
    cells += [f"{named[one]}|{named[two]}" for one, two in funnel.pairs]
    return cells


def _add(counters: Document, path: list[str], amount: int) -> None:
    for key in path[:-1]:
        counters = counters.setdefault(key, {})
    counters[path[-1]] = counters.get(path[-1], 0) + amount


def _tidy(tree: Document) -> Document:
    """Without zeros and what holds only zeros, keys sorted."""
    tidied = {key: _tidy(value) if isinstance(value, dict) else value for key, value in tree.items()}
    return {key: tidied[key] for key in sorted(tidied) if tidied[key]}


def _put(counters: Document, funnel: Funnel, count: Count, watermark: int) -> None:
    tail = [count.stage, count.family] + ([] if count.sub is None else [count.sub])
    cells = dimension_cells(funnel, count.values)
    for grain, label in buckets_of(count.at, funnel.timezone, watermark):
        for cell in cells:
            if grain != "minute" or cell == "":
                _add(counters, [grain, label, cell, *tail], count.amount)


def _put_spend(counters: Document, world: World) -> None:
    for (_, day, _, currency), spend in world.spend.items():
        for grain, label in (("total", "all"), ("day", day)):
            for cell in dimension_cells(world.funnel, spend.values):
                _add(counters, [grain, label, cell, "", "spend", currency], spend.minor)


def people_with_counts(world: World) -> Iterator[tuple[Person, list[Count]]]:
    """Every person's contributions at its partition's watermark."""
    for person in world.people.values():
        yield person, contributions(world.funnel, person.events, world.watermarks.get(person.partition, 0))


def document_of(world: World) -> Document:
    """The counters document, without rates."""
    counters: Document = {}
    for person, counts in people_with_counts(world):
        for count in (count for count in counts if count.family not in INTERNAL):
            _put(counters, world.funnel, count, world.watermarks.get(person.partition, 0))
    _put_spend(counters, world)
    return {
        "funnel": world.funnel.name,
        "version": world.funnel.version,
        "watermark_ms": min(world.watermarks.values(), default=None),
        "input": {
            "accepted": world.accepted,
            "duplicates": world.duplicates,
            "late": world.late,
            "persons": world.persons,
            "placeholder_ids": world.placeholder_ids,
            "link_conflicts": world.link_conflicts,
        }
        | ({"left_out": world.left_out} if world.left_out else {}),
        "counters": _tidy(counters),
    }


def count(
    definition: dict[str, Any],
    log: Iterable[dict[str, Any]],
    *,
    watermark_delay_ms: int = 60_000,
    final_watermark_ms: int | None = None,
    partitions: int = 1,
    partition_of: Callable[[str], int] = lambda _person: 0,
    most_of_person: int | None = None,
) -> Document:
    """The counters document of one funnel over a log of native events and ticks.

    `partition_of` maps a person key (`u:`/`c:`/`a:` and the id) to its partition; one by default. `most_of_person`
    events may lie between the horizon and now of one person; further ones are not counted.
    """
    world = read_log(
        read_funnel(definition),
        log,
        watermark_delay_ms=watermark_delay_ms,
        final_watermark_ms=final_watermark_ms,
        partitions=partitions,
        partition_of=partition_of,
        most_of_person=most_of_person,
    )
    return document_of(world)
