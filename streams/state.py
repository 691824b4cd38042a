"""The values a partition's state is made of, as the core and the store pass them to each other. Pure, no I/O.

The core returns changes and the store writes them, and neither imports the other: they meet in these values.

A *funnel_id* is the text `<funnel name>@<version>`: every funnel version has persons, cells and registers of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from zlib import crc32

import msgspec

from schemas.counters import CellGroup, Cells

LAYOUT = 2
"""Layout of everything this version stores. Raised together with an entry in `streams.core.upgrades`, by the rule of
docs/decisions/layout-version.md."""
FIRST_LAYOUT = 1
"""Layout of a state that carries no number."""
PERSON_BUCKETS = 128
"""Person buckets of a (partition, funnel_id); fixed for its life (docs/decisions/store-layout.md has the measurements).
Thousands of persons lie in one: whole buckets are read when a deadline is due in them, never for a single person."""
FACT_BUCKETS = 64
"""Buckets of the facts of one kind in a partition; fixed for its life."""
SPEND_FACT, KIN_FACT = 0x02, ord("L")
FACT_KINDS = (SPEND_FACT, KIN_FACT)
"""First byte of the key of a fact (`streams.core.spend`, `streams.core.tree`); all there are, for who moves a state."""
CHUNK_SEPARATOR = b"\x00"
"""A person's further fields are `key NUL number`; they lie in the bucket of the key (`bucket_of`)."""
NO_DEADLINE = 0xFFFFFFFF
"""`earliest_deadlines` of a bucket in which nothing waits for a deadline."""
NO_DEADLINES = NO_DEADLINE.to_bytes(4, "little") * PERSON_BUCKETS
"""`earliest_deadlines` of a funnel in which nothing waits."""


class PartitionMeta(msgspec.Struct, omit_defaults=True, array_like=False):
    """What the owner of a partition remembers beside the offset; written whole with every apply."""

    watermark_ms: int | None = None
    max_received_ms: int | None = None
    """Highest received_at_ms applied; the watermark is this minus the worker's delay."""
    marker: str | None = None
    """Marker of the last tick that carried one."""
    pending: int = 0
    """Deadlines already passed by the watermark and not yet booked (they follow in the next applies)."""
    booked_until: dict[str, int] = {}
    """By funnel: every deadline before it is booked, and the status of a stored person may lag behind it."""
    applied_at_ms: int = 0
    """Wall clock of the worker at the apply: for freshness only."""
    sessions: dict[str, int] = {}
    """Last sequence number per ordered sender (oldest first, at most 8)."""
    stats: dict[str, dict[str, int]] = {}
    """By funnel: accepted, duplicates, late, persons, placeholder_ids, link_conflicts, late by age, ..."""
    records: int = 0
    """Records applied since the partition was created, ticks included."""
    last_event_ms: int = 0
    """Newest occurred_at_ms applied."""
    forgets: int = 0
    """Forget records applied since the partition was created."""
    forwards: dict[str, int] = {}
    """By funnel: forwards sent since the partition was created."""
    forwards_from: dict[str, dict[int, int]] = {}
    """By funnel and partition of origin: number of the last forward applied, so that a repetition is known."""
    forwards_applied: int = 0
    """Forwards applied since the partition was created, without repetitions."""


@dataclass(frozen=True, slots=True)
class FunnelLayouts:
    """In which layouts the state of one funnel lies while it is rewritten."""

    core_state: int
    buckets: bytes
    """Of each person bucket the oldest layout of what lies in it; what is newer may lie there too."""

    @classmethod
    def all_of(cls, layout: int) -> FunnelLayouts:
        """Everything in one layout."""
        return cls(core_state=layout, buckets=bytes([layout]) * PERSON_BUCKETS)

    @property
    def oldest(self) -> int:
        """The oldest layout of all."""
        return min(self.core_state, min(self.buckets))


@dataclass(frozen=True, slots=True)
class Claim:
    """Result of taking ownership of a partition."""

    offset: int
    """Next offset to read; 0 for a new partition."""
    seq: int
    token: int
    meta: PartitionMeta
    earliest_deadlines: Mapping[str, bytes]
    """By funnel: PERSON_BUCKETS little-endian u32, earliest deadline of each bucket in epoch minutes (a lower bound),
    NO_DEADLINE where none; a funnel that is new has no entry."""
    core_state: Mapping[str, bytes] = field(default_factory=dict)
    """By funnel: the core's own small state (the buckets that may be stored); the store does not look into it."""
    layouts: Mapping[str, FunnelLayouts] = field(default_factory=dict)
    """By funnel: only those that hold something older than the store's layout."""


@dataclass(slots=True)
class FunnelWrites:
    """Changes of one funnel_id; every value is absolute."""

    persons: dict[bytes, bytes | None] = field(default_factory=dict)
    """Person field (key or `key NUL number`) to its packed state; None deletes it."""
    erased: Set[bytes] = frozenset()
    """Person keys of whose older states, and sealed chunks, nothing may stay behind."""
    earliest_deadlines: dict[int, int] = field(default_factory=dict)
    """Bucket to earliest deadline (minutes)."""
    cells: Cells = field(default_factory=dict)
    """Absolute cells."""
    expired: list[CellGroup] = field(default_factory=list)
    """Groups past their keep time: deleted (without blocking)."""
    core_state: bytes | None = None
    """The core's own small state, None = unchanged."""
    layouts: FunnelLayouts | None = None
    """What holds after these changes, None = unchanged. A bucket that is said to be of the store's layout holds
    nothing older: what was left in it is among `persons`."""


@dataclass(slots=True)
class Writes:
    """One apply: everything a chunk of the log changes."""

    meta: PartitionMeta
    funnels: dict[str, FunnelWrites] = field(default_factory=dict)
    facts: dict[bytes, bytes | None] = field(default_factory=dict)
    """Keyed facts of the partition that are no person; None deletes one. The first byte of a key is the kind."""
    names: dict[str, dict[tuple[int, str], int]] = field(default_factory=dict)
    """By funnel: register codes this partition uses for the first time since its claim. The apply is fenced where the
    register no longer holds one of them: a server that lost its tail may have forgotten a name that was asked for
    before, and would give its code to another."""


class Annotation(msgspec.Struct, frozen=True):
    """What somebody has said of a moment: a price was changed, a campaign began."""

    id: str
    at_ms: int
    text: str
    funnel: str | None = None
    """Name of the funnel it is about; None: all of them."""


_decode_annotation = msgspec.json.Decoder(Annotation).decode


def annotations_in_order(stored: Iterable[bytes]) -> list[Annotation]:
    """Of the values that are stored, oldest first."""
    return sorted(map(_decode_annotation, stored), key=lambda each: (each.at_ms, each.id))


@dataclass(frozen=True, slots=True)
class Fence:
    """What the writer believes the cursor to be."""

    token: int
    offset: int
    seq: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """Persons read: whole buckets and single fields (None = not stored)."""

    buckets: Mapping[int, Mapping[bytes, bytes]]
    persons: Mapping[bytes, bytes | None]
    layouts: Mapping[bytes, int] = field(default_factory=dict)
    """Layout of the fields that are stored in an older one than the store's."""


def bucket_of(person_field: bytes) -> int:
    """Person bucket of a field: crc32 of the person key."""
    return crc32(key_of(person_field)) & (PERSON_BUCKETS - 1)


def key_of(person_field: bytes) -> bytes:
    """Person key of a field: itself, but for a sealed chunk."""
    return person_field.split(CHUNK_SEPARATOR, 1)[0]


def fact_bucket_of(key: bytes) -> int:
    """Bucket of a fact, within those of its kind. ValueError for a key that has no kind."""
    if not key:
        raise ValueError("the key of a fact begins with its kind; this one is empty")
    return crc32(key) & (FACT_BUCKETS - 1)
