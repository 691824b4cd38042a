"""A statement of advertising spend, read alike where it is taken and where it is counted (semantics.md 5). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from schemas.money import clean_currency, clean_minor, parse_minor
from schemas.times import day_of

DAY_PROPERTY: Final = "day"
KNOWN_BY: Final = ("channel", "campaign", "source", "medium", "content", "term")
"""What tells statements of one day apart, whether a funnel counts by it or not: two campaigns of one channel add up in
a funnel that knows channels alone."""
STATEMENT_PROPERTIES: Final = (DAY_PROPERTY, *KNOWN_BY)
"""What a statement says beside its amount and the dimensions of a funnel."""
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


def day_number(stated: object) -> int | None:
    """Days from 1970-01-01 to a day that is written like 2025-01-31; None for all others."""
    text = stated.strip() if isinstance(stated, str) else ""
    if not text.isascii() or not _DAY.fullmatch(text):
        return None
    try:
        day = day_of(date.fromisoformat(text))
    except ValueError:
        return None
    return day if day >= 0 else None


def mistake_in(properties: Mapping[str, Any]) -> tuple[str, str] | None:
    """(property, what to write) of a statement that could not be counted; None for one that can."""
    day, currency = properties.get(DAY_PROPERTY), properties.get("currency")
    if day is not None and day_number(day) is None:
        return DAY_PROPERTY, f"{day!r} is no day; write it like 2025-01-31"
    code = "USD" if currency is None else clean_currency(currency)
    if code is None:
        return "currency", f"{currency!r} is no currency; write a three-letter ISO-4217 code, e.g. EUR"
    stated = properties.get("value")
    if stated is None and (minor := properties.get("value_minor")) is not None:
        return None if clean_minor(minor) is not None else ("value_minor", f"{minor!r} is no amount in minor units")
    stated = properties.get("amount") if stated is None else stated
    is_amount = isinstance(stated, str | int | float) and parse_minor(stated, code) is not None
    return None if is_amount else ("value", f"{stated!r} is no amount; write what was spent that day, e.g. 12.50")
