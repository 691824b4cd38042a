"""A person: kept events, what was folded behind the horizon, and the bytes both become.

Packed, a person is `header | base | tail`:

* header: what the fast paths ask (`streams.core.header`)
* base: the fold (`streams.core.base`), and the link of an id that belongs to a higher one
* tail: the records of later events (`streams.core.kept`)

Older records of a person with many events lie in sealed chunks, which are fields of their own (`streams.core.heavy`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from streams.core.base import Base, pack_base, unpack_base
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
from streams.core.kept import KeptEvent, pack_events, split, unpack_events
from streams.core.plan import LOST, ORDER, REFUND, RESOLVED, RESTATED, WITHDRAWN, Plan, Status

if TYPE_CHECKING:
    from streams.core.journey_changes import EntryId, Outcome


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
            # It changes what an older event means; or its refund came before it and was booked elsewhere.
            if event.kind in (WITHDRAWN, RESTATED) or (event.kind == ORDER and event.order in refunded):
                return True
            number = event.order if event.kind == ORDER else event.refund
            sums = (event.minor >= 0) | (event.cost >= 0) << 1 | (event.discount >= 0) << 2
            # The first event stays the order; its value may be a later one's, if the first states none.
            if number and sums & ~stated.get(number, sums):
                return True
            stated[number] = sums | stated.get(number, 0)
            if event.kind == REFUND and event.order:
                refunded.add(event.order)
        return False


def person_field(key: bytes) -> bytes:
    """The person's field in the store: NUL separates a person's further fields and so never stands in a key."""
    return key.replace(b"\0", b"\xff0") if b"\0" in key else key


def key_of_field(field: bytes) -> bytes:
    """The person whose field it is."""
    return field.replace(b"\xff0", b"\0")


def is_empty(plan: Plan, person: Person) -> bool:
    """Whether nothing of a history is left."""
    return not person.events and not pack_base(plan, person.base)


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
