"""What an owner reads of its partition in Redis: persons in whatever layout they lie, cells, facts. Writes nothing.

Knows no fence: what is read is of use only to the owner, whose next apply is refused where another one has been here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from schemas.counters import Cell, CellGroup
from streams.state import FACT_BUCKETS, Loaded, bucket_of, fact_bucket_of
from streams.store.address import Client
from streams.store.connection import Argument, Script, translated
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.packing import decode_cell, group_key, pack, pack_field, unpack
from streams.store.port import FactsPage

_READ_COMMANDS = 16
"""Whole buckets per round trip."""
_READ_FIELDS = 4000
"""Persons per round trip: about 10 ms of the server, so that no other client waits longer."""
_FACTS_PER_PAGE = 1_000
_READ, _FACTS = Script("read"), Script("facts")


class OwnerReads:
    """Reads of one client, all in the layout of one version."""

    def __init__(self, client: Client, layout: int) -> None:
        self._client = client
        self._layout = layout

    async def persons(
        self,
        keys: PartitionKeys,
        funnel_id: str,
        *,
        buckets: Sequence[int],
        persons: Sequence[bytes],
        old: bytes | None,
    ) -> Loaded:
        """Whole buckets and single fields; `old`: oldest layout in each bucket, None where all is of the newest."""
        loaded = await self._in_layout(keys, funnel_id, buckets=buckets, persons=persons, layout=self._layout)
        if old is None:
            return loaded
        layouts: dict[bytes, int] = {}
        for layout in range(min(old), self._layout):
            left = [bucket for bucket in buckets if old[bucket] <= layout]
            missing = [name for name in persons if loaded.persons[name] is None and old[bucket_of(name)] <= layout]
            older = await self._in_layout(keys, funnel_id, buckets=left, persons=missing, layout=layout)
            single = {name: packed for name, packed in older.persons.items() if packed is not None}
            whole = {number: {**older.buckets.get(number, {}), **fields} for number, fields in loaded.buckets.items()}
            loaded = Loaded(buckets=whole, persons={**loaded.persons, **single})
            layouts.update(dict.fromkeys(single, layout))
            layouts.update((name, layout) for fields in older.buckets.values() for name in fields)
        return replace(loaded, layouts=layouts)

    async def _in_layout(
        self, keys: PartitionKeys, funnel_id: str, *, buckets: Sequence[int], persons: Sequence[bytes], layout: int
    ) -> Loaded:
        whole = await self.many([("HGETALL", keys.persons(funnel_id, bucket, layout)) for bucket in buckets])
        single: dict[bytes, bytes | None] = {}
        for start in range(0, len(persons), _READ_FIELDS):
            by_bucket: dict[int, list[bytes]] = {}
            for person in persons[start : start + _READ_FIELDS]:
                by_bucket.setdefault(bucket_of(person), []).append(person)
            fields = {keys.persons(funnel_id, bucket, layout): names for bucket, names in by_bucket.items()}
            for names, states in zip(by_bucket.values(), await self._fields(fields), strict=True):
                single.update(zip(names, [None if state is False else state for state in states], strict=True))
        return Loaded(buckets=dict(zip(buckets, whole, strict=True)), persons=single)

    async def cells(
        self, keys: PartitionKeys, funnel_id: str, wanted: Mapping[CellGroup, Sequence[int]]
    ) -> dict[CellGroup, dict[int, Cell]]:
        """Cells that are stored among the wanted."""
        prefix = keys.cells(funnel_id)
        fields = {group_key(prefix, group): list(map(pack_field, names)) for group, names in wanted.items() if names}
        answers = iter(await self._fields(fields))
        answer: dict[CellGroup, dict[int, Cell]] = {}
        for group, names in wanted.items():
            if names and (cells := {n: decode_cell(v) for n, v in zip(names, next(answers), strict=True) if v}):
                answer[group] = cells
        return answer

    async def facts(self, keys: PartitionKeys, names: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """Facts by their exact keys."""
        facts: dict[bytes, bytes | None] = {}
        for start in range(0, len(names), _READ_FIELDS):
            by_key: dict[str, list[bytes]] = {}
            for name in names[start : start + _READ_FIELDS]:
                bucket = fact_bucket_of(name)
                by_key.setdefault(keys.facts(name[0], bucket), []).append(name)
            for part, values in zip(by_key.values(), await self._fields(by_key), strict=True):
                facts.update(zip(part, [None if value is False else value for value in values], strict=True))
        return facts

    async def facts_page(self, keys: PartitionKeys, kind: int, *, after: int) -> FactsPage:
        """Facts of a kind from `after` on: an HSCAN cursor and a bucket in one number."""
        cursor, first = divmod(after, FACT_BUCKETS)
        hashes = [keys.facts(kind, bucket) for bucket in range(first, FACT_BUCKETS)]
        next_cursor, done, flat = await _FACTS.run(self._client, hashes, [cursor, _FACTS_PER_PAGE])
        facts = dict(zip(flat[::2], flat[1::2], strict=True))
        return FactsPage(
            facts=facts, next=None if done == len(hashes) else int(next_cursor) * FACT_BUCKETS + first + done
        )

    async def _fields(self, wanted: Mapping[str, Sequence[bytes]]) -> list[list[Any]]:
        """Per hash the values of its fields, False where there is none: one script, since a pipeline of as many
        commands costs redis-py five times the CPU."""
        if not wanted:
            return []
        answer = await _READ.run(self._client, list(wanted), [pack(list(wanted.values()))])
        return cast(list[list[Any]], unpack(answer))

    async def many(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """Answers of plain commands, some per round trip."""
        answers: list[Any] = []
        with translated():
            for start in range(0, len(commands), _READ_COMMANDS):
                pipeline = self._client.pipeline(transaction=False)
                for command in commands[start : start + _READ_COMMANDS]:
                    pipeline.execute_command(*command)
                answers += await pipeline.execute()
        return answers


async def read_texts(client: Client, key: str) -> dict[str, str]:
    """A hash of texts."""
    with translated():
        stored = await cast(Awaitable[dict[bytes, bytes]], client.hgetall(key))
    return {name.decode(): definition.decode() for name, definition in stored.items()}


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
