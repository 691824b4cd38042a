"""How names and values compare: event names, aliases, stage names, dimension values. Pure text, no tables of known
names."""

from __future__ import annotations

import re

from schemas.counters import OTHER, UNKNOWN, VALUE_CHARS
from schemas.nothing import MARKS, is_template
from schemas.text import composed, without_case

_RESERVED = re.compile(rf'("*)(?:{UNKNOWN}|{OTHER})\1')
_ONE = str.maketrans({" ": "_", "-": "_"})


def normalise_name(text: str) -> str:
    """`Order Completed`, `order-completed` and `ORDER_COMPLETED` are one name (semantics.md 1)."""
    return without_case(text.strip()).translate(_ONE)


def written_text(text: str) -> str:
    """A dimension value or reason as people see it: as it was written, trimmed and cut; may be empty."""
    return composed(text.strip())[:VALUE_CHARS]


def clean_text(text: str) -> str:
    """A dimension value or reason as it is compared; may be empty."""
    return without_case(written_text(text))


def name_of(text: str) -> str:
    """The name under which a cleaned text is counted: the text, but in quotes where it is one of the reserved words, so
    that the two never meet. No two texts have one name."""
    return f'"{text}"' if _RESERVED.fullmatch(without_case(text)) else text


def clean_value(value: object) -> str:
    """The name of a property's value; `unknown` for what is absent, not a plain value, or stands for nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float) or not (text := clean_text(str(value))):
        return UNKNOWN
    return UNKNOWN if text in MARKS or is_template(str(value).strip()) else name_of(text)


def written_value(value: object) -> str:
    """What people see of `clean_value(value)` where this is the first time that the name comes."""
    name = clean_value(value)
    return name_of(written_text(value)) if isinstance(value, str) and name != UNKNOWN else name
