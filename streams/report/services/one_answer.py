"""The store as one answer sees it: what was read is not read again, so all parts of an answer are of one moment.

An answer with several parts (a comparison, a view of a role) asks for the same days several times. A part of days that
are known is cut out of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

from schemas.counters import CellGroup
from streams.state import Annotation
from streams.store.port import CounterReader, PartitionStatus, PartitionView

_Buckets = Mapping[int, int]


class _Part(NamedTuple):
    """Which cells of a partition and funnel."""

    grains: frozenset[int]
    dimsets: frozenset[int] | None
    since: _Buckets
    until: _Buckets

    def covers(self, other: _Part) -> bool:
        """Whether whoever knows this knows the other."""
        has_dimsets = self.dimsets is None or (other.dimsets is not None and other.dimsets <= self.dimsets)
        return has_dimsets and all(
            grain in self.grains
            and self.since.get(grain, -inf) <= other.since.get(grain, -inf)
            and self.until.get(grain, inf) >= other.until.get(grain, inf)
            for grain in other.grains
        )

    def holds(self, group: CellGroup) -> bool:
        """Whether a group is in it."""
        grain, bucket, dimset = group
        is_asked = grain in self.grains and (self.dimsets is None or dimset in self.dimsets)
        return is_asked and self.since.get(grain, -inf) <= bucket <= self.until.get(grain, inf)


class OneAnswer:
    """Implements `streams.store.port.CounterReader` for the time of one answer."""

    def __init__(self, reader: CounterReader) -> None:
        self._reader = reader
        self._partitions: list[int] | None = None
        self._fingerprints: dict[str, str] | None = None
        self._registers: dict[str, dict[tuple[int, str], int]] = {}
        self._statuses: dict[int, PartitionStatus | None] = {}
        self._views: dict[tuple[int, str], list[tuple[_Part, PartitionView | None]]] = {}

    @classmethod
    def of(cls, reader: CounterReader) -> CounterReader:
        """Around a reader, or the one that is there."""
        return reader if isinstance(reader, OneAnswer) else cls(reader)

    async def partitions(self) -> list[int]:
        """As the port says, like all others."""
        if self._partitions is None:
            self._partitions = await self._reader.partitions()
        return self._partitions

    async def fingerprints(self) -> dict[str, str]:
        if self._fingerprints is None:
            self._fingerprints = await self._reader.fingerprints()
        return self._fingerprints

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        """Read again where cells were: a code is never without a name."""
        if funnel_id not in self._registers:
            self._registers[funnel_id] = await self._reader.registers(funnel_id)
        return self._registers[funnel_id]

    async def status(self, partition: int) -> PartitionStatus | None:
        if partition not in self._statuses:
            self._statuses[partition] = await self._reader.status(partition)
        return self._statuses[partition]

    async def view(
        self,
        partition: int,
        funnel_id: str,
        *,
        grains: Sequence[int],
        dimsets: Sequence[int] | None = None,
        since: _Buckets | None = None,
        until: _Buckets | None = None,
    ) -> PartitionView | None:
        asked = _Part(frozenset(grains), None if dimsets is None else frozenset(dimsets), since or {}, until or {})
        known = self._views.setdefault((partition, funnel_id), [])
        for part, view in known:
            if part.covers(asked):
                return None if view is None else _cut(view, asked)
        view = await self._reader.view(partition, funnel_id, grains=grains, dimsets=dimsets, since=since, until=until)
        self._registers.pop(funnel_id, None)
        known.append((asked, view))
        return view

    async def written_names(self, funnel_id: str) -> dict[tuple[int, int], str]:
        return await self._reader.written_names(funnel_id)

    async def definitions(self) -> dict[str, str]:
        return await self._reader.definitions()

    async def switched(self) -> dict[str, str]:
        return await self._reader.switched()

    async def gaps(self) -> list[dict[str, str]]:
        return await self._reader.gaps()

    async def annotations(self) -> list[Annotation]:
        return await self._reader.annotations()


def _cut(view: PartitionView, part: _Part) -> PartitionView:
    return replace(view, cells={group: fields for group, fields in view.cells.items() if part.holds(group)})
