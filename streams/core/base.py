"""What was folded behind the horizon (`Base`), with the journeys and deals in it, and its bytes in msgpack.

Mostly empty, for most persons have nothing behind the horizon that still matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from streams.core.kept import KeptEvent
from streams.core.plan import Plan
from streams.core.wire import code_of, wire_code


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
Score: TypeAlias = tuple[int, int]
"""(time, points) of an event."""
Identity: TypeAlias = tuple[int, int, bytes]
"""What a deal is known by, whatever becomes of it: time and hash of the event that begins it, and its unit value."""


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
    """A journey: its code (`Plan`: of its first event and of its latest) and the entries made so far (never none)."""

    __slots__ = ("begins_at", "code", "entries", "started_at", "unit")

    def __init__(self, started_at: int, code: int, entries: list[Entry], begins_at: int | None = None) -> None:
        self.started_at = started_at
        self.code = code
        self.entries = entries
        self.begins_at = started_at if begins_at is None else begins_at
        """From when its window runs: a deal may have lead-ins before it begins."""
        self.unit = b""
        """A deal's unit value, in a pass; empty for the person's own line. Not packed: a deal is kept by it."""

    def copy(self) -> Journey:
        """A copy whose last entry may be changed."""
        last = self.entries[-1]
        again = Entry(last.stage, last.at, last.code, last.minor, last.currency, last.loss_at, last.reason)
        return Journey(self.started_at, self.code, [*self.entries[:-1], again], self.begins_at)


class Deal(NamedTuple):
    """A deal in the base: what passed of it, and how its events with the value left it."""

    identity: Identity
    journey: Journey
    is_begun: bool
    """False: it begins later, and this is what led to it."""
    is_closed: bool
    is_completed: bool


class Layered:
    """Known orders on top of known orders, almost without a copy of those below. For passes in memory, never packed.

    A layer takes in those below that are no larger: there are few of them, however many passes follow each other.
    """

    __slots__ = ("below", "own")

    def __init__(self, below: dict[int, tuple[int, int]] | Layered, own: dict[int, tuple[int, int]]) -> None:
        # Like a binary counter: each layer is larger than the one on top, so a look-up passes few.
        while isinstance(below, Layered) and len(below.own) <= len(own):
            own = {**below.own, **own}
            below = below.below
        self.below: dict[int, tuple[int, int]] | Layered = below
        self.own: dict[int, tuple[int, int]] = own

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

    __slots__ = (
        "deals",
        "first_order",
        "journey",
        "newest",
        "orders",
        "orders_count",
        "refunds",
        "scores",
        "steps",
        "withdrawn",
    )

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
        self.newest = 0
        """With a unit: time of the newest event that lies behind the horizon, but not yet one `lead_in` behind."""
        self.scores: list[Score] = []
        """With scoring: points that still count, and the newest event whatever its points; by time."""


def pack_base(plan: Plan, base: Base) -> bytes:
    """The bytes of a base; none for a base that holds nothing."""
    journey = base.journey
    is_empty = journey is None and not base.orders_count and not base.refunds and not base.withdrawn
    if is_empty and not base.deals and not base.newest and not base.scores:
        return b""
    folded = [] if journey is None else _folded(plan, journey)
    assert isinstance(base.orders, dict)  # noqa: S101 - layers are for passes in memory
    orders = {order: (stage, wire_code(plan, code)) for order, (stage, code) in base.orders.items()}
    first = base.first_order
    more: list[Any] = [] if first is None else [(first.at, first.stage, wire_code(plan, first.code))]
    has_deals = bool(base.deals or base.newest or base.scores)
    if base.withdrawn or has_deals:
        more = [more[0] if more else None, sorted(base.withdrawn)]
    if has_deals:
        more += [[_packed_deal(plan, deal) for deal in base.deals], [_packed_step(plan, step) for step in base.steps]]
        more += [base.newest, *([base.scores] if base.scores else [])]
    return msgspec.msgpack.encode([folded, base.orders_count, orders, sorted(base.refunds), *more])


def _folded(plan: Plan, journey: Journey) -> list[Any]:
    """Start, code of the journey, then per entry [stage, after, code (, minor, currency (, loss after, reason))];
    times are counted from the start."""
    start = journey.started_at
    folded: list[Any] = [start, wire_code(plan, journey.code)]
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


def _packed_step(plan: Plan, step: Step) -> tuple[Any, ...]:
    at, stage, event_hash, event, worth = step
    code = wire_code(plan, event.code)
    return (at, stage, event_hash, code, event.unit, event.reason, event.minor, event.currency, event.order, worth)


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
        base.newest = more[4]
        base.scores = [(at, points) for scores in more[5:] for at, points in scores]
    if folded:
        base.journey = _journey(folded)
    return base


def _journey(folded: list[Any], begins_at: int | None = None) -> Journey:
    start, code = folded[0], code_of(folded[1])
    return Journey(start, code, [_entry(start, *values) for values in folded[2:]], begins_at)


def _entry(start: int, stage: int, after: int, code: int | bytes, *more: int) -> Entry:
    entry = Entry(stage, start + after, code_of(code), *more[:2])
    if len(more) == 4:
        entry.loss_at, entry.reason = start + more[2], more[3]
    return entry


def _deal(at: int, event_hash: int, unit: bytes, flags: int, folded: list[Any]) -> Deal:
    journey = _journey(folded, at)
    return Deal((at, event_hash, unit), journey, bool(flags & 1), bool(flags & 2), bool(flags & 4))


def _step(
    at: int,
    stage: int,
    event_hash: int,
    code: int | bytes,
    unit: bytes,
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
