"""The alerts that the evidence of this moment raises, as the rules of Prometheus would. Pure."""

from __future__ import annotations

from typing import TypedDict

from schemas.funnel.model import Funnel
from schemas.times import utc_text
from streams.evidence.alerts import AlertDocument, document_of, mute_repeated
from streams.evidence.live import FunnelEvidence
from streams.evidence.story import alert_of


class AlertsDocument(TypedDict):
    """What speaks now."""

    funnel: str
    version: int
    is_ready: bool
    """Whether the evidence has been made: that begins with the first question, and is repeated every minute."""
    made_at: str | None
    alerts: list[AlertDocument]
    """Those of severity none are explained by another one, or by other visitors than usual."""


def no_alerts(funnel: Funnel) -> AlertsDocument:
    """As long as no evidence has been made."""
    return {"funnel": funnel.name, "version": funnel.version, "is_ready": False, "made_at": None, "alerts": []}


def alerts_now(evidence: FunnelEvidence) -> AlertsDocument:
    """What fell, as far as the watermark has come; rises are no alerts."""
    at_ms = evidence.made_at_ms
    alerts = [alert_of(standing, at_ms) for standing in evidence.fallen()]
    return {
        "funnel": evidence.funnel.name,
        "version": evidence.funnel.version,
        "is_ready": True,
        "made_at": utc_text(at_ms),
        "alerts": [document_of(alert) for alert in mute_repeated(alerts)],
    }
