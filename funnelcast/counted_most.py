"""Which definitions are counted, and what each has counted: to choose the one that a question is about. Reads, never
writes."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.funnel.effect import in_effect
from schemas.funnel.model import Funnel
from streams.report.pulse import counted_of
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from streams.store.statuses import metas_of


async def counted_now(redis: str, space: str, *, funnels: Sequence[Funnel]) -> list[Funnel]:
    """The funnels, each in the version that a recount has switched to since, and those known by a switch alone.
    Raises StoreError."""
    client = connect(redis)
    try:
        return in_effect(funnels, await RedisCounterReader(client, space).switched())
    finally:
        await close(client)


async def counted(redis: str, space: str, *, funnels: Sequence[Funnel]) -> dict[str, int]:
    """Name of each funnel -> events that it has counted in the space. Raises StoreError."""
    client = connect(redis)
    try:
        return counted_of((await metas_of(RedisCounterReader(client, space))).values(), funnels)
    finally:
        await close(client)
