"""Which definitions hold: those that a process was given, and those that a recount has switched to since. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel


def in_effect(configured: Sequence[Funnel], switched: Mapping[str, str]) -> list[Funnel]:
    """The configured funnels, each in the version that was switched to where that is higher, then those that are known
    by a switch alone. `switched`: name -> definition (JSON)."""
    named = {funnel.name: funnel for funnel in configured}
    for name, text in switched.items():
        funnel = _parsed(text)
        if name not in named or named[name].version < funnel.version:
            named[name] = funnel
    return list(named.values())


@lru_cache(maxsize=256)
def _parsed(text: str) -> Funnel:
    return parse_funnel(text, origin="the definition that a recount has switched to")
