"""What a change has done: days by hand, and a test that may be looked at every day and is seldom wrong."""

from __future__ import annotations

import math
from random import Random

import pytest
from rich.console import Console

from schemas.counters import DURATION_EDGES_SECONDS
from streams.report.document.always_valid import always_valid
from streams.report.document.question import QuestionError
from streams.report.document.rates import ratio
from streams.report.document.shapes import NamedCell
from streams.report.questions.changes import ChangesDocument, change_of
from streams.report.services.changes import annotations_of, report_changes
from streams.report.tables.changes import render_changes
from streams.state import Annotation
from streams.store.annotations import MemoryAnnotations
from streams.store.memory import MemoryCounterReader, MemorySpace
from tests.support.days import MONDAY, READ_AT, SHOP, question

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
assert 3600 in DURATION_EDGES_SECONDS


def day(clicks: int, *, quick: int, slow: int = 0) -> NamedCell:
    """Clicks of a day, of which some pay within the hour and some within a day."""
    return {"click": {"entries": clicks, "durations": {"payment 3600": quick, "payment 86400": slow}}}


def changed(days: dict[int, NamedCell], *, at: int, watermark_ms: int) -> ChangesDocument:
    change = change_of(SHOP, Annotation("x", 0, "prices"), days=days, day=at, watermark_ms=watermark_ms)
    return {"funnel": "shop", "version": 1, "watermark_ms": watermark_ms, "dim": "", "changes": [change]}


def test_the_same_time_is_given_to_both_sides() -> None:
    # before: 95 of 100 that pay do so within the hour, so an hour is the time; afterwards 20 of 100 pay within it
    days = {MONDAY + number: day(100, quick=10, slow=0 if number % 2 else 1) for number in range(28)}
    days |= {MONDAY + number: day(100, quick=20, slow=70) for number in range(28, 60)}
    watermark_ms = (MONDAY + 40) * DAY_MS + HOUR_MS
    document = changed(days, at=MONDAY + 28, watermark_ms=watermark_ms)
    (stage,) = document["changes"][0]["stages"]
    assert (stage["stage"], stage["within_seconds"], stage["last"]) == ("click", 3600, "2025-02-14")
    assert stage["before"] == ratio(280, 2800)
    assert stage["after"] == ratio(220, 1100)  # eleven days: the day of the change is on neither side
    assert stage["difference"] == pytest.approx(0.1)
    assert stage["is_significant"]
    just_before = changed(days, at=MONDAY + 28, watermark_ms=watermark_ms - 1)["changes"][0]["stages"][0]
    assert just_before["last"] == "2025-02-13"
    Console(quiet=True).print(render_changes(document))


def test_what_is_too_young_has_no_verdict() -> None:
    days = {MONDAY + number: day(100, quick=10) for number in range(30)}
    (stage,) = changed(days, at=MONDAY + 28, watermark_ms=(MONDAY + 30) * DAY_MS)["changes"][0]["stages"]
    assert (stage["last"], stage["after"], stage["p_value"], stage["is_significant"]) == (None, None, None, None)
    (nobody,) = changed({}, at=MONDAY, watermark_ms=READ_AT)["changes"][0]["stages"]
    assert (nobody["within_seconds"], nobody["before"]) == (None, None)


def test_p_and_interval_say_the_same() -> None:
    for after in range(200, 450, 10):
        before_rate, after_rate = ratio(300, 1000), ratio(after, 1000)
        verdict = always_valid(before_rate, after_rate)
        assert verdict is not None
        p, (low, high) = verdict
        assert (p < 0.05) == (low > 0 or high < 0)
        assert low < after / 1000 - 0.3 < high
    assert always_valid(ratio(300, 1000), ratio(4, 40)) is None


@pytest.mark.parametrize(("after", "least", "most"), [(0.30, 0.0, 0.05), (0.36, 0.8, 1.0)])
def test_whoever_looks_every_day_is_seldom_wrong(after: float, least: float, most: float) -> None:
    """400 changes, each looked at on 60 days and called significant as soon as it is once."""
    random, called, runs = Random(5), 0, 400
    for _ in range(runs):
        before = ratio(_successes(random, 2800, 0.3), 2800)
        successes = trials = 0
        for _day in range(60):
            successes, trials = successes + _successes(random, 100, after), trials + 100
            verdict = always_valid(before, ratio(successes, trials))
            if verdict is not None and verdict[0] <= 0.05:
                called += 1
                break
    assert least <= called / runs <= most


def _successes(random: Random, trials: int, share: float) -> int:
    """Binomial, near enough for so many trials."""
    return round(random.gauss(trials * share, math.sqrt(trials * share * (1 - share))))


async def annotated() -> MemoryCounterReader:
    space = MemorySpace(clock_ms=lambda: READ_AT)
    store = MemoryAnnotations(space)
    for number, funnel in enumerate((None, "shop", "other")):
        await store.annotate(Annotation(f"{number}", READ_AT - number * DAY_MS, "x", funnel))
    return MemoryCounterReader(space)


async def test_annotations_of_a_funnel_and_of_all() -> None:
    reader = await annotated()
    assert [each.id for each in await annotations_of(reader, SHOP)] == ["1", "0"]
    assert [each.id for each in await annotations_of(reader, SHOP, until_ms=READ_AT)] == ["1"]
    document = await report_changes(reader, question(since="12h"), now_ms=READ_AT)
    assert [change["id"] for change in document["changes"]] == ["0"]


async def test_what_cannot_be_compared_is_refused() -> None:
    reader = await annotated()
    with pytest.raises(QuestionError, match="leave the grain away"):
        await report_changes(reader, question(grain="day"), now_ms=READ_AT)
    with pytest.raises(QuestionError, match=r"write e\.g\. channel=google"):
        await report_changes(reader, question(dim="channel"), now_ms=READ_AT)
