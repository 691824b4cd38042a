"""What people see of a report: rows by value and by bucket, sorted and cut short, as a table and as CSV."""

from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from streams.report.document.question import QuestionError
from streams.report.questions.lines import Arrangement, lines_of
from streams.report.questions.wide_form import rows_csv
from streams.report.services.shown import Shown, read_shown
from streams.report.tables.report import render_report
from tests.support.days import READ_AT, SHOP, Day, days_reader, question
from tests.support.rows import rows

SHARES: dict[str, Day] = {"google": (10, 4, 1), "mail": (30, 3, 0), "tv": (20, 1, 0)}
DAYS = dict.fromkeys(range(40), SHARES)


async def shown(*, sort: str | None = None, top: int | None = None, is_cut: bool = True, **asked: str) -> Shown:
    reader = await days_reader(DAYS)
    return await read_shown(reader, question(**asked), sort=sort, top=top, now_ms=READ_AT, is_cut=is_cut)


def text_of(answer: Shown, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render_report(SHOP, answer.document, arrangement=answer.arrangement, trends=answer.trends))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row_of(text: str, first: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(first))


async def test_values_are_rows_of_one_table_and_the_others_are_summed() -> None:
    text = text_of(await shown(dim="channel", sort="revenue", top=1))
    assert row_of(text, "google")[1:5] == ["400", "160", "40.0", "%"]
    assert row_of(text, "2 others")[2:6] == ["2,000", "160", "8.0", "%"]  # 40 * 50 clicks, 40 * 4 payments
    assert row_of(text, "all")[1:5] == ["2,400", "320", "13.3", "%"]
    assert text.count("conversion from the stage before") == 1


@rows(
    ("sort", "order"),
    [
        (None, ["mail", "tv", "google"]),
        ("overall", ["google", "mail", "tv"]),
        ("payment", ["google", "mail", "tv"]),
        ("name", ["google", "mail", "tv"]),
        ("click", ["mail", "tv", "google"]),
    ],
)
async def test_values_are_sorted_by_what_is_asked(sort: str | None, order: list[str]) -> None:
    answer = await shown(dim="channel", sort=sort)
    assert [line.dim for line in lines_of(SHOP, answer.document, arrangement=answer.arrangement)] == [
        f"channel={n}" for n in order
    ]


async def test_a_row_for_each_day_and_the_last_thirty_where_no_time_is_asked() -> None:
    text = text_of(await shown(grain="day"))
    assert row_of(text, "2025-02-14")[1:5] == ["60", "8", "13.3", "%"]
    assert "the last 30 of 40" in text
    assert "2025-01-15" not in text
    assert row_of(text, "all")[1] == "1,800"
    assert "2025-01-06" in text_of(await shown(grain="day", since="2025-01-01"))


async def test_rows_of_months_and_values_at_once() -> None:
    text = text_of(await shown(grain="month", dim="channel", top=1, sort="name"))
    months = [line.split()[:4] for line in text.splitlines() if line.startswith("2025-0")]
    assert months == [
        ["2025-01", "google", "260", "104"],
        ["2025-01", "2", "others", "1,300"],
        ["2025-02", "google", "140", "56"],
        ["2025-02", "2", "others", "700"],
    ]


async def test_what_has_no_room_is_named_and_nothing_is_cut() -> None:
    for asked in ({"dim": "channel"}, {"grain": "day"}, {}):
        for width in (60, 40, 24):
            text = text_of(await shown(**asked), width)  # type: ignore[arg-type]
            assert max(map(len, text.splitlines())) <= width, (asked, width)
            assert "…" not in text
            assert "no room for" in text or "entries" in text


async def test_entries_day_by_day_are_drawn_up_to_the_watermark() -> None:
    text = text_of(await shown(since="2025-01-20", until="2025-01-31"))
    assert "█" * 11 in text
    assert "█" * 12 not in text


async def test_csv_has_a_line_for_each_row_and_every_number_of_it() -> None:
    answer = await shown(dim="channel", sort="click", top=2, grain="month", is_cut=False)
    read = list(csv.DictReader(io.StringIO(rows_csv([(SHOP, answer.document, answer.arrangement)]).decode())))
    assert [(row["bucket"], row["channel"], row["click entries"]) for row in read[:3]] == [
        ("2025-01", "mail", "780"),
        ("2025-01", "tv", "520"),
        ("2025-01", "(1 others)", "260"),
    ]
    assert (read[2]["revenue EUR"], read[2]["payment conversion"], read[2]["click maturity"]) == (
        "1040.00",
        "0.4",
        "0.9",
    )
    assert read[2]["overall low"].startswith("0.34")


@rows(
    ("asked", "said"),
    [
        ({"grain": "minute", "dim": "channel"}, "minutes are counted of the whole alone"),
        (
            {"dim": "channel", "sort": "size"},
            "'size' is no number of a row; write one of name, click, payment, entries",
        ),
        ({"dim": "channel", "top": 0}, "at least 1 value"),
    ],
)
async def test_what_cannot_be_shown_is_refused(asked: dict[str, str], said: str) -> None:
    with pytest.raises(QuestionError, match=said):
        await shown(**asked)  # type: ignore[arg-type]


async def test_a_span_of_hours_is_summed_from_hours() -> None:
    reader = await days_reader(DAYS)
    asked = question(since="3h")
    answer = await read_shown(reader, asked, sort=None, top=None, now_ms=READ_AT, is_cut=True)
    assert list(answer.document["counters"]) == []  # the shop has days alone, and no whole day is passed off as 3 h
    assert answer.arrangement == Arrangement()
