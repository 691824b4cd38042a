"""What speaks now in a space, as stories: the exporter's evidence with what people have annotated. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.funnel.model import Funnel
from streams.evidence.alerts import THRESHOLD_NATS
from streams.evidence.story import Story, stories_of
from streams.exporter.evidence_source import EvidenceSource
from streams.store.port import CounterReader


async def stories_now(
    reader: CounterReader,
    funnels: Sequence[Funnel],
    *,
    clock_ms: Callable[[], int],
    threshold: float = THRESHOLD_NATS,
) -> list[Story]:
    """Of all funnels that are counted under the definitions given. Raises StoreError."""
    source = EvidenceSource(reader, funnels, clock_ms=clock_ms)
    await source.refresh()
    annotations = await reader.annotations()
    return [story for found in source.newest for story in stories_of(found, annotations, threshold=threshold)]
