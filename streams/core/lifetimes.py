"""Revenue of a sealed chunk's orders as the lifetime value sees it.

When a person's first order of life becomes another one, it is moved as a whole: so an order that turns out to be the
first does not cost a pass over all that followed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from schemas.counters import Family, family, lifetime_sub
from schemas.times import MINUTE_MS
from streams.core.base import FirstOrder
from streams.core.contributions import Contributions
from streams.core.journeys import OrderBooked
from streams.core.plan import AGES_MS


class Revenue(NamedTuple):
    """What orders have brought, and between which times; `since` is after `until` where there is none."""

    sums: Mapping[int, int]
    """By currency."""
    since: int
    until: int


NO_REVENUE: Final = Revenue({}, 1 << 62, 0)


def revenue_of(orders: Iterable[OrderBooked], more: Revenue = NO_REVENUE) -> Revenue:
    """The revenue of orders, and some more."""
    sums, since, until = dict(more.sums), more.since, more.until
    for order in orders:
        if order.worth.minor > 0:
            sums[order.worth.currency] = sums.get(order.worth.currency, 0) + order.worth.minor
            since, until = min(since, order.at), max(until, order.at)
    return Revenue(sums, since, until)


def move(revenue: Revenue, old: FirstOrder, new: FirstOrder, into: Contributions) -> bool:
    """Take revenue from one first order to another; False, and nothing is done, where its orders differ in age."""
    ages = [_age(revenue, old), _age(revenue, new)]
    if None in ages:
        return False
    for first, age, sign in zip((old, new), ages, (-1, 1), strict=True):
        for currency, amount in revenue.sums.items():
            code = family(Family.LIFETIME, lifetime_sub(currency, age or 0))
            into.money[first.at // MINUTE_MS, first.code, first.stage, code] += sign * amount
    return True


def _age(revenue: Revenue, first: FirstOrder) -> int | None:
    """Index of the upper edge of the age that all orders have, 0 for no orders; None where they have several."""
    if not revenue.sums:
        return 0
    age = bisect_left(AGES_MS, revenue.since - first.at)
    return age if bisect_left(AGES_MS, revenue.until - first.at) == age else None
