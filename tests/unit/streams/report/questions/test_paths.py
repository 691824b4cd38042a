"""How journeys go: bounds of percentiles against sorted durations, and what a stage changes against the journeys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any, Unpack

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from schemas.counters import DURATION_EDGES_SECONDS
from schemas.funnel.load import parse_funnel
from streams.report.document.percentiles import durations_of
from streams.report.document.question import QuestionTexts, ReportQuestion
from streams.report.questions.paths import PathCell, path_cell
from streams.report.services.report import report_paths
from streams.report.tables.paths import render_paths
from tests.support.processing import counted_reader
from tests.support.shop import shop_event

FUNNEL = parse_funnel(
    """
name: f
conversion_window: 30d
stages:
  - {name: a, on: [a], abandon_after: 5d}
  - {name: b, on: [b], abandon_after: 5d}
  - {name: c, on: [c], abandon_after: 5d}
  - {name: order, on: [order], order: true}
dimensions: [{name: channel, attribution: first}, {name: manager, attribution: stage}]
"""
)
HOUR = 3_600_000
START = 1_735_689_600_000


def edge(seconds: int) -> str:
    return next((str(upper) for upper in DURATION_EDGES_SECONDS if seconds <= upper), "inf")


@given(st.lists(st.one_of(st.integers(0, 4 * 10**7), st.sampled_from(DURATION_EDGES_SECONDS)), min_size=1))
def test_a_percentile_lies_between_its_bounds(took: list[int]) -> None:
    by_edge: dict[str, int] = {}
    for seconds in took:
        by_edge[edge(seconds)] = by_edge.get(edge(seconds), 0) + 1
    answer = durations_of(by_edge, sum(took))
    assert answer is not None
    assert (answer["count"], answer["mean_seconds"]) == (len(took), sum(took) / len(took))
    for bounds, share in ((answer["p50"], (1, 2)), (answer["p90"], (9, 10))):
        exact = sorted(took)[-(-share[0] * len(took) // share[1]) - 1]
        assert (-1 if bounds["above"] is None else bounds["above"]) < exact
        assert exact <= (math.inf if bounds["at_most"] is None else bounds["at_most"])


def journeys(random: Random, *, midway: bool) -> list[tuple[str, ...]]:
    """Stages that each of some people enter, one a day."""
    paths: list[tuple[str, ...]] = []
    for _ in range(150):
        path = [name for name in "bc" if random.random() < 0.5]
        path = path[: random.randint(0, 2)]
        paths.append((*(() if midway and path and random.random() < 0.3 else ("a",)), *path))
        if random.random() < 0.5:
            paths[-1] += ("order",)
    return paths


async def asked(paths: list[tuple[str, ...]], **texts: Unpack[QuestionTexts]) -> PathCell:
    events = [
        shop_event(name, number, START + number * HOUR + day * 24 * HOUR, {"channel": "x"})
        for number, path in enumerate(paths)
        for day, name in enumerate(path)
    ]
    events.sort(key=lambda event: int(event["received_at_ms"]))
    now_ms = START + 60 * 24 * HOUR
    reader = await counted_reader(FUNNEL, events, now_ms=now_ms)
    document = await report_paths(reader, ReportQuestion.parse(FUNNEL, texts, now_ms=now_ms))
    Console(quiet=True).print(render_paths(document))
    return document["cells"][0]


def beyond(paths: list[tuple[str, ...]], stage: str, *, entered: bool) -> tuple[int, int]:
    """(won, all) of the journeys that began before a stage, or at it, and got beyond it, by whether they entered it."""
    order = ("a", "b", "c", "order")
    later = order[order.index(stage) + 1 :]
    those = [
        path
        for path in paths
        if (stage in path) == entered and set(path) & set(later) and order.index(path[0]) <= order.index(stage)
    ]
    return sum(path[-1] == "order" for path in those), len(those)


async def test_what_a_stage_changes_is_what_the_journeys_say() -> None:
    paths = journeys(Random(7), midway=False)
    cell = await asked(paths)
    assert [effect["stage"] for effect in cell["effects"]] == ["b", "c"]
    for effect in cell["effects"]:
        for side, entered in (("before", False), ("after", True)):
            rate: Mapping[str, Any] | None = effect["won"][side]  # type: ignore[literal-required]
            assert rate is not None
            assert (rate["numerator"], rate["denominator"]) == beyond(paths, effect["stage"], entered=entered)


async def test_where_journeys_begin_behind_a_stage_it_is_bounded() -> None:
    paths = journeys(Random(7), midway=True)
    effect = (await asked(paths))["effects"][0]
    won, _ = beyond(paths, "b", entered=False)
    fewest, most = effect["won_without"]
    assert fewest <= won <= most
    assert fewest < most
    assert effect["won"]["before"] is None


async def test_a_stage_without_which_as_many_win_is_named() -> None:
    paths = [("a", "b", "c"), ("a", "b", "c", "order"), ("a", "c", "order"), ("a", "c", "order"), ("a", "c")] * 10
    cell = await asked(paths)
    assert cell["effects"][0]["won_without"] == [20, 20]
    assert cell["nobody_needs"] == ["b"]


async def test_how_long_it_takes() -> None:
    cell = await asked([("a", "b", "order")] * 9 + [("a",)])
    (first, second) = cell["transitions"]
    assert (first["before"], first["after"], first["share"]) == ("a", "b", 0.9)
    assert first["took"] == {
        "count": 9,
        "mean_seconds": 86_400,
        "p50": {"above": 43_200, "at_most": 86_400},
        "p90": {"above": 43_200, "at_most": 86_400},
    }
    assert (second["before"], second["after"], second["share"]) == ("b", "order", 1)
    lead_time = cell["stages"][3]["lead_time"]
    assert lead_time is not None
    assert (lead_time["mean_seconds"], lead_time["p50"]["at_most"]) == (2 * 86_400, 3 * 86_400)


async def test_a_span_or_a_dimension_of_the_stage_tells_of_no_effect() -> None:
    paths = journeys(Random(7), midway=False)
    assert (await asked(paths, since="2025-01-01"))["effects"] == []
    assert (await asked(paths, dim="manager"))["effects"] == []
    assert (await asked(paths, dim="channel"))["effects"] != []


def test_of_nothing_nothing_is_told() -> None:
    cell = path_cell(FUNNEL, {}, is_total=True)
    assert (cell["transitions"], cell["effects"], cell["nobody_needs"]) == ([], [], [])
    assert [stage["maturity"] for stage in cell["stages"]] == [None] * 4
