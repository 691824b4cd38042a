"""The Grafana dashboard as code. `python -m funnelcast.dashboards` writes deploy/grafana/dashboards/funnel.json.

Needs the development dependencies (grafana-foundation-sdk); the product itself never imports this module. A test keeps
the committed file equal to what is generated.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

PATH = Path("deploy/grafana/dashboards/funnel.json")
UID = "funnelcast-funnel"
_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_FUNNEL = 'funnel=~"$funnel", version=~"$version"'
_WINDOW = f'{_FUNNEL}, window="$window"'
_VALUE = f'{_FUNNEL}, dimension="$dimension"'
_STEPS = (("green", None), ("yellow", 15.0), ("red", 60.0))

Panel = Any
"""A builder of the SDK: its panel types have no common base that knows title and grid."""
Steps = Sequence[tuple[str, float | None]]


@dataclass(frozen=True)
class Place:
    """Where a panel lies on the 24 columns."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Query:
    """One PromQL query of a panel."""

    expr: str
    legend: str = ""
    is_table: bool = False


def build() -> model.Dashboard:
    """The dashboard."""
    built = (
        dashboard.Dashboard("Funnel")
        .uid(UID)
        .description("Stages, conversion, abandonment, revenue, and the health of what counts them.")
        .tags(["funnelcast"])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("10s")
        .timezone("browser")
        .annotation(_alerts())
    )
    for variable in _variables():
        built = built.with_variable(variable)
    for panel in _panels():
        built = built.with_row(panel) if isinstance(panel, dashboard.Row) else built.with_panel(panel)
    found = built.build()
    for number, one in enumerate(found.panels or [], 1):
        one.id_val = number
    return found


def to_json(found: model.Dashboard) -> str:
    """Deterministic text of a dashboard."""
    return JSONEncoder(sort_keys=True, indent=2).encode(found) + "\n"


def _variables() -> Iterable[Any]:
    yield dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    yield _label_values("funnel", "Funnel", "funnel_stage_info")
    yield _label_values("version", "Version", 'funnel_stage_info{funnel=~"$funnel"}')
    yield (
        dashboard.CustomVariable("window")
        .label("Window")
        .values("5m,1h,24h")
        .current(model.VariableOption(selected=True, text="1h", value="1h"))
    )
    yield _label_values("dimension", "Dimension", 'funnel_dimension_entries{funnel=~"$funnel"}', is_single=True)


def _label_values(name: str, label: str, series: str, *, is_single: bool = False) -> Any:
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    return variable if is_single else variable.multi(True).include_all(True).all_value(".+")


def _alerts() -> Any:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("red")
        .expr('ALERTS{alertname=~"Funnel.+", alertname!="FunnelWatchdog", alertstate="firing"}')
    )


def _panels() -> Iterable[Panel]:
    for number, (title, panels) in enumerate(
        (
            ("Now", _now),
            ("Conversion", _conversion),
            ("Outcomes", _outcomes),
            ("Money", _money),
            ("Counting", _counting),
        )
    ):
        y = number * 20
        yield dashboard.Row(title).grid_pos(_grid(Place(0, y, 24, 1)))
        yield from panels(y + 1)


def _now(y: int) -> Iterable[Panel]:
    entries = _in_order(f"funnel_window_entries{{{_WINDOW}}}")
    yield _bars(
        "Stages", "Entries of each stage in the window, by the time of the event.", entries, Place(0, y, 10, 10)
    )
    yield _stat(
        "Conversion, first to last",
        "Entries of the last stage over entries of the first. A ratio of flows: slow funnels need a long window.",
        "percentunit",
        f'sum(funnel_window_conversion_numerator{{{_WINDOW}, kind="overall"}})'
        f' / (sum(funnel_window_conversion_denominator{{{_WINDOW}, kind="overall"}}) > 0)',
        Place(10, y, 7, 5),
    )
    yield _stat(
        "Events",
        "Distinct events that occurred in the window.",
        "short",
        f"sum(funnel_window_events{{{_WINDOW}}})",
        Place(17, y, 7, 5),
    )
    yield _stat(
        "Freshness",
        "Age of the newest reception that is counted, in the partition that is furthest behind.",
        "s",
        "max(funnel_freshness_seconds)",
        Place(10, y + 5, 7, 5),
        steps=_STEPS,
    )
    yield _stat(
        "Records behind",
        "Records of the log that the workers have not applied yet.",
        "short",
        "sum(funnel_worker_lag_records)",
        Place(17, y + 5, 7, 5),
        steps=(("green", None), ("yellow", 10_000), ("red", 50_000)),
    )
    yield _lines(
        "Events by stage",
        "Distinct events of the last five minutes by the time of the event; dashed: a week ago.",
        "short",
        [
            Query(f'sum by (stage) (funnel_window_events{{{_FUNNEL}, window="5m"}})', "{{stage}}"),
            Query(f'sum by (stage) (funnel_window_events{{{_FUNNEL}, window="5m"}} offset 1w)', "{{stage}} a week ago"),
        ],
        Place(0, y + 10, 24, 9),
        dashed="a week ago",
    )


def _conversion(y: int) -> Iterable[Panel]:
    step = f'{_FUNNEL}, window="$window", kind="step"'
    yield _lines(
        "Step conversion",
        "Share of the journeys that got to a stage, or jumped over it, and went on to the next one.",
        "percentunit",
        [
            Query(
                f"sum by (from, to) (funnel_window_conversion_numerator{{{step}}})"
                f" / (sum by (from, to) (funnel_window_conversion_denominator{{{step}}}) > 0)",
                "{{from}} to {{to}}",
            )
        ],
        Place(0, y, 12, 9),
    )
    yield _lines(
        "Cohort conversion at one hour",
        "Of those who entered a stage, the share that went on within an hour; dashed: a week ago. Alerts watch this.",
        "percentunit",
        [
            Query(_cohort(""), "{{stage}}"),
            Query(_cohort(" offset 1w"), "{{stage}} a week ago"),
        ],
        Place(12, y, 12, 9),
        dashed="a week ago",
    )
    yield _table(
        "Conversion of the window",
        "Numerator and denominator of every step: a share without them says little.",
        [
            Query(f"sum by (from, to) (funnel_window_conversion_numerator{{{step}}})", "went on", is_table=True),
            Query(f"sum by (from, to) (funnel_window_conversion_denominator{{{step}}})", "came by", is_table=True),
            Query(
                f"sum by (from, to) (funnel_window_conversion_numerator{{{step}}})"
                f" / (sum by (from, to) (funnel_window_conversion_denominator{{{step}}}) > 0)",
                "share",
                is_table=True,
            ),
        ],
        Place(0, y + 9, 12, 10),
    )
    yield _lines(
        "Time to the next stage, median",
        "Of all transitions counted; estimated within the edges of the histogram.",
        "s",
        [
            Query(
                "histogram_quantile(0.5, sum by (stage, to, le)"
                f' (label_replace(funnel_stage_durations{{{_FUNNEL}}}, "le", "$1", "edge", "(.*)")))',
                "{{stage}} to {{to}}",
            )
        ],
        Place(12, y + 9, 12, 10),
    )


def _cohort(offset: str) -> str:
    labels = f'{_FUNNEL}, age="1h"'
    return (
        f"sum by (stage) (funnel_cohort_went_on{{{labels}}}{offset})"
        f" / (sum by (stage) (funnel_cohort_entries{{{labels}}}{offset}) > 0)"
    )


def _outcomes(y: int) -> Iterable[Panel]:
    yield _lines(
        "Abandonment",
        "Of the entries of the last 24 hours that have an outcome, the share whose deadline passed.",
        "percentunit",
        [
            Query(
                f'sum by (stage) (funnel_window_cohort_abandoned{{{_FUNNEL}, window="24h"}})'
                f' / (sum by (stage) (funnel_window_cohort_resolved{{{_FUNNEL}, window="24h"}}) > 0)',
                "{{stage}}",
            )
        ],
        Place(0, y, 12, 9),
    )
    yield _bars(
        "Open",
        "Entries without an outcome yet.",
        _in_order(f"funnel_stage_open{{{_FUNNEL}}}"),
        Place(12, y, 6, 9),
    )
    yield _bars(
        "Stalled",
        "Open entries that have not moved for as long as the funnel allows.",
        _in_order(f"funnel_stage_stalled{{{_FUNNEL}}}"),
        Place(18, y, 6, 9),
    )
    yield _lines(
        "Lost by reason",
        "Losses that happened in the window.",
        "short",
        [Query(f"sum by (reason) (funnel_window_lost{{{_WINDOW}}})", "{{reason}}")],
        Place(0, y + 9, 12, 10),
        is_stacked=True,
    )
    yield _table(
        "Reasons of loss, of all time",
        "Lost entries by stage and reason.",
        [Query(f"sort_desc(sum by (stage, reason) (funnel_stage_lost{{{_FUNNEL}}}) > 0)", "lost", is_table=True)],
        Place(12, y + 9, 12, 10),
    )


def _money(y: int) -> Iterable[Panel]:
    yield _lines(
        "Revenue of the window",
        "By currency, in major units; amounts of different currencies are never added.",
        "short",
        [Query(f"sum by (currency) (funnel_window_revenue{{{_WINDOW}}})", "{{currency}}")],
        Place(0, y, 8, 9),
    )
    yield _lines(
        "Orders of the window",
        "By currency.",
        "short",
        [Query(f"sum by (currency) (funnel_window_orders{{{_WINDOW}}})", "{{currency}}")],
        Place(8, y, 8, 9),
    )
    yield _lines(
        "Average order of the window",
        "Revenue over orders, by currency.",
        "short",
        [
            Query(
                f"sum by (currency) (funnel_window_revenue{{{_WINDOW}}})"
                f" / (sum by (currency) (funnel_window_orders{{{_WINDOW}}}) > 0)",
                "{{currency}}",
            )
        ],
        Place(16, y, 8, 9),
    )
    yield _table(
        "Revenue and spend, of all time",
        "Revenue, refunds and advertising spend by funnel and currency, in major units.",
        [
            Query(f"sum by (funnel, currency) (funnel_stage_revenue{{{_FUNNEL}}})", "revenue", is_table=True),
            Query(f"sum by (funnel, currency) (funnel_stage_refunds{{{_FUNNEL}}})", "refunds", is_table=True),
            Query(f"sum by (funnel, currency) (funnel_spend{{{_FUNNEL}}})", "spend", is_table=True),
        ],
        Place(0, y + 9, 10, 10),
    )
    yield _table(
        "By dimension, of all time",
        "Entries of every stage and revenue by the values of the chosen dimension.",
        [
            Query(f"sum by (value, stage) (funnel_dimension_entries{{{_VALUE}}})", "entries", is_table=True),
            Query(f"sum by (value, stage) (funnel_dimension_abandoned{{{_VALUE}}})", "abandoned", is_table=True),
            Query(f"sum by (value, stage) (funnel_dimension_revenue{{{_VALUE}}})", "revenue", is_table=True),
        ],
        Place(10, y + 9, 14, 10),
    )


def _counting(y: int) -> Iterable[Panel]:
    yield _lines(
        "Watermark lag",
        "How far event time is behind the clock, by partition. It includes the watermark delay of the workers.",
        "s",
        [Query("max by (partition) (funnel_watermark_lag_seconds)", "{{partition}}")],
        Place(0, y, 8, 9),
    )
    yield _lines(
        "Records behind, by partition",
        "Records of the log that the worker has not applied yet.",
        "short",
        [Query("max by (partition) (funnel_worker_lag_records)", "{{partition}}")],
        Place(8, y, 8, 9),
    )
    yield _lines(
        "Records applied",
        "Per second, ticks included.",
        "rps",
        [Query("sum(rate(funnel_records_applied_total[$__rate_interval]))", "records")],
        Place(16, y, 8, 9),
    )
    yield _lines(
        "Set aside",
        "Per second: duplicates and late events of the funnel, and events the collector rejected, by reason.",
        "short",
        [
            Query(f"sum(rate(funnel_events_duplicate_total{{{_FUNNEL}}}[$__rate_interval]))", "duplicate"),
            Query(
                f"sum by (age) (rate(funnel_events_late_total{{{_FUNNEL}}}[$__rate_interval])) > 0",
                "late, up to {{age}}",
            ),
            Query(
                'sum by (reason) (rate(funnelcast_collector_events_total{outcome="rejected"}[$__rate_interval])) > 0',
                "rejected: {{reason}}",
            ),
        ],
        Place(0, y + 9, 8, 10),
    )
    yield _lines(
        "Waiting on disk",
        "Records in the spools of the collectors: taken and acknowledged while Kafka was away, not yet there.",
        "short",
        [Query("max by (instance) (funnelcast_collector_spool_records)", "{{instance}}")],
        Place(8, y + 9, 8, 10),
    )
    yield _table(
        "Firing alerts",
        "Runbook: docs/runbook.md has a heading for each.",
        [
            Query(
                "max by (alertname, severity, funnel, stage, partition)"
                ' (ALERTS{alertname=~"Funnel.+", alertstate="firing"})',
                "firing",
                is_table=True,
            )
        ],
        Place(16, y + 9, 8, 10),
    )


def _in_order(series: str) -> Query:
    """A series by stage, each stage named with its position so that it can be sorted."""
    info = f"max by (funnel, version, stage, position) (funnel_stage_info{{{_FUNNEL}}})"
    joined = f"sum by (funnel, version, stage) ({series}) * on (funnel, version, stage) group_left (position) {info}"
    return Query(f'sum by (step) (label_join({joined}, "step", " ", "position", "stage"))', "{{step}}", is_table=True)


def _target(query: Query, ref: str) -> Any:
    target = prometheus.Dataquery().ref_id(ref).expr(query.expr).legend_format(query.legend).datasource(_SOURCE)
    if query.is_table:
        return target.instant().format(prometheus_model.PromQueryFormat.TABLE)
    return target.range().format(prometheus_model.PromQueryFormat.TIME_SERIES)


def _dressed(panel: Panel, title: str, description: str, queries: Sequence[Query], place: Place) -> Panel:
    panel = panel.title(title).description(description).datasource(_SOURCE).grid_pos(_grid(place))
    for number, query in enumerate(queries):
        panel = panel.with_target(_target(query, chr(ord("A") + number)))
    return panel


def _stat(title: str, description: str, unit: str, expr: str, place: Place, *, steps: Steps = ()) -> Panel:
    panel = (
        stat.Panel()
        .unit(unit)
        .graph_mode(common_model.BigValueGraphMode.AREA)
        .no_value("–")
        .thresholds(_thresholds(steps or (("blue", None),)))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    return _dressed(panel, title, description, [Query(expr, title)], place)


def _lines(
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    place: Place,
    *,
    dashed: str = "",
    is_stacked: bool = False,
) -> Panel:
    panel = timeseries.Panel().unit(unit).min(0).line_width(2).fill_opacity(30 if is_stacked else 0)
    panel = panel.show_points(common_model.VisibilityMode.NEVER).legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_model.LegendDisplayMode.LIST)
        .placement(common_model.LegendPlacement.BOTTOM)
    )
    if is_stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
    if dashed:
        style = {"fill": "dash", "dash": [6, 6]}
        panel = panel.override_by_regexp(
            f".*{dashed}", [model.DynamicConfigValue(id_val="custom.lineStyle", value=style)]
        )
    return _dressed(panel, title, description, queries, place)


def _bars(title: str, description: str, query: Query, place: Place) -> Panel:
    panel = (
        bargauge.Panel()
        .unit("short")
        .min(0)
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.GRADIENT)
        .reduce_options(common.ReduceDataOptions().values(True).calcs([]).fields("/^Value$/"))
        .thresholds(_thresholds((("blue", None),)))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .with_transformation(
            model.DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": "step", "desc": False}]})
        )
    )
    return _dressed(panel, title, description, [query], place)


def _table(title: str, description: str, queries: Sequence[Query], place: Place) -> Panel:
    """One row for each label set; the queries are its columns, named by their legends."""
    names = {f"Value #{chr(ord('A') + number)}": query.legend for number, query in enumerate(queries)}
    names["Value"] = queries[0].legend
    panel = table.Panel().unit("short").no_value("–")
    if len(queries) > 1:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize", options={"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
        )
    )
    panel = panel.override_by_name("share", [model.DynamicConfigValue(id_val="unit", value="percentunit")])
    return _dressed(panel, title, description, queries, place)


def _thresholds(steps: Steps) -> Any:
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(color=color, value=value) for color, value in steps])
    )


def _grid(place: Place) -> model.GridPos:
    return model.GridPos(x=place.x, y=place.y, w=place.w, h=place.h)


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(to_json(build()), encoding="utf-8")
    sys.stderr.write(f"wrote {PATH}\n")
