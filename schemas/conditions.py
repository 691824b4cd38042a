"""What a comparison of an event's property means (docs/semantics.md 2). Pure.

The definition's model checks operands with it, the core compares with it.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Literal, TypeAlias

from schemas.text import composed

Operator: TypeAlias = Literal["eq", "in", "gt", "gte", "lt", "lte", "ne", "exists"]
Plain: TypeAlias = str | int | float | bool
Operand: TypeAlias = Plain | tuple[Plain, ...]
ORDERINGS = frozenset({"gt", "gte", "lt", "lte"})


def holds(operator: Operator, operand: Operand, value: object) -> bool:
    """Whether a property's value (None = absent or null) satisfies a condition.

    Equality is by type and exact text (however its accents are written); order compares numbers, sent as numbers or as
    texts. An absent property fails all but `exists: false`.
    """
    if operator == "exists":
        return (value is not None) == bool(operand)
    if value is None:
        return False
    if operator == "eq":
        return _equal(value, operand)
    if operator == "ne":
        return not _equal(value, operand)
    if operator == "in":
        return isinstance(operand, tuple) and any(_equal(value, one) for one in operand)
    number, bound = number_of(value), number_of(operand)
    if number is None or bound is None:
        return False
    if operator == "gt":
        return number > bound
    if operator == "gte":
        return number >= bound
    return number < bound if operator == "lt" else number <= bound


def number_of(value: object) -> Decimal | None:
    """A number sent as a number or as a text, exactly; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    text = value.strip() if isinstance(value, str) else str(value)
    if not text.isascii() or "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _equal(value: object, operand: object) -> bool:
    if isinstance(value, bool) or isinstance(operand, bool):
        return value is operand
    if isinstance(value, str) or isinstance(operand, str):
        return isinstance(value, str) and isinstance(operand, str) and composed(value) == composed(operand)
    left, right = number_of(value), number_of(operand)
    return left is not None and left == right
