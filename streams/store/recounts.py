"""What a recount and the owners of partitions agree on: hold, decide, adopt (docs/decisions/recount.md). Redis only.

A recount counts into the shadow of its funnel_id. To switch it *holds* every partition, so that all cursors stand
still, counts up to them, and *decides*: one write, after which the new state is the state. Then each partition *adopts*
what lies in its shadow: keys are renamed, nothing is copied. What a process that dies in between leaves is
brought to its end by the next claim of a worker, or the next recount: forward where it was decided, back where it was
not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, cast

import msgspec

from schemas.counters import Grain
from streams.state import FACT_BUCKETS, FACT_KINDS, FIRST_LAYOUT, LAYOUT, PERSON_BUCKETS, PartitionMeta
from streams.store.address import Client
from streams.store.connection import Script, translated
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.port import StoreRefusedError, StoreUnavailableError

LEASE_SECONDS = 15
"""A recount that has not been heard of for so long is dead: workers end it where it holds them."""
_OPEN = b"open"
_HOLD, _SETTLE, _DECIDE = Script("hold"), Script("settle"), Script("decide")
_ADOPT, _FREE = Script("adopt"), Script("free")
_decode_meta = msgspec.msgpack.Decoder(PartitionMeta).decode
_encode_meta = msgspec.msgpack.Encoder().encode


def held(partition: int) -> StoreUnavailableError:
    """For who wants to write meanwhile."""
    return StoreUnavailableError(f"partition {partition} is held by a recount that is switching: wait")


class Decision(msgspec.Struct):
    """What a recount has decided."""

    forwards: dict[int, int]
    """By partition: number of the last forward it has sent for this funnel, before the switch in either state."""


@dataclass(frozen=True, slots=True)
class Switch:
    """What workers and reports use from then on."""

    name: str
    funnel_id: str
    definition: str
    fingerprint: str


class Recounts:
    """Recounts of one space."""

    def __init__(self, client: Client, space: str) -> None:
        self._client: Any = client
        self._keys = SpaceKeys(space)

    async def begin(self, funnel_id: str) -> str | None:
        """A new recount; returns its id, None while another one is alive. `renew` keeps it alive; `sweep` first."""
        if await self._unfinished():
            return None
        recount = f"{funnel_id}#{token_hex(6)}"
        await self.renew(recount)
        with translated():
            await self._client.hset(self._keys.recounts, recount, _OPEN)
        return recount

    async def renew(self, recount: str) -> None:
        """Say that it is alive."""
        with translated():
            await self._client.set(self._keys.lease(recount), 1, ex=LEASE_SECONDS)

    async def hold(self, recount: str, partition: int) -> tuple[int, PartitionMeta] | None:
        """Stop the partition's counting; its cursor and state. None for one that nobody has counted."""
        nonce = f"{int(token_hex(4), 16) % 10**9:09d}"
        answer = await _HOLD.run(
            self._client, [PartitionKeys(self._keys.space, partition).cursor], arguments=[recount, nonce]
        )
        if not answer:
            return None
        return int(answer[0]), PartitionMeta() if answer[1] is None else _decode_meta(answer[1])

    async def free(self, recount: str, partitions: Sequence[int]) -> None:
        """Let counting go on without a switch."""
        for partition in partitions:
            await _FREE.run(self._client, [PartitionKeys(self._keys.space, partition).cursor], arguments=[recount])

    async def decide(self, recount: str, switch: Switch, *, decision: Decision) -> bool:
        """Switch; False where the recount is over: its lease ended and a worker went on."""
        keys, shadow = self._keys, SpaceKeys(self._keys.space, switch.funnel_id)
        names = [keys.recounts, keys.switched, keys.funnels, keys.definitions]
        names += [keys.registers(switch.funnel_id), shadow.registers(switch.funnel_id)]
        what = [switch.name, switch.definition, switch.funnel_id, switch.fingerprint]
        return bool(await _DECIDE.run(self._client, names, arguments=[recount, msgspec.json.encode(decision), *what]))

    async def adopt(self, recount: str, partition: int) -> None:
        """Put what was counted in its place, if that was not done yet."""
        state = await self._state(recount)
        if state is not None and state != _OPEN:
            await self._adopt(recount, partition, decision=msgspec.json.decode(state, type=Decision))

    async def release(self, partition: int, recount: str) -> None:
        """What a claim does with a partition that it finds held. Raises StoreUnavailableError while the recount is
        alive and undecided."""
        state = await self._state(recount)
        if state is None:
            await self.free(recount, [partition])
        elif state == _OPEN:
            raise held(partition)
        else:
            await self._adopt(recount, partition, decision=msgspec.json.decode(state, type=Decision))

    async def end(self, recount: str, partitions: Sequence[int]) -> None:
        """Forget a recount, and its shadow. One that was decided is brought to its end first."""
        for partition in partitions:
            await self.adopt(recount, partition)
        with translated():
            await self._client.hdel(self._keys.recounts, recount)
            await self._client.unlink(self._keys.lease(recount))
        await self.free(recount, partitions)
        await self._clear(_funnel_id(recount), partitions)

    async def sweep(self, partitions: Sequence[int]) -> None:
        """Bring to an end what processes that died have left, and remove it."""
        for recount in await self._unfinished():
            if await self._state(recount) != _OPEN:
                await self.end(recount, partitions)

    async def _unfinished(self) -> list[str]:
        with translated():
            return [name.decode() for name in await self._client.hkeys(self._keys.recounts)]

    async def _state(self, recount: str) -> bytes | None:
        state = await _SETTLE.run(self._client, [self._keys.recounts, self._keys.lease(recount)], arguments=[recount])
        return cast("bytes | None", state or None)

    async def _adopt(self, recount: str, partition: int, *, decision: Decision) -> None:
        funnel_id = _funnel_id(recount)
        own = PartitionKeys(self._keys.space, partition)
        shadow = PartitionKeys(self._keys.space, partition, shadow=funnel_id)
        with translated():
            here, there = await self._client.hget(own.cursor, "meta"), await self._client.hget(shadow.cursor, "meta")
        meta = joined(
            PartitionMeta() if here is None else _decode_meta(here),
            PartitionMeta() if there is None else _decode_meta(there),
            funnel_id=funnel_id,
            own_forwards=decision.forwards.get(partition, 0),
            forwards=decision.forwards,
        )
        names = dict.fromkeys([*await self._names(own, funnel_id), *await self._names(shadow, funnel_id)])
        pairs = [key for name in names for key in (shadow.prefix + name, own.prefix + name)]
        facts = [key for name in _fact_names(own) for key in (shadow.prefix + name, own.prefix + name)]
        done = await _ADOPT.run(
            self._client,
            [own.cursor, shadow.cursor, own.versions, shadow.versions, *pairs, *facts],
            arguments=[recount, funnel_id, _encode_meta(meta), len(pairs) // 2],
        )
        if done < 0:
            raise StoreRefusedError(
                f"partition {partition} was counted on although a recount of {funnel_id} held it: recount it again"
            )

    async def _names(self, keys: PartitionKeys, funnel_id: str) -> list[str]:
        """Names behind the prefix of everything that is the funnel's alone."""
        indexes = [keys.index(funnel_id, grain) for grain in Grain]
        names = [keys.earliest_deadlines(funnel_id), *indexes]
        for layout in range(FIRST_LAYOUT, LAYOUT + 1):
            names += [keys.persons(funnel_id, bucket=bucket, layout=layout) for bucket in range(PERSON_BUCKETS)]
            names += [keys.person_log(funnel_id, bucket=bucket, layout=layout) for bucket in range(PERSON_BUCKETS)]
        with translated():
            for grain, index in zip(Grain, indexes, strict=True):
                members = await cast(Awaitable[list[bytes]], self._client.zrange(index, 0, -1))
                names += [f"{keys.cells(funnel_id)}{grain.value}:{member.decode()}" for member in members]
        return [name.removeprefix(keys.prefix) for name in names]

    async def _clear(self, funnel_id: str, partitions: Sequence[int]) -> None:
        """Delete the shadow of a funnel_id."""
        space = SpaceKeys(self._keys.space, funnel_id)
        with translated():
            for partition in partitions:
                keys = PartitionKeys(self._keys.space, partition, shadow=funnel_id)
                names = [*await self._names(keys, funnel_id), *_fact_names(keys)]
                await self._client.unlink(keys.cursor, keys.versions, *(keys.prefix + name for name in names))
            await self._client.unlink(
                space.partitions, space.funnels, space.topics, space.layout, space.registers(funnel_id)
            )


def joined(
    own: PartitionMeta,
    shadow: PartitionMeta,
    *,
    funnel_id: str,
    own_forwards: int,
    forwards: Mapping[int, int],
) -> PartitionMeta:
    """The state of a partition with one funnel's part out of the shadow. Forwards are numbered on from the higher
    number of both states: what the replaced one still has under way is known as told before."""
    meta = msgspec.structs.replace(
        own,
        stats={**own.stats, funnel_id: shadow.stats.get(funnel_id, {})},
        booked_until={**own.booked_until, funnel_id: shadow.booked_until.get(funnel_id, 0)},
        forwards={**own.forwards, funnel_id: own_forwards},
        forwards_from={
            **own.forwards_from,
            funnel_id: {origin: number for origin, number in forwards.items() if number},
        },
    )
    if not own_forwards:
        del meta.forwards[funnel_id]
    return meta


def _funnel_id(recount: str) -> str:
    return recount.rpartition("#")[0]


def _fact_names(keys: PartitionKeys) -> list[str]:
    return [keys.facts(kind, bucket).removeprefix(keys.prefix) for kind in FACT_KINDS for bucket in range(FACT_BUCKETS)]
