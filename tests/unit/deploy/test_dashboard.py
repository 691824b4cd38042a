"""The dashboard: generated equals committed, the usual lint of dashboards, and queries over metrics that exist."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest

from tests.support.deployed import ROOT, exported_names, metric_names, recorded_names
from tests.support.rows import rows

PATH = ROOT / "deploy/grafana/dashboards/funnel.json"
DASHBOARD: dict[str, Any] = json.loads(PATH.read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TITLES = [panel["title"] for panel in PANELS]
each_panel = pytest.mark.parametrize("panel", PANELS, ids=TITLES)


def targets() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def plain(expr: str) -> str:
    """A query without Grafana's variables."""
    return re.sub(r"\$\{?\w+\}?", "x", re.sub(r"\$__(rate_interval|range|interval)", "5m", expr))


def test_the_committed_file_is_what_the_code_makes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK recommends a format that no file provider reads
        from funnelcast.dashboards import funnel
        from funnelcast.dashboards.panels import to_json

        text = to_json(funnel.DASHBOARD)
    assert PATH.read_text() == text, "run: python -m funnelcast.dashboards"


def test_it_cannot_be_edited_and_has_a_fixed_address() -> None:
    assert DASHBOARD["editable"] is False
    assert DASHBOARD["uid"] == "funnelcast-funnel"
    assert len(DASHBOARD["uid"]) <= 40
    assert DASHBOARD["schemaVersion"] <= 42  # the classic format, read by every Grafana since 11


def test_the_data_source_is_a_variable_and_every_panel_uses_it() -> None:
    sources = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "datasource"]
    assert [(one["name"], one["label"], one["query"]) for one in sources] == [
        ("datasource", "Data source", "prometheus")
    ]


@each_panel
def test_panel_uses_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@each_panel
def test_panel_has_a_title_a_description_a_unit_and_queries(panel: dict[str, Any]) -> None:
    assert panel["title"].strip()
    assert panel["description"].strip().endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@each_panel
def test_letters_of_queries_are_unique_and_legends_are_set(panel: dict[str, Any]) -> None:
    letters = [target["refId"] for target in panel["targets"]]
    assert len(set(letters)) == len(letters)
    assert all(target["legendFormat"] for target in panel["targets"])


def test_titles_and_ids_are_unique() -> None:
    assert len(set(TITLES)) == len(TITLES)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))


def test_panels_do_not_overlap_and_stay_on_the_grid() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_variables_reload_with_the_time_range_and_have_labels() -> None:
    for variable in DASHBOARD["templating"]["list"]:
        assert variable["label"]
        if variable["type"] == "query":
            assert variable["refresh"] == 2
            assert variable["datasource"]["uid"] == "${datasource}"
            promql_parser.parse(plain(re.sub(r"label_values\((.*), \w+\)", r"\1", variable["query"])))


@rows(("title", "expr"), list(targets()))
def test_query_parses(title: str, expr: str) -> None:
    promql_parser.parse(plain(expr))


@rows(("title", "expr"), list(targets()))
def test_query_asks_for_metrics_that_exist(title: str, expr: str) -> None:
    known = exported_names() | recorded_names() | {"ALERTS"}
    assert metric_names(plain(expr)) <= known


@rows(("title", "expr"), list(targets()))
def test_counters_are_only_shown_as_rates_over_the_rate_interval(title: str, expr: str) -> None:
    for name in metric_names(plain(expr)):
        if name.endswith("_total"):
            assert re.search(rf"rate\({name}(\{{[^}}]*\}})?\[\$__rate_interval\]\)", expr)
    assert not re.search(r"\[\d+\w\]", expr)


@rows(("title", "expr"), list(targets()))
def test_ratios_are_guarded_against_nothing(title: str, expr: str) -> None:
    assert all("> 0" in part for part in expr.split(" / ")[1:])


def test_what_must_be_seen_is_there() -> None:
    wanted = {
        "Stages": "funnel_window_entries",
        "Step conversion": "funnel_window_conversion_numerator",
        "Abandonment": "funnel_window_cohort_abandoned",
        "Freshness": "funnel_freshness_seconds",
        "Records behind": "funnel_worker_lag_records",
        "Lost by reason": "funnel_window_lost",
        "Revenue of the window": "funnel_window_revenue",
    }
    by_title = dict(targets())
    for title, metric in wanted.items():
        assert metric in by_title[title]
