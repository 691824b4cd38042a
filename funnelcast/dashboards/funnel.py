"""Where people are, go on, leave, and why. Data only."""

from __future__ import annotations

from funnelcast.dashboards.panels import Bars, Dashboard, Lines, Place, Query, Row, Stat, Table
from funnelcast.dashboards.queries import (
    FUNNEL,
    FUNNEL_VARIABLES,
    INNER,
    WEEK,
    WINDOW,
    WINDOW_VARIABLE,
    by_step,
    cohort,
    in_order,
    newest,
    quantile,
    share,
    total,
)

_OVERALL = f'{WINDOW}, kind="overall"'
_ENTRIES = f"funnel_window_entries{{{WINDOW}}}"
_RESOLVED = newest(f"funnel_window_cohort_resolved{{{WINDOW}}}", "stage")
_ABANDONED = newest(f"funnel_window_cohort_abandoned{{{WINDOW}}}", "stage")
_LOST = newest(f"funnel_window_cohort_lost{{{WINDOW}}}", "stage")
_LEAVING = f"{share(f'({_ABANDONED} + {_LOST})', _RESOLVED)} and {INNER}"
_ENOUGH = f"({_RESOLVED} >= 30)"
_OVERALL_SHARE = share(
    newest(f"funnel_window_conversion_numerator{{{_OVERALL}}}", "from", "to"),
    newest(f"funnel_window_conversion_denominator{{{_OVERALL}}}", "from", "to"),
)

_NOW = Row(
    "Now",
    (
        Bars("Stages", "Entries of each stage in the window, by the time of the event.", Place(0, 0, 10, 10),
             (in_order(newest(_ENTRIES, "stage")),)),
        Stat("First to order", "Entries of the first order stage over entries of the first stage: a ratio of flows, so "
             "a slow funnel needs a long window.", Place(10, 0, 7, 5),
             (Query(_OVERALL_SHARE, "{{from}} to {{to}}"),), unit="percentunit"),
        Stat("Bottleneck", "The stage that most leave, of those with at least 30 entries that have an outcome.",
             Place(17, 0, 7, 5), (Query(f"topk(1, {_LEAVING} and {_ENOUGH})", "{{stage}}"),), unit="percentunit",
             is_named=True),
        Stat("Orders", "Orders of the window.", Place(10, 5, 7, 5),
             (Query(total(f"funnel_window_orders{{{WINDOW}}}", over=("currency",)), "orders"),)),
        Stat("Open now", "Entries without an outcome yet.", Place(17, 5, 7, 5),
             (Query(total(f"funnel_stage_open{{{FUNNEL}}}"), "open"),)),
        Lines("Entries by stage", "Entries of the window as time goes on; dashed: a week ago.", Place(0, 10, 24, 9),
              (Query(newest(_ENTRIES, "stage"), "{{stage}}"),
               Query(newest(f"{_ENTRIES}{WEEK}", "stage"), "{{stage}} a week ago")), dashed="a week ago"),
    ),
)  # fmt: skip

_CONVERSION = Row(
    "Conversion",
    (
        Lines("Went on", "Of the entries of the window that have an outcome, the share that went on; "
              "dashed: a week ago.", Place(0, 0, 12, 9),
              (Query(cohort("advanced"), "{{stage}}"), Query(cohort("advanced", offset=WEEK), "{{stage}} a week ago")),
              dashed="a week ago", unit="percentunit"),
        Table("Numbers behind it", "Numerator and denominator of every share: a share without them says little.",
              Place(12, 0, 12, 9),
              (Query(by_step(newest(_ENTRIES, "stage")), "entries"),
               Query(by_step(newest(f"funnel_window_cohort_advanced{{{WINDOW}}}", "stage")), "went on"),
               Query(by_step(newest(f"funnel_window_cohort_open{{{WINDOW}}}", "stage")), "open"),
               Query(by_step(cohort("advanced")), "share"))),
    ),
)  # fmt: skip

_LEFT = Row(
    "Where people leave, and why",
    (
        Lines("Abandonment", "Of the entries of the window that have an outcome, the share whose deadline passed; "
              "dashed: a week ago.", Place(0, 0, 12, 9),
              (Query(cohort("abandoned"), "{{stage}}"),
               Query(cohort("abandoned", offset=WEEK), "{{stage}} a week ago")),
              dashed="a week ago", unit="percentunit"),
        Lines("Leaving", "The same with those who were lost: abandoned or lost.", Place(12, 0, 12, 9),
              (Query(_LEAVING, "{{stage}}"),), unit="percentunit"),
        Lines("Lost by reason", "Losses that happened in the window.", Place(0, 9, 12, 9),
              (Query(total(f"funnel_window_lost{{{WINDOW}}}", "reason"), "{{reason}}"),), is_stacked=True),
        Table("Reasons of loss, of all time", "Lost entries by stage and reason.", Place(12, 9, 12, 9),
              (Query(f"sort_desc({newest(f'funnel_stage_lost{{{FUNNEL}}}', 'stage', 'reason')} > 0)", "lost"),)),
    ),
)  # fmt: skip

_DURATION = f"funnel_window_duration_seconds_bucket{{{WINDOW}}}"
_PACE = Row(
    "How long it takes",
    (
        Bars("Time to the next stage, median", "Of the entries of the window; estimated within the edges of the "
             "histogram.", Place(0, 0, 8, 9),
             (Query(quantile(0.5, _DURATION, "stage", "to"), "{{stage}} to {{to}}"),), unit="s"),
        Lines("Half and nine in ten", "Median and 90 % point of the time to a later stage, as time goes on.",
              Place(8, 0, 8, 9),
              (Query(quantile(0.5, _DURATION, "stage", "to"), "{{stage}} to {{to}}, half"),
               Query(quantile(0.9, _DURATION, "stage", "to"), "{{stage}} to {{to}}, 90 %")),
              unit="s", is_logarithmic=True),
        Bars("Stalled", "Open entries that have not moved for as long as the funnel allows.", Place(16, 0, 8, 9),
             (in_order(newest(f"funnel_stage_stalled{{{FUNNEL}}}", "stage")),)),
    ),
)  # fmt: skip

DASHBOARD = Dashboard(
    title="Funnel",
    name="funnel",
    description="Stages with counts and conversion, where people leave and why, and how long they take.",
    variables=(*FUNNEL_VARIABLES, WINDOW_VARIABLE),
    rows=(_NOW, _CONVERSION, _LEFT, _PACE),
)
