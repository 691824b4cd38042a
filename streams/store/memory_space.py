"""What a space holds in memory: the state that stores and readers of `streams.store.memory` share.

Plain values in dictionaries, and how changes are written into them. It checks nothing but what it is asked to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack_into

import msgspec

from schemas.counters import CellGroup, Cells
from streams.state import (
    FIRST_LAYOUT,
    NO_DEADLINES,
    PERSON_BUCKETS,
    Fence,
    FunnelLayouts,
    FunnelWrites,
    PartitionMeta,
    bucket_of,
)
from streams.store.refusals import funnel_missed_events, newer_layout


@dataclass(slots=True)
class StoredFunnel:
    started_at: int
    layout: int
    """Layout of the persons that are not in `older`."""
    layouts: FunnelLayouts
    older: dict[bytes, int] = field(default_factory=dict)
    """Layout of the fields not rewritten since a newer version has claimed the partition."""
    persons: list[dict[bytes, bytes]] = field(default_factory=lambda: [{} for _ in range(PERSON_BUCKETS)])
    earliest_deadlines: bytearray = field(default_factory=lambda: bytearray(NO_DEADLINES))
    cells: Cells = field(default_factory=dict)
    core_state: bytes | None = None
    left_out_at: int | None = None

    @classmethod
    def new(cls, offset: int, layout: int) -> StoredFunnel:
        return cls(started_at=offset, layout=layout, layouts=FunnelLayouts.all_of(layout))

    def raise_layout(self, layout: int) -> None:
        """From now on persons are written in this layout; those that are here keep theirs."""
        if layout > self.layout:
            names = (name for bucket in self.persons for name in bucket if name not in self.older)
            self.older.update(dict.fromkeys(list(names), self.layout))
            self.layout = layout

    def older_than(self, layout: int, names: Iterable[bytes]) -> dict[bytes, int]:
        """Layouts of those fields that are older."""
        if not self.older and self.layout >= layout:
            return {}
        return {name: stored for name in names if (stored := self.older.get(name, self.layout)) < layout}


@dataclass(slots=True)
class StoredPartition:
    layout: int
    offset: int = 0
    seq: int = 0
    token: int = 0
    meta: bytes = msgspec.msgpack.encode(PartitionMeta())
    funnels: dict[str, StoredFunnel] = field(default_factory=dict)
    facts: dict[bytes, bytes] = field(default_factory=dict)
    active: tuple[str, ...] = ()

    @property
    def fence(self) -> Fence:
        return Fence(token=self.token, offset=self.offset, seq=self.seq)

    def check_no_gaps(self, number: int, funnel_ids: Iterable[str]) -> None:
        for funnel_id in funnel_ids:
            funnel = self.funnels.get(funnel_id)
            if funnel is not None and funnel.left_out_at not in (None, self.offset):
                raise funnel_missed_events(funnel_id, number, left_out_at=funnel.left_out_at or 0, offset=self.offset)

    def activate(self, funnel_ids: Sequence[str], layout: int) -> None:
        """Count these funnels from now on, and note where the others stopped."""
        for funnel_id in funnel_ids:
            funnel = self.funnels.setdefault(funnel_id, StoredFunnel.new(self.offset, layout))
            funnel.left_out_at = None
            funnel.raise_layout(layout)
        for funnel_id in set(self.active) - set(funnel_ids):
            if self.funnels[funnel_id].left_out_at is None:
                self.funnels[funnel_id].left_out_at = self.offset
        self.active = tuple(funnel_ids)
        self.layout = layout


class MemorySpace:
    """State of one space, shared by the stores and readers given it."""

    def __init__(
        self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000, *, expires: bool = True
    ) -> None:
        self.clock_ms = clock_ms
        self.expires = expires
        """Whether buckets past their keep time go, as they do in a server: a back-test looks at all of them."""
        self.layout = FIRST_LAYOUT
        self.partitions: dict[int, StoredPartition] = {}
        self.registers: dict[str, dict[tuple[int, str], int]] = {}
        self.written_names: dict[str, dict[tuple[int, int], str]] = {}
        self.fingerprints: dict[str, str] = {}
        self.definitions: dict[str, str] = {}
        self.topics: dict[str, str] = {}
        self.gaps: list[dict[str, str]] = []
        self.annotations: dict[str, bytes] = {}

    def check_layout(self, known: int) -> None:
        """Raises StoreRefusedError where a newer version has been here."""
        if self.layout > known:
            raise newer_layout("this space", stored=self.layout, known=known)


def write_funnel(stored: StoredFunnel, changes: FunnelWrites, *, expires: bool) -> None:
    for name, state in changes.persons.items():
        if stored.older:
            stored.older.pop(name, None)
        if state is None:
            stored.persons[bucket_of(name)].pop(name, None)
        else:
            stored.persons[bucket_of(name)][name] = bytes(state)
    for bucket, minutes in changes.earliest_deadlines.items():
        pack_into("<I", stored.earliest_deadlines, bucket * 4, minutes)
    _write_cells(stored.cells, changes.cells)
    if expires:
        _drop_groups(stored.cells, changes.expired)
    if changes.core_state is not None:
        stored.core_state = bytes(changes.core_state)
    if changes.layouts is not None:
        stored.layouts = changes.layouts


def write_facts(stored: dict[bytes, bytes], facts: Mapping[bytes, bytes | None]) -> None:
    for key, value in facts.items():
        if value is None:
            stored.pop(key, None)
        else:
            stored[key] = bytes(value)


def _write_cells(stored: Cells, cells: Cells) -> None:
    for group, written in cells.items():
        known = stored.setdefault(group, {})
        for name, cell in written.items():
            if cell:
                known[name] = dict(cell)
            else:
                known.pop(name, None)
        if not known:
            del stored[group]


def _drop_groups(stored: Cells, groups: Iterable[CellGroup]) -> None:
    for group in groups:
        stored.pop(group, None)
