"""Conditions that no event can meet: bounds that exclude each other, values that a property never has. Pure.

Only what is certain: a property may hold anything, but a path begins with a slash and a page's title is no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from schemas.conditions import ORDERINGS, number_of
from schemas.counters import UNKNOWN
from schemas.funnel.rules import Condition
from schemas.names import clean_value
from schemas.places import PAGE_PATH, TEXTS
from schemas.properties import TRAFFIC
from schemas.traffic import TRAFFIC_CLASSES


def contradictions(where: Sequence[Condition], traffic: Sequence[str] = TRAFFIC_CLASSES) -> Iterator[str]:
    """What is wrong in the conditions of one rule, and what to write instead. `traffic`: what the funnel counts."""
    for name in dict.fromkeys(condition.property for condition in where):
        conditions = [condition for condition in where if condition.property == name]
        if any(one.op == "exists" and one.operand is False for one in conditions) and len(conditions) > 1:
            yield f"{name}: exists: false leaves nothing to compare; write one of the two"
        yield from _bounds(name, conditions)
        for condition in conditions:
            yield from _impossible(condition, traffic)


def impossible_value(name: str, value: str, traffic: Sequence[str]) -> str | None:
    """Why a property never has a value that a dimension declares; None where it can."""
    if clean_value(value) == UNKNOWN:
        return f"{name}: {value!r} stands for nothing and is counted as {UNKNOWN}; leave it out"
    return next(_impossible(Condition(property=name, op="eq", operand=value), traffic), None)


def _bounds(name: str, conditions: Sequence[Condition]) -> Iterator[str]:
    numbers: dict[str, Decimal | None] = {one.op: number_of(one.operand) for one in conditions if one.op in ORDERINGS}
    lower = max((bound for op, bound in numbers.items() if op in ("gt", "gte") and bound is not None), default=None)
    upper = min((bound for op, bound in numbers.items() if op in ("lt", "lte") and bound is not None), default=None)
    if lower is None or upper is None:
        return
    is_open = _is_open(numbers, "gt", bound=lower) or _is_open(numbers, "lt", bound=upper)
    if lower > upper or (lower == upper and is_open):
        yield f"{name}: no number is above {lower} and below {upper} at once; write the smaller one under gt or gte"


def _is_open(numbers: dict[str, Decimal | None], op: str, *, bound: Decimal) -> bool:
    """Whether a bound leaves itself out."""
    return numbers.get(op) == bound


def _impossible(condition: Condition, traffic: Sequence[str]) -> Iterator[str]:
    name, operands = condition.property, condition.operand
    values = operands if isinstance(operands, tuple) else (operands,)
    if condition.op in ORDERINGS and name in TEXTS:
        yield f"{name}: is a text and never {condition.op} a number; write starts_with, contains or matches"
    if condition.op not in ("eq", "in", "starts_with"):
        return
    if name in TEXTS and not any(isinstance(value, str) for value in values):
        yield f"{name}: is a text and never {values[0]!r}; write {name}: {str(values[0])!r}"
    elif name == PAGE_PATH and not any(str(value).startswith("/") for value in values):
        yield f"{name}: begins with a slash; write {'/' + str(values[0])!r}, or page.url for a whole address"
    elif name == TRAFFIC and condition.op != "starts_with" and not {*map(str, values)} & {*TRAFFIC_CLASSES}:
        yield f"{name}: is never {values[0]!r}; write one of {' '.join(TRAFFIC_CLASSES)}"
    elif name == TRAFFIC and condition.op != "starts_with" and not {*map(str, values)} & {*traffic}:
        yield f"{name}: {values[0]!r} is left out of this funnel; write it under `traffic`, or leave it out here"
