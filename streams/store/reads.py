"""What an owner reads of its partition in Redis: persons in whatever layout they lie, cells, facts. Writes nothing.

Knows no fence: what is read is of use only to the owner, whose next apply is refused where another one has been here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from schemas.counters import Cell, CellGroup
from streams.state import FACT_BUCKETS, FIRST_LAYOUT, PERSON_BUCKETS, Loaded, bucket_of, fact_bucket_of
from streams.store.address import Client
from streams.store.connection import Argument, Script, translated
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.packing import decode_cell, group_key, pack, pack_field, unpack
from streams.store.person_log import Fields, PersonLog, StoredBucket, person_number
from streams.store.port import FactsPage

_READ_COMMANDS = 16
"""Whole buckets per round trip."""
_READ_FIELDS = 4000
"""Persons per round trip: about 10 ms of the server, so that no other client waits longer."""
_FACTS_PER_PAGE = 1_000
_READ, _FACTS, _PERSONS = Script("read"), Script("facts"), Script("persons")


class Wanted(NamedTuple):
    """What is to be read of a bucket."""

    numbers: Sequence[int] | None
    """Of the persons whose parts are wanted (`person_number`); None: all parts."""
    with_log: bool


class OwnerReads:
    """Reads of one client, all in the layout of one version."""

    def __init__(self, client: Client, layout: int) -> None:
        self._client = client
        self.layout = layout

    async def persons(
        self,
        keys: PartitionKeys,
        funnel_id: str,
        *,
        buckets: Sequence[int],
        persons: Sequence[bytes],
        old: bytes | None,
        log: PersonLog | None,
    ) -> Loaded:
        """Whole buckets and single fields; `old`: oldest layout in each bucket, None where all is of the newest; `log`:
        what the owner remembers. What a newer layout says of a field, its deletion too, goes before an older one."""
        whole, single = await self._packed(keys, funnel_id, buckets, persons, log=log)
        layouts: dict[bytes, int] = {}
        oldest = bytes([self.layout]) * PERSON_BUCKETS if old is None else old
        for layout in range(self.layout - 1, min(oldest) - 1, -1):
            left = [bucket for bucket in buckets if oldest[bucket] <= layout]
            missing = [name for name in persons if name not in single and oldest[bucket_of(name)] <= layout]
            if layout == FIRST_LAYOUT:
                older, older_single = await self._single_fields(keys, funnel_id, left, missing)
            else:
                older, older_single = await self._packed(keys, funnel_id, left, missing, layout=layout)
            for bucket, fields in older.items():
                only_here = {name: packed for name, packed in fields.items() if name not in whole[bucket]}
                whole[bucket].update(only_here)
                layouts.update((name, layout) for name, packed in only_here.items() if packed is not None)
            single.update(older_single)
            layouts.update((name, layout) for name, packed in older_single.items() if packed is not None)
        return Loaded(
            buckets={
                bucket: {name: packed for name, packed in fields.items() if packed is not None}
                for bucket, fields in whole.items()
            },
            persons={name: single.get(name) for name in persons},
            layouts=layouts,
        )

    async def _packed(
        self,
        keys: PartitionKeys,
        funnel_id: str,
        buckets: Sequence[int],
        persons: Sequence[bytes],
        *,
        log: PersonLog | None = None,
        layout: int | None = None,
    ) -> tuple[dict[int, Fields], Fields]:
        """Whole buckets and single fields of one layout, deleted ones too; fields it says nothing of are not there."""
        since: Sequence[Fields | None] = [None] * PERSON_BUCKETS if log is None else log.since
        whole: dict[int, Fields] = {}
        asked = {bucket: Wanted(None, with_log=since[bucket] is None) for bucket in buckets}
        async for bucket, stored in self.stored(keys, funnel_id, asked, layout):
            whole[bucket] = stored.known() | (since[bucket] or {})
        single: Fields = {}
        numbers: dict[int, list[int]] = {}
        for name in persons:
            known = since[bucket := bucket_of(name)]
            if known is not None and name in known:
                single[name] = known[name]
            else:
                numbers.setdefault(bucket, []).append(person_number(name))
        asked = {bucket: Wanted(some, with_log=since[bucket] is None) for bucket, some in numbers.items()}
        read: dict[int, Fields] = {}
        async for bucket, stored in self.stored(keys, funnel_id, asked, layout):
            read[bucket] = stored.known()
        for name in persons if read else ():
            if name not in single and name in (fields := read.get(bucket_of(name), {})):
                single[name] = fields[name]
        return whole, single

    async def stored(
        self, keys: PartitionKeys, funnel_id: str, wanted: Mapping[int, Wanted], layout: int | None = None
    ) -> AsyncIterator[tuple[int, StoredBucket]]:
        """Buckets as they are stored, each as of one apply."""
        layout = self.layout if layout is None else layout
        buckets = list(wanted)
        for start in range(0, len(buckets), _READ_COMMANDS):
            some = buckets[start : start + _READ_COMMANDS]
            names = [
                name
                for bucket in some
                for name in (
                    keys.persons(funnel_id, bucket=bucket, layout=layout),
                    keys.person_log(funnel_id, bucket=bucket, layout=layout),
                )
            ]
            asked = [("all" if wanted[b].numbers is None else wanted[b].numbers, int(wanted[b].with_log)) for b in some]
            answers = await _PERSONS.run(self._client, names, arguments=[pack(asked)])
            for bucket, (parts, size, flat, entries) in zip(some, answers, strict=True):
                yield bucket, StoredBucket(parts, size, dict(zip(flat[::2], flat[1::2], strict=True)), entries)

    async def _single_fields(
        self, keys: PartitionKeys, funnel_id: str, buckets: Sequence[int], persons: Sequence[bytes]
    ) -> tuple[dict[int, Fields], Fields]:
        """The same of the first layout: a field for each person."""
        whole = await self.many([("HGETALL", keys.persons(funnel_id, bucket=bucket)) for bucket in buckets])
        single: Fields = {}
        for start in range(0, len(persons), _READ_FIELDS):
            by_bucket: dict[int, list[bytes]] = {}
            for person in persons[start : start + _READ_FIELDS]:
                by_bucket.setdefault(bucket_of(person), []).append(person)
            fields = {keys.persons(funnel_id, bucket=bucket): names for bucket, names in by_bucket.items()}
            for names, states in zip(by_bucket.values(), await self._fields(fields), strict=True):
                single.update((name, state) for name, state in zip(names, states, strict=True) if state is not False)
        return dict(zip(buckets, whole, strict=True)), single

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
        next_cursor, done, flat = await _FACTS.run(self._client, hashes, arguments=[cursor, _FACTS_PER_PAGE])
        facts = dict(zip(flat[::2], flat[1::2], strict=True))
        return FactsPage(
            facts=facts, next=None if done == len(hashes) else int(next_cursor) * FACT_BUCKETS + first + done
        )

    async def _fields(self, wanted: Mapping[str, Sequence[bytes]]) -> list[list[Any]]:
        """Per hash the values of its fields, False where there is none: one script, since a pipeline of as many
        commands costs redis-py five times the CPU."""
        if not wanted:
            return []
        answer = await _READ.run(self._client, list(wanted), arguments=[pack(list(wanted.values()))])
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
    names: dict[tuple[int, str], int] = {}
    for field, code in (await _register_fields(client, space, funnel_id)).items():
        register, has_name, name = field.partition(b":")
        if has_name:
            names[int(register), name.decode()] = int(code)
    return names


async def read_written_names(client: Client, space: SpaceKeys, funnel_id: str) -> dict[tuple[int, int], str]:
    """See CounterReader.written_names."""
    written: dict[tuple[int, int], str] = {}
    for field, text in (await _register_fields(client, space, funnel_id)).items():
        register, is_written, code = field.partition(b"=")
        if is_written and b":" not in register:
            written[int(register), int(code)] = text.decode()
    return written


async def _register_fields(client: Client, space: SpaceKeys, funnel_id: str) -> dict[bytes, bytes]:
    with translated():
        return await cast(Awaitable[dict[bytes, bytes]], client.hgetall(space.registers(funnel_id)))
