"""Whether what happens is counted: from the collector to the exporter. Data only."""

from __future__ import annotations

from funnelcast.dashboards.panels import Dashboard, Lines, Place, Query, Row, Stat
from funnelcast.dashboards.queries import FUNNEL, FUNNEL_VARIABLES, RATE

_COLLECTED = "funnelcast_collector_events_total"

_NOW = Row(
    "Now",
    (
        Stat("Processes up", "That answer Prometheus, by kind.", Place(0, 0, 8, 5),
             (Query("sum by (job) (up)", "{{job}}"),), steps=(("red", None), ("green", 1.0))),
        Stat("Freshness", "Age of the newest reception that is counted, in the partition that is furthest behind.",
             Place(8, 0, 4, 5), (Query("max(funnel_freshness_seconds)", "age"),), unit="s",
             steps=(("green", None), ("yellow", 15.0), ("red", 60.0))),
        Stat("Records behind", "Records of the log that the workers have not applied yet.", Place(12, 0, 4, 5),
             (Query("sum(funnel_worker_lag_records)", "records"),),
             steps=(("green", None), ("yellow", 10_000), ("red", 50_000))),
        Stat("Redis", "1 when the exporter can read it.", Place(16, 0, 4, 5),
             (Query("min(funnel_redis_up)", "up"),), steps=(("red", None), ("green", 1.0))),
        Stat("Deadlines waiting", "Deadlines that have passed and are not booked yet.", Place(20, 0, 4, 5),
             (Query("sum(max by (partition) (funnel_pending_deadlines))", "deadlines"),)),
    ),
)  # fmt: skip

_INTAKE = Row(
    "Coming in",
    (
        Lines("Events", "Per second, by what became of them at the collector.", Place(0, 0, 8, 9),
              (Query(f"sum by (outcome) (rate({_COLLECTED}{RATE}))", "{{outcome}}"),), unit="reqps"),
        Lines("Rejected by reason", "Per second; docs/api.md has the reasons.", Place(8, 0, 8, 9),
              (Query(f'sum by (reason) (rate({_COLLECTED}{{outcome="rejected"}}{RATE}))', "{{reason}}"),),
              unit="reqps"),
        Lines("Time to answer, 99 %", "Of requests with events, Kafka's acknowledgement included.", Place(16, 0, 8, 9),
              (Query("histogram_quantile(0.99, sum by (le) "
                     f"(rate(funnelcast_collector_request_seconds_bucket{RATE}))) >= 0", "99 %"),), unit="s"),
        Lines("Waiting on disk", "Records taken and acknowledged while Kafka was away, not yet there.",
              Place(0, 9, 8, 9),
              (Query("sum by (instance) (funnelcast_collector_spool_records)", "{{instance}}"),)),
        Lines("Set aside", "Per second: duplicates and late events of the funnel.", Place(8, 9, 8, 9),
              (Query(f"sum(rate(funnel_events_duplicate_total{{{FUNNEL}}}{RATE}))", "duplicate"),
               Query(f"sum by (age) (rate(funnel_events_late_total{{{FUNNEL}}}{RATE}))", "late, up to {{age}}"))),
        Lines("Identity", "Per second: ids that were linked, and claims of an id that belongs to another.",
              Place(16, 9, 8, 9),
              (Query(f"sum(rate(funnel_links_total{{{FUNNEL}}}{RATE}))", "linked"),
               Query(f"sum(rate(funnel_link_conflicts_total{{{FUNNEL}}}{RATE}))", "conflicts"))),
    ),
)  # fmt: skip

_COUNTING = Row(
    "Counting",
    (
        Lines("Records applied", "Per second, ticks included.", Place(0, 0, 8, 9),
              (Query(f"sum(rate(funnel_worker_records_total{RATE}))", "records"),), unit="reqps"),
        Lines("Watermark lag", "How far event time is behind the clock: the partition that is furthest behind, and the "
              "median one.", Place(8, 0, 8, 9),
              (Query("max(funnel_watermark_lag_seconds)", "furthest"),
               Query("quantile(0.5, max by (partition) (funnel_watermark_lag_seconds))", "median")), unit="s"),
        Lines("Records behind, the worst partitions", "The five that are furthest behind.", Place(16, 0, 8, 9),
              (Query("topk(5, max by (partition) (funnel_worker_lag_records))", "{{partition}}"),)),
        Lines("A chunk takes, 99 %", "From a chunk of records to its acknowledged write.", Place(0, 9, 8, 9),
              (Query(f"histogram_quantile(0.99, sum by (le) (rate(funnel_worker_chunk_seconds_bucket{RATE}))) >= 0",
                     "99 %"),), unit="s"),
        Lines("A read of Redis takes", "The newest read of the exporter.", Place(8, 9, 8, 9),
              (Query("max(funnel_exporter_read_seconds)", "seconds"),), unit="s"),
        Lines("A scrape takes, 99 %", "Of the exporter's answers.", Place(16, 9, 8, 9),
              (Query(f"histogram_quantile(0.99, sum by (le) (rate(funnel_exporter_scrape_seconds_bucket{RATE}))) >= 0",
                     "99 %"),), unit="s"),
    ),
)  # fmt: skip

DASHBOARD = Dashboard(
    title="Pipeline health",
    name="pipeline",
    description="Whether what happens is counted: from the collector to the exporter.",
    variables=FUNNEL_VARIABLES,
    rows=(_NOW, _INTAKE, _COUNTING),
)
