"""How many random cases a test takes: a few while one works, all of them where it is decided whether a change lands.

`FUNNELCAST_THOROUGH=1` asks for all (`.ci/run` and `make test-thorough` do). `FUNNELCAST_CASES` sets another number for
the laws of the counting (tests/property/cases.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

from hypothesis import settings

Row = TypeVar("Row")
FEW = 10
IS_THOROUGH = os.environ.get("FUNNELCAST_THOROUGH", "") not in ("", "0")


def cases(number: int, *, few: int = FEW) -> int:
    """How many of `number` cases this run takes."""
    return number if IS_THOROUGH else min(number, few)


def some(rows: Iterable[Row], *, every: int) -> list[Row]:
    """All rows of a table where every case is asked for, else each `every`th."""
    table = list(rows)
    return table if IS_THOROUGH else table[::every]


settings.register_profile("funnelcast", max_examples=cases(100), deadline=None)
settings.load_profile("funnelcast")
