"""What stays of a person who is to be forgotten: a history without a name, so that the numbers stay as they are.

Takes away the key and every mark by which an event or order could be recognised; keeps stages, times, amounts and the
codes of dimension values. Pure; `streams.core.general` stores the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from streams.core.base import Identity
from streams.core.kept import KeptEvent
from streams.core.person import Person

_PREFIX: Final = b"x:"
"""No person key begins like that (`schemas.ids.person_key`): no event ever finds what is kept under it."""


class _Numbers(NamedTuple):
    """Running numbers for hashes and unit values."""

    hashes: dict[int, int]
    orders: dict[int, int]
    refunds: dict[int, int]
    units: dict[bytes, bytes]


def nameless_key(number: int) -> bytes:
    """The key under which the `number`-th forgotten person of a partition is kept: it says nothing about the person."""
    return b"%b%d" % (_PREFIX, number)


def is_nameless(key: bytes) -> bool:
    """Whether a person is kept without a name. Such a person is not kept for life: no further order can come."""
    return key.startswith(_PREFIX)


def without_ids(person: Person) -> Person:
    """The person with running numbers for the hashes of event, order and refund ids, and for unit values.

    The hashes keep their order, for it decides between events of one instant; orders and refunds stay the same ones.
    """
    base, events = person.base, person.events
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    ties = [*(step[2] for step in base.steps), *(deal.identity[1] for deal in base.deals)]
    hashes = _numbers([*ties, *(event.event_hash for event in events)])
    named = [*(step[3] for step in base.steps), *events]
    orders = _numbers([*base.orders, *base.withdrawn, *(event.order for event in named)])
    values = sorted({*(deal.identity[2] for deal in base.deals), *(event.unit for event in named)} - {b""})
    units = {b"": b"", **{value: b"%d" % number for number, value in enumerate(values, start=1)}}
    refunds = _numbers([*base.refunds, *(event.refund for event in events)])
    numbers = _Numbers(hashes, orders, refunds, units)
    person.events = [_renumbered(event, numbers) for event in events]
    base.steps = [
        (at, stage, hashes[event_hash], _renumbered(event, numbers), worth)
        for at, stage, event_hash, event, worth in base.steps
    ]
    base.deals = [deal._replace(identity=_known_as(deal.identity, numbers)) for deal in base.deals]
    base.orders = {orders[order]: booked for order, booked in base.orders.items()}
    base.withdrawn = {orders[order] for order in base.withdrawn}
    base.refunds = {refunds[refund] for refund in base.refunds}
    return person


def _numbers(hashes: Iterable[int]) -> dict[int, int]:
    """Running numbers in ascending order; 0, which stands for none, stays."""
    return {0: 0, **{number: index for index, number in enumerate(sorted({*hashes} - {0}), start=1)}}


def _renumbered(event: KeptEvent, numbers: _Numbers) -> KeptEvent:
    return event._replace(
        event_hash=numbers.hashes[event.event_hash],
        order=numbers.orders[event.order],
        refund=numbers.refunds[event.refund],
        unit=numbers.units[event.unit],
    )


def _known_as(identity: Identity, numbers: _Numbers) -> Identity:
    at, event_hash, unit = identity
    return at, numbers.hashes[event_hash], numbers.units[unit]
