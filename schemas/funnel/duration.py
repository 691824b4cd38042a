"""Durations as a person writes them: `30m`, `12h`, `7d`. Pure."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d|w)")


def parse_duration_ms(value: object) -> int:
    """Milliseconds of `30m`, `12h`, `7d` (units ms s m h d w). Raises ValueError."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        milliseconds = int(match[1]) * _UNITS_MS[match[2]]
        if milliseconds > 0:
            return milliseconds
    raise ValueError(f"{value!r} is not a duration; write a number and a unit (ms s m h d w), e.g. 30m, 12h or 7d")


DurationMs = Annotated[int, BeforeValidator(parse_duration_ms)]


def format_duration(milliseconds: int) -> str:
    """The shortest exact text of a duration, e.g. `30m`."""
    for unit in ("d", "h", "m", "s"):
        if milliseconds % _UNITS_MS[unit] == 0:
            return f"{milliseconds // _UNITS_MS[unit]}{unit}"
    return f"{milliseconds}ms"
