"""The dashboards: generated equals committed, the usual lint of dashboards, and queries over metrics that exist."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

import promql_parser

from tests.support.deployed import ROOT, exported_names, metric_names, recorded_names
from tests.support.rows import rows

FOLDER = ROOT / "deploy/grafana/dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
PANELS = {
    f"{name}: {panel['title']}": panel
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
}
each_board = rows("board", DASHBOARDS.values(), ids=list(DASHBOARDS))
each_panel = rows("panel", PANELS.values(), ids=list(PANELS))


def targets() -> Iterator[tuple[str, str]]:
    for title, panel in PANELS.items():
        for target in panel["targets"]:
            yield title, target["expr"]


def plain(expr: str) -> str:
    """A query without Grafana's variables."""
    return re.sub(r"\$\{?\w+\}?", "x", re.sub(r"\$__(rate_interval|range|interval)", "5m", expr))


def test_the_committed_files_are_what_the_code_makes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK recommends a format that no file provider reads
        from funnelcast.dashboards.boards import DASHBOARDS as MADE
        from funnelcast.dashboards.panels import to_json

        built = {board.name: to_json(board) for board in MADE}
    committed = {path.stem: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == built, "run: python -m funnelcast.dashboards"


def test_every_dashboard_has_a_picture_in_the_docs() -> None:
    drawn = {path.stem for path in (ROOT / "docs/dashboards").glob("*.svg")}
    page = (ROOT / "docs/dashboards.md").read_text()
    assert drawn == DASHBOARDS.keys() == set(re.findall(r"\(dashboards/(\w+)\.svg\)", page))


@each_board
def test_it_cannot_be_edited_and_has_a_fixed_address(board: dict[str, Any]) -> None:
    assert board["editable"] is False
    assert board["uid"].startswith("funnelcast-")
    assert len(board["uid"]) <= 40
    assert board["schemaVersion"] <= 42  # the classic format, read by every Grafana since 11
    assert board["description"].strip().endswith(".")


@each_board
def test_the_data_source_is_a_variable_and_alerts_are_marked(board: dict[str, Any]) -> None:
    sources = [one for one in board["templating"]["list"] if one["type"] == "datasource"]
    assert [(one["name"], one["label"], one["query"]) for one in sources] == [
        ("datasource", "Data source", "prometheus")
    ]
    assert "ALERTS" in board["annotations"]["list"][0]["expr"]


@each_board
def test_one_funnel_and_version_at_a_time(board: dict[str, Any]) -> None:
    """Two versions are never one line, and funnels may have stages of one name."""
    chosen = {one["name"]: one for one in board["templating"]["list"]}
    assert not chosen["funnel"].get("multi")
    assert not chosen["version"].get("multi")


@each_panel
def test_panel_uses_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@each_panel
def test_panel_has_a_title_a_description_a_unit_and_queries(panel: dict[str, Any]) -> None:
    assert panel["title"].strip()
    assert panel["description"].strip().endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    letters = [target["refId"] for target in panel["targets"]]
    assert letters
    assert len(set(letters)) == len(letters)
    assert all(target["legendFormat"] for target in panel["targets"])


@each_board
def test_titles_and_ids_are_unique(board: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(titles)) == len(titles)
    ids = [panel["id"] for panel in board["panels"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))


@each_board
def test_panels_do_not_overlap_and_stay_on_the_grid(board: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


@each_board
def test_variables_reload_with_the_time_range_and_have_labels(board: dict[str, Any]) -> None:
    for variable in board["templating"]["list"]:
        assert variable["label"]
        if variable["type"] == "query":
            assert variable["refresh"] == 2
            assert variable["datasource"]["uid"] == "${datasource}"
            promql_parser.parse(plain(re.sub(r"label_values\((.*), \w+\)", r"\1", variable["query"])))


@rows(("title", "expr"), list(targets()))
def test_series_of_the_exporter_are_not_added_over_exporters(title: str, expr: str) -> None:
    """A second one shows the same numbers: whatever sums them has taken the highest of each before."""
    for inner in re.findall(r"sum(?: by \([^)]*\))? \((\w+)", expr):
        assert inner in (
            "max",
            "up",
            "rate",
            "funnel_worker_lag_records",
            "funnelcast_collector_spool_records",
            "label_join",
            "label_replace",
            "sum",
        )


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
        "funnel: Stages": "funnel_window_entries",
        "funnel: Abandonment": "funnel_window_cohort_abandoned",
        "funnel: Lost by reason": "funnel_window_lost",
        "money: Revenue": "funnel_window_revenue",
        "pipeline: Freshness": "funnel_freshness_seconds",
        "pipeline: Records behind": "funnel_worker_lag_records",
    }
    by_title = dict(targets())
    for title, metric in wanted.items():
        assert metric in by_title[title]
