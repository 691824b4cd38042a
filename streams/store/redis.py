"""The store on Redis >= 7 or Valkey: claims, fenced applies, an owner's reads (docs/decisions/store-layout.md).

One apply is one script with one argument; it holds absolute values only, so that running it again, or half of it after
a torn file, ends in the same state. Integers of cells stay packed: Lua's numbers end at 2^53.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from secrets import randbelow
from typing import Any, NamedTuple, cast

import msgspec
from redis.asyncio import RedisCluster

from schemas.counters import Cell, CellGroup
from streams.state import FIRST_LAYOUT, LAYOUT, NO_DEADLINES, Claim, Fence, FunnelLayouts, Loaded, PartitionMeta, Writes
from streams.store.address import Client
from streams.store.connection import Script, translated
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.packing import ApplyBlob, pack, pack_layouts, unpack_layouts
from streams.store.person_log import PersonWrites
from streams.store.persons import Persons
from streams.store.port import FactsPage
from streams.store.reads import OwnerReads, read_registers, read_texts
from streams.store.recounts import Recounts, held
from streams.store.refusals import (
    funnel_missed_events,
    gap_behind_cursor,
    gap_without_state,
    newer_layout,
    other_definition,
    other_topic,
)
from streams.store.replication import Replicas

_CLAIM, _APPLY, _REGISTER = Script("claim"), Script("apply"), Script("register")
_FUNNELS, _GAP, _LAYOUT = Script("funnels"), Script("gap"), Script("layout")
_WRITTEN = 1
_encode_meta = msgspec.msgpack.Encoder().encode
_decode_meta = msgspec.msgpack.Decoder(PartitionMeta).decode


class _ClaimedFunnel(NamedTuple):
    """What is stored of a funnel at a claim."""

    funnel_id: str
    was_known: int
    core_state: bytes | None
    layouts: bytes | None
    deadlines: bytes | None


class RedisPartitionStore:
    """`port.PartitionStore` for one space."""

    def __init__(self, client: Client, space: str, *, layout: int = LAYOUT, shadow: str = "") -> None:
        """`shadow`: a funnel_id whose recount lies beside what workers count."""
        self._client = client
        self._space = SpaceKeys(space, shadow)
        self._shadow = shadow
        self._layout = layout
        self._reads = OwnerReads(client, layout)
        self._persons = Persons(self._reads)
        self._old: dict[tuple[int, str], bytes | None] = {}
        """By partition and funnel: oldest layout in each person bucket, None where all is of this store's. It may say
        too old where another owner has rewritten buckets since, never too new."""
        self._partitions: dict[int, PartitionKeys] = {}
        self._is_cluster = isinstance(client, RedisCluster)
        self._replicas = Replicas(client, self._space.copied) if isinstance(client, RedisCluster) else None
        self._topics: dict[str, str] = {}
        self._fingerprints: dict[str, str] = {}

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        keys = self._keys(partition)
        await self._raise_layout()
        await self._remind()
        with translated():
            await self._client.sadd(self._space.partitions, partition)
        new = b"" if self._layout == FIRST_LAYOUT else pack_layouts(FunnelLayouts.all_of(self._layout))
        answer = await _CLAIM.run(self._client, [keys.cursor], arguments=[_nonce(), self._layout, new, *funnel_ids])
        if answer[0] == b"held":
            await Recounts(self._client, self._space.space).release(partition, answer[1].decode())
            answer = await _CLAIM.run(self._client, [keys.cursor], arguments=[_nonce(), self._layout, new, *funnel_ids])
        if answer[0] == b"held":
            raise held(partition)
        if answer[0] == b"layout":
            raise newer_layout(f"partition {partition}", stored=int(answer[1]), known=self._layout)
        if answer[0] != b"ok":
            raise funnel_missed_events(answer[1].decode(), partition, left_out_at=int(answer[2]), offset=int(answer[3]))
        self._persons.claimed(partition, {f: bool(known) for f, (known, *_) in zip(funnel_ids, answer[5], strict=True)})
        deadlines = await self._reads.many([("GET", keys.earliest_deadlines(funnel_id)) for funnel_id in funnel_ids])
        funnels = [
            _ClaimedFunnel(funnel_id, was_known, state, layouts, packed)
            for funnel_id, (was_known, state, layouts), packed in zip(funnel_ids, answer[5], deadlines, strict=True)
        ]
        return self._claim_of(partition, answer, funnels)

    def _claim_of(self, partition: int, answer: Sequence[Any], funnels: Sequence[_ClaimedFunnel]) -> Claim:
        _, offset, seq, token, meta, _ = answer
        layouts = {funnel.funnel_id: unpack_layouts(funnel.layouts) for funnel in funnels}
        for funnel_id, stored in layouts.items():
            self._note_layouts(partition, funnel_id, stored)
        return Claim(
            offset=int(offset),
            seq=int(seq),
            token=int(token),
            meta=PartitionMeta() if meta is None else _decode_meta(meta),
            earliest_deadlines={
                funnel.funnel_id: funnel.deadlines or NO_DEADLINES for funnel in funnels if funnel.was_known
            },
            core_state={funnel.funnel_id: funnel.core_state for funnel in funnels if funnel.core_state is not None},
            layouts={funnel_id: stored for funnel_id, stored in layouts.items() if stored.oldest < self._layout},
        )

    async def read(
        self, partition: int, funnel_id: str, *, buckets: Sequence[int] = (), persons: Sequence[bytes] = ()
    ) -> Loaded:
        old = await self._old_buckets(partition, funnel_id)
        keys = self._keys(partition)
        return await self._persons.read(partition, keys, funnel_id, buckets=buckets, persons=persons, old=old)

    async def read_cells(
        self, partition: int, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        return await self._reads.cells(self._keys(partition), funnel_id, wanted)

    async def read_facts(self, partition: int, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
        return await self._reads.facts(self._keys(partition), keys)

    async def list_facts(self, partition: int, kind: int, *, after: int = 0) -> FactsPage:
        return await self._reads.facts_page(self._keys(partition), kind, after=after)

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        if next_offset < fence.offset:
            raise ValueError(f"an apply moves the cursor forward, not from {fence.offset} to {next_offset}")
        keys = self._keys(partition)
        blob = ApplyBlob(keys, self._layout)
        persons: dict[str, PersonWrites] = {}
        for funnel_id, changes in writes.funnels.items():
            blob.add(funnel_id, changes)
            old = await self._old_buckets(partition, funnel_id)
            persons[funnel_id] = await self._persons.add(blob, partition, funnel_id, changes, old)
        blob.facts(writes.facts)
        names = {funnel_id: codes for funnel_id, codes in writes.names.items() if codes}
        if self._is_cluster:
            # The registers lie on another server than the partition: asked before, not within.
            if not await self._holds(names):
                return False
            names = {}
        for funnel_id, codes in names.items():
            blob.names(self._space.registers(funnel_id), codes)
        arguments = blob.packed(fence, next_offset, _encode_meta(writes.meta))
        answer = int(await _APPLY.run(self._client, blob.keys(), arguments=[arguments]))
        if answer == _WRITTEN:
            for funnel_id, written in persons.items():
                self._persons.written(partition, funnel_id, written)
        else:  # by an earlier try, which may have folded other buckets; or not at all
            self._persons.doubt(partition)
        for funnel_id, changes in writes.funnels.items() if answer > 0 else ():
            if changes.layouts is not None:
                self._note_layouts(partition, funnel_id, changes.layouts)
        return answer > 0

    async def peek(self, partition: int) -> Fence | None:
        with translated():
            token, offset, seq = await cast(
                Awaitable[list[bytes | None]],
                self._client.hmget(self._keys(partition).cursor, ["token", "off", "seq"]),
            )
        if token is None or offset is None or seq is None:
            return None
        return Fence(token=int(token), offset=int(offset), seq=int(seq))

    def leave(self, partition: int) -> None:
        self._persons.leave(partition)

    async def register(
        self, funnel_id: str, names: Mapping[tuple[int, str], str], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        if not names:
            return {}
        wanted = [(str(number), str(caps[number]), name, written) for (number, name), written in names.items()]
        codes = await _REGISTER.run(self._client, [self._space.registers(funnel_id)], arguments=[pack(wanted)])
        await self._copied()
        return dict(zip(names, codes, strict=True))

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        codes = await read_registers(self._client, self._space, funnel_id)
        if codes:
            await self._copied()
        return codes

    async def _copied(self) -> None:
        """No code is used before a replica of its server has it."""
        if self._replicas is not None:
            await self._replicas.have_all()

    async def check_topic(self, topic: str, identity: str) -> None:
        with translated():
            await self._client.hsetnx(self._space.topics, topic, identity)
            bound = await cast(Awaitable[bytes], self._client.hget(self._space.topics, topic))
        if bound.decode() != identity:
            raise other_topic(topic, bound=bound.decode(), actual=identity)
        self._topics[topic] = identity

    async def check_funnels(self, fingerprints: Mapping[str, str]) -> None:
        flat = [text for pair in fingerprints.items() for text in pair]
        if other := await _FUNNELS.run(self._client, [self._space.funnels], arguments=flat):
            raise other_definition(sorted(funnel_id.decode() for funnel_id in other))
        self._fingerprints.update(fingerprints)

    async def describe(self, definitions: Mapping[str, str]) -> None:
        if definitions:
            with translated():
                fields = [text for pair in definitions.items() for text in pair]
                await cast(Awaitable[int], self._client.execute_command("HSET", self._space.definitions, *fields))

    async def switched(self) -> dict[str, str]:
        return await read_texts(self._client, self._space.switched)

    async def accept_gap(self, partition: int, offset: int, reason: str) -> tuple[int, int]:
        keys = self._keys(partition)
        answer = await _GAP.run(
            self._client, [keys.cursor, keys.gaps], arguments=[partition, offset, reason, _nonce(), self._layout]
        )
        if answer[0] == -3:
            raise held(partition)
        if answer[0] == -2:
            raise newer_layout(f"partition {partition}", stored=int(answer[1]), known=self._layout)
        if answer[0] == -1:
            raise gap_without_state(partition)
        if answer[0] == 0:
            raise gap_behind_cursor(partition, cursor=int(answer[1]), offset=offset)
        return int(answer[1]), int(answer[2])

    def _keys(self, partition: int) -> PartitionKeys:
        keys = self._partitions.get(partition)
        if keys is None:
            keys = self._partitions[partition] = PartitionKeys(self._space.space, partition, shadow=self._shadow)
        return keys

    async def _raise_layout(self) -> None:
        newest = int(await _LAYOUT.run(self._client, [self._space.layout], arguments=[self._layout]))
        if newest > self._layout:
            raise newer_layout("this space", stored=newest, known=self._layout)

    def _note_layouts(self, partition: int, funnel_id: str, layouts: FunnelLayouts) -> None:
        is_newest = min(layouts.buckets) >= self._layout
        self._old[partition, funnel_id] = None if is_newest else layouts.buckets

    async def _old_buckets(self, partition: int, funnel_id: str) -> bytes | None:
        """Oldest layout in each person bucket; None where all is of this store's, as it nearly always is."""
        if self._layout == FIRST_LAYOUT:
            return None
        if (partition, funnel_id) not in self._old:
            with translated():
                cursor = self._keys(partition).cursor
                packed = await cast(Awaitable[bytes | None], self._client.hget(cursor, f"y:{funnel_id}"))
            self._note_layouts(partition, funnel_id, unpack_layouts(packed))
        return self._old[partition, funnel_id]

    async def _remind(self) -> None:
        """Say again what was checked at the start: a server that lost its tail may have lost it too, and the claim that
        follows is how its owners notice."""
        for topic, identity in self._topics.items():
            await self.check_topic(topic, identity)
        if self._fingerprints:
            await self.check_funnels(dict(self._fingerprints))

    async def _holds(self, names: Mapping[str, Mapping[tuple[int, str], int]]) -> bool:
        for funnel_id, codes in names.items():
            known = await self.registers(funnel_id)
            if any(known.get(name) != code for name, code in codes.items()):
                return False
        return True


def _nonce() -> str:
    return f"{randbelow(10**9):09d}"
