"""What the loaded funnels mean for the collector's checks: names they look at, names only servers may send, properties
they read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from schemas.funnel.model import Funnel, Rule
from schemas.names import normalise_name

PAGES: Final = frozenset({"page_view", "page", "screen"})
"""A browser's by nature, whatever stage a funnel counts them for."""
AMOUNTS: Final = ("value", "value_minor", "amount", "currency", "order_id", "refund_id", "reason")
"""Read of an event whatever a funnel says."""


def known_names(funnels: Iterable[Funnel]) -> set[str]:
    """Events that some funnel looks at."""
    return {name for funnel in funnels for name in (*(rule.event for rule in _rules(funnel)), *funnel.refunds)}


def personless_names(funnels: Iterable[Funnel]) -> set[str]:
    """Events that come without a person."""
    return {"ad_spend"}.union(*(funnel.ad_spend for funnel in funnels))


def server_names(funnels: Sequence[Funnel], browser_names: Iterable[str] = ()) -> set[str]:
    """Events that move money: of order stages, refunds, spend. Anybody can read a browser's key off a page, so it may
    not send them, unless the operator says so with `browser_names`."""
    found = personless_names(funnels)
    for funnel in funnels:
        found |= {*funnel.refunds, *(rule.event for one in funnel.stages if one.nth is not None for rule in one.on)}
    return found - PAGES - {normalise_name(one) for one in browser_names}


def read_properties(funnels: Iterable[Funnel]) -> set[str]:
    """Properties without which the funnels would count something else."""
    found = set(AMOUNTS)
    for funnel in funnels:
        found |= {one.property for one in funnel.dimensions}
        found |= {condition.property for rule in _rules(funnel) for condition in rule.where}
    return found


def _rules(funnel: Funnel) -> Iterator[Rule]:
    for stage in funnel.stages:
        yield from stage.on
    for lost in funnel.lost:
        yield from lost.on
