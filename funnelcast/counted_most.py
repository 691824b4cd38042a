"""Which definitions are counted, and what each has counted: to choose the one that a question is about. Reads, never
writes."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.funnel.effect import in_effect
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from streams.report.services.pulse import counted_of
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


async def chosen_now(redis: str, space: str, *, names: Sequence[str], configured: Sequence[Funnel]) -> list[Funnel]:
    """Counted funnels by name, else what a reference loads; a file is taken as it is. Without names the configured.
    Raises StoreError, FunnelError."""
    known = {funnel.name: funnel for funnel in await counted_now(redis, space, funnels=configured)}
    if not names:
        return [known[funnel.name] for funnel in configured]
    return [known[name] if name in known else load_funnel(name) for name in names]


def chosen_of(names: Sequence[str], configured: Sequence[Funnel]) -> list[Funnel]:
    """The same where no store says what is counted."""
    known = {funnel.name: funnel for funnel in configured}
    return [known[name] if name in known else load_funnel(name) for name in names] or list(configured)


async def counted(redis: str, space: str, *, funnels: Sequence[Funnel]) -> dict[str, int]:
    """Name of each funnel -> events that it has counted in the space. Raises StoreError."""
    client = connect(redis)
    try:
        return counted_of((await metas_of(RedisCounterReader(client, space))).values(), funnels)
    finally:
        await close(client)
