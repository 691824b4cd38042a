"""The counters document from stored cells: names, sums over partitions, what is derived and what is left out."""

from __future__ import annotations

import json
from typing import Any

from schemas.counters import (
    CODE_OTHER,
    CODE_UNKNOWN,
    DURATION_EDGES_SECONDS,
    STAGE_LOST,
    STAGE_NONE,
    Cells,
    Family,
    Grain,
    cell_field,
    currency_code,
    duration_sub,
    family,
)
from schemas.funnel.load import parse_funnel
from streams.report.document.counters import build_document, canonical_json, document_of
from streams.state import Fence, FunnelWrites, PartitionMeta, Writes
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import PartitionView
from tests.support.names import as_compared

SHOP = parse_funnel(
    """
name: shop
version: 2
timezone: Europe/Athens
currency: EUR
conversion_window: 30d
stages:
  - {name: click, on: [click]}
  - {name: lead, on: [lead]}
  - {name: payment, on: [payment], order: true}
lost: [{on: [lead_lost]}]
dimensions:
  - {name: channel, attribution: first}
  - {name: manager, attribution: stage, values: [ann, bob]}
pairs: [[manager, channel]]
"""
)
REGISTERS = {(1, "google"): 2, (1, "fb"): 3, (2, "ann"): 2, (2, "bob"): 3, (0, "price"): 2}
CLICK, LEAD, PAYMENT = range(3)
EUR, JPY = currency_code("EUR"), currency_code("JPY")


def view(cells: Cells, *, partition: int = 0, watermark_ms: int | None = None, **stats: int) -> PartitionView:
    meta = PartitionMeta(watermark_ms=watermark_ms, stats={"shop@2": stats} if stats else {})
    return PartitionView(partition=partition, offset=1, meta=meta, cells=cells)


def whole(stage: int, amounts: dict[int, int]) -> Cells:
    return {(Grain.TOTAL, 0, 0): {cell_field(0, 0, stage): amounts}}


def totals(*views: PartitionView) -> dict[str, Any]:
    return dict(document_of(SHOP, views, registers=REGISTERS)["counters"]["total"]["all"])


def test_families_and_sub_keys_have_their_names() -> None:
    amounts = {
        family(Family.EVENTS): 9,
        family(Family.ENTRIES): 5,
        family(Family.ADVANCED_COHORT): 1,
        family(Family.LOST_COHORT, 2): 1,
        family(Family.LOST_PERIOD, CODE_OTHER): 2,
        family(Family.TRANSITIONS_COHORT, PAYMENT): 1,
        family(Family.DURATIONS, duration_sub(PAYMENT, 1)): 1,
        family(Family.DURATIONS, duration_sub(LEAD, len(DURATION_EDGES_SECONDS))): 2,
        family(Family.REVENUE, EUR): 1999,
        family(Family.REVENUE, JPY): 7,
    }
    assert totals(view(whole(CLICK, amounts)))[""]["click"] == {
        "advanced.cohort": 1,
        "durations": {"lead inf": 2, "payment 60": 1},
        "entries": 5,
        "events": 9,
        "lost.cohort": {"price": 1},
        "lost.period": {"other": 2},
        "open": 3,
        "revenue": {"EUR": 1999, "JPY": 7},
        "transitions.cohort": {"payment": 1},
    }


def test_lost_events_and_spend_have_stage_names_of_their_own() -> None:
    cells = totals(
        view(whole(STAGE_LOST, {family(Family.EVENTS): 2})), view(whole(STAGE_NONE, {family(Family.SPEND, EUR): 5}))
    )
    assert cells == {"": {"lost": {"events": 2}, "": {"spend": {"EUR": 5}}}}


def test_open_is_what_has_no_outcome_yet() -> None:
    amounts = {
        family(Family.ENTRIES): 10,
        family(Family.ADVANCED_COHORT): 1,
        family(Family.ABANDONED_COHORT): 2,
        family(Family.LOST_COHORT, CODE_UNKNOWN): 1,
        family(Family.LOST_COHORT, 2): 2,
        family(Family.COMPLETED): 1,
        family(Family.ADVANCED_PERIOD): 7,  # the period view has no part in it
    }
    assert totals(view(whole(LEAD, amounts)))[""]["lead"]["open"] == 3


def test_nothing_open_is_left_out() -> None:
    amounts = {family(Family.ENTRIES): 1, family(Family.COMPLETED): 1}
    assert totals(view(whole(PAYMENT, amounts)))[""] == {"payment": {"completed": 1, "entries": 1}}


def test_partitions_are_summed_and_what_cancels_out_is_left_out() -> None:
    first = view(whole(CLICK, {family(Family.EVENTS): 3, family(Family.STALLED): 1}))
    second = view(whole(CLICK, {family(Family.EVENTS): 4, family(Family.STALLED): -1}), partition=1)
    assert totals(first, second) == {"": {"click": {"events": 7}}}


def test_cells_that_hold_only_zeros_disappear_up_to_the_grain() -> None:
    cells: Cells = {(Grain.HOUR, 7, 1): {cell_field(2, 0, CLICK): {family(Family.EVENTS): 0}}}
    assert document_of(SHOP, [view(cells)], registers=REGISTERS)["counters"] == {}


def test_values_and_pairs_are_named_in_the_declared_order() -> None:
    amount = {family(Family.EVENTS): 1}
    cells: Cells = {
        (Grain.TOTAL, 0, 1): {cell_field(code, 0, CLICK): amount for code in (CODE_UNKNOWN, CODE_OTHER, 2)},
        (Grain.TOTAL, 0, 2): {cell_field(3, 0, CLICK): amount},
        (Grain.TOTAL, 0, 3): {cell_field(2, 3, CLICK): amount},
    }
    assert list(totals(view(cells))) == [
        "channel=google",
        "channel=other",
        "channel=unknown",
        "manager=ann|channel=fb",
        "manager=bob",
    ]


def test_buckets_have_the_labels_of_the_contract() -> None:
    at_minute = 1_735_725_600_000 // 60_000
    cell = {cell_field(0, 0, CLICK): {family(Family.EVENTS): 1}}
    cells: Cells = {
        (Grain.MINUTE, at_minute, 0): cell,
        (Grain.HOUR, at_minute // 60, 0): cell,
        (Grain.DAY, 20089, 0): cell,
        (Grain.TOTAL, 0, 0): cell,
    }
    counters = document_of(SHOP, [view(cells)], registers=REGISTERS)["counters"]
    assert {grain: list(buckets) for grain, buckets in counters.items()} == {
        "day": ["2025-01-01"],
        "hour": ["2025-01-01T10Z"],
        "minute": ["2025-01-01T10:00Z"],
        "total": ["all"],
    }


def test_input_is_summed_and_the_watermark_is_the_lowest_of_those_known() -> None:
    views = [
        view({}, watermark_ms=2000, accepted=3, persons=2, amounts_refused=9),
        view({}, partition=1, watermark_ms=1000, accepted=1, late=1),
        view({}, partition=2),
    ]
    document = document_of(SHOP, views, registers=REGISTERS)
    assert document["watermark_ms"] == 1000
    assert document["input"] == {
        "accepted": 4,
        "duplicates": 0,
        "late": 1,
        "link_conflicts": 0,
        "persons": 2,
        "placeholder_ids": 0,
    }
    assert (document["funnel"], document["version"]) == ("shop", 2)


def test_an_empty_space_is_a_document_too() -> None:
    document = document_of(SHOP, [], registers={})
    assert (document["watermark_ms"], document["counters"], document["rates"]) == (None, {}, [])


def test_rates_come_for_totals_and_days_unless_others_are_asked_for() -> None:
    cell = {cell_field(0, 0, CLICK): {family(Family.ENTRIES): 4}}
    cells: Cells = {(Grain.TOTAL, 0, 0): cell, (Grain.DAY, 20089, 0): cell, (Grain.HOUR, 482_145, 0): cell}
    rates = document_of(SHOP, [view(cells)], registers=REGISTERS)["rates"]
    assert [(one["grain"], one["bucket"], one["dim"]) for one in rates] == [
        ("day", "2025-01-01", ""),
        ("total", "all", ""),
    ]
    hours = document_of(SHOP, [view(cells)], registers=REGISTERS, rated=[Grain.HOUR])["rates"]
    assert [one["grain"] for one in hours] == ["hour"]


def test_one_cell_can_be_asked_for_alone() -> None:
    fields = {cell_field(code, 0, CLICK): {family(Family.EVENTS): code} for code in (2, 3)}
    cells: Cells = {
        (Grain.TOTAL, 0, 1): fields,
        (Grain.DAY, 1, 1): {cell_field(3, 0, CLICK): fields[cell_field(3, 0, CLICK)]},
    }
    document = document_of(SHOP, [view(cells)], registers=REGISTERS, only="channel=google")
    assert document["counters"] == {"total": {"all": {"channel=google": {"click": {"events": 2}}}}}


def test_bytes_do_not_depend_on_the_order_in_which_cells_and_partitions_come() -> None:
    fields = {cell_field(code, 0, CLICK): {family(Family.ENTRIES): code, family(Family.EVENTS): 1} for code in (2, 3)}
    backwards = {key: dict(reversed(cell.items())) for key, cell in reversed(fields.items())}
    left_view, two = view({(Grain.TOTAL, 0, 1): fields}, accepted=1), view({(Grain.DAY, 5, 1): fields}, partition=1)
    three, four = view({(Grain.TOTAL, 0, 1): backwards}, accepted=1), view({(Grain.DAY, 5, 1): backwards}, partition=1)
    first = canonical_json(document_of(SHOP, [left_view, two], registers=REGISTERS))
    second = canonical_json(document_of(SHOP, [four, three], registers=dict(reversed(REGISTERS.items()))))
    assert first == second
    assert json.loads(first)["counters"]["total"]["all"]["channel=fb"]["click"] == {
        "entries": 3,
        "events": 1,
        "open": 3,
    }


def test_text_that_is_no_ascii_stays_readable() -> None:
    assert canonical_json({"b": "Ελλάδα", "a": 10**20}) == '{"a":100000000000000000000,"b":"Ελλάδα"}'.encode()


async def test_the_document_of_a_store() -> None:
    space = MemorySpace(clock_ms=lambda: 0)
    store = MemoryPartitionStore(space)
    for partition in (0, 3):
        claim = await store.claim(partition, [SHOP.funnel_id])
        meta = PartitionMeta(watermark_ms=5000 + partition, stats={SHOP.funnel_id: {"accepted": 1}})
        names = await store.register(SHOP.funnel_id, as_compared([(1, "google")]), {1: 100})
        cells: Cells = {(Grain.TOTAL, 0, 1): {cell_field(names[1, "google"], 0, CLICK): {family(Family.EVENTS): 1}}}
        assert await store.apply(
            partition,
            Fence(token=claim.token, offset=0, seq=0),
            1,
            Writes(meta=meta, funnels={SHOP.funnel_id: FunnelWrites(cells=cells)}),
        )
    document = await build_document(MemoryCounterReader(space), SHOP)
    assert document["counters"] == {"total": {"all": {"channel=google": {"click": {"events": 2}}}}}
    assert document["input"]["accepted"] == 2
    assert document["watermark_ms"] == 5000
