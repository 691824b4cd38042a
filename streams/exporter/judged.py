"""The metrics that say more than a count: evidence of change, agreed times, targets. Pure tables.

They are made in the background (`streams.exporter.evidence_source`); `catalogue` lists them with all others.
"""

from __future__ import annotations

from typing import Final

from streams.exporter.metric import gauge

_FUNNEL = ("funnel", "version")
_STAGE = (*_FUNNEL, "stage")
_EVIDENCE = (*_FUNNEL, "kind", "stage", "dimension", "value", "direction")
EVIDENCE: Final = gauge(
    "evidence_nats",
    "How much speaks for a change of a share or volume, at the newest time that can be judged.",
    *_EVIDENCE,
)
EVIDENCE_WINDOW: Final = gauge("evidence_window_seconds", "Length of the window that gave the evidence.", *_EVIDENCE)
EVIDENCE_NUMERATOR: Final = gauge("evidence_numerator", "Those that went on; entries; revenue.", *_EVIDENCE)
EVIDENCE_DENOMINATOR: Final = gauge("evidence_denominator", "Entries of the window; 0 of volumes.", *_EVIDENCE)
EVIDENCE_EXPECTED: Final = gauge("evidence_expected", "Share or amount that would be normal.", *_EVIDENCE)
EVIDENCE_CAUSE: Final = gauge(
    "evidence_cause",
    "1, with what explains best that something fell (docs/alerts.md).",
    *_FUNNEL,
    "kind",
    "stage",
    "dimension",
    "value",
    "cause",
)
SLA_KEPT: Final = gauge("sla_kept", "Entries of a day, old enough to tell, that went on within sla_seconds.", *_STAGE)
SLA_BREACHED: Final = gauge(
    "sla_breached", "Those of that day that did so later, or have not; lost ones left out.", *_STAGE
)
SLA_SECONDS: Final = gauge(
    "sla_seconds", "`stalled_after` of the stage: the time in which its people shall go on.", *_STAGE
)
_TARGET = (*_STAGE, "of", "team", "period")
TARGET: Final = {
    "goal": gauge("target_goal", "What the file of targets asks for; revenue in major units.", *_TARGET),
    "fact": gauge("target_fact", "What of it is there.", *_TARGET),
    "plan_by_now": gauge("target_plan_by_now", "What of it would be due by now.", *_TARGET),
    "elapsed": gauge("target_elapsed_ratio", "The part of the period that is over.", *_TARGET),
    "expected": gauge("target_expected", "What there will be at the end as things go.", *_TARGET),
    "probability": gauge("target_probability_ratio", "How likely the goal is made.", *_TARGET),
}
_FALL = (*_FUNNEL, "kind", "stage")
MISSING_MONEY: Final = gauge(
    "evidence_missing_money",
    "Revenue that did not come in the window that speaks, about, in major units; `leg`: web or sales.",
    *_FALL,
    "leg",
    "currency",
)
CONTRIBUTION: Final = gauge(
    "evidence_contribution",
    "Up to three values that pulled down most: parts of the share (`effect` rate or mix), or the amount (volume).",
    *_FALL,
    "effect",
    "dimension",
    "value",
)
EVIDENCE_THRESHOLD: Final = gauge(
    "evidence_threshold_nats", "Evidence at which an alert begins; the rules compare with it.", *_FUNNEL
)
EVIDENCE_AGE: Final = gauge("evidence_age_seconds", "Since when the evidence stands as it is.", *_FUNNEL)
EVIDENCE_WATERMARK: Final = gauge(
    "evidence_watermark_timestamp_seconds", "Event-time watermark up to which the evidence speaks.", *_FUNNEL
)
