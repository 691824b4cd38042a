"""The store as its users see it: what a worker and a reader may ask, and what is promised. No implementation here.

One partition's state (cursor, meta, persons, cells) changes by `apply` alone, all of it or nothing, and only for the
owner who claimed it last. Implementations: `streams.store.memory` and `streams.store.redis`, under one contract suite.
The values that are passed stand in `streams.state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.counters import Cell, CellGroup, Cells
from schemas.errors import NeedsHumanError, TryAgainError
from streams.state import Annotation, Claim, Fence, Loaded, PartitionMeta, Writes


class StoreError(Exception):
    """Base of store errors."""


class StoreUnavailableError(StoreError, TryAgainError):
    """The server cannot be reached or refuses writes for now: wait and try again; nothing was lost."""


class StoreRefusedError(StoreError, NeedsHumanError):
    """The stored state contradicts what was asked (version, topic, layout): a human decides; the text says how."""


@dataclass(frozen=True, slots=True)
class FactsPage:
    """Some facts of a kind; how many is the store's choice, about a thousand."""

    facts: Mapping[bytes, bytes]
    next: int | None
    """Where the next page begins; None after the last one."""


class PartitionStore(Protocol):
    """What the worker asks. `partition` is the number within the events topic of the store's space.

    Every method raises StoreUnavailableError when the server is away; reads may be repeated at will.
    """

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        """Take ownership: earlier tokens are fenced from now on. Creates the partition where it is new. A new funnel_id
        starts at the cursor; a funnel_id that was left out of the last claim while the cursor moved has missed events:
        StoreRefusedError. Space and partition are of the store's layout from now on; a newer one: StoreRefusedError."""

    async def read(
        self, partition: int, funnel_id: str, *, buckets: Sequence[int] = (), persons: Sequence[bytes] = ()
    ) -> Loaded:
        """Whole person buckets and single person fields, each with its layout where that is older than the store's."""

    async def read_cells(
        self, partition: int, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        """Absolute cells that are stored among the wanted (group -> fields); absent ones are left out."""

    async def read_facts(self, partition: int, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """Facts by their exact keys; None for one that is not stored."""

    async def list_facts(self, partition: int, kind: int, *, after: int = 0) -> FactsPage:
        """Facts of a kind, page by page: `after` is 0, then the `next` of the page before. While the facts do not
        change, every one is on a page, perhaps on two."""

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        """Write everything and move the cursor to (next_offset, fence.seq + 1), or nothing.

        True when the cursor stands there through this writer (now, or by an earlier try whose reply was lost); False
        when fenced: the caller drops its cache and claims again. next_offset >= fence.offset (equal: no records),
        else ValueError. Persons are written in the store's layout; an older form of the same field is gone then.
        """

    async def peek(self, partition: int) -> Fence | None:
        """(token, offset, seq) as stored; None for a partition that does not exist (the watchdog's question)."""

    def leave(self, partition: int) -> None:
        """Forget what is remembered of a partition that another worker takes."""

    async def register(
        self, funnel_id: str, names: Mapping[tuple[int, str], str], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        """Codes of (register, name) pairs, in the order given: known code, or the next one (from 2), or CODE_OTHER when
        the register already holds caps[register] names. One register for all partitions of the funnel_id. What a pair
        leads to is how the name was first written: it is kept with a new code, where it is not the name itself."""

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        """Every (register, name) -> code of a funnel_id."""

    async def check_topic(self, topic: str, identity: str) -> None:
        """Bind the space to a topic's identity (cluster id / topic id / partition count) at first sight; later raise
        StoreRefusedError where it differs."""

    async def check_funnels(self, fingerprints: Mapping[str, str]) -> None:
        """Remember funnel_id -> fingerprint of the definition; raise StoreRefusedError where it has another one."""

    async def describe(self, definitions: Mapping[str, str]) -> None:
        """Keep definitions (funnel_id -> JSON), for who looks back at a version whose file is gone."""

    async def switched(self) -> dict[str, str]:
        """Funnel name -> definition (JSON) that a recount has switched to."""

    async def accept_gap(self, partition: int, offset: int, reason: str) -> tuple[int, int]:
        """Operator's decision: move the cursor to `offset`, record (old, new, reason) in the space's `gaps`. Fences the
        owner. Returns (old, new). Asking twice for the same offset records it once. StoreRefusedError for a partition
        without state, for an offset behind the cursor (it would count events twice), and for a newer layout."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How far a partition is counted, as of one apply."""

    offset: int
    """Next offset to read."""
    meta: PartitionMeta


@dataclass(frozen=True, slots=True)
class PartitionView:
    """What a reader sees of one partition and funnel_id, consistent as of one apply."""

    partition: int
    offset: int
    meta: PartitionMeta
    cells: Cells
    """Nobody may change them: another view may hold the same ones."""


class CounterReader(Protocol):
    """What exporter and reports ask; never writes.

    `partitions`, `status` and `view` raise StoreRefusedError for a state in a newer layout than the reader's.
    """

    async def partitions(self) -> list[int]:
        """Partitions that have state in the space."""

    async def fingerprints(self) -> dict[str, str]:
        """funnel_id -> fingerprint of every funnel version counted in the space."""

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        """Every (register, name) -> code of a funnel_id."""

    async def written_names(self, funnel_id: str) -> dict[tuple[int, int], str]:
        """(register, code) -> the name as it was first written, where that is not the name itself."""

    async def definitions(self) -> dict[str, str]:
        """funnel_id -> definition (JSON) of what has been counted."""

    async def switched(self) -> dict[str, str]:
        """Funnel name -> definition (JSON) that a recount has switched to."""

    async def status(self, partition: int) -> PartitionStatus | None:
        """How far one partition is counted; None where it has no state."""

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
        """Gaps accepted by an operator, by partition; of each the oldest first."""

    async def annotations(self) -> list[Annotation]:
        """What people have said of the space, oldest first."""


class AnnotationStore(Protocol):
    """What people say of a space: written by them alone, never by a worker. Raises StoreUnavailableError."""

    async def annotate(self, annotation: Annotation) -> None:
        """Store it; one with the same id is replaced."""

    async def remove_annotation(self, annotation_id: str) -> bool:
        """Whether there was one."""
