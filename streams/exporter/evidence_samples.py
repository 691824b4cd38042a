"""The samples of evidence and of the windows of dimension values, as Prometheus reads them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.money import minor_digits
from streams.evidence.live import FunnelEvidence
from streams.exporter import catalogue
from streams.exporter.page import Page
from streams.exporter.value_samples import ValueSamples


def fill_evidence(page: Page, evidence: Iterable[FunnelEvidence], now_ms: int) -> None:
    """Add what is known of every funnel."""
    for each in evidence:
        name, version = each.funnel.name, str(each.funnel.version)
        digits = 10 ** minor_digits(each.funnel.currency)
        page.add(catalogue.EVIDENCE_AGE, name, version, value=max(0, now_ms - each.made_at_ms) / 1000)
        page.add(catalogue.EVIDENCE_WATERMARK, name, version, value=each.watermark_ms / 1000)
        ValueSamples(page, each.funnel, (name, version)).fill_windows(each.values)
        for standing in each.standings:
            dimension, _, value = standing.dim.partition("=")
            place = (name, version, standing.kind, standing.stage, dimension, value)
            labels, found = (*place, standing.direction), standing.evidence
            unit = digits if standing.kind == "revenue" else 1
            page.add(catalogue.EVIDENCE, *labels, value=found.nats)
            page.add(catalogue.EVIDENCE_WINDOW, *labels, value=60 * found.window_minutes)
            page.add(catalogue.EVIDENCE_NUMERATOR, *labels, value=found.numerator / unit)
            page.add(catalogue.EVIDENCE_DENOMINATOR, *labels, value=found.denominator)
            page.add(catalogue.EVIDENCE_EXPECTED, *labels, value=found.expected / unit)
            if standing.cause:
                page.add(catalogue.EVIDENCE_CAUSE, *place, standing.cause, value=1)
