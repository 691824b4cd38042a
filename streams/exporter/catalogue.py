"""Every metric the exporter serves, declared here and nowhere else; docs/metrics.md explains each. Pure tables.

Families that late events, merges or another outcome can make smaller are gauges: a counter that falls would be read by
`rate()` as a restart. Only what is never taken back is a counter (`_total` is added on output).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

WINDOWS: Final = ("5m", "1h", "24h")
COHORT_AGES: Final = ("5m", "1h", "1d")
LATE_AGES: Final = ("1h", "1d", "3d", "7d", "30d", "inf")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name without `_total`, its type, its help text and its labels."""

    name: str
    kind: Literal["gauge", "counter"]
    text: str
    labels: tuple[str, ...] = ()


_FUNNEL = ("funnel", "version")
_STAGE = (*_FUNNEL, "stage")
_VALUE = (*_FUNNEL, "dimension", "value", "stage")
_WINDOW = (*_STAGE, "window")


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"funnel_{name}", "gauge", text, labels)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"funnel_{name}", "counter", text, labels)


BUILD: Final = _gauge("build_info", "1, with the version of the exporter and the space it reads.", "version", "space")
REDIS_UP: Final = _gauge("redis_up", "1 when the newest read of the store succeeded in time; 0: what follows is older.")
READ_SECONDS: Final = _gauge("exporter_read_seconds", "How long the newest successful read of the store took.")
READ_ERRORS: Final = _counter("exporter_read_errors", "Reads of the store that failed or took too long.")
SNAPSHOT_AGE: Final = _gauge("snapshot_age_seconds", "Age of the counters on this page.")
STATE_BROKEN: Final = _gauge("state_refused", "1 when the store holds what the exporter cannot read: a human decides.")

PARTITIONS: Final = _gauge("partitions", "Partitions with counted state.")
LAST_EVENT: Final = _gauge("last_event_timestamp_seconds", "Newest time of occurrence applied.")
GAPS: Final = _gauge("gaps_accepted", "Gaps in the log that an operator accepted: records that were never counted.")
WATERMARK: Final = _gauge("watermark_timestamp_seconds", "Event-time watermark.", "partition")
WATERMARK_LAG: Final = _gauge("watermark_lag_seconds", "How far the watermark is behind the clock.", "partition")
FRESHNESS: Final = _gauge("freshness_seconds", "Age of the newest reception applied, ticks included.", "partition")
APPLIED_AT: Final = _gauge("applied_timestamp_seconds", "When the newest write was made.", "partition")
OFFSET: Final = _gauge("applied_offset", "Next offset of the log to be applied.", "partition")
PENDING: Final = _gauge("pending_deadlines", "Deadlines that have passed and are not booked yet.", "partition")
RECORDS: Final = _counter("records_applied", "Records applied, ticks included.", "partition")

MATCHES: Final = _gauge("definition_matches", "0 when the store counts another definition under this name.", *_FUNNEL)
STAGE_INFO: Final = _gauge(
    "stage_info", "1, with the position (01, 02, ...) and role of a stage.", *_STAGE, "position", "role"
)
ACCEPTED: Final = _counter("events_accepted", "Distinct events taken into the histories.", *_FUNNEL)
DUPLICATES: Final = _counter("events_duplicate", "Copies of events that were recognised and not counted.", *_FUNNEL)
LATE: Final = _counter("events_late", "Events too late to count, by how old they were (up to).", *_FUNNEL, "age")
SURPLUS: Final = _counter("events_surplus", "Events not counted: their person has as many as allowed.", *_FUNNEL)
PERSONS: Final = _counter("persons", "Persons with at least one event.", *_FUNNEL)
FORGOTTEN: Final = _counter("persons_forgotten", "Persons whose state lost its name (`funnelcast forget`).", *_FUNNEL)
PLACEHOLDERS: Final = _counter("placeholder_ids", "Ids that stand for no id and were dropped.", *_FUNNEL)
CONFLICTS: Final = _counter("link_conflicts", "Claims of an id that was linked to another one before.", *_FUNNEL)
LINKS: Final = _counter("links", "Ids that were linked to a higher one.", *_FUNNEL)
MANY_IDS: Final = _counter("persons_with_many_ids", "Persons to whom the 20th id was linked.", *_FUNNEL)
CHILDREN_REFUSED: Final = _counter(
    "linked_ids_unlisted", "Ids linked to a person who has 1,000 already: merged, but not listed.", *_FUNNEL
)
AMOUNTS_REFUSED: Final = _counter("amounts_refused", "Events that counted without their unreadable amount.", *_FUNNEL)
LEFT_OUT: Final = _counter(
    "events_left_out", "Events of classes of traffic that the funnel does not count.", *_FUNNEL, "traffic"
)
RETRIES: Final = _counter("record_retries", "Records that an ordered sender had sent before.", *_FUNNEL)
UNDECODABLE: Final = _counter(
    "records_undecodable", "Records that are no events: no JSON, or that of others.", *_FUNNEL
)

STAGE: Final = {
    "events": _gauge("stage_events", "Distinct events; lost events under the stage `lost`.", *_STAGE),
    "entries": _gauge("stage_entries", "Entries into the stage.", *_STAGE),
    "started": _gauge("stage_started", "Journeys that began at the stage.", *_STAGE),
    "skipped": _gauge("stage_skipped", "Journeys that jumped over the stage.", *_STAGE),
    "advanced.cohort": _gauge("stage_advanced", "Entries that went on in time.", *_STAGE),
    "abandoned.cohort": _gauge("stage_abandoned", "Entries whose deadline passed.", *_STAGE),
    "revived.cohort": _gauge("stage_revived", "Entries that went on after they were abandoned or lost.", *_STAGE),
    "completed": _gauge("stage_completed", "Entries of the last stage.", *_STAGE),
    "open": _gauge("stage_open", "Entries without an outcome yet.", *_STAGE),
    "stalled": _gauge("stage_stalled", "Open entries that have not moved for `stalled_after`.", *_STAGE),
    "won": _gauge("stage_won", "Entries whose journey reached an order stage later.", *_STAGE),
}
STAGE_LOST_BY_REASON: Final = _gauge("stage_lost", "Entries that were lost, by reason.", *_STAGE, "reason")
TRANSITIONS: Final = _gauge("stage_transitions", "Transitions to a later stage.", *_STAGE, "to")
DURATIONS: Final = _gauge(
    "stage_durations",
    "Transitions that took at most `edge` seconds (cumulative; relabel edge to le for histogram_quantile).",
    *_STAGE,
    "to",
    "edge",
)
STAGE_MONEY: Final = {
    "orders": _gauge("stage_orders", "Orders by currency.", *_STAGE, "currency"),
    "revenue": _gauge("stage_revenue", "Revenue in major units of the currency.", *_STAGE, "currency"),
    "refunds": _gauge("stage_refunds", "Refunds in major units of the currency.", *_STAGE, "currency"),
    "value": _gauge("stage_value", "Value of the entering events in major units.", *_STAGE, "currency"),
    "open_value": _gauge("stage_open_value", "Value of the open entries in major units.", *_STAGE, "currency"),
}
SPEND: Final = _gauge("spend", "Advertising spend in major units of the currency.", *_FUNNEL, "currency")

WINDOW: Final = {
    "events": _gauge("window_events", "Distinct events that occurred in the window.", *_WINDOW),
    "entries": _gauge("window_entries", "Entries made in the window.", *_WINDOW),
    "advanced.period": _gauge("window_advanced", "Advances that happened in the window.", *_WINDOW),
    "abandoned.period": _gauge("window_abandoned", "Deadlines that passed in the window.", *_WINDOW),
    "advanced.cohort": _gauge("window_cohort_advanced", "Entries of the window that went on so far.", *_WINDOW),
    "abandoned.cohort": _gauge("window_cohort_abandoned", "Entries of the window abandoned so far.", *_WINDOW),
}
WINDOW_RESOLVED: Final = _gauge("window_cohort_resolved", "Entries of the window with an outcome so far.", *_WINDOW)
WINDOW_LOST: Final = _gauge("window_lost", "Losses that happened in the window, by reason.", *_WINDOW, "reason")
WINDOW_MONEY: Final = {
    "orders": _gauge("window_orders", "Orders of the window.", *_FUNNEL, "window", "currency"),
    "revenue": _gauge("window_revenue", "Revenue of the window in major units.", *_FUNNEL, "window", "currency"),
    "refunds": _gauge("window_refunds", "Refunds of the window in major units.", *_FUNNEL, "window", "currency"),
}
CONVERSION_NUMERATOR: Final = _gauge(
    "window_conversion_numerator",
    "Numerator of a conversion of the window, by kind: `period` and `overall` (entries), `step` (journeys).",
    *_FUNNEL,
    "from",
    "to",
    "kind",
    "window",
)
CONVERSION_DENOMINATOR: Final = _gauge(
    "window_conversion_denominator",
    "Denominator of a conversion of the window, by kind: `period` and `overall` (entries), `step` (journeys).",
    *_FUNNEL,
    "from",
    "to",
    "kind",
    "window",
)
JOURNEYS_JOINED: Final = _gauge(
    "window_journeys_joined",
    "Journeys that came to the stage or beyond it from an earlier one: orders and leads whose web leg is known.",
    *_WINDOW,
)
JOURNEYS_ARRIVED: Final = _gauge(
    "window_journeys_arrived", "Those, and the ones that began at the stage or beyond it.", *_WINDOW
)
_EVIDENCE = (*_FUNNEL, "kind", "stage", "dimension", "value", "direction")
EVIDENCE: Final = _gauge(
    "evidence_nats",
    "How much speaks for a change of a share or volume, at the newest time that can be judged.",
    *_EVIDENCE,
)
EVIDENCE_WINDOW: Final = _gauge("evidence_window_seconds", "Length of the window that gave the evidence.", *_EVIDENCE)
EVIDENCE_NUMERATOR: Final = _gauge("evidence_numerator", "Those that went on; entries; revenue.", *_EVIDENCE)
EVIDENCE_DENOMINATOR: Final = _gauge("evidence_denominator", "Entries of the window; 0 of volumes.", *_EVIDENCE)
EVIDENCE_EXPECTED: Final = _gauge("evidence_expected", "Share or amount that would be normal.", *_EVIDENCE)
EVIDENCE_CAUSE: Final = _gauge(
    "evidence_cause",
    "1, with what explains best that something fell (docs/alerts.md).",
    *_FUNNEL,
    "kind",
    "stage",
    "dimension",
    "value",
    "cause",
)
EVIDENCE_AGE: Final = _gauge("evidence_age_seconds", "Since when the evidence stands as it is.", *_FUNNEL)
COHORT_ENTRIES: Final = _gauge(
    "cohort_entries",
    "Entries of the newest cohorts that are at least `age` old (an hour of them; a day for 1d).",
    *_STAGE,
    "age",
)
COHORT_WENT_ON: Final = _gauge("cohort_went_on", "Those of cohort_entries that went on within `age`.", *_STAGE, "age")

DIMENSION: Final = {
    "events": _gauge("dimension_events", "Distinct events by dimension value.", *_VALUE),
    "entries": _gauge("dimension_entries", "Entries by dimension value.", *_VALUE),
    "advanced.cohort": _gauge("dimension_advanced", "Entries that went on, by dimension value.", *_VALUE),
    "abandoned.cohort": _gauge("dimension_abandoned", "Abandoned entries by dimension value.", *_VALUE),
}
DIMENSION_LOST: Final = _gauge("dimension_lost", "Lost entries by dimension value.", *_VALUE)
DIMENSION_MONEY: Final = {
    "orders": _gauge("dimension_orders", "Orders by dimension value.", *_VALUE, "currency"),
    "revenue": _gauge("dimension_revenue", "Revenue by dimension value in major units.", *_VALUE, "currency"),
}

METRICS: Final[tuple[Metric, ...]] = (
    BUILD, REDIS_UP, STATE_BROKEN, READ_SECONDS, READ_ERRORS, SNAPSHOT_AGE,
    PARTITIONS, LAST_EVENT, GAPS, WATERMARK, WATERMARK_LAG, FRESHNESS, APPLIED_AT, OFFSET, PENDING, RECORDS,
    MATCHES, STAGE_INFO, ACCEPTED, DUPLICATES, LATE, SURPLUS, PERSONS, FORGOTTEN, PLACEHOLDERS, CONFLICTS,
    LINKS, MANY_IDS, CHILDREN_REFUSED, AMOUNTS_REFUSED, LEFT_OUT, RETRIES, UNDECODABLE,
    *STAGE.values(), STAGE_LOST_BY_REASON, TRANSITIONS, DURATIONS, *STAGE_MONEY.values(), SPEND,
    *WINDOW.values(), WINDOW_RESOLVED, WINDOW_LOST, *WINDOW_MONEY.values(),
    CONVERSION_NUMERATOR, CONVERSION_DENOMINATOR, JOURNEYS_JOINED, JOURNEYS_ARRIVED, COHORT_ENTRIES, COHORT_WENT_ON,
    EVIDENCE, EVIDENCE_WINDOW, EVIDENCE_NUMERATOR, EVIDENCE_DENOMINATOR, EVIDENCE_EXPECTED, EVIDENCE_CAUSE,
    EVIDENCE_AGE,
    *DIMENSION.values(), DIMENSION_LOST, *DIMENSION_MONEY.values(),
)  # fmt: skip
SCRAPE_SECONDS: Final = "funnel_exporter_scrape_seconds"
"""The only histogram: how long the answers to scrapes took."""
