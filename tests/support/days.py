"""A shop with some clicks and payments on each day from Monday 2025-01-06, all of one channel or of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from schemas.counters import Cells, Family, Grain, add_amount, cell_field, currency_code, family
from schemas.funnel.load import parse_funnel
from streams.report.document.question import QuestionTexts, ReportQuestion
from streams.state import Fence, FunnelWrites, PartitionMeta, Writes
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from tests.support.names import as_compared

SHOP = parse_funnel(
    """
name: shop
currency: EUR
conversion_window: 30d
stages:
  - {name: click, on: [click]}
  - {name: payment, on: [payment], order: true}
dimensions:
  - {name: channel, attribution: first}
  - {name: manager, attribution: stage}
"""
)
MONDAY = 20_094
"""2025-01-06 in days from 1970-01-01."""
READ_AT = (MONDAY + 60) * 86_400_000
Day = tuple[int, int, int]
"""Clicks, payments of 10.00 EUR each, and clicks that are open."""


def question(**texts: Unpack[QuestionTexts]) -> ReportQuestion:
    """Asked of the shop 60 days after its first one."""
    return ReportQuestion.parse(SHOP, texts, now_ms=READ_AT)


def day_cells(days: Mapping[int, Day | Mapping[str, Day]], codes: Mapping[str, int]) -> Cells:
    """Cells of days counted from MONDAY: of google alone, or by channel."""
    cells: Cells = {}
    eur = currency_code("EUR")
    for number, given in days.items():
        for channel, (clicks, payments, still_open) in (
            given if isinstance(given, Mapping) else {"google": given}
        ).items():
            for grain, bucket in ((Grain.TOTAL, 0), (Grain.DAY, MONDAY + number)):
                for dimset, value in ((0, 0), (1, codes[channel])):
                    fields = cells.setdefault((grain, bucket, dimset), {})
                    click, payment = cell_field(value, 0, 0), cell_field(value, 0, 1)
                    add_amount(fields, click, family(Family.ENTRIES), clicks)
                    add_amount(fields, click, family(Family.STARTED), clicks)
                    add_amount(fields, click, family(Family.ADVANCED_COHORT), payments)
                    add_amount(fields, click, family(Family.ABANDONED_COHORT), clicks - payments - still_open)
                    add_amount(fields, payment, family(Family.ENTRIES), payments)
                    add_amount(fields, payment, family(Family.COMPLETED), payments)
                    add_amount(fields, payment, family(Family.ORDERS, eur), payments)
                    add_amount(fields, payment, family(Family.REVENUE, eur), 1000 * payments)
    return cells


async def days_reader(days: Mapping[int, Day | Mapping[str, Day]]) -> MemoryCounterReader:
    """A store that holds them."""
    space = MemorySpace(clock_ms=lambda: READ_AT)
    store = MemoryPartitionStore(space)
    await store.check_funnels({SHOP.funnel_id: SHOP.fingerprint})
    claim = await store.claim(0, [SHOP.funnel_id])
    channels = sorted({"google", *(name for given in days.values() if isinstance(given, Mapping) for name in given)})
    codes = await store.register(SHOP.funnel_id, as_compared([(1, channel) for channel in channels]), {1: 99})
    by_channel = {channel: codes[1, channel] for channel in channels}
    writes = Writes(
        meta=PartitionMeta(watermark_ms=READ_AT),
        funnels={SHOP.funnel_id: FunnelWrites(cells=day_cells(days, by_channel))},
    )
    assert await store.apply(0, Fence(token=claim.token, offset=0, seq=0), 1, writes)
    return MemoryCounterReader(space)
