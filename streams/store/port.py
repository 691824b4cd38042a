"""The store as its users see it: what a worker and a reader may ask, and what is promised. No implementation here.

One partition's state (cursor, meta, persons, cells) changes by `apply` alone, all of it or nothing, and only for the
owner who claimed it last. Implementations: `streams.store.memory` and `streams.store.redis`, under one contract suite.

A *funnel_id* is the text `<funnel name>@<version>`: every funnel version has persons, cells and registers of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from zlib import crc32

import msgspec

from schemas.counters import Cell, CellGroup, Cells

PERSON_BUCKETS = 128
"""Person buckets of a (partition, funnel_id); fixed for its life (docs/decisions/store-layout.md has the measurements).
Thousands of persons lie in one: whole buckets are read when a deadline is due in them, never for a single person."""
CHUNK_SEPARATOR = b"\x00"
"""A person's further fields are `key NUL number`; they lie in the bucket of the key (`bucket_of`)."""
NO_DEADLINE = 0xFFFFFFFF
"""`tmin` of a bucket in which nothing waits for a deadline."""


class StoreError(Exception):
    """Base of store errors."""


class StoreUnavailableError(StoreError):
    """The server cannot be reached or refuses writes for now: wait and try again; nothing was lost."""


class StoreRefusedError(StoreError):
    """The stored state contradicts what was asked (version, topic, layout): a human decides; the text says how."""


class PartitionMeta(msgspec.Struct, omit_defaults=True, array_like=False):
    """What the owner of a partition remembers beside the offset; written whole with every apply."""

    watermark_ms: int | None = None
    max_received_ms: int | None = None
    """Highest received_at_ms applied; the watermark is this minus the worker's delay."""
    marker: str | None = None
    """Marker of the last tick that carried one."""
    pending: int = 0
    """Deadlines already passed by the watermark and not yet booked (they follow in the next applies)."""
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


@dataclass(frozen=True, slots=True)
class Claim:
    """Result of taking ownership of a partition."""

    offset: int
    """Next offset to read; 0 for a new partition."""
    seq: int
    token: int
    meta: PartitionMeta
    tmin: Mapping[str, bytes]
    """By funnel: PERSON_BUCKETS little-endian u32, earliest deadline of each bucket in epoch minutes (a lower bound),
    NO_DEADLINE where none; a funnel that is new has no entry."""
    expiry: Mapping[str, bytes] = field(default_factory=dict)
    """By funnel: the core's own small state (register copy, oldest kept buckets, ...), opaque to the store."""


@dataclass(slots=True)
class FunnelWrites:
    """Changes of one funnel_id; every value is absolute."""

    persons: dict[bytes, bytes | None] = field(default_factory=dict)
    """Person field (key or `key NUL number`) to its packed state; None deletes it."""
    tmin: dict[int, int] = field(default_factory=dict)
    """Bucket to earliest deadline (minutes)."""
    cells: Cells = field(default_factory=dict)
    """Absolute cells."""
    expired: list[CellGroup] = field(default_factory=list)
    """Groups past their keep time: deleted (without blocking)."""
    opaque: bytes | None = None
    """The core's own small state, None = unchanged."""


@dataclass(slots=True)
class Writes:
    """One apply: everything a chunk of the log changes."""

    meta: PartitionMeta
    funnels: dict[str, FunnelWrites] = field(default_factory=dict)
    names: dict[str, dict[tuple[int, str], int]] = field(default_factory=dict)
    """By funnel: register codes this partition uses for the first time since its claim. The apply is fenced where the
    register no longer holds one of them: a server that lost its tail may have forgotten a name that was asked for
    before, and would give its code to another."""


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


class PartitionStore(Protocol):
    """What the worker asks. `partition` is the number within the events topic of the store's space.

    Every method raises StoreUnavailableError when the server is away; reads may be repeated at will.
    """

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        """Take ownership: earlier tokens are fenced from now on. Creates the partition where it is new. A new funnel_id
        starts at the cursor; a funnel_id that was left out of the last claim while the cursor moved has missed events:
        StoreRefusedError."""

    async def read(
        self, partition: int, funnel_id: str, *, buckets: Sequence[int] = (), persons: Sequence[bytes] = ()
    ) -> Loaded:
        """Whole person buckets and single person fields."""

    async def read_cells(
        self, partition: int, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        """Absolute cells that are stored among the wanted (group -> fields); absent ones are left out."""

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        """Write everything and move the cursor to (next_offset, fence.seq + 1), or nothing.

        True when the cursor stands there through this writer (now, or by an earlier try whose reply was lost); False
        when fenced: the caller drops its cache and claims again. next_offset >= fence.offset (equal: deadlines only),
        else ValueError.
        """

    async def peek(self, partition: int) -> Fence | None:
        """(token, offset, seq) as stored; None for a partition that does not exist (the watchdog's question)."""

    async def register(
        self, funnel_id: str, names: Sequence[tuple[int, str]], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        """Codes of (register, name) pairs, in the order given: known code, or the next one (from 2), or CODE_OTHER when
        the register already holds caps[register] names. One register for all partitions of the funnel_id."""

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        """Every (register, name) -> code of a funnel_id."""

    async def check_topic(self, topic: str, identity: str) -> None:
        """Bind the space to a topic's identity (cluster id / topic id / partition count) at first sight; later raise
        StoreRefusedError where it differs."""

    async def check_funnels(self, fingerprints: Mapping[str, str]) -> None:
        """Remember funnel_id -> fingerprint of the definition; raise StoreRefusedError where it has another one."""

    async def accept_gap(self, partition: int, offset: int, reason: str) -> tuple[int, int]:
        """Operator's decision: move the cursor to `offset`, record (old, new, reason) in the space's `gaps`. Fences the
        owner. Returns (old, new). Asking twice for the same offset records it once. StoreRefusedError for a partition
        without state and for an offset behind the cursor (it would count events twice)."""


@dataclass(frozen=True, slots=True)
class PartitionView:
    """What a reader sees of one partition and funnel_id, consistent as of one apply."""

    partition: int
    offset: int
    meta: PartitionMeta
    cells: Cells


class CounterReader(Protocol):
    """What exporter and reports ask; never writes."""

    async def partitions(self) -> list[int]:
        """Partitions that have state in the space."""

    async def fingerprints(self) -> dict[str, str]:
        """funnel_id -> fingerprint of every funnel version counted in the space."""

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        """See PartitionStore.registers."""

    async def meta(self, partition: int) -> tuple[int, PartitionMeta] | None:
        """(offset, meta) of one partition."""

    async def view(
        self,
        partition: int,
        funnel_id: str,
        *,
        grains: Sequence[int],
        dimsets: Sequence[int] | None = None,
        since: Mapping[int, int] | None = None,
        until: Mapping[int, int] | None = None,
    ) -> PartitionView | None:
        """Cells of the grains (and dimension sets; None = all), bucket numbers within [since[grain], until[grain]].
        Buckets past their keep time at the partition's watermark are left out (`schemas.counters.is_kept`)."""

    async def gaps(self) -> list[dict[str, str]]:
        """Gaps accepted by an operator, oldest first."""


def bucket_of(person_field: bytes) -> int:
    """Person bucket of a field: crc32 of the person key."""
    return crc32(person_field.split(CHUNK_SEPARATOR, 1)[0]) & (PERSON_BUCKETS - 1)
