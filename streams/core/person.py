"""A person: kept events, what was folded behind the horizon (`Base`), and the bytes both become.

Packed, a person is `header | base | tail`:

* header: what the fast paths ask (`streams.core.header`)
* base: the fold in msgpack; mostly empty, for most persons have nothing behind the horizon that still matters
* tail: records of one size, `event_hash u64 | reason << 56 | at << 8 | kind u64 | code`. A record whose kind is an
  extension (amount, order, refund, cost, discount, unit) belongs to the event before it.

Older records of a person with many events lie in sealed chunks, which are fields of their own (`streams.core.heavy`).
The order of the tail is not significant: what needs an order sorts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from streams.core.header import (
    CHANGES,
    DEALS,
    FOR_LIFE,
    LINKED,
    Header,
    Link,
    base_of,
    entered_at,
    flags_of,
    link_of,
    pack_header,
    pack_link,
    status_of,
    tail_of,
    words_of,
)
from streams.core.plan import (
    LOST,
    ORDER,
    REASON_CODES,
    REFUND,
    RESOLVED,
    RESTATED,
    VOID,
    WITHDRAWN,
    EventKind,
    Plan,
    Status,
    code_of,
    wire_code,
)

if TYPE_CHECKING:
    from streams.core.telling import EntryId, Outcome

EXT_AMOUNT: Final = 128
EXT_ORDER: Final = 129
EXT_REFUND: Final = 130
EXT_COST: Final = 131
EXT_DISCOUNT: Final = 132
EXT_UNIT: Final = 133
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
    unit: int = 0
    """Hash of the unit value: the deal that a stage, lost or order event names; 0 for none."""


class Worth(NamedTuple):
    """Money of an order: each sum from the earliest event that states it; -1 for none."""

    minor: int
    currency: int
    cost: int
    cost_currency: int
    discount: int
    discount_currency: int
    is_nth: bool
    """Its number is exactly the one that its stage waits for."""


class FirstOrder(NamedTuple):
    """A person's first order of life that has a stage: where the customer and the lifetime value are counted."""

    at: int
    stage: int
    code: int


Step: TypeAlias = tuple[int, int, int, KeptEvent, Worth | None]
"""(at, stage or AFTER_STAGES, event_hash, event, worth of an order): sorted, the order in which journeys take them."""
Identity: TypeAlias = tuple[int, int, int]
"""What a deal is known by, whatever becomes of it: time and hash of the event that begins it, hash of its unit value.
"""


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

    @property
    def key(self) -> tuple[int, ...]:
        """All that it is."""
        return self.stage, self.at, self.code, self.minor, self.currency, self.loss_at, self.reason


class Journey:
    """A journey: the code of its first event and the entries made so far (never none)."""

    __slots__ = ("begins_at", "entries", "first_code", "started_at", "unit")

    def __init__(self, started_at: int, first_code: int, entries: list[Entry], begins_at: int | None = None) -> None:
        self.started_at = started_at
        self.first_code = first_code
        self.entries = entries
        self.begins_at = started_at if begins_at is None else begins_at
        """From when its window runs: a deal may have lead-ins before it begins."""
        self.unit = 0
        """Hash of a deal's unit value, in a pass; 0 for the person's own line. Not packed: a deal is kept by it."""

    def copy(self) -> Journey:
        """A copy whose last entry may be changed."""
        last = self.entries[-1]
        again = Entry(last.stage, last.at, last.code, last.minor, last.currency, last.loss_at, last.reason)
        return Journey(self.started_at, self.first_code, [*self.entries[:-1], again], self.begins_at)


class Deal(NamedTuple):
    """A deal in the base: what passed of it, and how its events with the value left it."""

    identity: Identity
    journey: Journey
    is_begun: bool
    """False: it begins later, and this is what led to it."""
    is_closed: bool
    is_completed: bool


class Layered:
    """Known orders on top of known orders, without a copy of those below. For passes in memory, never packed."""

    __slots__ = ("below", "own")

    def __init__(self, below: dict[int, tuple[int, int]] | Layered, own: dict[int, tuple[int, int]]) -> None:
        self.below = below
        self.own = own

    def get(self, order: int) -> tuple[int, int] | None:
        """(stage, code) of an order."""
        layer: dict[int, tuple[int, int]] | Layered = self
        while isinstance(layer, Layered):
            booked = layer.own.get(order)
            if booked is not None:
                return booked
            layer = layer.below
        return layer.get(order)


class Base:
    """Result of the pass over everything behind the horizon."""

    __slots__ = ("deals", "first_order", "journey", "orders", "orders_count", "refunds", "steps", "withdrawn")

    def __init__(self) -> None:
        self.journey: Journey | None = None
        self.orders_count = 0
        self.orders: dict[int, tuple[int, int]] | Layered = {}
        """Order id -> (stage or NO_STAGE, code)."""
        self.refunds: set[int] = set()
        self.first_order: FirstOrder | None = None
        self.withdrawn: set[int] = set()
        """Orders that were withdrawn and have no later event: their refunds are void."""
        self.deals: list[Deal] = []
        """With a unit: deals that can still take an event."""
        self.steps: list[Step] = []
        """With a unit: steps behind the horizon whose journey is not settled yet (`streams.core.deals`), in order."""


class Person:
    """An unpacked person."""

    __slots__ = ("base", "changes_at", "events", "has_deals", "link", "outcomes", "status")

    def __init__(self) -> None:
        self.base = Base()
        self.events: list[KeptEvent] = []
        self.status: Status = RESOLVED
        """Of the last entry of the last journey; without a unit the only one that can be open."""
        self.has_deals = False
        """Events are parted by deals, so that several entries may be open. What is booked then follows from:"""
        self.changes_at = 0
        """When the next of all entries changes by itself. What would have changed before is booked."""
        self.link: Link | None = None
        self.outcomes: Mapping[EntryId, Outcome] = {}
        """Of a funnel that tells them: of the entries whose contributions were taken out."""

    @property
    def is_for_life(self) -> bool:
        """Whether it may never be forgotten."""
        base = self.base
        return bool(base.orders_count or base.refunds or base.withdrawn) or any(
            event.kind == ORDER or event.refund or (event.kind == WITHDRAWN and event.order) for event in self.events
        )

    @property
    def has_changes(self) -> bool:
        """Whether what an event means may depend on a newer one: withdrawals and restatements; refunds that are older
        than their orders; further events of an order or refund that say what the first one does not."""
        stated: dict[int, int] = {}
        """By order and refund: which sums are stated so far, a bit each."""
        refunded: set[int] = set()
        for event in sorted(event for event in self.events if event.kind >= ORDER and event.kind != LOST):
            if event.kind in (WITHDRAWN, RESTATED) or (event.kind == ORDER and event.order in refunded):
                return True
            number = event.order if event.kind == ORDER else event.refund
            sums = (event.minor >= 0) | (event.cost >= 0) << 1 | (event.discount >= 0) << 2
            if number and sums & ~stated.get(number, sums):
                return True
            stated[number] = sums | stated.get(number, 0)
            if event.kind == REFUND and event.order:
                refunded.add(event.order)
        return False


def person_field(key: bytes) -> bytes:
    """The person's field in the store: NUL separates a person's further fields and so never stands in a key."""
    return key.replace(b"\0", b"\xff0") if b"\0" in key else key


def whole_of(event: KeptEvent) -> KeptEvent | None:
    """The event where it says more than its stage, as an operation wants it (`streams.core.chunk`)."""
    return None if event.kind < ORDER and event.minor < 0 and not event.unit else event


def is_empty(plan: Plan, person: Person) -> bool:
    """Whether nothing of a history is left."""
    return not person.events and not pack_base(plan, person.base)


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
    if event.unit:
        packed += pack(event.unit, EXT_UNIT, no_code)
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
            events[-1] = events[-1]._replace(unit=number)
    return events


def is_sound(plan: Plan, event: KeptEvent) -> bool:
    """Whether an event that was packed elsewhere may be counted by this plan."""
    is_stage = event.kind < plan.stages and not plan.is_order[event.kind]
    is_other = event.kind in (ORDER, LOST, REFUND, WITHDRAWN, RESTATED, VOID)
    is_order = event.kind != ORDER or 0 < event.mask < 1 << len(plan.order_stages)
    return (is_stage or is_other) and is_order and event.code < 1 << plan.code_bits and event.reason < REASON_CODES


def pack_base(plan: Plan, base: Base) -> bytes:
    """The bytes of a base; none for a base that holds nothing."""
    journey = base.journey
    is_empty = journey is None and not base.orders_count and not base.refunds and not base.withdrawn
    if is_empty and not base.deals and not base.steps:
        return b""
    folded = [] if journey is None else _folded(plan, journey)
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    orders = {order: (stage, wire_code(plan, code)) for order, (stage, code) in base.orders.items()}
    first = base.first_order
    more: list[Any] = [] if first is None else [(first.at, first.stage, wire_code(plan, first.code))]
    if base.withdrawn or base.deals or base.steps:
        more = [more[0] if more else None, sorted(base.withdrawn)]
    if base.deals or base.steps:
        more += [[_packed_deal(plan, deal) for deal in base.deals], [_packed_step(plan, step) for step in base.steps]]
    return msgspec.msgpack.encode([folded, base.orders_count, orders, sorted(base.refunds), *more])


def _folded(plan: Plan, journey: Journey) -> list[Any]:
    """Start, code of the first event, then per entry [stage, after, code (, minor, currency (, loss after, reason))];
    times are counted from the start."""
    start = journey.started_at
    folded: list[Any] = [start, wire_code(plan, journey.first_code)]
    for entry in journey.entries:
        values = [entry.stage, entry.at - start, wire_code(plan, entry.code)]
        if entry.minor >= 0 or entry.loss_at >= 0:
            values += [entry.minor, entry.currency]
        if entry.loss_at >= 0:
            values += [entry.loss_at - start, entry.reason]
        folded.append(values)
    return folded


def _packed_deal(plan: Plan, deal: Deal) -> tuple[Any, ...]:
    flags = deal.is_begun | deal.is_closed << 1 | deal.is_completed << 2
    return (*deal.identity, flags, _folded(plan, deal.journey))


def _deal(at: int, tie: int, unit: int, flags: int, folded: list[Any]) -> Deal:
    journey = _journey(folded, at)
    return Deal((at, tie, unit), journey, bool(flags & 1), bool(flags & 2), bool(flags & 4))


def _packed_step(plan: Plan, step: Step) -> tuple[Any, ...]:
    at, stage, event_hash, event, worth = step
    code = wire_code(plan, event.code)
    return (at, stage, event_hash, code, event.unit, event.reason, event.minor, event.currency, event.order, worth)


def _step(
    at: int,
    stage: int,
    event_hash: int,
    code: int | bytes,
    unit: int,
    reason: int,
    minor: int,
    currency: int,
    order: int,
    worth: Sequence[Any] | None,
) -> Step:
    event = KeptEvent(
        at, event_hash, stage, code_of(code), reason, order=order, minor=minor, currency=currency, unit=unit
    )
    return at, stage, event_hash, event, None if worth is None else Worth(*worth)


def unpack_base(packed: bytes) -> Base:
    """Inverse of `pack_base`."""
    base = Base()
    if not packed:
        return base
    folded, base.orders_count, orders, refunds, *more = msgspec.msgpack.decode(packed)
    base.orders = {order: (stage, code_of(code)) for order, (stage, code) in orders.items()}
    base.refunds = set(refunds)
    if more and more[0] is not None:
        at, stage, code = more[0]
        base.first_order = FirstOrder(at, stage, code_of(code))
    if len(more) > 1:
        base.withdrawn = set(more[1])
    if len(more) > 2:
        base.deals = [_deal(*deal) for deal in more[2]]
        base.steps = [_step(*step) for step in more[3]]
    if folded:
        base.journey = _journey(folded)
    return base


def _journey(folded: list[Any], begins_at: int | None = None) -> Journey:
    start, first_code = folded[0], code_of(folded[1])
    return Journey(start, first_code, [_entry(start, *values) for values in folded[2:]], begins_at)


def _entry(start: int, stage: int, after: int, code: int | bytes, *more: int) -> Entry:
    entry = Entry(stage, start + after, code_of(code), *more[:2])
    if len(more) == 4:
        entry.loss_at, entry.reason = start + more[2], more[3]
    return entry


def split(size: int, events: list[KeptEvent]) -> tuple[list[list[KeptEvent]], list[KeptEvent]]:
    """Chunks to be sealed, which follow each other strictly in time, and the tail; of sorted events."""
    parts: list[list[KeptEvent]] = []
    while len(events) > 2 * size:
        cut = size
        while cut < len(events) and events[cut].at == events[cut - 1].at:
            cut += 1
        if cut == len(events):
            break
        parts.append(events[:cut])
        events = events[cut:]
    return parts, events


def pack_events(plan: Plan, events: Iterable[KeptEvent]) -> bytes:
    """A tail or a sealed chunk."""
    return b"".join([pack_event(plan, event) for event in events])


def pack_person(plan: Plan, person: Person, header: Header, *, may_go: bool = False) -> tuple[bytes, list[bytes]]:
    """The person's packed form and its sealed chunks; `may_go`: not even its orders are for life."""
    base = pack_base(plan, person.base) + pack_link(person.link)
    parts, newest = split(plan.seal, sorted(person.events))
    flags = person.status | FOR_LIFE * (person.is_for_life and not may_go)
    flags |= CHANGES * person.has_changes | DEALS * person.has_deals
    flags |= LINKED * (person.link is not None)
    packed = pack_header(plan, header, flags=flags, chunks=len(parts), base_bytes=len(base))
    return packed + base + pack_events(plan, newest), [pack_events(plan, part) for part in parts]


def unpack_person(plan: Plan, packed: bytes, sealed: Sequence[bytes]) -> Person:
    """The person of a packed form and its sealed chunks."""
    person = Person()
    words = words_of(plan, packed)
    person.status, person.changes_at = status_of(words[0]), entered_at(words[2])
    person.has_deals = bool(flags_of(words[0]) & DEALS)
    person.base = unpack_base(base_of(plan, packed))
    person.link = link_of(plan, packed)
    for chunk in sealed:
        person.events += unpack_events(plan, chunk)
    person.events += unpack_events(plan, tail_of(plan, packed))
    return person
