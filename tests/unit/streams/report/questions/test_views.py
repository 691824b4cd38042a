"""A role's first look: the numbers of a counted shop, by hand."""

from __future__ import annotations

import io
from typing import Any, Unpack

import pytest
from rich.console import Console

from streams.report.document.question import QuestionError, QuestionTexts, ReportQuestion
from streams.report.document.shapes import NamedCell
from streams.report.questions.views import view_table
from streams.report.services.report import report_compared
from streams.report.services.views import ViewDocument, parse_view, report_view
from streams.report.tables.views import render_view
from streams.store.memory import MemoryCounterReader
from streams.store.port import PartitionView
from tests.support.days import READ_AT, days_reader
from tests.support.days import SHOP as CLICKS
from tests.support.served_reports import NOW_MS, counted_shop
from tests.support.shop import SHOP


async def seen(view: str, **texts: Unpack[QuestionTexts]) -> ViewDocument:
    """Of the day on which 240 people came, half clicked, a quarter asked, an eighth paid 19.99, 10 were lost."""
    asked: QuestionTexts = {"since": "2025-01-01", "until": "2025-01-02", **texts}
    question = ReportQuestion.parse(SHOP, asked, now_ms=NOW_MS)
    return await report_view(await counted_shop(), question, view=parse_view(view), now_ms=NOW_MS)


def row(document: ViewDocument, dim: str) -> dict[str, float | None]:
    table = document["table"]
    numbers = next(row["numbers"] for row in table["rows"] if row["dim"] == dim)
    return {column["name"]: number for column, number in zip(table["columns"], numbers, strict=True)}


async def test_an_owner_sees_money_first() -> None:
    document = await seen("owner")
    whole = row(document, "")
    assert (whole["orders"], whole["revenue"], whole["aov"], whole["margin"]) == (30, 59_970, 1999, None)
    assert (whole["overall"], document["table"]["rows"][0]["dim"]) == (0.125, "")
    assert document["comparison"] is not None
    assert document["comparison"]["before"] == {"first": "2024-12-31", "last": "2024-12-31"}
    assert [said["text"] for said in document["annotations"]] == ["prices +10 %"]


async def test_marketing_sees_where_people_came_from() -> None:
    document = await seen("marketing")
    google = row(document, "channel=google")
    assert (google["entries"], google["leads"], google["orders"]) == (80, 20, 10)
    assert document["forecast"] is None


def test_marketing_sees_what_a_channel_costs() -> None:
    cell: NamedCell = {"": {"spend": {"EUR": 12_000}}, "lead": {"entries": 20}, "payment": {"entries": 10}}
    (shown,) = view_table(SHOP, "marketing", cells={"channel=google": cell})["rows"]
    assert shown["numbers"] == [0, 20, 0, None, 0, 12_000, 600, 1200, 0]


def test_a_value_of_which_there_is_nothing_to_see_has_no_row() -> None:
    early: NamedCell = {"impression": {"entries": 9}, "click": {"entries": 3}}
    table = view_table(SHOP, "sales", cells={"": early, "manager=ann": early, "manager=bob": {"lead": {"entries": 1}}})
    assert [row["dim"] for row in table["rows"]] == ["", "manager=bob"]


async def test_sales_sees_who_works_on_what() -> None:
    document = await seen("sales")
    ann = row(document, "manager=ann")
    assert (ann["entries"], ann["lost"], ann["half_within"]) == (60, 10, 60)
    assert ann["win"] == pytest.approx(30 / 40)
    assert document["lost"] == {"price": 10}
    assert document["comparison"] is None
    console = Console(file=io.StringIO(), record=True, width=160)
    console.print(render_view(document))
    assert "lost: price 10" in console.export_text()


async def test_without_a_span_it_is_of_the_last_thirty_whole_days() -> None:
    question = ReportQuestion.parse(CLICKS, {}, now_ms=READ_AT)
    document = await report_view(
        await days_reader(dict.fromkeys(range(60), (10, 1, 0))), question, view="owner", now_ms=READ_AT
    )
    assert document["span"] == {"first": "2025-02-05", "last": "2025-03-06"}
    assert row(document, "")["orders"] == 30


async def test_no_day_is_read_twice() -> None:
    """All parts of a view are of one moment, and cost a read for each dimension."""
    read: list[tuple[int, ...]] = []

    class Counting(MemoryCounterReader):
        async def view(self, partition: int, funnel_id: str, **asked: Any) -> PartitionView | None:
            read.append(tuple(asked["dimsets"]))
            return await super().view(partition, funnel_id, **asked)

    kept = await days_reader(dict.fromkeys(range(60), (10, 1, 0)))
    reader = Counting(kept._space)
    document = await report_view(reader, ReportQuestion.parse(CLICKS, {}, now_ms=READ_AT), view="owner", now_ms=READ_AT)
    assert read == [(0,), (1,)]
    assert row(document, "channel=google")["orders"] == 30
    comparison = document["comparison"]
    assert comparison is not None
    assert comparison["entries"]["click"] == {"before": 300, "after": 300, "change": 0}
    days = {"since": "2025-02-05", "until": "2025-03-07"}
    asked = ReportQuestion.parse(CLICKS, days, now_ms=READ_AT)  # type: ignore[arg-type]
    assert comparison == await report_compared(kept, asked, text="previous", now_ms=READ_AT)


async def test_what_is_no_view_is_refused() -> None:
    with pytest.raises(QuestionError, match="write owner, marketing, sales"):
        parse_view("boss")
    with pytest.raises(QuestionError, match="leave them away"):
        await seen("owner", dim="channel")
