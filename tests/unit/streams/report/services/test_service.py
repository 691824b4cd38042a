"""Parts of a document: grains, spans of time, dimensions; and what people see of it."""

from __future__ import annotations

import io
from typing import Unpack

import pytest
from rich.console import Console

from schemas.counters import Cells, Family, Grain, cell_field, family
from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from streams.report.document.counters import document_of
from streams.report.document.question import QuestionError, QuestionTexts, ReportQuestion, parse_instant_ms
from streams.report.document.shapes import Counters, CountersDocument
from streams.report.services.report import report
from streams.report.tables.report import render_report
from streams.state import Fence, FunnelWrites, PartitionMeta, Writes
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import PartitionView, StoreRefusedError
from tests.support.names import as_compared
from tests.support.rows import rows

SHOP = parse_funnel(
    """
name: shop
timezone: Europe/Athens
currency: EUR
conversion_window: 30d
stages:
  - {name: click, on: [click]}
  - {name: payment, on: [payment], order: true}
dimensions:
  - {name: channel, attribution: first}
  - {name: manager, attribution: stage}
pairs: [[channel, manager]]
"""
)
MIDNIGHT_ATHENS = 1_735_682_400_000
"""2025-01-01T00:00 in Athens, 2024-12-31T22:00Z."""
HOUR, DAY = 3_600_000, 86_400_000
NOW = MIDNIGHT_ATHENS + 2 * DAY
EVENTS = family(Family.EVENTS)


def filled_cells() -> Cells:
    """One event an hour from midnight for two days, all grains, one channel or the other."""
    cells: Cells = {}
    for number in range(48):
        time_ms = MIDNIGHT_ATHENS + number * HOUR
        code = 2 + number % 2
        groups: list[tuple[Grain, int]] = [(Grain.TOTAL, 0), (Grain.MINUTE, time_ms // 60_000)]
        groups += [(Grain.HOUR, time_ms // HOUR), (Grain.DAY, (time_ms + 2 * HOUR) // DAY)]
        for group in groups:
            for dimset, field in ((0, cell_field(0, 0, 0)), (1, cell_field(code, 0, 0)), (3, cell_field(code, 2, 0))):
                if group[0] != Grain.MINUTE or dimset == 0:
                    cell = cells.setdefault((*group, dimset), {}).setdefault(field, {})
                    cell[EVENTS] = cell.get(EVENTS, 0) + 1
    return cells


async def reader(funnel: Funnel = SHOP) -> MemoryCounterReader:
    space = MemorySpace(clock_ms=lambda: 0)
    store = MemoryPartitionStore(space)
    await store.check_funnels({funnel.funnel_id: funnel.fingerprint})
    claim = await store.claim(0, [funnel.funnel_id])
    await store.register(funnel.funnel_id, as_compared([(1, "google"), (1, "fb"), (2, "ann")]), {1: 9, 2: 9})
    meta = PartitionMeta(watermark_ms=MIDNIGHT_ATHENS + 2 * DAY)
    writes = Writes(meta=meta, funnels={funnel.funnel_id: FunnelWrites(cells=filled_cells())})
    assert await store.apply(0, Fence(token=claim.token, offset=0, seq=0), 1, writes)
    return MemoryCounterReader(space)


def question(**texts: Unpack[QuestionTexts]) -> ReportQuestion:
    return ReportQuestion.parse(SHOP, texts, now_ms=NOW)


async def counters(**texts: Unpack[QuestionTexts]) -> Counters:
    return (await report(await reader(), question(**texts)))["counters"]


async def test_nothing_asked_for_is_everything() -> None:
    buckets = await counters()
    assert {grain: len(buckets) for grain, buckets in buckets.items()} == {
        "day": 2,
        "hour": 48,
        "minute": 48,
        "total": 1,
    }
    assert list(buckets["total"]["all"]) == [
        "",
        "channel=fb",
        "channel=fb|manager=ann",
        "channel=google",
        "channel=google|manager=ann",
    ]


async def test_one_grain_with_its_rates() -> None:
    document = await report(await reader(), question(grain="hour", dim=""))
    assert list(document["counters"]) == ["hour"]
    assert len(document["rates"]) == 48


async def test_a_span_takes_the_buckets_it_touches_and_no_totals() -> None:
    buckets = await counters(since=str(MIDNIGHT_ATHENS + HOUR // 2), until="2025-01-01T00:00Z")
    assert list(buckets["hour"]) == ["2024-12-31T22Z", "2024-12-31T23Z"]
    assert list(buckets["day"]) == ["2025-01-01"]
    assert list(buckets["minute"]) == ["2024-12-31T23:00Z"]
    assert "total" not in buckets


async def test_days_are_those_of_the_funnels_time_zone() -> None:
    buckets = await counters(grain="day", since="2025-01-02", until="2025-01-03")
    assert list(buckets["day"]) == ["2025-01-02"]


@rows(
    ("dim", "cells"),
    [
        ("", [""]),
        ("channel", ["channel=fb", "channel=google"]),
        ("channel|manager", ["channel=fb|manager=ann", "channel=google|manager=ann"]),
        ("channel=google", ["channel=google"]),
        ("channel= Google ", ["channel=google"]),
        ("channel=fb|manager=ann", ["channel=fb|manager=ann"]),
        ("channel=nobody", []),
    ],
)
async def test_dimensions_pairs_and_single_cells(dim: str, cells: list[str]) -> None:
    buckets = await counters(grain="total", dim=dim)
    assert list(buckets.get("total", {}).get("all", {})) == cells


@rows("dim", ["city", "manager|channel", "city=athens"])
def test_what_is_not_counted_is_refused_with_what_is(dim: str) -> None:
    with pytest.raises(QuestionError, match=r"dimensions and pairs are: channel, manager, channel\|manager"):
        question(dim=dim)


@rows("dim", ["channel|manager=ann", "channel=google|manager"])
def test_half_a_cell_is_refused(dim: str) -> None:
    with pytest.raises(QuestionError, match="write a value for both"):
        question(dim=dim)


def test_totals_have_no_time() -> None:
    with pytest.raises(QuestionError, match="leave since and until away"):
        question(grain="total", since="24h")


def test_a_span_must_not_end_before_it_begins() -> None:
    with pytest.raises(QuestionError, match="since must lie before until"):
        question(since="2025-01-02", until="2025-01-02")


def test_a_grain_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(QuestionError, match="'year' is no grain; write total, minute, hour, day, week, month, quarter"):
        question(grain="year")


def test_a_question_is_a_value() -> None:
    asked = question(grain="day", since="2025-01-01", dim="channel= Google ")
    assert asked == ReportQuestion(
        funnel=SHOP, grain=Grain.DAY, since_ms=MIDNIGHT_ATHENS, dimset=1, label="channel=google"
    )


async def test_another_definition_under_the_same_name_and_version_is_refused() -> None:
    other = SHOP.model_copy(update={"currency": "USD"})
    with pytest.raises(StoreRefusedError, match="another definition"):
        await report(await reader(), ReportQuestion(other))


async def test_a_funnel_that_is_not_counted_yet_is_an_empty_document() -> None:
    other = SHOP.model_copy(update={"name": "other"})
    document = await report(await reader(), ReportQuestion(other))
    assert document["counters"] == {}


@rows(
    ("text", "at_ms"),
    [
        ("2025-01-01", MIDNIGHT_ATHENS),
        ("2025-01-01T00:00:00", MIDNIGHT_ATHENS),
        ("2024-12-31T22:00:00Z", MIDNIGHT_ATHENS),
        ("1735682400000", MIDNIGHT_ATHENS),
        ("24h", 1_000_000_000_000 - DAY),
    ],
)
def test_forms_of_time(text: str, at_ms: int) -> None:
    assert parse_instant_ms(text, timezone="Europe/Athens", now_ms=1_000_000_000_000) == at_ms


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(QuestionError, match="write 2025-01-31"):
        parse_instant_ms("yesterday", timezone="UTC", now_ms=0)


def rendered(document: CountersDocument) -> str:
    console = Console(file=io.StringIO(), width=140, color_system=None)
    console.print(render_report(SHOP, document))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_table_shows_stages_conversion_orders_and_the_bottleneck() -> None:
    eur = 4 * 676 + 20 * 26 + 17
    cells: Cells = {
        (Grain.TOTAL, 0, 0): {
            cell_field(0, 0, 0): {
                EVENTS: 1200,
                family(Family.ENTRIES): 1000,
                family(Family.ADVANCED_COHORT): 100,
                family(Family.ABANDONED_COHORT): 800,
            },
            cell_field(0, 0, 1): {
                family(Family.ENTRIES): 100,
                family(Family.COMPLETED): 100,
                family(Family.ORDERS, eur): 110,
                family(Family.REVENUE, eur): 407_000,
            },
        }
    }
    view = PartitionView(partition=0, offset=1, meta=PartitionMeta(watermark_ms=MIDNIGHT_ATHENS), cells=cells)
    text = rendered(document_of(SHOP, [view], registers={}))
    for part in (
        "watermark 2024-12-31 22:00:00 UTC",
        "1,000",
        "10.0 %",
        "8.29–12.02",
        "* so far",
        "88.9 %",
        "110",
        "4,070.00 EUR",
        "AOV 37.00 EUR",
        "bottleneck click",
    ):
        assert part in text


def test_an_empty_document_says_so() -> None:
    assert "Nothing counted here yet." in rendered(document_of(SHOP, [], registers={}))
