"""Panels, rows and dashboards as values, and how Grafana's JSON is made of them. Knows no metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The data source that is chosen above the panels."""
Builder = Any
"""A builder of the SDK: its panel types have no common base that knows title and grid."""
Steps = Sequence[tuple[str, float | None]]
"""(colour, from which value on)."""
_ALERTS = 'ALERTS{alertname=~"Funnel.+", alertname!="FunnelWatchdog", alertstate="firing"}'
"""Marked on every panel."""


class Place(NamedTuple):
    """Where a panel lies on the 24 columns, `y` counted from its row."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Query:
    """One PromQL query of a panel, and what its result is called (else: as the panel)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel(ABC):
    """What every panel has."""

    title: str
    description: str
    place: Place
    queries: Sequence[Query]
    unit: str = "short"
    is_table: ClassVar[bool] = False
    """Whether it shows the newest value of each label set instead of values over time."""

    @abstractmethod
    def _builder(self) -> Builder:
        """A panel of its type, with what is its own."""

    def build(self, row_y: int) -> Builder:
        """The whole panel."""
        place = self.place
        grid = model.GridPos(x=place.x, y=row_y + 1 + place.y, w=place.w, h=place.h)
        builder = self._builder().title(self.title).description(self.description).datasource(SOURCE).grid_pos(grid)
        for number, query in enumerate(self.queries):
            builder = builder.with_target(self._target(query, chr(ord("A") + number)))
        return builder

    def _target(self, query: Query, ref: str) -> Any:
        target = prometheus.Dataquery().ref_id(ref).expr(query.expr).datasource(SOURCE)
        target = target.legend_format(query.legend or self.title)
        if self.is_table:
            return target.instant().format(prometheus_model.PromQueryFormat.TABLE)
        return target.range().format(prometheus_model.PromQueryFormat.TIME_SERIES)


@dataclass(frozen=True)
class Stat(Panel):
    """One number."""

    steps: Steps = (("blue", None),)
    is_named: bool = False
    """Whether the name of the series is the answer, and its value stands beside it."""

    def _builder(self) -> Builder:
        mode = common_model.BigValueTextMode.VALUE_AND_NAME if self.is_named else common_model.BigValueTextMode.AUTO
        return (
            stat.Panel()
            .text_mode(mode)
            .unit(self.unit)
            .graph_mode(common_model.BigValueGraphMode.AREA)
            .no_value("–")
            .thresholds(_thresholds(self.steps))
            .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        )


@dataclass(frozen=True)
class Lines(Panel):
    """Values over time. `dashed`: the end of the legends whose lines are dashed."""

    dashed: str = ""
    is_stacked: bool = False
    is_logarithmic: bool = False

    def _builder(self) -> Builder:
        panel = timeseries.Panel().unit(self.unit).min(0).line_width(2).fill_opacity(30 if self.is_stacked else 0)
        panel = panel.show_points(common_model.VisibilityMode.NEVER).legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
        )
        if self.is_stacked:
            panel = panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
        if self.is_logarithmic:
            scale = common.ScaleDistributionConfig().type(common_model.ScaleDistribution.LOG).log(10)
            panel = panel.scale_distribution(scale)
        if self.dashed:
            style = {"fill": "dash", "dash": [6, 6]}
            value = model.DynamicConfigValue(id_val="custom.lineStyle", value=style)
            panel = panel.override_by_regexp(f".*{self.dashed}", [value])
        return panel


@dataclass(frozen=True)
class Bars(Panel):
    """One bar for each label set: by `step`, in the order of that label, else the longest first."""

    is_table: ClassVar[bool] = True

    @property
    def _is_by_step(self) -> bool:
        return any("{{step}}" in query.legend for query in self.queries)

    def _builder(self) -> Builder:
        order = {"sort": [{"field": "step" if self._is_by_step else "Value", "desc": not self._is_by_step}]}
        return (
            bargauge.Panel()
            .unit(self.unit)
            .min(0)
            .orientation(common_model.VizOrientation.HORIZONTAL)
            .display_mode(common_model.BarGaugeDisplayMode.GRADIENT)
            .reduce_options(common.ReduceDataOptions().values(True).calcs([]).fields("/^Value$/"))
            .thresholds(_thresholds((("blue", None),)))
            .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
            .with_transformation(model.DataTransformerConfig(id_val="sortBy", options=order))
        )


@dataclass(frozen=True)
class Table(Panel):
    """One row for each label set; the queries are its columns, named by their legends."""

    is_table: ClassVar[bool] = True

    def _builder(self) -> Builder:
        names = {f"Value #{chr(ord('A') + number)}": query.legend for number, query in enumerate(self.queries)}
        names["Value"] = self.queries[0].legend
        panel = table.Panel().unit(self.unit).no_value("–")
        if len(self.queries) > 1:
            panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        if any("{{step}}" in query.legend or "(step" in query.expr for query in self.queries):
            order = {"sort": [{"field": "step", "desc": False}]}
            panel = panel.with_transformation(model.DataTransformerConfig(id_val="sortBy", options=order))
            names["step"] = "stage"
        columns = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=columns))
        return panel.override_by_name("share", [model.DynamicConfigValue(id_val="unit", value="percentunit")])


@dataclass(frozen=True)
class Timeline(Panel):
    """When something was so: one line for each series, filled where it has a value."""

    def _builder(self) -> Builder:
        return (
            statetimeline.Panel()
            .unit(self.unit)
            .show_value(common_model.VisibilityMode.NEVER)
            .row_height(0.8)
            .thresholds(_thresholds((("red", None),)))
            .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        )


@dataclass(frozen=True)
class Variable:
    """A choice above the panels: one value of a label of a series, or of the ones listed."""

    name: str
    label: str
    series: str = ""
    listed: str = ""
    default: str = ""
    is_newest_first: bool = False

    def build(self) -> Builder:
        """A variable of the dashboard."""
        chosen = model.VariableOption(selected=True, text=self.default, value=self.default)
        if self.listed:
            return dashboard.CustomVariable(self.name).label(self.label).values(self.listed).current(chosen)
        order = model.VariableSort.NUMERICAL_DESC if self.is_newest_first else model.VariableSort.ALPHABETICAL_ASC
        variable = (
            dashboard.QueryVariable(self.name)
            .label(self.label)
            .datasource(SOURCE)
            .query(f"label_values({self.series}, {self.name})")
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(order)
        )
        return variable.current(chosen) if self.default else variable


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]

    @property
    def height(self) -> int:
        """Lines, its heading included."""
        return 1 + max(panel.place.y + panel.place.h for panel in self.panels)


@dataclass(frozen=True)
class Dashboard:
    """One file, `name`.json."""

    title: str
    name: str
    description: str
    variables: Sequence[Variable]
    rows: Sequence[Row]

    @property
    def uid(self) -> str:
        """In its address."""
        return f"funnelcast-{self.name}"

    def build(self) -> model.Dashboard:
        """Grafana's model of it."""
        built = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags(["funnelcast"])
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .time("now-6h", "now")
            .refresh("10s")
            .timezone("browser")
            .annotation(_marks(_ALERTS))
            .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        )
        for variable in self.variables:
            built = built.with_variable(variable.build())
        y = 0
        for row in self.rows:
            built = built.with_row(dashboard.Row(row.title).grid_pos(model.GridPos(x=0, y=y, w=24, h=1)))
            for panel in row.panels:
                built = built.with_panel(panel.build(y))
            y += row.height
        finished = built.build()
        for number, panel_model in enumerate(finished.panels or [], 1):
            panel_model.id_val = number
        return finished


def to_json(board: Dashboard) -> str:
    """Deterministic text of a dashboard."""
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _marks(series: str) -> Builder:
    return dashboard.AnnotationQuery().name("Alerts").datasource(SOURCE).enable(True).icon_color("red").expr(series)


def _thresholds(steps: Steps) -> Builder:
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(color=color, value=value) for color, value in steps])
    )
