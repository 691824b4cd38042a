"""Counters on Redis as exporter and reports read them: never writes, and sees each partition as of one apply.

What a read costs grows with the buckets asked for, not with history: an index per grain lists the groups that exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, cast

import msgspec

from schemas.counters import Cells, is_kept
from streams.store.connection import Client, Script, translated
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.port import PartitionMeta, PartitionView
from streams.store.redis import decode_cell, pack, read_registers, unpack

_VIEW = Script("view")
_decode_meta = msgspec.msgpack.Decoder(PartitionMeta).decode


class RedisCounterReader:
    """`port.CounterReader` for one space."""

    def __init__(self, client: Client, space: str) -> None:
        self._client = client
        self._space = SpaceKeys(space)

    async def partitions(self) -> list[int]:
        with translated():
            members = await cast(Awaitable[set[bytes]], self._client.smembers(self._space.partitions))
        return sorted(map(int, members))

    async def slots(self) -> dict[str, str]:
        with translated():
            stored = await cast(Awaitable[dict[bytes, bytes]], self._client.hgetall(self._space.funnels))
        return {slot.decode(): fingerprint.decode() for slot, fingerprint in stored.items()}

    async def registers(self, slot: str) -> dict[tuple[int, str], int]:
        return await read_registers(self._client, self._space, slot)

    async def meta(self, partition: int) -> tuple[int, PartitionMeta] | None:
        keys = PartitionKeys(self._space.space, partition)
        with translated():
            offset, meta = await cast(Awaitable[list[bytes | None]], self._client.hmget(keys.cursor, ["off", "meta"]))
        return None if offset is None else (int(offset), _meta(meta))

    async def view(
        self,
        partition: int,
        slot: str,
        *,
        grains: Sequence[int],
        dimsets: Sequence[int] | None = None,
        since: Mapping[int, int] | None = None,
        until: Mapping[int, int] | None = None,
    ) -> PartitionView | None:
        keys = PartitionKeys(self._space.space, partition)
        first, last = since or {}, until or {}
        asked = [(int(grain), str(first.get(grain, "-inf")), str(last.get(grain, "+inf"))) for grain in grains]
        answer = await _VIEW.run(
            self._client,
            [keys.cursor, *(keys.index(slot, grain) for grain in grains)],
            [keys.cells(slot), pack((asked, False if dimsets is None else list(dimsets)))],
        )
        offset, meta_bytes, groups = unpack(answer)
        if not offset:
            return None
        meta = _meta(meta_bytes or None)
        return PartitionView(
            partition=partition, offset=int(offset), meta=meta, cells=_cells(groups, meta.watermark_ms)
        )

    async def gaps(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        for partition in await self.partitions():
            keys = PartitionKeys(self._space.space, partition)
            with translated():
                entries = await cast(Awaitable[list[tuple[bytes, dict[bytes, bytes]]]], self._client.xrange(keys.gaps))
            found += ({name.decode(): text.decode() for name, text in entry.items()} for _, entry in entries)
        return sorted(found, key=lambda gap: int(gap["at_ms"]))


def _meta(stored: bytes | None) -> PartitionMeta:
    return PartitionMeta() if stored is None else _decode_meta(stored)


def _cells(groups: Sequence[Any], watermark_ms: int | None) -> Cells:
    cells: Cells = {}
    for grain, member, flat in groups:
        bucket, dimset = map(int, member.split(b":"))
        if watermark_ms is None or is_kept(grain, bucket, watermark_ms):
            names = map(_field, flat[::2])
            cells[int(grain), bucket, dimset] = dict(zip(names, map(decode_cell, flat[1::2]), strict=True))
    return cells


def _field(packed: bytes) -> int:
    return int.from_bytes(packed, "big")
