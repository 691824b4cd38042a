"""What the loaded funnels mean for the collector's checks: names they look at, names only servers may send, properties
they read. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from schemas.funnel.model import Funnel
from schemas.lateness import ALLOWED_LATENESS_MS
from schemas.names import normalise_name
from schemas.properties import ALWAYS_READ
from schemas.spend import STATEMENT_PROPERTIES

PAGES: Final = frozenset({"page_view", "page", "screen"})
"""A browser's by nature, whatever stage a funnel counts them for."""
AD_SPEND: Final = "ad_spend"
"""Comes without a person, also where no funnel counts it."""


def known_names(funnels: Iterable[Funnel]) -> set[str]:
    """Events that some funnel looks at."""
    return set().union(*(funnel.event_names for funnel in funnels))


def personless_names(funnels: Iterable[Funnel]) -> set[str]:
    """Events that come without a person."""
    return {AD_SPEND}.union(*(funnel.ad_spend for funnel in funnels))


def server_names(funnels: Sequence[Funnel], browser_names: Iterable[str] = ()) -> set[str]:
    """Events that move money. Anybody can read a browser's key off a page, so it may not send them, unless the operator
    says so with `browser_names`."""
    names = {AD_SPEND}.union(*(funnel.money_names for funnel in funnels))
    return names - PAGES - {normalise_name(name) for name in browser_names}


def lateness_ms(funnels: Iterable[Funnel]) -> int:
    """What occurred longer before its reception is counted by none of them."""
    return max((funnel.allowed_lateness_ms for funnel in funnels), default=ALLOWED_LATENESS_MS)


def least_lateness_ms(funnels: Iterable[Funnel]) -> int:
    """What occurred no longer before its reception is counted by all of them."""
    return min((funnel.allowed_lateness_ms for funnel in funnels), default=ALLOWED_LATENESS_MS)


def read_properties(funnels: Iterable[Funnel]) -> set[str]:
    """Properties without which the funnels would count something else."""
    return {*ALWAYS_READ, *STATEMENT_PROPERTIES}.union(*(funnel.properties for funnel in funnels))
