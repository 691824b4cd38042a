"""What can be loaded and cannot work: stages nobody can enter, conditions that never hold, deadlines nobody can miss.
Pure.

`funnels check` refuses these. A worker counts them all the same: what a definition means is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.counters import UNKNOWN
from schemas.funnel.contradictions import contradictions, impossible_value
from schemas.funnel.duration import format_duration
from schemas.funnel.model import Funnel
from schemas.funnel.parts import Stage
from schemas.funnel.rules import Rule
from schemas.names import clean_value


def problems(funnel: Funnel) -> list[str]:
    """One sentence each: where, what is wrong, what to write instead."""
    return [
        *_too_few_stages(funnel),
        *_contradictions(funnel),
        *_declared(funnel),
        *(text for number in range(len(funnel.stages)) for text in _never_entered(funnel, number)),
        *(text for number, stage in enumerate(funnel.stages) for text in _deadlines(funnel, number, stage=stage)),
        *_orders(funnel),
    ]


def _too_few_stages(funnel: Funnel) -> Iterator[str]:
    if len(funnel.stages) == 1:
        yield "stages: there is one only, so nobody can go on; write at least two"


def _contradictions(funnel: Funnel) -> Iterator[str]:
    """Conditions that no event can meet."""
    groups = [(f"stages[{number}] {stage.name}", stage.on) for number, stage in enumerate(funnel.stages)]
    groups += [(f"lost[{number}]", lost.on) for number, lost in enumerate(funnel.lost)]
    scored = () if funnel.scoring is None else funnel.scoring.points
    groups += [(f"scoring.points[{number}]", one.on) for number, one in enumerate(scored)]
    for where, rules in groups:
        for rule in rules:
            yield from (f"{where}: {rule.event}: {problem}" for problem in contradictions(rule.where, funnel.traffic))


def _declared(funnel: Funnel) -> Iterator[str]:
    """Values and reasons that a definition lists and no event can have."""
    for dimension in funnel.dimensions:
        values = dimension.compared_values() or ()
        faults = [impossible_value(dimension.property, value, funnel.traffic) for value in values]
        yield from (f"dimensions: {dimension.name}: values: {fault}" for fault in faults if fault)
    for number, lost in enumerate(funnel.lost):
        if lost.reason is not None and clean_value(lost.reason) == UNKNOWN:
            yield (
                f"lost[{number}]: the reason {lost.reason!r} stands for nothing and is counted as {UNKNOWN}; write a "
                "reason, or leave it out"
            )


def _never_entered(funnel: Funnel, number: int) -> Iterator[str]:
    """Every event of the stage is taken by a lost rule or a later stage."""
    stage = funnel.stages[number]
    takers = [_taker(funnel, number, rule=rule) for rule in stage.on]
    if all(takers):
        yield (
            f"stages[{number}] {stage.name}: nobody can enter it, for {takers[0]} takes all its events; "
            "give one of the two another event, or a where"
        )


def _taker(funnel: Funnel, number: int, *, rule: Rule) -> str | None:
    """Who takes every event of a rule away from its stage; None where nobody does."""
    for lost in funnel.lost:
        if any(_covers(other, rule) for other in lost.on):
            return "a lost rule"
    own = funnel.stages[number]
    for place, other in enumerate(funnel.stages):
        if place == number or not any(_covers(rule_of_other, rule) for rule_of_other in other.on):
            continue
        if own.nth is None and other.nth is not None:
            return f"the order stage {other.name}"
        if place > number and own.nth == other.nth:
            return f"the later stage {other.name}"
    return None


def _covers(other: Rule, rule: Rule) -> bool:
    """Whether every event that `rule` takes fits `other` as well."""
    return other.event == rule.event and set(other.where) <= set(rule.where)


def _deadlines(funnel: Funnel, number: int, *, stage: Stage) -> Iterator[str]:
    window = funnel.conversion_window_ms
    end = window if stage.abandon_after_ms is None else stage.abandon_after_ms
    where = f"stages[{number}] {stage.name}"
    if end > window:
        yield (
            f"{where}: abandon_after {format_duration(end)} is never reached, for the conversion_window ends after "
            f"{format_duration(window)}; write a longer window, or leave abandon_after out"
        )
    if stage.stalled_after_ms is not None and stage.stalled_after_ms >= min(end, window):
        yield (
            f"{where}: nobody is ever stalled, for {format_duration(min(end, window))} ends it before stalled_after "
            f"{format_duration(stage.stalled_after_ms)}; write a shorter one"
        )


def _orders(funnel: Funnel) -> Iterator[str]:
    ranks = [stage.nth for stage in funnel.stages if stage.nth is not None]
    if ranks and min(ranks) > 1:
        number = next(number for number, stage in enumerate(funnel.stages) if stage.nth == min(ranks))
        yield (
            f"stages[{number}] {funnel.stages[number].name}: nth {min(ranks)} without a stage for the orders before "
            "it, which are counted nowhere; write a stage with order: true"
        )
