"""Where one leg of a journey meets the next."""

from __future__ import annotations

from schemas.funnel.load import parse_funnel
from streams.report.document.cell import CellView
from streams.report.document.counters import build_document
from streams.report.questions.legs import joined, joins_of
from tests.support.processing import counted_reader
from tests.support.shop import shop_event

FUNNEL = parse_funnel(
    """
name: shop
version: 1
conversion_window: 30d
stages:
  - {name: view, on: [view]}
  - {name: click, on: [click]}
  - {name: lead, on: [lead], role: lead}
  - {name: offer, on: [offer]}
  - {name: payment, on: [payment], order: true}
"""
)

PATHS = (
    *[("view", "lead", "payment")] * 3,
    *[("click", "payment")] * 2,
    *[("lead", "offer", "payment")] * 4,
    *[("payment",)] * 5,
    *[("view", "click")] * 6,
    *[("click", "offer")] * 7,
)


async def test_of_those_who_come_to_a_leg_it_is_known_who_has_the_one_before() -> None:
    start, minute = 1_735_700_000_000, 60_000
    events = [
        shop_event(name, person, start + step * minute, {"order_id": f"o{person}"})
        for step in range(3)
        for person, path in enumerate(PATHS)
        for name in path[step : step + 1]
    ]
    reader = await counted_reader(FUNNEL, events, now_ms=start + 3 * minute)
    document = await build_document(reader, FUNNEL)
    view = CellView(document["counters"]["total"]["all"][""])
    assert joins_of(FUNNEL) == [2, 4]
    assert joined(FUNNEL, view, stage=2) == (3 + 2 + 7, 3 + 2 + 7 + 4 + 5)
    assert joined(FUNNEL, view, stage=4) == (3 + 2 + 4, 3 + 2 + 4 + 5)
