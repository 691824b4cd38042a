"""How fresh the numbers are: what came in last, and up to when everything is counted. Reads statuses, no counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from schemas.funnel.model import Funnel
from streams.store.port import CounterReader


class Pulse(TypedDict):
    """As of now."""

    now_ms: int
    """The server's clock."""
    received_ms: int | None
    """When the newest record that is counted was received; None: nothing is counted yet."""
    watermark_ms: int | None
    """Up to when everything is counted."""
    events: dict[str, int]
    """Events that matter to it, by the name of the funnel."""


async def pulse_of(reader: CounterReader, funnels: Sequence[Funnel], *, now_ms: int) -> Pulse:
    """Raises StoreError."""
    statuses = [await reader.status(partition) for partition in await reader.partitions()]
    metas = [status.meta for status in statuses if status is not None]
    received = [meta.max_received_ms for meta in metas if meta.max_received_ms is not None]
    watermarks = [meta.watermark_ms for meta in metas if meta.watermark_ms is not None]
    return {
        "now_ms": now_ms,
        "received_ms": max(received, default=None),
        "watermark_ms": min(watermarks, default=None),
        "events": {
            funnel.name: sum(meta.stats.get(funnel.funnel_id, {}).get("accepted", 0) for meta in metas)
            for funnel in funnels
        },
    }
