"""Counters on Redis as exporter and reports read them: never writes, and sees each partition as of one apply.

What a read costs grows with the buckets asked for, not with history: an index per grain lists the groups that exist.
A group whose bytes are those of the last read is handed out as the same object (`SettledFields`), neither decoded nor
added up again. Days have versions (`streams.store.days`): those in the version of the last read are not read again.
The groups are then read in one MULTI together with the index, and again if that has changed in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, cast

import msgspec

from schemas.counters import CellGroup, Cells, SettledFields, is_kept
from streams.state import LAYOUT, Annotation, PartitionMeta
from streams.store.address import Client
from streams.store.annotations import read_annotations
from streams.store.connection import Script, translated
from streams.store.days import CachedGroup, Versions, expected, to_read
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.packing import group_key, unpack
from streams.store.port import PartitionStatus, PartitionView, StoreUnavailableError
from streams.store.reads import read_registers, read_texts, read_written_names
from streams.store.refusals import newer_layout

_GROUPS = Script("groups")
_TRIES = 20
"""A new group appears about once a minute; in a catch-up with every apply, ten times a second."""
_MOST_CACHED = 300_000
"""Cells that are cached between reads, about 200 MB; with more all are forgotten."""
_MOST_ASKED = 500
_decode_meta = msgspec.msgpack.Decoder(PartitionMeta).decode
_decode_cells = msgspec.msgpack.Decoder(list[dict[int, int]]).decode
_field = partial(int.from_bytes, byteorder="big")
_STATUS_FIELDS = ("off", "meta", "layout")
_Command = tuple[str | int, ...]


class _Asked(NamedTuple):
    """What a question has found last time."""

    indexes: list[Any]
    groups: list[CellGroup]
    """Those of the indexes that are asked for."""
    versions: Versions
    changing: frozenset[CellGroup] = frozenset()
    """Groups that were not as they had been: they will not be next time either."""


class RedisCounterReader:
    """`port.CounterReader` for one space."""

    def __init__(self, client: Client, space: str, *, layout: int = LAYOUT, shadow: str = "") -> None:
        """`shadow`: a funnel_id whose recount is read instead of what workers count."""
        self._client = client
        self._space = SpaceKeys(space, shadow)
        self._shadow = shadow
        self._layout = layout
        self._cached: dict[tuple[int, str], dict[CellGroup, CachedGroup]] = {}
        """By partition and funnel_id."""
        self._cached_cells: dict[tuple[int, str], int] = {}
        self._asked: dict[tuple[str, ...], _Asked] = {}
        """By what was asked."""

    async def partitions(self) -> list[int]:
        layout, members = await self._run(
            [("GET", self._space.layout), ("SMEMBERS", self._space.partitions)], transaction=False
        )
        self._check_layout(layout, "this space")
        return sorted(map(int, members))

    async def fingerprints(self) -> dict[str, str]:
        with translated():
            stored = await cast(Awaitable[dict[bytes, bytes]], self._client.hgetall(self._space.funnels))
        return {funnel_id.decode(): fingerprint.decode() for funnel_id, fingerprint in stored.items()}

    async def definitions(self) -> dict[str, str]:
        return await read_texts(self._client, self._space.definitions)

    async def switched(self) -> dict[str, str]:
        return await read_texts(self._client, self._space.switched)

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        return await read_registers(self._client, self._space, funnel_id)

    async def written_names(self, funnel_id: str) -> dict[tuple[int, int], str]:
        return await read_written_names(self._client, self._space, funnel_id)

    async def status(self, partition: int) -> PartitionStatus | None:
        keys = PartitionKeys(self._space.space, partition, shadow=self._shadow)
        with translated():
            offset, meta, layout = await cast(
                Awaitable[list[bytes | None]], self._client.hmget(keys.cursor, _STATUS_FIELDS)
            )
        self._check_layout(layout, f"partition {partition}")
        return None if offset is None else PartitionStatus(offset=int(offset), meta=_meta(meta))

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
        keys, first, last = PartitionKeys(self._space.space, partition, shadow=self._shadow), since or {}, until or {}
        ranges: list[_Command] = [
            ("ZRANGEBYSCORE", keys.index(funnel_id, grain), first.get(grain, "-inf"), last.get(grain, "+inf"))
            for grain in grains
        ]
        place = (keys.cursor, funnel_id, str(dimsets), *map(str, chain.from_iterable(ranges)))

        def found(indexes: list[Any]) -> _Asked:
            groups = _listed(grains, indexes, dimsets=dimsets)
            return _Asked(indexes, groups, Versions(funnel_id, groups))

        asked = self._asked.get(place) or found(await self._run(ranges, transaction=False))
        cached = dict(self._cached.get((partition, funnel_id), {}))
        reading = expected(asked.groups, cached, changing=asked.changing)
        for _ in range(_TRIES):
            *indexes, cursor, stored_versions, answers = await self._read(
                keys, funnel_id, ranges=ranges, versions=asked.versions, reading=reading
            )
            offset, meta, layout, seq = cursor
            self._check_layout(layout, f"partition {partition}")
            known = asked.versions.versions_in(stored_versions, seq)
            missing = set(to_read(asked.groups, cached, versions=known)).difference(reading)
            if indexes == asked.indexes and not missing:
                if offset is None:
                    return None
                changed = self._keep(
                    partition, funnel_id, cached=cached, stored=zip(reading, answers, strict=True), versions=known
                )
                self._remember(place, asked._replace(changing=changed))
                return _view(
                    partition,
                    int(offset),
                    meta=_meta(meta),
                    cells={group: cached[group].fields for group in asked.groups},
                )
            asked = found(indexes)
            wanted = {*reading, *missing, *(group for group in asked.groups if group not in cached)} & {*asked.groups}
            reading = sorted(wanted, key=_dimset)
        raise StoreUnavailableError(f"partition {partition} changes faster than it can be read")

    async def _read(
        self,
        keys: PartitionKeys,
        funnel_id: str,
        *,
        ranges: Sequence[_Command],
        versions: Versions,
        reading: Sequence[CellGroup],
    ) -> list[Any]:
        """At one moment: each index, the cursor, versions, and the cells of these groups."""
        reads = _reads(keys.cells(funnel_id), reading)
        fixed = [*ranges, ("HMGET", keys.cursor, *_STATUS_FIELDS, "seq"), versions.command(keys.versions)]
        answers = await self._run([*fixed, *reads], transaction=True)
        return [*answers[: len(fixed)], _stored(reading, answers[len(fixed) :])]

    async def gaps(self) -> list[dict[str, str]]:
        gaps: list[dict[str, str]] = []
        for partition in await self.partitions():
            keys = PartitionKeys(self._space.space, partition)
            with translated():
                entries = await cast(Awaitable[list[tuple[bytes, dict[bytes, bytes]]]], self._client.xrange(keys.gaps))
            gaps += ({name.decode(): text.decode() for name, text in entry.items()} for _, entry in entries)
        return gaps

    async def annotations(self) -> list[Annotation]:
        return await read_annotations(self._client, self._space)

    def _keep(
        self,
        partition: int,
        funnel_id: str,
        *,
        cached: dict[CellGroup, CachedGroup],
        stored: Iterable[tuple[CellGroup, dict[bytes, bytes]]],
        versions: Mapping[CellGroup, bytes],
    ) -> frozenset[CellGroup]:
        """Put what was read into `cached`, and remember it; the groups that have changed."""
        changed = set()
        for group, packed in stored:
            known = cached.get(group)
            cached[group] = _decoded(packed, known, version=versions.get(group))
            if known is not None and known.fields is not cached[group].fields:
                changed.add(group)
        place = (partition, funnel_id)
        self._cached[place], self._cached_cells[place] = cached, sum(len(each.fields) for each in cached.values())
        if sum(self._cached_cells.values()) > _MOST_CACHED:
            self._cached, self._cached_cells = {}, {}
        return frozenset(changed)

    def _remember(self, place: tuple[str, ...], asked: _Asked) -> None:
        """What was found, to try first: an index changes when a bucket begins, and a read that finds another begins
        again."""
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[place] = asked

    def _check_layout(self, stored: bytes | None, place: str) -> None:
        if stored is not None and int(stored) > self._layout:
            raise newer_layout(place, stored=int(stored), known=self._layout)

    async def _run(self, commands: Sequence[_Command], *, transaction: bool) -> list[Any]:
        if not commands:
            return []
        with translated():
            pipeline = self._client.pipeline(transaction=transaction)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute()


def _listed(grains: Sequence[int], index: Sequence[list[bytes]], *, dimsets: Sequence[int] | None) -> list[CellGroup]:
    """Groups of an index; those of the whole first."""
    groups = []
    for grain, members in zip(grains, index, strict=True):
        for member in members:
            bucket, _, dimset = member.partition(b":")
            if dimsets is None or int(dimset) in dimsets:
                groups.append((int(grain), int(bucket), int(dimset)))
    return sorted(groups, key=_dimset)


def _dimset(group: CellGroup) -> int:
    return group[2]


def _reads(prefix: str, groups: Sequence[CellGroup]) -> list[_Command]:
    """Groups of the whole hold a cell per stage: many small hashes, one script. The others are large: a script would
    cost the server three times a plain HGETALL."""
    names = [group_key(prefix, group) for group in groups]
    small = sum(1 for group in groups if group[2] == 0)
    script: list[_Command] = [("EVAL", _GROUPS.text, small, *names[:small])] if small else []
    return [*script, *(("HGETALL", name) for name in names[small:])]


def _stored(groups: Sequence[CellGroup], answers: Sequence[Any]) -> list[dict[bytes, bytes]]:
    """The hashes of the groups."""
    small: list[dict[bytes, bytes]] = []
    if groups and groups[0][2] == 0:
        small = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in unpack(answers[0])]
    return [*small, *answers[bool(small) :]]


def _decoded(stored: dict[bytes, bytes], known: CachedGroup | None, *, version: bytes | None) -> CachedGroup:
    """A group's cells; those of the last read where nothing has changed."""
    values = b"".join(stored.values())
    signature = (b"".join(stored), values)
    if known is not None and known.signature == signature:
        return known._replace(version=version)
    # One decoder call for a whole group: its cells under the header of a msgpack list of 32-bit length.
    packed = b"\xdd" + len(stored).to_bytes(4, "big") + values
    return CachedGroup(signature, SettledFields(zip(map(_field, stored), _decode_cells(packed), strict=True)), version)


def _view(
    partition: int, offset: int, *, meta: PartitionMeta, cells: Mapping[CellGroup, SettledFields]
) -> PartitionView:
    """What is within its keep time."""
    shown: Cells = {
        group: fields
        for group, fields in cells.items()
        if meta.watermark_ms is None or is_kept(group[0], group[1], meta.watermark_ms)
    }
    return PartitionView(partition=partition, offset=offset, meta=meta, cells=shown)


def _meta(stored: bytes | None) -> PartitionMeta:
    return PartitionMeta() if stored is None else _decode_meta(stored)
