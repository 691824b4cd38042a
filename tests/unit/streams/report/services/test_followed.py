"""A reader shows what a recount has switched to, without a restart."""

from __future__ import annotations

from schemas.funnel.definition import definition_text
from schemas.funnel.load import parse_funnel
from streams.api.answers import Answers
from streams.exporter.source import SnapshotSource
from streams.report.services.followed import FollowedFunnels
from streams.store.memory import MemoryCounterReader, MemorySpace


class Switchable(MemoryCounterReader):
    """Memory knows no recount: the switch is told."""

    def __init__(self, space: MemorySpace) -> None:
        super().__init__(space)
        self.now: dict[str, str] = {}

    async def switched(self) -> dict[str, str]:
        return self.now


TEXT = """
name: {name}
version: {version}
conversion_window: 7d
stages: [{{name: click, on: [click]}}, {{name: lead, on: [lead]}}]
"""
SHOP, SHOP_2, PAGES = (
    parse_funnel(TEXT.format(name=name, version=version)) for name, version in (("shop", 1), ("shop", 2), ("pages", 1))
)


async def test_exporter_and_api_follow_a_switch_and_what_is_known_by_it_alone() -> None:
    reader = Switchable(MemorySpace(clock_ms=lambda: 0))
    funnels = FollowedFunnels([SHOP])
    source = SnapshotSource(reader, funnels, clock_ms=lambda: 0)
    answers = Answers(reader, funnels, lambda: 0)

    async def shown() -> list[str]:
        return [counts.funnel.funnel_id for counts in (await source.take()).funnels]

    assert await shown() == ["shop@1"]
    reader.now = {"shop": definition_text(SHOP_2), "pages": definition_text(PAGES)}
    assert await shown() == ["shop@1"], "what is shown changes between two reads, not within one"
    await funnels.refresh(reader)
    assert await shown() == ["shop@2", "pages@1"]
    assert b'"pages"' in await answers.list_funnels("")
