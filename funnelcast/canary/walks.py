"""The events of a canary: one for every stage of every funnel, and which funnels must have seen them. Pure.

A canary's events carry the traffic class `canary`, so every funnel leaves them out and counts how many it left out
(docs/semantics.md 2). Whether an event fits a stage is asked of the core's own rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import UsageError
from schemas.funnel.model import Funnel
from schemas.funnel.parts import Stage
from schemas.funnel.rules import Condition, Rule
from schemas.properties import TRAFFIC
from schemas.record import EventRecord
from schemas.traffic import CANARY
from streams.core.decode import Decoder
from streams.core.match import Matcher
from streams.core.planning import plan_of

_JUST_ABOVE: Final = 1
_OTHER: Final = "canary"


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a walk, and the funnels that see it."""

    name: str
    properties: dict[str, Any]
    funnels: tuple[str, ...]
    """Ids of the funnels that leave it out, and count that they did."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a canary sends in one walk."""

    steps: tuple[Step, ...]
    left_out: tuple[str, ...]
    """Stages without an event, in words: a condition that no made-up event meets, or a source that is not ours."""

    def events(self, person: str, at_ms: int) -> list[dict[str, Any]]:
        """The events of one person's walk, as they are posted."""
        return [
            {
                "id": f"{person}-{number}",
                "name": step.name,
                "occurred_at_ms": at_ms,
                "anonymous_id": person,
                "properties": {**step.properties, "order_id": f"{person}-order"},
            }
            for number, step in enumerate(self.steps)
        ]


def route_of(funnels: Sequence[Funnel], *, source: str | None) -> Route:
    """The walk through all funnels; `source` is that of the write key, None where it is not known.

    Raises UsageError where a funnel counts canaries: they would be its customers.
    """
    for funnel in funnels:
        if CANARY in funnel.traffic:
            raise UsageError(f"{funnel.name} counts the traffic class canary: a canary would be one of its customers")
    witnesses = _Witnesses(funnels, source)
    steps: dict[str, Step] = {}
    left_out: list[str] = []
    for funnel in funnels:
        for stage in funnel.stages:
            step_taken = next((step for step in _tries(stage, witnesses) if funnel.funnel_id in step.funnels), None)
            if step_taken is None:
                left_out.append(f"{funnel.name} {stage.name}")
            else:
                steps.setdefault(f"{step_taken.name} {step_taken.properties}", step_taken)
    return Route(tuple(steps.values()), tuple(left_out))


def _tries(stage: Stage, witnesses: _Witnesses) -> Iterator[Step]:
    for rule in stage.on:
        properties = _properties_of(rule)
        yield Step(rule.event, properties, witnesses.of(rule.event, properties))


def _properties_of(rule: Rule) -> dict[str, Any]:
    stated = {condition.property: _value_for(condition) for condition in rule.where}
    given = {name: value for name, value in stated.items() if value is not None}
    money = {} if {"value", "value_minor"} & stated.keys() else {"value": "1.00"}
    return {**money, **given, TRAFFIC: CANARY}


def _value_for(condition: Condition) -> Any:
    """A value that meets one condition; several on one property may need another, then the stage has no event."""
    operand = condition.operand[0] if isinstance(condition.operand, tuple) else condition.operand
    if condition.op == "exists":
        return _OTHER if operand else None
    if condition.op == "ne":
        return _OTHER if operand != _OTHER else f"{_OTHER} "
    if condition.op in ("gt", "lt"):
        return float(operand) + (_JUST_ABOVE if condition.op == "gt" else -_JUST_ABOVE)
    return operand


class _Witnesses:
    """Which funnels look at an event: the rules of the core, before traffic is asked."""

    def __init__(self, funnels: Sequence[Funnel], source: str | None) -> None:
        plans = [plan_of(funnel) for funnel in funnels]
        self._decoder = Decoder(plans)
        self._matchers = {
            funnel.funnel_id: Matcher(plan, self._decoder)
            for funnel, plan in zip(funnels, plans, strict=True)
            if funnel.sources is None or source in funnel.sources
        }

    def of(self, name: str, properties: dict[str, Any]) -> tuple[str, ...]:
        record = self._decoder.typed(_encoded(name, properties))
        return tuple(funnel_id for funnel_id, matcher in self._matchers.items() if _matches(matcher, record))


def _matches(matcher: Matcher, record: Any) -> bool:
    rules = matcher.rules(record.name)
    return rules is not None and rules.classify(record.properties) is not None


def _encoded(name: str, properties: dict[str, Any]) -> bytes:
    import msgspec

    return msgspec.json.encode(
        EventRecord(id="-", name=name, occurred_at_ms=0, received_at_ms=0, source="-", properties=properties)
    )
