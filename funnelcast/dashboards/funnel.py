"""The dashboard of a funnel: what each panel says, where it lies, and its queries. Data only."""

from __future__ import annotations

from funnelcast.dashboards.panels import Bars, Dashboard, Lines, Place, Query, Row, Stat, Table, Variable

_FUNNEL = 'funnel=~"$funnel", version=~"$version"'
_WINDOW = f'{_FUNNEL}, window="$window"'
_DAY = f'{_FUNNEL}, window="24h"'
_STEP = f'{_WINDOW}, kind="step"'
_OVERALL = f'{_WINDOW}, kind="overall"'
_VALUE = f'{_FUNNEL}, dimension="$dimension"'


def _sum(series: str, *labels: str) -> str:
    return f"sum by ({', '.join(labels)}) ({series})" if labels else f"sum({series})"


def _share(part: str, whole: str) -> str:
    """A ratio that is absent, not infinite, where there is nothing to divide by."""
    return f"{part} / ({whole} > 0)"


def _in_order(series: str) -> Query:
    """A series by stage, each stage named with its position so that it can be sorted."""
    info = f"max by (funnel, version, stage, position) (funnel_stage_info{{{_FUNNEL}}})"
    joined = f"{_sum(series, 'funnel', 'version', 'stage')} * on (funnel, version, stage) group_left (position) {info}"
    return Query(f'sum by (step) (label_join({joined}, "step", " ", "position", "stage"))', "{{step}}")


def _cohort(offset: str = "") -> str:
    labels = f'{_FUNNEL}, age="1h"'
    return _share(
        _sum(f"funnel_cohort_went_on{{{labels}}}{offset}", "stage"),
        _sum(f"funnel_cohort_entries{{{labels}}}{offset}", "stage"),
    )


_WENT_ON = _sum(f"funnel_window_conversion_numerator{{{_STEP}}}", "from", "to")
_CAME_BY = _sum(f"funnel_window_conversion_denominator{{{_STEP}}}", "from", "to")
_REVENUE = _sum(f"funnel_window_revenue{{{_WINDOW}}}", "currency")
_ORDERS = _sum(f"funnel_window_orders{{{_WINDOW}}}", "currency")
_EVENTS = f'funnel_window_events{{{_FUNNEL}, window="5m"}}'
_RATE = "[$__rate_interval]"

_NOW = Row(
    "Now",
    (
        Bars(
            "Stages",
            "Entries of each stage in the window, by the time of the event.",
            Place(0, 0, 10, 10),
            (_in_order(f"funnel_window_entries{{{_WINDOW}}}"),),
        ),
        Stat(
            "Conversion, first to last",
            "Entries of the last stage over entries of the first. A ratio of flows: slow funnels need a long window.",
            Place(10, 0, 7, 5),
            (
                Query(
                    _share(
                        _sum(f"funnel_window_conversion_numerator{{{_OVERALL}}}"),
                        _sum(f"funnel_window_conversion_denominator{{{_OVERALL}}}"),
                    )
                ),
            ),
            unit="percentunit",
        ),
        Stat(
            "Events",
            "Distinct events that occurred in the window.",
            Place(17, 0, 7, 5),
            (Query(_sum(f"funnel_window_events{{{_WINDOW}}}")),),
        ),
        Stat(
            "Freshness",
            "Age of the newest reception that is counted, in the partition that is furthest behind.",
            Place(10, 5, 7, 5),
            (Query("max(funnel_freshness_seconds)"),),
            steps=(("green", None), ("yellow", 15.0), ("red", 60.0)),
            unit="s",
        ),
        Stat(
            "Records behind",
            "Records of the log that the workers have not applied yet.",
            Place(17, 5, 7, 5),
            (Query("sum(funnel_worker_lag_records)"),),
            steps=(("green", None), ("yellow", 10_000), ("red", 50_000)),
        ),
        Lines(
            "Events by stage",
            "Distinct events of the last five minutes by the time of the event; dashed: a week ago.",
            Place(0, 10, 24, 9),
            (
                Query(_sum(_EVENTS, "stage"), "{{stage}}"),
                Query(_sum(f"{_EVENTS} offset 1w", "stage"), "{{stage}} a week ago"),
            ),
            dashed="a week ago",
        ),
    ),
)

_CONVERSION = Row(
    "Conversion",
    (
        Lines(
            "Step conversion",
            "Share of the journeys that got to a stage, or jumped over it, and went on to the next one.",
            Place(0, 0, 12, 9),
            (Query(_share(_WENT_ON, _CAME_BY), "{{from}} to {{to}}"),),
            unit="percentunit",
        ),
        Lines(
            "Cohort conversion at one hour",
            "Of those who entered a stage, the share that went on within an hour; dashed: a week ago. "
            "Alerts watch this.",
            Place(12, 0, 12, 9),
            (Query(_cohort(), "{{stage}}"), Query(_cohort(" offset 1w"), "{{stage}} a week ago")),
            dashed="a week ago",
            unit="percentunit",
        ),
        Table(
            "Conversion of the window",
            "Numerator and denominator of every step: a share without them says little.",
            Place(0, 9, 12, 10),
            (Query(_WENT_ON, "went on"), Query(_CAME_BY, "came by"), Query(_share(_WENT_ON, _CAME_BY), "share")),
        ),
        Lines(
            "Time to the next stage, median",
            "Of all transitions counted; estimated within the edges of the histogram.",
            Place(12, 9, 12, 10),
            (
                Query(
                    "histogram_quantile(0.5, sum by (stage, to, le)"
                    f" (funnel_stage_duration_seconds_bucket{{{_FUNNEL}}}))",
                    "{{stage}} to {{to}}",
                ),
            ),
            unit="s",
        ),
    ),
)

_OUTCOMES = Row(
    "Outcomes",
    (
        Lines(
            "Abandonment",
            "Of the entries of the last 24 hours that have an outcome, the share whose deadline passed.",
            Place(0, 0, 12, 9),
            (
                Query(
                    _share(
                        _sum(f"funnel_window_cohort_abandoned{{{_DAY}}}", "stage"),
                        _sum(f"funnel_window_cohort_resolved{{{_DAY}}}", "stage"),
                    ),
                    "{{stage}}",
                ),
            ),
            unit="percentunit",
        ),
        Bars(
            "Open",
            "Entries without an outcome yet.",
            Place(12, 0, 6, 9),
            (_in_order(f"funnel_stage_open{{{_FUNNEL}}}"),),
        ),
        Bars(
            "Stalled",
            "Open entries that have not moved for as long as the funnel allows.",
            Place(18, 0, 6, 9),
            (_in_order(f"funnel_stage_stalled{{{_FUNNEL}}}"),),
        ),
        Lines(
            "Lost by reason",
            "Losses that happened in the window.",
            Place(0, 9, 12, 10),
            (Query(_sum(f"funnel_window_lost{{{_WINDOW}}}", "reason"), "{{reason}}"),),
            is_stacked=True,
        ),
        Table(
            "Reasons of loss, of all time",
            "Lost entries by stage and reason.",
            Place(12, 9, 12, 10),
            (Query(f"sort_desc({_sum(f'funnel_stage_lost{{{_FUNNEL}}}', 'stage', 'reason')} > 0)", "lost"),),
        ),
    ),
)

_MONEY = Row(
    "Money",
    (
        Lines(
            "Revenue of the window",
            "By currency, in major units; amounts of different currencies are never added.",
            Place(0, 0, 8, 9),
            (Query(_REVENUE, "{{currency}}"),),
        ),
        Lines(
            "Orders of the window",
            "By currency.",
            Place(8, 0, 8, 9),
            (Query(_ORDERS, "{{currency}}"),),
        ),
        Lines(
            "Average order of the window",
            "Revenue over orders, by currency.",
            Place(16, 0, 8, 9),
            (Query(_share(_REVENUE, _ORDERS), "{{currency}}"),),
        ),
        Table(
            "Revenue and spend, of all time",
            "Revenue, refunds and advertising spend by funnel and currency, in major units.",
            Place(0, 9, 10, 10),
            tuple(
                Query(_sum(f"{metric}{{{_FUNNEL}}}", "funnel", "currency"), column)
                for column, metric in (
                    ("revenue", "funnel_stage_revenue"),
                    ("refunds", "funnel_stage_refunds"),
                    ("spend", "funnel_spend"),
                )
            ),
        ),
        Table(
            "By dimension, of all time",
            "Entries of every stage and revenue by the values of the chosen dimension.",
            Place(10, 9, 14, 10),
            tuple(
                Query(_sum(f"funnel_dimension_{column}{{{_VALUE}}}", "value", "stage"), column)
                for column in ("entries", "abandoned", "revenue")
            ),
        ),
    ),
)

_COUNTING = Row(
    "Counting",
    (
        Lines(
            "Watermark lag",
            "How far event time is behind the clock, by partition. It includes the watermark delay of the workers.",
            Place(0, 0, 8, 9),
            (Query("max by (partition) (funnel_watermark_lag_seconds)", "{{partition}}"),),
            unit="s",
        ),
        Lines(
            "Records behind, by partition",
            "Records of the log that the worker has not applied yet.",
            Place(8, 0, 8, 9),
            (Query("max by (partition) (funnel_worker_lag_records)", "{{partition}}"),),
        ),
        Lines(
            "Records applied",
            "Per second, ticks included.",
            Place(16, 0, 8, 9),
            (Query(f"sum(rate(funnel_records_applied_total{_RATE}))", "records"),),
            unit="rps",
        ),
        Lines(
            "Set aside",
            "Per second: duplicates and late events of the funnel, and events the collector rejected, by reason.",
            Place(0, 9, 8, 10),
            (
                Query(f"sum(rate(funnel_events_duplicate_total{{{_FUNNEL}}}{_RATE}))", "duplicate"),
                Query(f"sum by (age) (rate(funnel_events_late_total{{{_FUNNEL}}}{_RATE})) > 0", "late, up to {{age}}"),
                Query(
                    f'sum by (reason) (rate(funnelcast_collector_events_total{{outcome="rejected"}}{_RATE})) > 0',
                    "rejected: {{reason}}",
                ),
            ),
        ),
        Lines(
            "Waiting on disk",
            "Records in the spools of the collectors: taken and acknowledged while Kafka was away, not yet there.",
            Place(8, 9, 8, 10),
            (Query("max by (instance) (funnelcast_collector_spool_records)", "{{instance}}"),),
        ),
        Table(
            "Firing alerts",
            "Runbook: docs/runbook.md has a heading for each.",
            Place(16, 9, 8, 10),
            (
                Query(
                    "max by (alertname, severity, funnel, stage, partition)"
                    ' (ALERTS{alertname=~"Funnel.+", alertstate="firing"})',
                    "firing",
                ),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    title="Funnel",
    uid="funnelcast-funnel",
    description="Stages, conversion, abandonment, revenue, and the health of what counts them.",
    variables=(
        Variable("funnel", "Funnel", "funnel_stage_info"),
        Variable("version", "Version", 'funnel_stage_info{funnel=~"$funnel"}'),
        Variable("window", "Window", listed="5m,1h,24h", default="1h"),
        Variable("dimension", "Dimension", 'funnel_dimension_entries{funnel=~"$funnel"}', is_single=True),
    ),
    alerts='ALERTS{alertname=~"Funnel.+", alertname!="FunnelWatchdog", alertstate="firing"}',
    rows=(_NOW, _CONVERSION, _OUTCOMES, _MONEY, _COUNTING),
)
