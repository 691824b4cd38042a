"""One apply as the keys and the one argument of `lua/apply.lua`; how cells and answers are packed. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgpack
import msgspec

from schemas.counters import CellGroup, Grain
from streams.state import (
    FIRST_LAYOUT,
    LAYOUT,
    NO_DEADLINES,
    Fence,
    FunnelLayouts,
    FunnelWrites,
    bucket_of,
    fact_bucket_of,
)
from streams.store.keys import PartitionKeys
from streams.store.person_log import PersonWrites

_packb: Any = msgpack.dumps
_unpackb: Any = msgpack.loads
_encode_cell = msgspec.msgpack.Encoder().encode
decode_cell = msgspec.msgpack.Decoder(dict[int, int]).decode
"""{family code: int} of a stored cell."""

_KeyedList = list[tuple[str, Any]]


@dataclass(slots=True)
class ApplyBlob:
    """Keys and the one argument of `lua/apply.lua`; the sections are described there."""

    partition: PartitionKeys
    layout: int = LAYOUT
    cursor_fields: list[str | bytes] = field(default_factory=list)
    funnel_ids: list[str] = field(default_factory=list)
    entries: _KeyedList = field(default_factory=list)
    sets: _KeyedList = field(default_factory=list)
    dels: _KeyedList = field(default_factory=list)
    cells: _KeyedList = field(default_factory=list)
    expired: _KeyedList = field(default_factory=list)
    earliest_deadlines: _KeyedList = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    indexes: dict[str, int] = field(default_factory=dict)
    registers: _KeyedList = field(default_factory=list)

    def add(self, funnel_id: str, changes: FunnelWrites) -> None:
        """Changes of a funnel_id but its persons."""
        self.funnel_ids.append(f"s:{funnel_id}")
        self._add_cells(funnel_id, changes)
        if changes.earliest_deadlines:
            flat = [
                value
                for bucket in sorted(changes.earliest_deadlines)
                for value in (bucket * 4, changes.earliest_deadlines[bucket].to_bytes(4, "little"))
            ]
            self.earliest_deadlines.append((self.partition.earliest_deadlines(funnel_id), (flat, len(NO_DEADLINES))))
        if changes.core_state is not None:
            self.cursor_fields += (f"o:{funnel_id}", changes.core_state)
        if changes.layouts is not None:
            self.cursor_fields += (f"y:{funnel_id}", pack_layouts(changes.layouts))

    def persons(self, funnel_id: str, writes: PersonWrites) -> None:
        """Changes of persons."""
        for bucket, entry in writes.entries.items():
            self.entries.append((self.partition.person_log(funnel_id, bucket=bucket, layout=self.layout), entry))
        for bucket, fold in writes.folds.items():
            self.sets.append((self.partition.persons(funnel_id, bucket=bucket, layout=self.layout), fold.flat()))
            self.gone.append(self.partition.person_log(funnel_id, bucket=bucket, layout=self.layout))

    def drop_older(self, funnel_id: str, old: bytes, new: bytes) -> None:
        """Buckets that hold nothing of older layouts any more; by bucket the oldest layout, before and now."""
        for bucket, (before, now) in enumerate(zip(old, new, strict=True)):
            for layout in range(before, now):
                self.gone.append(self.partition.persons(funnel_id, bucket=bucket, layout=layout))
                self.gone.append(self.partition.person_log(funnel_id, bucket=bucket, layout=layout))

    def erase_first(self, funnel_id: str, names: Iterable[bytes]) -> None:
        """Fields that must not even stay in the first layout until their bucket is rewritten."""
        for name in names:
            self.dels.append((self.partition.persons(funnel_id, bucket=bucket_of(name)), [name]))

    def facts(self, facts: Mapping[bytes, bytes | None]) -> None:
        """Changes of facts: hashes of their own, written as those of persons are."""
        sets: dict[tuple[int, int], list[bytes]] = {}
        dels: dict[tuple[int, int], list[bytes]] = {}
        for name, value in facts.items():
            place = fact_bucket_of(name), name[0]
            if value is None:
                dels.setdefault(place, []).append(name)
            else:
                sets.setdefault(place, []).extend((name, value))
        self.sets += ((self.partition.facts(kind, bucket), flat) for (bucket, kind), flat in sets.items())
        self.dels += ((self.partition.facts(kind, bucket), names) for (bucket, kind), names in dels.items())

    def names(self, key: str, codes: Mapping[tuple[int, str], int]) -> None:
        """Register codes the apply relies on."""
        fields = [f"{register}:{name}" for register, name in codes]
        self.registers.append((key, (fields, [str(code) for code in codes.values()])))

    def keys(self) -> list[str]:
        """KEYS of the script, section by section."""
        lists = (self.entries, self.sets, self.dels, self.cells, self.expired, self.earliest_deadlines)
        keys = [
            self.partition.cursor,
            self.partition.versions,
            *(key for keyed in lists for key, _ in keyed),
            *self.indexes,
        ]
        return [*keys, *(key for key, _ in self.registers), *self.gone]

    def packed(self, fence: Fence, next_offset: int, meta: bytes) -> bytes:
        """The argument. Numbers of the cursor are texts: Lua's end at 2^53."""
        cursor = (fence.token, fence.offset, fence.seq, next_offset, fence.seq + 1)
        lists = (self.entries, self.sets, self.dels, self.cells, self.expired, self.earliest_deadlines)
        return pack(
            [
                *map(str, cursor),
                ["meta", meta, *self.cursor_fields],
                self.funnel_ids,
                *([value for _, value in keyed] for keyed in lists),
                len(self.indexes),
                [value for _, value in self.registers],
            ]
        )

    def _add_cells(self, funnel_id: str, changes: FunnelWrites) -> None:
        prefix = self.partition.cells(funnel_id)
        for group, cells in changes.cells.items():
            sets = [value for name, cell in cells.items() if cell for value in (pack_field(name), _encode_cell(cell))]
            dels = [pack_field(name) for name, cell in cells.items() if not cell]
            version = version_field(funnel_id, group) or ""
            value = (sets, dels, group[1], _member(group), self._index(funnel_id, group[0]), version)
            self.cells.append((group_key(prefix, group), value))
        for group in changes.expired:
            self.expired.append((group_key(prefix, group), (_member(group), self._index(funnel_id, group[0]))))

    def _index(self, funnel_id: str, grain: int) -> int:
        return self.indexes.setdefault(self.partition.index(funnel_id, grain), len(self.indexes) + 1)


def group_key(prefix: str, group: CellGroup) -> str:
    """Key of a cell group behind the funnel_id's prefix (`PartitionKeys.cells`)."""
    return f"{prefix}{group[0]}:{group[1]}:{group[2]}"


def version_field(funnel_id: str, group: CellGroup) -> str | None:
    """Where the hash of versions says when a group was written last. Days alone have one: they are many, hardly ever
    change, and are never deleted."""
    return f"{funnel_id}:{_member(group)}" if group[0] == Grain.DAY else None


def pack_layouts(layouts: FunnelLayouts) -> bytes:
    """Core state first, then the buckets: a byte each."""
    return bytes([layouts.core_state]) + layouts.buckets


def unpack_layouts(packed: bytes | None) -> FunnelLayouts:
    """Inverse of `pack_layouts`; a funnel that has none stored is of the first layout."""
    if packed is None:
        return FunnelLayouts.all_of(FIRST_LAYOUT)
    return FunnelLayouts(core_state=packed[0], buckets=packed[1:])


def pack_field(name: int) -> bytes:
    """A cell's field in its hash: five bytes, big-endian."""
    return name.to_bytes(5, "big")


def _member(group: CellGroup) -> str:
    return f"{group[1]}:{group[2]}"


def pack(value: object) -> bytes:
    """Argument of a script. The raw type of old: Lua's cmsgpack knows no `bin`."""
    return cast(bytes, _packb(value, use_bin_type=False))


def unpack(answer: bytes) -> Any:
    """A script's packed answer; texts come as bytes."""
    return _unpackb(answer, raw=True, strict_map_key=False)
