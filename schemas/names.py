"""How names and values compare: event names, aliases, stage names, dimension values. Pure text, no tables of known
names."""

from __future__ import annotations

from schemas.counters import UNKNOWN, VALUE_CHARS
from schemas.text import composed, without_case

_ONE = str.maketrans({" ": "_", "-": "_"})


def normalise_name(text: str) -> str:
    """`Order Completed`, `order-completed` and `ORDER_COMPLETED` are one name (semantics.md 1)."""
    return without_case(text.strip()).translate(_ONE)


def clean_text(text: str) -> str:
    """A dimension value or reason as it is compared and shown; may be empty."""
    return without_case(composed(text.strip())[:VALUE_CHARS])


def clean_value(value: object) -> str:
    """`clean_text` of a property's value; `unknown` for what is absent or not a plain value."""
    if isinstance(value, str):
        return clean_text(value) or UNKNOWN
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return clean_text(str(value)) or UNKNOWN
    return UNKNOWN
