"""What stays of a person who is to be forgotten: a history without a name, so that the numbers stay as they are.

Takes away the key and every mark by which an event or order could be told again; keeps stages, times, amounts and the
codes of dimension values. Pure; `FunnelState.forget` stores the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.core.person import Person, Single

_PREFIX: Final = b"x:"
"""No person key begins like that (`schemas.ids.person_key`): no event ever finds what is kept under it."""


def nameless_key(number: int) -> bytes:
    """The key under which the `number`-th forgotten person of a partition is kept: it says nothing about the person."""
    return b"%b%d" % (_PREFIX, number)


def is_nameless(key: bytes) -> bool:
    """Whether a person is kept without a name. Such a one is nobody's for life: no further order can come."""
    return key.startswith(_PREFIX)


def without_ids(person: Person) -> Person:
    """The person with running numbers for the hashes of event, order and refund ids.

    Ties keep their order, for it decides between events of one instant; orders and refunds stay the same ones.
    """
    base, singles = person.base, person.singles
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    ties = _numbers(one.tie for one in singles)
    orders = _numbers([*base.orders, *(one.order for one in singles)])
    refunds = _numbers([*base.refunds, *(one.refund for one in singles)])
    person.singles = [_renumbered(one, ties, orders, refunds) for one in singles]
    base.orders = {orders[order]: booked for order, booked in base.orders.items()}
    base.refunds = {refunds[refund] for refund in base.refunds}
    return person


def _numbers(hashes: Iterable[int]) -> dict[int, int]:
    """Running numbers in ascending order; 0, which stands for none, stays."""
    return {0: 0, **{one: at for at, one in enumerate(sorted({*hashes} - {0}), start=1)}}


def _renumbered(one: Single, ties: dict[int, int], orders: dict[int, int], refunds: dict[int, int]) -> Single:
    return one._replace(tie=ties[one.tie], order=orders[one.order], refund=refunds[one.refund])
