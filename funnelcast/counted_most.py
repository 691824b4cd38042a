"""What each funnel has counted, to choose the one that a question without a funnel is about. Reads, never writes."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.funnel.model import Funnel
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader


async def counted(redis: str, space: str, funnels: Sequence[Funnel]) -> dict[str, int]:
    """Name of each funnel -> events that it has counted in the space. Raises StoreError."""
    client = connect(redis)
    try:
        reader = RedisCounterReader(client, space)
        statuses = [await reader.status(partition) for partition in await reader.partitions()]
    finally:
        await close(client)
    stats = [status.meta.stats for status in statuses if status is not None]
    return {funnel.name: sum(each.get(funnel.funnel_id, {}).get("accepted", 0) for each in stats) for funnel in funnels}
