"""From evidence to alerts: when one begins and ends, what it is about, and what is its cause. Pure.

An alert begins at the first moment whose evidence reaches the threshold, and goes on while there is such a moment
within `HOLD_MINUTES`, as a Prometheus rule with `keep_firing_for` does, or whose window reaches back into it. A cause
that explains an alert mutes it: a broken tag or a silent source is no worse business, and many cheap visitors are no
worse pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from schemas.times import MINUTE_MS, utc_text
from streams.defaults import THRESHOLD_NATS
from streams.evidence.causes import MIX, SILENT, TRACKING
from streams.evidence.detector import Evidence, Kind

HOLD_MINUTES = 60
NAMES: dict[Kind, str] = {
    "conversion": "FunnelConversionDrop",
    "entries": "FunnelEntriesDrop",
    "revenue": "FunnelRevenueDrop",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """Evidence that something fell, at the time at which it could be known."""

    at_ms: int
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Alert:
    """One stretch of time in which a series speaks."""

    kind: Kind
    stage: str
    dim: str
    """`channel=google`; empty for the whole."""
    starts_at_ms: int
    ends_at_ms: int
    first: Evidence
    peak_nats: float
    cause: str = "conversion"
    muted_by: str = ""
    """Why nobody is called: the cause, or the alert that says it already."""

    @property
    def since_ms(self) -> int:
        """Start of the window that raised it: it began no later than about then."""
        return self.starts_at_ms - self.first.window_minutes * MINUTE_MS


class AlertDocument(TypedDict):
    """One alert as JSON."""

    name: str
    severity: str
    stage: str
    dim: str
    cause: str
    starts_at: str
    ends_at: str
    since: str
    numerator: float
    denominator: float
    baseline: float
    evidence: float


def alerts_of(kind: Kind, moments: Sequence[Moment], *, threshold: float, stage: str, dim: str) -> list[Alert]:
    """The alerts of one series; `moments` by time."""
    alerts: list[Alert] = []
    for moment in moments:
        nats = moment.evidence.nats
        if nats < threshold:
            continue
        since_ms = moment.at_ms - moment.evidence.window_minutes * MINUTE_MS
        if alerts and min(since_ms, moment.at_ms - HOLD_MINUTES * MINUTE_MS) <= alerts[-1].ends_at_ms:
            last = alerts[-1]
            alerts[-1] = replace(last, ends_at_ms=moment.at_ms, peak_nats=max(last.peak_nats, nats))
        else:
            alerts.append(Alert(kind, stage, dim, moment.at_ms, moment.at_ms, moment.evidence, nats))
    return alerts


def mute_repeated(alerts: Iterable[Alert]) -> list[Alert]:
    """By start. What another one explains is muted: a value by its whole, revenue by entries or conversion, everything
    by a silent source or a broken tag of the same time."""
    ordered = sorted(alerts, key=lambda alert: (alert.starts_at_ms, bool(alert.dim), alert.kind == "revenue"))
    return [alert if alert.muted_by else replace(alert, muted_by=_muted_by(alert, ordered)) for alert in ordered]


def _muted_by(alert: Alert, others: Sequence[Alert]) -> str:
    if alert.cause == MIX:
        return MIX
    for other in others:
        if other is alert or not _overlap(alert, other):
            continue
        if other.cause in (TRACKING, SILENT) and alert.cause not in (TRACKING, SILENT):
            return other.cause
        if alert.dim and not other.dim and other.kind == alert.kind and other.stage == alert.stage:
            return NAMES[other.kind]
        if alert.kind == "revenue" and other.kind != "revenue" and not other.muted_by and other.cause != MIX:
            return NAMES[other.kind]
    return ""


def _overlap(alert: Alert, other: Alert) -> bool:
    """Whether the other one was there when the alert began, or came so soon that both are one event."""
    return other.since_ms <= alert.ends_at_ms and alert.since_ms <= other.ends_at_ms + HOLD_MINUTES * MINUTE_MS


def document_of(alert: Alert) -> AlertDocument:
    """As the contract of `alerts backtest --json` has it."""
    return {
        "name": "FunnelTrackingBroken" if alert.cause in (TRACKING, SILENT) else NAMES[alert.kind],
        "severity": "none" if alert.muted_by else "warning" if alert.dim else "critical",
        "stage": alert.stage,
        "dim": alert.dim,
        "cause": alert.cause,
        "starts_at": utc_text(alert.starts_at_ms),
        "ends_at": utc_text(alert.ends_at_ms),
        "since": utc_text(alert.since_ms),
        "numerator": round(alert.first.numerator, 6),  # of revenue: a multiple of what varies as one event, in floats
        "denominator": alert.first.denominator,
        "baseline": alert.first.expected,
        "evidence": alert.peak_nats,
    }


def threshold_for(peaks: Sequence[float], *, months: float, pages_per_month: float) -> float:
    """The evidence that so many alerts a month would reach by chance.

    `peaks` are those of all alerts at a low threshold in a history taken as normal. Beyond what happened often enough
    to be counted the tail falls by e a nat, as that of a likelihood ratio does (S. S. Wilks, 1938).
    """
    wanted = pages_per_month * months
    ordered = sorted(peaks, reverse=True)
    if not ordered:
        return THRESHOLD_NATS
    if wanted >= len(ordered):
        return ordered[-1]
    counted = min(len(ordered), max(20, math.ceil(wanted)))
    level = ordered[counted - 1]
    return level + max(0.0, math.log(counted / wanted))
