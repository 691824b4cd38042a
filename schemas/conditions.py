"""What a comparison of an event's property means (docs/semantics.md 2). Pure.

The definition's model checks operands with it, the core compares with it.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

from schemas.text import composed

Operator: TypeAlias = Literal[
    "eq", "in", "gt", "gte", "lt", "lte", "ne", "exists", "starts_with", "ends_with", "contains", "matches"
]
Plain: TypeAlias = str | int | float | bool
Operand: TypeAlias = Plain | tuple[Plain, ...]
ORDERINGS: Final = frozenset({"gt", "gte", "lt", "lte"})
TEXT_OPERATORS: Final = frozenset({"starts_with", "ends_with", "contains", "matches"})
MAX_PATTERN_CHARS: Final = 500
_PATTERN_BYTES: Final = 1 << 20
"""Memory of a compiled regular expression."""


def holds(operator: Operator, operand: Operand, value: object) -> bool:
    """Whether a property's value (None = absent or null) satisfies a condition.

    Equality is by type and exact text (however its accents are written); order compares numbers, sent as numbers or as
    texts; `starts_with`, `ends_with`, `contains` and `matches` compare texts, with case, and hold where one of several
    operands does. An absent property fails all but `exists: false`.
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
    if operator in TEXT_OPERATORS:
        wanted = operand if isinstance(operand, tuple) else (operand,)
        return isinstance(value, str) and any(_has(operator, composed(value), str(one)) for one in wanted)
    number, bound = number_of(value), number_of(operand)
    if number is None or bound is None:
        return False
    if operator == "gt":
        return number > bound
    if operator == "gte":
        return number >= bound
    return number < bound if operator == "lt" else number <= bound


def pattern_error(pattern: str) -> str | None:
    """Why a text is no regular expression that can be used; None where it is one."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"has {len(pattern)} characters; write at most {MAX_PATTERN_CHARS}"
    import re2

    try:
        _compiled(pattern)
    except re2.error as error:
        said = error.args[0] if error.args else error
        return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    """A regular expression that takes time in proportion to the text, whatever it says."""
    import re2

    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    return re2.compile(composed(pattern), options)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=16_384)
def _is_match(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text.encode("utf-8", "replace").decode()) is not None


def _has(operator: Operator, text: str, wanted: str) -> bool:
    if operator == "matches":
        return _is_match(wanted, text)
    part = composed(wanted)
    if operator == "starts_with":
        return text.startswith(part)
    return text.endswith(part) if operator == "ends_with" else part in text


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
