"""How fresh the numbers are: what came in last, and up to when everything is counted. Reads statuses, no counters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from schemas.funnel.model import Funnel
from streams.state import PartitionMeta
from streams.store.port import CounterReader
from streams.store.statuses import metas_of


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
    metas = (await metas_of(reader)).values()
    received = [meta.max_received_ms for meta in metas if meta.max_received_ms is not None]
    watermarks = [meta.watermark_ms for meta in metas if meta.watermark_ms is not None]
    return {
        "now_ms": now_ms,
        "received_ms": max(received, default=None),
        "watermark_ms": min(watermarks, default=None),
        "events": counted_of(metas, funnels),
    }


def counted_of(metas: Iterable[PartitionMeta], funnels: Sequence[Funnel]) -> dict[str, int]:
    """Name of each funnel -> events that it has counted, of all partitions."""
    stats = [meta.stats for meta in metas]
    return {funnel.name: sum(each.get(funnel.funnel_id, {}).get("accepted", 0) for each in stats) for funnel in funnels}
