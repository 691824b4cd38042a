"""What stays of a person who is to be forgotten: a history without a name, so that the numbers stay as they are.

Takes away the key and every mark by which an event or order could be recognised; keeps stages, times, amounts and the
codes of dimension values. Pure; `streams.core.general` stores the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.core.person import KeptEvent, Person

_PREFIX: Final = b"x:"
"""No person key begins like that (`schemas.ids.person_key`): no event ever finds what is kept under it."""


def nameless_key(number: int) -> bytes:
    """The key under which the `number`-th forgotten person of a partition is kept: it says nothing about the person."""
    return b"%b%d" % (_PREFIX, number)


def is_nameless(key: bytes) -> bool:
    """Whether a person is kept without a name. Such a person is not kept for life: no further order can come."""
    return key.startswith(_PREFIX)


def without_ids(person: Person) -> Person:
    """The person with running numbers for the hashes of event, order and refund ids.

    The hashes keep their order, for it decides between events of one instant; orders and refunds stay the same ones.
    """
    base, events = person.base, person.events
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    hashes = _numbers(event.event_hash for event in events)
    orders = _numbers([*base.orders, *base.withdrawn, *(event.order for event in events)])
    refunds = _numbers([*base.refunds, *(event.refund for event in events)])
    person.events = [_renumbered(event, hashes, orders, refunds) for event in events]
    base.orders = {orders[order]: booked for order, booked in base.orders.items()}
    base.withdrawn = {orders[order] for order in base.withdrawn}
    base.refunds = {refunds[refund] for refund in base.refunds}
    return person


def _numbers(hashes: Iterable[int]) -> dict[int, int]:
    """Running numbers in ascending order; 0, which stands for none, stays."""
    return {0: 0, **{number: index for index, number in enumerate(sorted({*hashes} - {0}), start=1)}}


def _renumbered(event: KeptEvent, hashes: dict[int, int], orders: dict[int, int], refunds: dict[int, int]) -> KeptEvent:
    return event._replace(event_hash=hashes[event.event_hash], order=orders[event.order], refund=refunds[event.refund])
