"""How names compare: event names, aliases and stage names. Pure text, no tables of known names."""

from __future__ import annotations

_ONE = str.maketrans({" ": "_", "-": "_"})


def normalise_name(text: str) -> str:
    """`Order Completed`, `order-completed` and `ORDER_COMPLETED` are one name (semantics.md 1)."""
    return text.strip().casefold().translate(_ONE)
