"""Answers of reports about passages, money and agreed times, from exact times. Shares no code with the product."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.oracle.counting import AGES_DAYS, EDGES_SECONDS
from tests.oracle.journeys import Entry
from tests.oracle.passages import Facts, Passage

DAY_MS = 86_400_000
Answer = dict[str, Any]


def bounds_of(durations: list[int], share: Fraction) -> Answer:
    """The two edges between which the nearest-rank percentile lies, found by sorting."""
    measured = sorted(durations)[math.ceil(share * len(durations)) - 1]
    at_most = next((edge for edge in EDGES_SECONDS if measured <= 1000 * edge), None)
    shorter = [edge for edge in EDGES_SECONDS if 1000 * edge < measured]
    return {"above": max(shorter, default=None), "at_most": at_most}


def took(durations: list[int]) -> Answer | None:
    """How long something took, of milliseconds."""
    if not durations:
        return None
    return {
        "count": len(durations),
        "mean_seconds": sum(each // 1000 for each in durations) / len(durations),
        "p50": bounds_of(durations, Fraction(1, 2)),
        "p90": bounds_of(durations, Fraction(9, 10)),
    }


def transitions(facts: Facts, cell: str) -> dict[tuple[str, str], Answer]:
    """By (before, after): share of the entries, and how long it took."""
    names, passages = [stage.name for stage in facts.funnel.stages], facts.passages(cell)
    answers = {}
    for j, before in enumerate(names):
        entries = [one.entry for one in passages if one.entry.stage == j]
        for k, after in enumerate(names):
            durations = [int(one.next_at) - one.at for one in entries if one.next_stage == k]
            if durations:
                answers[before, after] = {"share": len(durations) / len(entries), "took": took(durations)}
    return answers


def stages(facts: Facts, cell: str) -> list[Answer]:
    """By stage: entries, maturity, time to the first order, time to the loss."""
    funnel, passages = facts.funnel, facts.passages(cell)
    answers = []
    for number, stage in enumerate(funnel.stages):
        own = [one for one in passages if one.entry.stage == number]
        leads = [one.entry.at - one.journey.t0 for one in own if _is_first_order(facts, one)]
        losses = [
            one.entry.loss.occurred - one.entry.at for one in own if one.entry.outcome == "lost" and one.entry.loss
        ]
        answers.append(
            {
                "stage": stage.name,
                "entries": len(own),
                "maturity": sum(one.entry.outcome != "open" for one in own) / len(own) if own else None,
                "lead_time": took(leads),
                "loss_time": took(losses),
            }
        )
    return answers


def _is_first_order(facts: Facts, passage: Passage) -> bool:
    """An entry of an order stage with an entry before it and none of an order stage."""
    line = next(line for line in facts.journeys if any(one is passage for one in line))
    earlier = [one.entry.stage for one in line if one.entry.stage < passage.entry.stage]
    is_order = facts.funnel.is_order_stage
    return is_order(passage.entry.stage) and bool(earlier) and not any(is_order(stage) for stage in earlier)


def with_and_without(facts: Facts, cell: str, stage: int) -> tuple[int, int, int, int]:
    """(won and got beyond a stage of those that entered it, won and jumped of those that jumped over it)."""
    lines = [line for line in facts.journeys if line and facts.lies_in(line[0].values, cell)]
    won = beyond = won_without = jumped = 0
    for line in lines:
        is_won = any(one.entry.stage > stage and facts.funnel.is_order_stage(one.entry.stage) for one in line)
        own = [one.entry for one in line if one.entry.stage == stage]
        if own:
            won, beyond = won + is_won, beyond + (own[0].next_stage is not None)
        elif any(one.entry.previous is not None and one.entry.previous < stage < one.entry.stage for one in line):
            won_without, jumped = won_without + is_won, jumped + 1
    return won, beyond, won_without, jumped


@dataclass(frozen=True)
class Asked:
    """What was agreed, of entries in buckets that overlap a span."""

    stage: int
    after: int | None
    seconds: int
    since: int
    until: int
    bucket: Callable[[int], tuple[int, int]]
    """[begin, end) of the bucket of an instant."""


def sla(facts: Facts, cell: str, asked: Asked) -> Answer:
    """Whether entries went on in time.

    Young ones (their bucket is not old enough) that were lost after the time wait for it like those that are still
    there: counters do not tell them apart.
    """
    counted = dict.fromkeys(["entries", "kept", "breached", "pending", "lost", "elsewhere"], 0)
    for one in facts.passages(cell):
        entry, (begin, end) = one.entry, asked.bucket(one.entry.at)
        if entry.stage == asked.stage and asked.since < end and begin < asked.until:
            counted["entries"] += 1
            counted[_became(entry, asked, is_old=end + 1000 * asked.seconds <= facts.watermark)] += 1
    return counted


def _became(entry: Entry, asked: Asked, *, is_old: bool) -> str:
    in_time = entry.at + 1000 * asked.seconds
    if entry.outcome == "lost" and entry.loss is not None:
        return "lost" if entry.loss.occurred <= in_time else "breached" if is_old else "pending"
    if entry.next_at <= in_time:
        return "kept" if asked.after in (None, entry.next_stage) else "elsewhere"
    return "breached" if is_old or entry.next_stage is not None else "pending"


def profit(facts: Facts, cell: str, days: set[str] | None, *, oldest_age: int) -> Answer:
    """The money of a cell, and what its customers bring by age, from their orders one by one."""
    currency = facts.funnel.currency
    orders = [
        one
        for line in facts.customers
        for one in line
        if facts.lies_in(one.values, cell) and (days is None or facts.day(one.order.first.occurred) in days)
    ]
    revenue, cost, discount = (
        sum(amount.minor for amount in amounts if amount is not None and amount.currency == currency)
        for amounts in (
            [one.order.amount for one in orders],
            [one.order.cost for one in orders],
            [one.order.discount for one in orders],
        )
    )
    in_currency = sum(
        (currency if one.order.amount is None else one.order.amount.currency) == currency for one in orders
    )
    refunds, spend = (
        [
            one.minor
            for one in money
            if one.currency == currency and facts.lies_in(one.values, cell) and (days is None or one.day in days)
        ]
        for money in (facts.refunds, facts.spend)
    )
    first = [
        line
        for line in facts.customers
        if facts.lies_in(line[0].values, cell) and (days is None or facts.day(line[0].order.first.occurred) in days)
    ]
    spent = sum(spend) or None
    margin = revenue - sum(refunds) - cost if cost else None
    lifetime = [_by_age(facts, first, age, oldest_age=oldest_age) for age in (*AGES_DAYS, None)] if first else []
    each = None if spent is None or not first else spent / len(first)
    return {
        "orders": in_currency,
        "revenue": revenue,
        "refunds": sum(refunds),
        "cost": cost,
        "discount": discount,
        "margin": margin,
        "spend": spent,
        "cost_per_sale": spent / in_currency if spent is not None and in_currency else None,
        "left": None if spent is None else (revenue - sum(refunds) if margin is None else margin) - spent,
        "customers": len(first),
        "acquisition_cost": each,
        "lifetime": lifetime,
        "payback_days": next(
            (age["days"] for age in lifetime if each is not None and age["per_customer"] >= each), None
        ),
    }


def _by_age(facts: Facts, customers: list[Any], days: int | None, *, oldest_age: int) -> Answer:
    brought = 0
    for line in customers:
        begin = line[0].order.first.occurred
        for one in line:
            is_young = days is None or one.order.first.occurred - begin <= days * DAY_MS
            amount = one.order.amount
            brought += amount.minor if is_young and amount and amount.currency == facts.funnel.currency else 0
    is_complete = days == 0 or (days is not None and days * DAY_MS <= oldest_age)
    return {
        "days": days,
        "revenue": brought,
        "per_customer": brought / len(customers),
        "is_complete": is_complete,
    }
