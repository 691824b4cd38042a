"""Every metric the exporter serves, declared here and in `judged`; docs/metrics.md explains each. Pure tables.

Families that late events, merges or another outcome can make smaller are gauges: a counter that falls would be read by
`rate()` as a restart. Only what is never taken back is a counter (`_total` is added on output).
"""

from __future__ import annotations

from typing import Final

from streams.exporter import judged
from streams.exporter.metric import Section, counter, gauge, histogram

WINDOWS: Final = ("5m", "1h", "24h", "7d")
VALUE_WINDOWS: Final = ("24h", "7d")
"""Of dimension values: they have no minutes."""
COHORT_AGES: Final = ("5m", "1h", "1d", "7d")
LATE_AGES: Final = ("1h", "1d", "3d", "7d", "30d", "inf")


_FUNNEL = ("funnel", "version")
_STAGE = (*_FUNNEL, "stage")
_VALUE = (*_FUNNEL, "dimension", "value", "stage")
_WINDOW = (*_STAGE, "window")


BUILD: Final = gauge("build_info", "1, with the version of the exporter and the space it reads.", "version", "space")
REDIS_UP: Final = gauge("redis_up", "1 when the newest read of the store succeeded in time; 0: what follows is older.")
READ_SECONDS: Final = gauge("exporter_read_seconds", "How long the newest successful read of the store took.")
READ_ERRORS: Final = counter("exporter_read_errors", "Reads of the store that failed or took too long.")
SNAPSHOT_AGE: Final = gauge("snapshot_age_seconds", "Age of the counters on this page.")
STATE_BROKEN: Final = gauge("state_refused", "1 when the store holds what the exporter cannot read: a human decides.")

PARTITIONS: Final = gauge("partitions", "Partitions with counted state.")
LAST_EVENT: Final = gauge("last_event_timestamp_seconds", "Newest time of occurrence applied.")
GAPS: Final = gauge("gaps_accepted", "Gaps in the log that an operator accepted: records that were never counted.")
WATERMARK: Final = gauge("watermark_timestamp_seconds", "Event-time watermark.", "partition")
WATERMARK_LAG: Final = gauge("watermark_lag_seconds", "How far the watermark is behind the clock.", "partition")
FRESHNESS: Final = gauge("freshness_seconds", "Age of the newest reception applied, ticks included.", "partition")
APPLIED_AT: Final = gauge("applied_timestamp_seconds", "When the newest write was made.", "partition")
OFFSET: Final = gauge("applied_offset", "Next offset of the log to be applied.", "partition")
PENDING: Final = gauge("pending_deadlines", "Deadlines that have passed and are not booked yet.", "partition")
RECORDS: Final = counter("records_applied", "Records applied, ticks included.", "partition")

MATCHES: Final = gauge("definition_matches", "0 when the store counts another definition under this name.", *_FUNNEL)
STAGE_INFO: Final = gauge(
    "stage_info", "1, with the position (01, 02, ...) and role of a stage.", *_STAGE, "position", "role"
)
ACCEPTED: Final = counter("events_accepted", "Distinct events taken into the histories.", *_FUNNEL)
DUPLICATES: Final = counter("events_duplicate", "Copies of events that were recognised and not counted.", *_FUNNEL)
LATE: Final = counter("events_late", "Events too late to count, by how old they were (up to).", *_FUNNEL, "age")
SURPLUS: Final = counter("events_surplus", "Events not counted: their person has as many as allowed.", *_FUNNEL)
PERSONS: Final = counter("persons", "Persons with at least one event.", *_FUNNEL)
FORGOTTEN: Final = counter("persons_forgotten", "Persons whose state lost its name (`funnelcast forget`).", *_FUNNEL)
PLACEHOLDERS: Final = counter("placeholder_ids", "Ids that stand for no id and were dropped.", *_FUNNEL)
CONFLICTS: Final = counter("link_conflicts", "Claims of an id that was linked to another one before.", *_FUNNEL)
LINKS: Final = counter("links", "Ids that were linked to a higher one.", *_FUNNEL)
MANY_IDS: Final = counter("persons_with_many_ids", "Persons to whom the 20th id was linked.", *_FUNNEL)
CHILDREN_REFUSED: Final = counter(
    "linked_ids_unlisted", "Ids linked to a person who has 1,000 already: merged, but not listed.", *_FUNNEL
)
AMOUNTS_REFUSED: Final = counter("amounts_refused", "Events that counted without their unreadable amount.", *_FUNNEL)
LEFT_OUT: Final = counter(
    "events_left_out", "Events of classes of traffic that the funnel does not count.", *_FUNNEL, "traffic"
)
RETRIES: Final = counter("record_retries", "Records that an ordered sender had sent before.", *_FUNNEL)
UNDECODABLE: Final = counter("records_undecodable", "Records that are no events: no JSON, or that of others.", *_FUNNEL)

STAGE: Final = {
    "events": gauge("stage_events", "Distinct events; lost events under the stage `lost`.", *_STAGE),
    "entries": gauge("stage_entries", "Entries into the stage.", *_STAGE),
    "started": gauge("stage_started", "Journeys that began at the stage.", *_STAGE),
    "skipped": gauge("stage_skipped", "Journeys that jumped over the stage.", *_STAGE),
    "advanced.cohort": gauge("stage_advanced", "Entries that went on in time.", *_STAGE),
    "abandoned.cohort": gauge("stage_abandoned", "Entries whose deadline passed.", *_STAGE),
    "revived.cohort": gauge("stage_revived", "Entries that went on after they were abandoned or lost.", *_STAGE),
    "completed": gauge("stage_completed", "Entries of the last stage.", *_STAGE),
    "open": gauge("stage_open", "Entries without an outcome yet.", *_STAGE),
    "stalled": gauge("stage_stalled", "Open entries that have not moved for `stalled_after`.", *_STAGE),
    "won": gauge("stage_won", "Entries whose journey reached an order stage later.", *_STAGE),
    "reached": gauge("stage_reached", "Persons who made their n-th order, of the n that the stage is about.", *_STAGE),
    "customers": gauge("stage_customers", "Persons whose first order of all was at the stage.", *_STAGE),
}
STAGE_LOST_BY_REASON: Final = gauge("stage_lost", "Entries that were lost, by reason.", *_STAGE, "reason")
TRANSITIONS: Final = gauge("stage_transitions", "Transitions to a later stage.", *_STAGE, "to")
STAGE_LOST_LATE: Final = gauge(
    "stage_lost_late", "Losses of entries that were abandoned before, by reason.", *_STAGE, "reason"
)
DURATION: Final = histogram("stage_duration_seconds", "Time from entering a stage to a later one.", *_STAGE, "to")
LEAD_TIME: Final = histogram(
    "lead_time_seconds", "Time from the start of a journey to its first entry of an order stage.", *_STAGE
)
LOSS_TIME: Final = histogram("loss_time_seconds", "Time from entering a stage to being lost there.", *_STAGE)
STAGE_MONEY: Final = {
    "orders": gauge("stage_orders", "Orders by currency.", *_STAGE, "currency"),
    "revenue": gauge("stage_revenue", "Revenue in major units of the currency.", *_STAGE, "currency"),
    "refunds": gauge("stage_refunds", "Refunds in major units of the currency.", *_STAGE, "currency"),
    "value": gauge("stage_value", "Value of the entering events in major units.", *_STAGE, "currency"),
    "open_value": gauge("stage_open_value", "Value of the open entries in major units.", *_STAGE, "currency"),
    "cost": gauge("stage_cost", "What was ordered cost, in major units.", *_STAGE, "currency"),
    "discount": gauge("stage_discount", "Discounts of orders in major units.", *_STAGE, "currency"),
}
LIFETIME: Final = gauge(
    "customer_revenue",
    "Revenue of customers by the stage of their first order and the days since then (up to).",
    *_STAGE,
    "currency",
    "age_days",
)
SPEND: Final = gauge("spend", "Advertising spend in major units of the currency.", *_FUNNEL, "currency")

WINDOW: Final = {
    "events": gauge("window_events", "Distinct events that occurred in the window.", *_WINDOW),
    "entries": gauge("window_entries", "Entries made in the window.", *_WINDOW),
    "started": gauge("window_started", "Journeys of the window that began at the stage.", *_WINDOW),
    "skipped": gauge("window_skipped", "Journeys that jumped over the stage in the window.", *_WINDOW),
    "advanced.period": gauge("window_advanced", "Advances that happened in the window.", *_WINDOW),
    "abandoned.period": gauge("window_abandoned", "Deadlines that passed in the window.", *_WINDOW),
    "revived.period": gauge("window_revived", "Entries that went on in the window after their deadline.", *_WINDOW),
    "advanced.cohort": gauge("window_cohort_advanced", "Entries of the window that went on so far.", *_WINDOW),
    "abandoned.cohort": gauge("window_cohort_abandoned", "Entries of the window abandoned so far.", *_WINDOW),
    "lost.cohort": gauge("window_cohort_lost", "Entries of the window lost so far.", *_WINDOW),
    "open": gauge("window_cohort_open", "Entries of the window without an outcome yet.", *_WINDOW),
    "won": gauge("window_cohort_won", "Entries of the window whose journey reached an order stage so far.", *_WINDOW),
    "reached": gauge(
        "window_reached", "Persons who made their n-th order in the window, of the n of the stage.", *_WINDOW
    ),
    "customers": gauge("window_customers", "Persons whose first order of all was in the window.", *_WINDOW),
}
WINDOW_RESOLVED: Final = gauge("window_cohort_resolved", "Entries of the window with an outcome so far.", *_WINDOW)
WINDOW_LOST: Final = gauge("window_lost", "Losses that happened in the window, by reason.", *_WINDOW, "reason")
WINDOW_DURATION: Final = histogram(
    "window_duration_seconds", "Time to a later stage, of the entries made in the window.", *_STAGE, "to", "window"
)
WINDOW_MONEY: Final = {
    "orders": gauge("window_orders", "Orders of the window.", *_FUNNEL, "window", "currency"),
    "revenue": gauge("window_revenue", "Revenue of the window in major units.", *_FUNNEL, "window", "currency"),
    "refunds": gauge("window_refunds", "Refunds of the window in major units.", *_FUNNEL, "window", "currency"),
    "cost": gauge(
        "window_cost", "What was ordered in the window cost, in major units.", *_FUNNEL, "window", "currency"
    ),
    "discount": gauge(
        "window_discount", "Discounts of the orders of the window in major units.", *_FUNNEL, "window", "currency"
    ),
}
CONVERSION_NUMERATOR: Final = gauge(
    "window_conversion_numerator",
    "Numerator of a conversion of the window, by kind: `period` and `overall` (entries), `step` (journeys).",
    *_FUNNEL,
    "from",
    "to",
    "kind",
    "window",
)
CONVERSION_DENOMINATOR: Final = gauge(
    "window_conversion_denominator",
    "Denominator of a conversion of the window, by kind: `period` and `overall` (entries), `step` (journeys).",
    *_FUNNEL,
    "from",
    "to",
    "kind",
    "window",
)
JOURNEYS_JOINED: Final = gauge(
    "window_journeys_joined",
    "Journeys that came to the stage or beyond it from an earlier one: those whose web leg is known.",
    *_WINDOW,
)
JOURNEYS_ARRIVED: Final = gauge(
    "window_journeys_arrived", "Those, and the ones that began at the stage or beyond it.", *_WINDOW
)
ORDERS_JOINED: Final = gauge(
    "window_orders_joined",
    "Orders of the window whose journey began before it came to an order stage: those whose web leg is known.",
    *_WINDOW,
)
COHORT_ENTRIES: Final = gauge(
    "cohort_entries",
    "Entries of the newest cohorts that are at least `age` old (an hour of them; a day for 1d).",
    *_STAGE,
    "age",
)
COHORT_WENT_ON: Final = gauge("cohort_went_on", "Those of cohort_entries that went on within `age`.", *_STAGE, "age")
COHORT_LOST: Final = gauge("cohort_lost", "Those of cohort_entries that were lost so far.", *_STAGE, "age")
COHORT_ABANDONED: Final = gauge(
    "cohort_abandoned", "Those of cohort_entries that were abandoned so far.", *_STAGE, "age"
)

DIMENSION: Final = {
    "events": gauge("dimension_events", "Distinct events by dimension value.", *_VALUE),
    "entries": gauge("dimension_entries", "Entries by dimension value.", *_VALUE),
    "advanced.cohort": gauge("dimension_advanced", "Entries that went on, by dimension value.", *_VALUE),
    "abandoned.cohort": gauge("dimension_abandoned", "Abandoned entries by dimension value.", *_VALUE),
    "open": gauge("dimension_open", "Entries without an outcome yet, by dimension value.", *_VALUE),
    "won": gauge("dimension_won", "Entries whose journey reached an order stage, by dimension value.", *_VALUE),
}
DIMENSION_LOST: Final = gauge("dimension_lost", "Lost entries by dimension value.", *_VALUE)
DIMENSION_SPEND: Final = gauge(
    "dimension_spend", "Advertising spend by dimension value in major units.", *_VALUE[:-1], "currency"
)
DIMENSION_MONEY: Final = {
    "orders": gauge("dimension_orders", "Orders by dimension value.", *_VALUE, "currency"),
    "revenue": gauge("dimension_revenue", "Revenue by dimension value in major units.", *_VALUE, "currency"),
    "refunds": gauge("dimension_refunds", "Refunds by dimension value in major units.", *_VALUE, "currency"),
    "cost": gauge("dimension_cost", "What was ordered cost, by dimension value in major units.", *_VALUE, "currency"),
    "open_value": gauge(
        "dimension_open_value", "Value of the open entries by dimension value in major units.", *_VALUE, "currency"
    ),
}
VALUE_WINDOW: Final = {
    "entries": gauge("dimension_window_entries", "Entries made in the window, by dimension value.", *_VALUE, "window"),
    "advanced.cohort": gauge("dimension_window_advanced", "Those of them that went on so far.", *_VALUE, "window"),
    "abandoned.cohort": gauge("dimension_window_abandoned", "Those of them abandoned so far.", *_VALUE, "window"),
    "lost.cohort": gauge("dimension_window_lost", "Those of them lost so far.", *_VALUE, "window"),
    "won": gauge(
        "dimension_window_won", "Those of them whose journey reached an order stage so far.", *_VALUE, "window"
    ),
}
VALUE_WINDOW_RESOLVED: Final = gauge(
    "dimension_window_resolved", "Those of dimension_window_entries with an outcome so far.", *_VALUE, "window"
)
VALUE_WINDOW_MONEY: Final = {
    "orders": gauge("dimension_window_orders", "Orders of the window.", *_VALUE, "window", "currency"),
    "revenue": gauge(
        "dimension_window_revenue", "Revenue of the window in major units.", *_VALUE, "window", "currency"
    ),
    "refunds": gauge(
        "dimension_window_refunds", "Refunds of the window in major units.", *_VALUE, "window", "currency"
    ),
}


SECTIONS: Final = (
    Section(
        "Exporter: itself and the state of the partitions",
        (
            BUILD, REDIS_UP, STATE_BROKEN, READ_SECONDS, READ_ERRORS, SNAPSHOT_AGE,
            PARTITIONS, LAST_EVENT, GAPS, WATERMARK, WATERMARK_LAG, FRESHNESS, APPLIED_AT, OFFSET, PENDING, RECORDS,
        ),
    ),
    Section(
        "Exporter: evidence of change (by funnel and version)",
        (
            judged.EVIDENCE, judged.EVIDENCE_WINDOW, judged.EVIDENCE_NUMERATOR, judged.EVIDENCE_DENOMINATOR,
            judged.EVIDENCE_EXPECTED, judged.EVIDENCE_CAUSE, judged.MISSING_MONEY, judged.CONTRIBUTION,
            judged.EVIDENCE_THRESHOLD, judged.EVIDENCE_AGE, judged.EVIDENCE_WATERMARK,
        ),
        _FUNNEL,
    ),
    Section(
        "Exporter: agreed times and targets (by funnel and version)",
        (judged.SLA_KEPT, judged.SLA_BREACHED, judged.SLA_SECONDS, *judged.TARGET.values()),
        _FUNNEL,
    ),
    Section(
        "Exporter: what came in (by funnel and version)",
        (
            MATCHES, STAGE_INFO, ACCEPTED, DUPLICATES, LATE, SURPLUS, PERSONS, FORGOTTEN, PLACEHOLDERS, CONFLICTS,
            LINKS, MANY_IDS, CHILDREN_REFUSED, AMOUNTS_REFUSED, LEFT_OUT, RETRIES, UNDECODABLE,
        ),
        _FUNNEL,
    ),
    Section(
        "Exporter: stages, of all time (by funnel and version)",
        (
            *STAGE.values(), STAGE_LOST_BY_REASON, STAGE_LOST_LATE, TRANSITIONS, DURATION, LEAD_TIME, LOSS_TIME,
            *STAGE_MONEY.values(), LIFETIME, SPEND,
        ),
        _FUNNEL,
    ),
    Section(
        "Exporter: windows and cohorts (by funnel and version)",
        (
            *WINDOW.values(), WINDOW_RESOLVED, WINDOW_LOST, WINDOW_DURATION, *WINDOW_MONEY.values(),
            CONVERSION_NUMERATOR, CONVERSION_DENOMINATOR, JOURNEYS_JOINED, JOURNEYS_ARRIVED, ORDERS_JOINED,
            COHORT_ENTRIES, COHORT_WENT_ON, COHORT_LOST, COHORT_ABANDONED,
        ),
        _FUNNEL,
    ),
    Section(
        "Exporter: dimensions, of all time (by funnel and version)",
        (*DIMENSION.values(), DIMENSION_LOST, *DIMENSION_MONEY.values(), DIMENSION_SPEND),
        _FUNNEL,
    ),
    Section(
        "Exporter: windows of dimension values (by funnel and version)",
        (*VALUE_WINDOW.values(), VALUE_WINDOW_RESOLVED, *VALUE_WINDOW_MONEY.values()),
        _FUNNEL,
    ),
)  # fmt: skip
METRICS: Final = tuple(metric for section in SECTIONS for metric in section.metrics)
SCRAPE_SECONDS: Final = "funnel_exporter_scrape_seconds"
"""How long the answers to scrapes took; made by the process itself."""
