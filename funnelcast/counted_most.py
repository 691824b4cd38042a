"""What each funnel has counted, to choose the one that a question without a funnel is about. Reads, never writes."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.funnel.model import Funnel
from streams.report.pulse import counted_of
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from streams.store.statuses import metas_of


async def counted(redis: str, space: str, funnels: Sequence[Funnel]) -> dict[str, int]:
    """Name of each funnel -> events that it has counted in the space. Raises StoreError."""
    client = connect(redis)
    try:
        return counted_of((await metas_of(RedisCounterReader(client, space))).values(), funnels)
    finally:
        await close(client)
