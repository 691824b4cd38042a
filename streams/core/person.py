"""A person's state: the fold up to the horizon (`Base`) plus single events, and its packed form.

Packed: `header | cold | tail`. The header holds what the fast paths ask; it is derived from the rest but for the
status (what is booked as open must be remembered, never recomputed). Cold is the base in msgpack, mostly empty. The
tail is a list of records of one size: `tie u64 | reason << 56 | at << 8 | kind u64 | code`, each followed by its
extensions (amount, order, refund) of the same size. Older records of a busy person lie in sealed chunks, fields of
their own.
The order of the tail is not significant: whoever needs order sorts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from streams.core.plan import ORDER, REFUND, RESOLVED, Plan

EXT_AMOUNT: Final = 128
EXT_ORDER: Final = 129
EXT_REFUND: Final = 130
AT_MASK: Final = (1 << 48) - 1
STATUS_MASK: Final = 3
HAS_AMOUNT: Final = 4
"""The open entry has an amount (an `open_value` is booked)."""
SEVERAL: Final = 16
"""The journey under way has more than one entry (several may be of one instant)."""
MANY_ORDERS: Final = 0xFFFF
"""The header counts distinct orders up to here."""
FOR_LIFE: Final = 8
"""The person has orders or refunds: never dropped."""


class Single(NamedTuple):
    """One kept event. 0 stands for no order/refund id, -1 for no amount."""

    at: int
    tie: int
    kind: int
    code: int
    reason: int = 0
    mask: int = 0
    order: int = 0
    refund: int = 0
    minor: int = -1
    currency: int = 0


class Entry:
    """A stage entry of a journey with the first loss that followed it."""

    __slots__ = ("at", "code", "currency", "loss_at", "minor", "reason", "stage")

    def __init__(
        self, stage: int, at: int, code: int, minor: int = -1, currency: int = 0, loss_at: int = -1, reason: int = 0
    ) -> None:
        self.stage = stage
        self.at = at
        self.code = code
        self.minor = minor
        self.currency = currency
        self.loss_at = loss_at
        self.reason = reason


class Journey:
    """A journey; its first event and the entries made so far (never none)."""

    __slots__ = ("entries", "first", "t0")

    def __init__(self, t0: int, first: int, entries: list[Entry]) -> None:
        self.t0 = t0
        self.first = first
        self.entries = entries

    def copy(self) -> Journey:
        """A copy whose last entry may be changed."""
        last = self.entries[-1]
        again = Entry(last.stage, last.at, last.code, last.minor, last.currency, last.loss_at, last.reason)
        return Journey(self.t0, self.first, [*self.entries[:-1], again])


class Layered:
    """Known orders on top of known orders, without a copy of those below."""

    __slots__ = ("_below", "_own")

    def __init__(self, below: dict[int, tuple[int, int]] | Layered, own: dict[int, tuple[int, int]]) -> None:
        self._below = below
        self._own = own

    def get(self, order: int) -> tuple[int, int] | None:
        """(stage, code) of an order."""
        layer: dict[int, tuple[int, int]] | Layered = self
        while isinstance(layer, Layered):
            found = layer._own.get(order)
            if found is not None:
                return found
            layer = layer._below
        return layer.get(order)


class Base:
    """Result of the pass over everything behind the horizon."""

    __slots__ = ("journey", "orders", "orders_count", "refunds")

    def __init__(self) -> None:
        self.journey: Journey | None = None
        self.orders_count = 0
        self.orders: dict[int, tuple[int, int]] | Layered = {}
        """Order id -> (stage or NO_STAGE, code)."""
        self.refunds: set[int] = set()


class Person:
    """An unpacked person."""

    __slots__ = ("base", "singles", "status")

    def __init__(self) -> None:
        self.base = Base()
        self.singles: list[Single] = []
        self.status = RESOLVED

    @property
    def is_for_life(self) -> bool:
        """Whether it may never be forgotten."""
        return bool(self.base.orders_count or self.base.refunds) or any(
            one.kind == ORDER or one.refund for one in self.singles
        )


class Hot(NamedTuple):
    """The derived part of the header."""

    last_at: int = 0
    passed: int = 0
    """Stage of the last entry + 1; 0 without a journey under way."""
    t0: int = 0
    entered_at: int = 0
    first: int = 0
    code: int = 0
    has_amount: bool = False
    orders: int = 0
    has_several: bool = False

    @property
    def flags(self) -> int:
        """Flags of the header that follow from this."""
        return HAS_AMOUNT * self.has_amount | SEVERAL * self.has_several


def _wire(plan: Plan, code: int) -> Any:
    return code.to_bytes(plan.wire_bytes, "little") if plan.is_wide else code


def _code(value: Any) -> int:
    return int.from_bytes(value, "little") if isinstance(value, bytes) else int(value)


def pack_single(plan: Plan, one: Single) -> bytes:
    """Records of one event."""
    pack, none = plan.record.pack, _wire(plan, 0)
    packed = pack(one.tie, one.reason << 56 | one.at << 8 | one.kind, _wire(plan, one.code))
    if one.minor >= 0:
        packed += pack(one.minor, one.currency << 8 | EXT_AMOUNT, none)
    if one.kind == ORDER or one.kind == REFUND:
        packed += pack(one.order, one.mask << 8 | EXT_ORDER, none)
    if one.kind == REFUND:
        packed += pack(one.refund, EXT_REFUND, none)
    return packed


def unpack_singles(plan: Plan, tail: bytes) -> list[Single]:
    """Events of a tail or chunk, in the order of the bytes."""
    found: list[Single] = []
    for number, q, wire in plan.record.iter_unpack(tail):
        kind = q & 255
        if kind < EXT_AMOUNT:
            found.append(Single(q >> 8 & AT_MASK, number, kind, _code(wire), q >> 56))
        elif kind == EXT_AMOUNT:
            found[-1] = found[-1]._replace(minor=number, currency=q >> 8)
        elif kind == EXT_ORDER:
            found[-1] = found[-1]._replace(order=number, mask=q >> 8)
        else:
            found[-1] = found[-1]._replace(refund=number)
    return found


def pack_base(plan: Plan, base: Base) -> bytes:
    """Cold bytes; none for a base that holds nothing."""
    journey = base.journey
    if journey is None and not base.orders_count and not base.refunds:
        return b""
    folded: list[Any] = []
    if journey is not None:
        t0 = journey.t0
        folded = [t0, _wire(plan, journey.first)]
        for one in journey.entries:
            entry = [one.stage, one.at - t0, _wire(plan, one.code)]
            if one.minor >= 0 or one.loss_at >= 0:
                entry += [one.minor, one.currency]
            if one.loss_at >= 0:
                entry += [one.loss_at - t0, one.reason]
            folded.append(entry)
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    orders = {order: (stage, _wire(plan, code)) for order, (stage, code) in base.orders.items()}
    return msgspec.msgpack.encode([folded, base.orders_count, orders, sorted(base.refunds)])


def unpack_base(cold: bytes) -> Base:
    """The base of cold bytes."""
    base = Base()
    if not cold:
        return base
    folded, base.orders_count, orders, refunds = msgspec.msgpack.decode(cold)
    base.orders = {order: (stage, _code(code)) for order, (stage, code) in orders.items()}
    base.refunds = set(refunds)
    if folded:
        t0, first = folded[0], _code(folded[1])
        entries = []
        for stage, after, code, *rest in folded[2:]:
            entry = Entry(stage, t0 + after, _code(code), *rest[:2])
            if len(rest) == 4:
                entry.loss_at, entry.reason = t0 + rest[2], rest[3]
            entries.append(entry)
        base.journey = Journey(t0, first, entries)
    return base


def split(size: int, singles: list[Single]) -> tuple[list[list[Single]], list[Single]]:
    """Chunks to be sealed, which follow each other strictly in time, and the tail; of sorted events."""
    parts: list[list[Single]] = []
    while len(singles) > 2 * size:
        cut = size
        while cut < len(singles) and singles[cut].at == singles[cut - 1].at:
            cut += 1
        if cut == len(singles):
            break
        parts.append(singles[:cut])
        singles = singles[cut:]
    return parts, singles


def pack_header(plan: Plan, hot: Hot, flags: int, *, chunks: int, cold: int) -> bytes:
    """Header bytes."""
    return plan.header.pack(
        hot.last_at << 16 | flags << 8 | hot.passed,
        hot.t0 << 16 | chunks,
        hot.entered_at << 16 | min(hot.orders, MANY_ORDERS),
        cold,
        _wire(plan, hot.first),
        _wire(plan, hot.code),
    )


def pack_person(plan: Plan, person: Person, hot: Hot, *, may_go: bool = False) -> tuple[bytes, list[bytes]]:
    """The person's packed form and its sealed chunks; `may_go`: not even its orders are for life."""
    cold = pack_base(plan, person.base)
    singles = sorted(person.singles)
    parts, singles = split(plan.seal, singles)
    sealed = [b"".join([pack_single(plan, one) for one in part]) for part in parts]
    tail = b"".join([pack_single(plan, one) for one in singles])
    flags = person.status | hot.flags | FOR_LIFE * (person.is_for_life and not may_go)
    return pack_header(plan, hot, flags, chunks=len(sealed), cold=len(cold)) + cold + tail, sealed


def unpack_person(plan: Plan, blob: bytes, sealed: Sequence[bytes]) -> Person:
    """The person of a blob and its sealed chunks."""
    q1, _, _, cold_bytes, _, _ = plan.header.unpack_from(blob)
    person = Person()
    person.status = q1 >> 8 & STATUS_MASK
    start = plan.header.size
    person.base = unpack_base(blob[start : start + cold_bytes])
    for chunk in sealed:
        person.singles += unpack_singles(plan, chunk)
    person.singles += unpack_singles(plan, blob[start + cold_bytes :])
    return person
