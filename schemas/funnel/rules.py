"""The rules of a funnel definition: which events are meant, by name and conditions, as checked values. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from schemas.conditions import ORDERINGS, TEXT_OPERATORS, Operand, Operator, number_of, pattern_error
from schemas.names import normalise_name

_CONDITION_KEYS = ("gt", "gte", "lt", "lte", "ne", "exists", "starts_with", "ends_with", "contains", "matches")


def clean_name(value: object) -> str:
    """A name in the form in which names are compared. Raises ValueError."""
    if not isinstance(value, str) or not normalise_name(value):
        raise ValueError(f"{value!r} is not a name; write a text such as lead_created")
    return normalise_name(value)


Name = Annotated[str, BeforeValidator(clean_name)]


def as_list(value: object) -> object:
    """One element stands for a list of it."""
    return value if isinstance(value, list | tuple) else [value]


class Part(BaseModel):
    """A part of a definition: unknown keys are errors, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(Part):
    """One comparison of an event's property; what it means: `schemas.conditions.holds`."""

    property: str
    op: Operator
    operand: Operand


class Rule(Part):
    """An event name, optionally with conditions on its properties (all must hold)."""

    event: Name
    where: tuple[Condition, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        return {"event": data} if isinstance(data, str) else data

    @field_validator("where", mode="before")
    @classmethod
    def _conditions(cls, where: object) -> object:
        if not isinstance(where, dict):
            if isinstance(where, list | tuple) and all(isinstance(condition, Condition) for condition in where):
                return where
            raise ValueError("write a mapping of properties, e.g. where: {form: contact, value: {gt: 0}}")
        conditions: list[Condition] = []
        for prop, wanted in where.items():
            conditions += _conditions_of(str(prop), wanted)
        return tuple(conditions)


def _conditions_of(prop: str, wanted: object) -> list[Condition]:
    if isinstance(wanted, dict):
        if not wanted:
            raise ValueError(f"{prop}: write at least one of {' '.join(_CONDITION_KEYS)}")
        for op, operand in wanted.items():
            _check_operand(prop, str(op), operand=operand)
        return [
            Condition(property=prop, op=op, operand=tuple(operand) if isinstance(operand, list) else operand)
            for op, operand in wanted.items()
        ]
    if isinstance(wanted, list | tuple):
        if not wanted or not all(isinstance(one, str | int | float | bool) for one in wanted):
            raise ValueError(f"{prop}: write a list of plain values, e.g. [contact, quote]")
        return [Condition(property=prop, op="in", operand=tuple(wanted))]
    if not isinstance(wanted, str | int | float | bool):
        raise ValueError(f"{prop}: write a value, a list of values, or any of {' '.join(_CONDITION_KEYS)}")
    return [Condition(property=prop, op="eq", operand=wanted)]


def _check_operand(prop: str, op: str, *, operand: object) -> None:
    if op not in _CONDITION_KEYS:
        raise ValueError(f"{prop}: unknown comparison {op!r}; write one of {' '.join(_CONDITION_KEYS)}")
    if op == "exists" and not isinstance(operand, bool):
        raise ValueError(f"{prop}: exists takes true or false")
    if op in ORDERINGS and number_of(operand) is None:
        raise ValueError(f"{prop}: {op} compares numbers; write e.g. {op}: 100")
    if op in TEXT_OPERATORS:
        _check_texts(prop, op, operand=operand)
    if op == "ne" and not isinstance(operand, str | int | float | bool):
        raise ValueError(f"{prop}: ne takes one plain value")


def _check_texts(prop: str, op: str, *, operand: object) -> None:
    texts = operand if isinstance(operand, list | tuple) else [operand]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"{prop}: {op} compares texts; write e.g. {op}: /checkout, or a list of texts")
    for text in texts if op == "matches" else ():
        if reason := pattern_error(str(text)):
            raise ValueError(
                f"{prop}: {text!r} is no regular expression that can be used: {reason}; write e.g. "
                "matches: '^/order/[0-9]+$' (RE2: no backreferences and no lookaround)"
            )


Rules = Annotated[tuple[Rule, ...], BeforeValidator(as_list), Field(min_length=1)]
