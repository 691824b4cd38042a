"""Counters of all histories: every family in every bucket and dimension value, as the counters document has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.definition import Funnel, read_funnel
from tests.oracle.event import LOST, REFUND, STAGE, Event
from tests.oracle.history import Person, World, read_log
from tests.oracle.journeys import Entry, Journey, Order, entries_of, journeys_of, orders_of, steps_of
from tests.oracle.values import UNKNOWN

EDGES_SECONDS = [10, 60, 300, 900, 3600, 14_400, 43_200, 86_400]
EDGES_SECONDS += [days * 86_400 for days in (3, 7, 14, 30, 90)]
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


def _mixed(funnel: Funnel, first: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        first[at] if dimension.attribution == "first" else own[at] for at, dimension in enumerate(funnel.dimensions)
    )


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
    elif entry.loss is not None:
        yield here("lost.cohort", entry.loss.reason)
        yield here("lost.period", entry.loss.reason, at=entry.loss.occurred)
    else:
        yield here("open")
        if entry.is_stalled:
            yield here("stalled")
        if money is not None:
            yield here("open_value", money.currency, money.minor)


def _place_of_orders(
    funnel: Funnel, orders: list[Order], journeys: list[Journey]
) -> Iterator[tuple[Order, str, tuple[str, ...]]]:
    """Orders that belong to a stage, with its name and the order's values."""
    for order in orders:
        if order.stage is not None:
            (journey,) = [one for one in journeys if any(step.event is order.first for step in one.steps)]
            yield order, funnel.stages[order.stage].name, _mixed(funnel, journey.first.values, order.first.values)


def _of_refunds(
    funnel: Funnel, history: list[Event], placed: list[tuple[Order, str, tuple[str, ...]]]
) -> Iterator[Count]:
    by_id: dict[object, list[Event]] = {}
    for event in history:
        if event.kind == REFUND:
            by_id.setdefault(event if event.refund_id is None else event.refund_id, []).append(event)
    order_stages = [stage.name for stage in funnel.stages if stage.nth is not None]
    for group in by_id.values():
        refund = min(group, key=lambda event: (event.occurred, event.tie))
        known = [
            (stage, values)
            for order, stage, values in placed
            if refund.order_id is not None and order.first.order_id == refund.order_id
        ]
        if refund.amount is None or not order_stages:
            continue
        stage, values = known[0] if known else (order_stages[0], (UNKNOWN,) * len(funnel.dimensions))
        yield Count(refund.occurred, stage, "refunds", refund.amount.currency, refund.amount.minor, values)


def contributions(funnel: Funnel, history: list[Event], watermark: int) -> list[Count]:
    """Everything a history counts at a watermark: a pure function of the two."""
    orders = orders_of(funnel, history)
    steps = steps_of(funnel, history, orders)
    journeys = journeys_of(funnel, steps)
    now = max([watermark, *(step.event.occurred for step in steps)])
    counts = list(_of_events(funnel, history, orders))
    for journey in journeys:
        for entry in entries_of(funnel, journey, now):
            counts += _of_entry(funnel, entry, _mixed(funnel, journey.first.values, entry.event.values))
    placed = list(_place_of_orders(funnel, orders, journeys))
    for order, stage, values in placed:
        money = order.first.amount
        currency = funnel.currency if money is None else money.currency
        counts.append(Count(order.first.occurred, stage, "orders", currency, 1, values))
        if money is not None:
            counts.append(Count(order.first.occurred, stage, "revenue", currency, money.minor, values))
    counts += _of_refunds(funnel, history, placed)
    return counts


def local_day(at_ms: int, timezone: str) -> str:
    """The date an instant has in a time zone."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(timezone)).date().isoformat()


@lru_cache(maxsize=50_000)
def buckets_of(at_ms: int, timezone: str, watermark: int) -> tuple[tuple[str, str], ...]:
    """(grain, label) of every bucket an instant falls into and that is still kept at the watermark."""
    found = [("total", "all"), ("day", local_day(at_ms, timezone))]
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    hour_end = (at_ms // HOUR_MS + 1) * HOUR_MS
    if hour_end > watermark - KEEP_HOURS_MS:
        found.append(("hour", moment.strftime("%Y-%m-%dT%HZ")))
    minute_end = (at_ms // 60_000 + 1) * 60_000
    if minute_end > watermark - KEEP_MINUTES_MS:
        found.append(("minute", moment.strftime("%Y-%m-%dT%H:%MZ")))
    return tuple(found)


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
    for (_, day, values, currency), spend in world.spend.items():
        for grain, label in (("total", "all"), ("day", day)):
            for cell in dimension_cells(world.funnel, values):
                _add(counters, [grain, label, cell, "", "spend", currency], spend.minor)


def people_with_counts(world: World) -> Iterator[tuple[Person, list[Count]]]:
    """Every person's contributions at its partition's watermark."""
    for person in world.people.values():
        yield person, contributions(world.funnel, person.events, world.watermarks[person.partition])


def document_of(world: World) -> Document:
    """The counters document, without rates."""
    counters: Document = {}
    for person, counts in people_with_counts(world):
        for count in counts:
            _put(counters, world.funnel, count, world.watermarks[person.partition])
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
            "link_conflicts": 0,
        },
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
) -> Document:
    """The counters document of one funnel over a log of native events and ticks.

    `partition_of` maps a person key (`u:`/`c:`/`a:` and the id) to its partition; one by default.
    """
    world = read_log(
        read_funnel(definition),
        log,
        watermark_delay_ms=watermark_delay_ms,
        final_watermark_ms=final_watermark_ms,
        partitions=partitions,
        partition_of=partition_of,
    )
    return document_of(world)
