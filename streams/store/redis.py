"""The store on Redis >= 7 or Valkey: claims, fenced applies, an owner's reads (docs/decisions/store-layout.md).

One apply is one script with one argument; it holds absolute values only, so that running it again, or half of it after
a torn file, ends in the same state. Integers of cells stay packed: Lua's numbers end at 2^53.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from secrets import randbelow
from typing import Any, NamedTuple, cast

import msgspec
from redis.asyncio import RedisCluster

from schemas.counters import Cell, CellGroup
from streams.state import (
    FACT_BUCKETS,
    FIRST_LAYOUT,
    LAYOUT,
    NO_DEADLINES,
    Claim,
    Fence,
    FunnelLayouts,
    Loaded,
    PartitionMeta,
    Writes,
    bucket_of,
    fact_bucket_of,
)
from streams.store.connection import Argument, Client, Script, translated
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.packing import (
    ApplyBlob,
    decode_cell,
    group_key,
    pack,
    pack_field,
    pack_layouts,
    unpack,
    unpack_layouts,
)
from streams.store.port import FactsPage
from streams.store.refusals import (
    funnel_missed_events,
    gap_behind_cursor,
    gap_without_state,
    newer_layout,
    other_definition,
    other_topic,
)

_READ_COMMANDS = 16
"""Whole buckets per round trip."""
_READ_FIELDS = 4000
"""Persons per round trip: about 10 ms of the server, so that no other client waits longer."""
_FACTS_PER_PAGE = 1_000
_CLAIM, _APPLY, _REGISTER = Script("claim"), Script("apply"), Script("register")
_FUNNELS, _GAP, _READ = Script("funnels"), Script("gap"), Script("read")
_LAYOUT, _FACTS = Script("layout"), Script("facts")
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

    def __init__(self, client: Client, space: str, *, layout: int = LAYOUT) -> None:
        self._client = client
        self._space = SpaceKeys(space)
        self._layout = layout
        self._old: dict[tuple[int, str], bytes | None] = {}
        """By partition and funnel: oldest layout in each person bucket, None where all is of this store's. It may say
        too old where another owner has rewritten buckets since, never too new."""
        self._partitions: dict[int, PartitionKeys] = {}
        self._is_cluster = isinstance(client, RedisCluster)
        self._topics: dict[str, str] = {}
        self._fingerprints: dict[str, str] = {}

    async def claim(self, partition: int, funnel_ids: Sequence[str]) -> Claim:
        keys = self._keys(partition)
        await self._raise_layout()
        await self._remind()
        with translated():
            await self._client.sadd(self._space.partitions, partition)
        new = b"" if self._layout == FIRST_LAYOUT else pack_layouts(FunnelLayouts.all_of(self._layout))
        answer = await _CLAIM.run(self._client, [keys.cursor], [_nonce(), self._layout, new, *funnel_ids])
        if answer[0] == b"layout":
            raise newer_layout(f"partition {partition}", stored=int(answer[1]), known=self._layout)
        if answer[0] != b"ok":
            raise funnel_missed_events(answer[1].decode(), partition, left_out_at=int(answer[2]), offset=int(answer[3]))
        deadlines = await self._many([("GET", keys.earliest_deadlines(funnel_id)) for funnel_id in funnel_ids])
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
        loaded = await self._read_layout(partition, funnel_id, buckets=buckets, persons=persons, layout=self._layout)
        if old is None:
            return loaded
        layouts: dict[bytes, int] = {}
        for layout in range(min(old), self._layout):
            left = [bucket for bucket in buckets if old[bucket] <= layout]
            missing = [name for name in persons if loaded.persons[name] is None and old[bucket_of(name)] <= layout]
            older = await self._read_layout(partition, funnel_id, buckets=left, persons=missing, layout=layout)
            single = {name: packed for name, packed in older.persons.items() if packed is not None}
            whole = {number: {**older.buckets.get(number, {}), **fields} for number, fields in loaded.buckets.items()}
            loaded = Loaded(buckets=whole, persons={**loaded.persons, **single})
            layouts.update(dict.fromkeys(single, layout))
            layouts.update((name, layout) for fields in older.buckets.values() for name in fields)
        return replace(loaded, layouts=layouts)

    async def _read_layout(
        self, partition: int, funnel_id: str, *, buckets: Sequence[int], persons: Sequence[bytes], layout: int
    ) -> Loaded:
        """What lies in one layout."""
        keys = self._keys(partition)
        whole = await self._many([("HGETALL", keys.persons(funnel_id, bucket, layout)) for bucket in buckets])
        single: dict[bytes, bytes | None] = {}
        for start in range(0, len(persons), _READ_FIELDS):
            by_bucket: dict[int, list[bytes]] = {}
            for person in persons[start : start + _READ_FIELDS]:
                by_bucket.setdefault(bucket_of(person), []).append(person)
            fields = {keys.persons(funnel_id, bucket, layout): names for bucket, names in by_bucket.items()}
            for names, states in zip(by_bucket.values(), await self._fields(fields), strict=True):
                single.update(zip(names, [None if state is False else state for state in states], strict=True))
        return Loaded(buckets=dict(zip(buckets, whole, strict=True)), persons=single)

    async def read_cells(
        self, partition: int, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        prefix = self._keys(partition).cells(funnel_id)
        fields = {group_key(prefix, group): list(map(pack_field, names)) for group, names in wanted.items() if names}
        answers = iter(await self._fields(fields))
        answer: dict[CellGroup, dict[int, Cell]] = {}
        for group, names in wanted.items():
            if names and (cells := {n: decode_cell(v) for n, v in zip(names, next(answers), strict=True) if v}):
                answer[group] = cells
        return answer

    async def read_facts(self, partition: int, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
        facts: dict[bytes, bytes | None] = {}
        for start in range(0, len(keys), _READ_FIELDS):
            by_key: dict[str, list[bytes]] = {}
            for name in keys[start : start + _READ_FIELDS]:
                bucket = fact_bucket_of(name)
                by_key.setdefault(self._keys(partition).facts(name[0], bucket), []).append(name)
            for names, values in zip(by_key.values(), await self._fields(by_key), strict=True):
                facts.update(zip(names, [None if value is False else value for value in values], strict=True))
        return facts

    async def list_facts(self, partition: int, kind: int, *, after: int = 0) -> FactsPage:
        cursor, first = divmod(after, FACT_BUCKETS)
        keys = [self._keys(partition).facts(kind, bucket) for bucket in range(first, FACT_BUCKETS)]
        next_cursor, done, flat = await _FACTS.run(self._client, keys, [cursor, _FACTS_PER_PAGE])
        facts = dict(zip(flat[::2], flat[1::2], strict=True))
        return FactsPage(
            facts=facts, next=None if done == len(keys) else int(next_cursor) * FACT_BUCKETS + first + done
        )

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        if next_offset < fence.offset:
            raise ValueError(f"an apply moves the cursor forward, not from {fence.offset} to {next_offset}")
        keys = self._keys(partition)
        blob = ApplyBlob(keys, self._layout)
        for funnel_id, changes in writes.funnels.items():
            blob.add(funnel_id, changes, await self._old_buckets(partition, funnel_id))
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
        is_applied = int(await _APPLY.run(self._client, blob.keys(), [arguments])) > 0
        if is_applied:
            for funnel_id, changes in writes.funnels.items():
                if changes.layouts is not None:
                    self._note_layouts(partition, funnel_id, changes.layouts)
        return is_applied

    async def peek(self, partition: int) -> Fence | None:
        with translated():
            token, offset, seq = await cast(
                Awaitable[list[bytes | None]],
                self._client.hmget(self._keys(partition).cursor, ["token", "off", "seq"]),
            )
        if token is None or offset is None or seq is None:
            return None
        return Fence(token=int(token), offset=int(offset), seq=int(seq))

    async def register(
        self, funnel_id: str, names: Sequence[tuple[int, str]], caps: Mapping[int, int]
    ) -> dict[tuple[int, str], int]:
        if not names:
            return {}
        wanted = [(str(register), str(caps[register]), name) for register, name in names]
        codes = await _REGISTER.run(self._client, [self._space.registers(funnel_id)], [pack(wanted)])
        return dict(zip(names, codes, strict=True))

    async def registers(self, funnel_id: str) -> dict[tuple[int, str], int]:
        return await read_registers(self._client, self._space, funnel_id)

    async def check_topic(self, topic: str, identity: str) -> None:
        with translated():
            await self._client.hsetnx(self._space.topics, topic, identity)
            bound = await cast(Awaitable[bytes], self._client.hget(self._space.topics, topic))
        if bound.decode() != identity:
            raise other_topic(topic, bound.decode(), identity)
        self._topics[topic] = identity

    async def check_funnels(self, fingerprints: Mapping[str, str]) -> None:
        flat = [text for pair in fingerprints.items() for text in pair]
        if other := await _FUNNELS.run(self._client, [self._space.funnels], flat):
            raise other_definition(sorted(funnel_id.decode() for funnel_id in other))
        self._fingerprints.update(fingerprints)

    async def accept_gap(self, partition: int, offset: int, reason: str) -> tuple[int, int]:
        keys = self._keys(partition)
        answer = await _GAP.run(
            self._client, [keys.cursor, keys.gaps], [partition, offset, reason, _nonce(), self._layout]
        )
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
            keys = self._partitions[partition] = PartitionKeys(self._space.space, partition)
        return keys

    async def _raise_layout(self) -> None:
        newest = int(await _LAYOUT.run(self._client, [self._space.layout], [self._layout]))
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

    async def _fields(self, wanted: Mapping[str, Sequence[bytes]]) -> list[list[Any]]:
        """Per hash the values of its fields, False where there is none: one script, since a pipeline of as many
        commands costs redis-py five times the CPU."""
        if not wanted:
            return []
        answer = await _READ.run(self._client, list(wanted), [pack(list(wanted.values()))])
        return cast(list[list[Any]], unpack(answer))

    async def _many(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        answers: list[Any] = []
        with translated():
            for start in range(0, len(commands), _READ_COMMANDS):
                pipeline = self._client.pipeline(transaction=False)
                for command in commands[start : start + _READ_COMMANDS]:
                    pipeline.execute_command(*command)
                answers += await pipeline.execute()
        return answers


async def read_registers(client: Client, space: SpaceKeys, funnel_id: str) -> dict[tuple[int, str], int]:
    """Every (register, name) -> code of a funnel_id."""
    with translated():
        stored = await cast(Awaitable[dict[bytes, bytes]], client.hgetall(space.registers(funnel_id)))
    names: dict[tuple[int, str], int] = {}
    for stored_name, code in stored.items():
        register, has_name, name = stored_name.partition(b":")
        if has_name:
            names[int(register), name.decode()] = int(code)
    return names


def _nonce() -> str:
    return f"{randbelow(10**9):09d}"
