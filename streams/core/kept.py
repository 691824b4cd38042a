"""Kept events, and the records they become in a tail or a sealed chunk.

Records are of one size, `event_hash u64 | reason << 56 | at << 8 | kind u64 | code`. A record whose kind is an
extension (amount, order, refund, cost, discount, unit) belongs to the event before it; a text longer than one record
takes several. The order of a tail is not significant: what needs an order sorts it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from streams.core.plan import LOST, ORDER, REASON_CODES, REFUND, RESTATED, VOID, WITHDRAWN, EventKind, Plan
from streams.core.wire import code_of, wire_code

KIND_BYTE: Final = 8
"""Where a record has its kind."""
EXT_AMOUNT: Final = 128
EXT_ORDER: Final = 129
EXT_REFUND: Final = 130
EXT_COST: Final = 131
EXT_DISCOUNT: Final = 132
EXT_UNIT: Final = 133
UNIT_BYTES: Final = 15
"""Of a unit value in one record: its numbers, but for the kind."""
_NO_TEXT: Final = b"\xff"
"""Fills the record up: no text in UTF-8 has such a byte."""
KIND_MASK: Final = 0xFF
EVENT_AT_SHIFT: Final = 8
REASON_SHIFT: Final = 56
AT_MASK: Final = (1 << 48) - 1
"""Times have 48 bits, in records as in the header."""


class KeptEvent(NamedTuple):
    """One kept event. Sorted, events are in the order of time, and by hash within one instant."""

    at: int
    event_hash: int
    """Hash of source and id: what makes two events copies of each other."""
    kind: EventKind
    code: int
    """Register codes of all dimensions (`Plan`)."""
    reason: int = 0
    mask: int = 0
    """Order stages that an order matches."""
    order: int = 0
    """Hash of the order's id; 0 for none."""
    refund: int = 0
    minor: int = -1
    """Amount in minor units; -1 for none."""
    currency: int = 0
    """Of all its money."""
    cost: int = -1
    discount: int = -1
    unit: bytes = b""
    """Unit value: the deal that a stage, lost or order event names; empty for none (`streams.core.match.unit_of`)."""


def whole_of(event: KeptEvent) -> KeptEvent | None:
    """The event where it says more than its stage, as an operation wants it (`streams.core.chunk`)."""
    return None if event.kind < ORDER and event.minor < 0 and not event.unit else event


def pack_event(plan: Plan, event: KeptEvent) -> bytes:
    """Records of one event."""
    pack, no_code = plan.record.pack, wire_code(plan, 0)
    word = event.reason << REASON_SHIFT | event.at << EVENT_AT_SHIFT | event.kind
    packed = pack(event.event_hash, word, wire_code(plan, event.code))
    if event.minor >= 0:
        packed += pack(event.minor, event.currency << 8 | EXT_AMOUNT, no_code)
    if event.kind == ORDER or event.order or event.kind == REFUND:
        packed += pack(event.order, event.mask << 8 | EXT_ORDER, no_code)
    if event.kind == REFUND:
        packed += pack(event.refund, EXT_REFUND, no_code)
    if event.cost >= 0:
        packed += pack(event.cost, event.currency << 8 | EXT_COST, no_code)
    if event.discount >= 0:
        packed += pack(event.discount, event.currency << 8 | EXT_DISCOUNT, no_code)
    for start in range(0, len(event.unit), UNIT_BYTES):
        part = event.unit[start : start + UNIT_BYTES].ljust(UNIT_BYTES, _NO_TEXT)
        number, high = int.from_bytes(part[:8], "little"), int.from_bytes(part[8:], "little")
        packed += pack(number, high << 8 | EXT_UNIT, no_code)
    return packed


def unpack_events(plan: Plan, records: bytes) -> list[KeptEvent]:
    """Events of a tail or chunk, in the order of the bytes."""
    events: list[KeptEvent] = []
    for number, word, code in plan.record.iter_unpack(records):
        kind = word & KIND_MASK
        if kind < EXT_AMOUNT:
            at = word >> EVENT_AT_SHIFT & AT_MASK
            events.append(KeptEvent(at, number, kind, code_of(code), word >> REASON_SHIFT))
        elif kind == EXT_AMOUNT:
            events[-1] = events[-1]._replace(minor=number, currency=word >> 8)
        elif kind == EXT_ORDER:
            events[-1] = events[-1]._replace(order=number, mask=word >> 8)
        elif kind == EXT_REFUND:
            events[-1] = events[-1]._replace(refund=number)
        elif kind == EXT_COST:
            events[-1] = events[-1]._replace(cost=number, currency=word >> 8)
        elif kind == EXT_DISCOUNT:
            events[-1] = events[-1]._replace(discount=number, currency=word >> 8)
        else:
            part = number.to_bytes(8, "little") + (word >> 8).to_bytes(7, "little")
            events[-1] = events[-1]._replace(unit=events[-1].unit + part.rstrip(_NO_TEXT))
    return events


def count_events(plan: Plan, records: bytes) -> int:
    """How many events a tail or chunk holds."""
    return sum(kind < EXT_AMOUNT for kind in records[KIND_BYTE :: plan.record.size])


def is_sound(plan: Plan, event: KeptEvent) -> bool:
    """Whether an event that was packed elsewhere may be counted by this plan."""
    is_stage = event.kind < plan.stages and not plan.is_order[event.kind]
    is_other = event.kind in (ORDER, LOST, REFUND, WITHDRAWN, RESTATED, VOID)
    is_order = event.kind != ORDER or 0 < event.mask < 1 << len(plan.order_stages)
    return (is_stage or is_other) and is_order and event.code < 1 << plan.code_bits and event.reason < REASON_CODES


def split(size: int, events: list[KeptEvent]) -> tuple[list[list[KeptEvent]], list[KeptEvent]]:
    """Chunks to be sealed, which follow each other strictly in time, and the tail; of sorted events."""
    parts: list[list[KeptEvent]] = []
    while len(events) > 2 * size:
        cut = size
        # Events of one instant lie in one chunk: an event finds its chunk by its time alone.
        while cut < len(events) and events[cut].at == events[cut - 1].at:
            cut += 1
        # All the rest is of one instant: it cannot be divided.
        if cut == len(events):
            break
        parts.append(events[:cut])
        events = events[cut:]
    return parts, events


def pack_events(plan: Plan, events: Iterable[KeptEvent]) -> bytes:
    """A tail or a sealed chunk."""
    return b"".join([pack_event(plan, event) for event in events])
