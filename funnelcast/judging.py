"""What speaks now in a space, as stories: the exporter's evidence with what people have annotated. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.funnel.model import Funnel
from streams.evidence.story import Story, stories_of
from streams.exporter.evidence_source import EvidenceSource
from streams.store.port import CounterReader


class Judge:
    """Keeps what it has read: the next look reads what is new."""

    def __init__(
        self,
        reader: CounterReader,
        funnels: Sequence[Funnel],
        *,
        clock_ms: Callable[[], int],
        threshold: float,
    ) -> None:
        self._reader = reader
        self._source = EvidenceSource(reader, funnels, clock_ms=clock_ms, threshold=threshold)

    async def stories(self) -> list[Story]:
        """Of all funnels that are counted under the definitions given. Raises StoreError."""
        await self._source.refresh()
        annotations = await self._reader.annotations()
        return [story for evidence in self._source.newest for story in stories_of(evidence, annotations)]


async def stories_now(
    reader: CounterReader,
    funnels: Sequence[Funnel],
    *,
    clock_ms: Callable[[], int],
    threshold: float,
) -> list[Story]:
    """One look. Raises StoreError."""
    return await Judge(reader, funnels, clock_ms=clock_ms, threshold=threshold).stories()
