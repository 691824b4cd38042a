"""The samples of evidence and of the windows of dimension values, as Prometheus reads them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.money import minor_digits
from streams.evidence.live import FunnelEvidence, Standing
from streams.exporter import judged
from streams.exporter.page import Page
from streams.exporter.value_samples import ValueSamples
from streams.report.questions.legs import leg_of


def fill_evidence(page: Page, evidence: Iterable[FunnelEvidence], *, now_ms: int) -> None:
    """Add what is known of every funnel."""
    for each in evidence:
        name, version = each.funnel.name, str(each.funnel.version)
        digits = 10 ** minor_digits(each.funnel.currency)
        page.add(judged.EVIDENCE_AGE, name, version, value=max(0, now_ms - each.made_at_ms) / 1000)
        page.add(judged.EVIDENCE_THRESHOLD, name, version, value=each.threshold)
        page.add(judged.EVIDENCE_WATERMARK, name, version, value=each.watermark_ms / 1000)
        ValueSamples(page, each.funnel, labels=(name, version)).fill_windows(each.values)
        _fill_agreed(page, each)
        _fill_targets(page, each, digits=digits)
        for standing in each.standings:
            dimension, _, value = standing.dim.partition("=")
            place = (name, version, standing.kind, standing.stage, dimension, value)
            labels, judged_by = (*place, standing.direction), standing.evidence
            unit = digits if standing.kind == "revenue" else 1
            page.add(judged.EVIDENCE, *labels, value=judged_by.nats)
            page.add(judged.EVIDENCE_WINDOW, *labels, value=60 * judged_by.window_minutes)
            page.add(judged.EVIDENCE_NUMERATOR, *labels, value=judged_by.numerator / unit)
            page.add(judged.EVIDENCE_DENOMINATOR, *labels, value=judged_by.denominator)
            page.add(judged.EVIDENCE_EXPECTED, *labels, value=judged_by.expected / unit)
            if standing.finding is not None:
                _fill_finding(page, each, standing=standing, digits=digits)
            if standing.cause:
                page.add(judged.EVIDENCE_CAUSE, *place, standing.cause, value=1)


def _fill_agreed(page: Page, evidence: FunnelEvidence) -> None:
    for answer in evidence.agreed:
        labels = (evidence.funnel.name, str(evidence.funnel.version), answer["stage"])
        cell = next(iter(answer["cells"]), None)
        page.add(judged.SLA_SECONDS, *labels, value=answer["within_seconds"])
        page.add(judged.SLA_KEPT, *labels, value=cell["kept"] if cell else 0)
        page.add(judged.SLA_BREACHED, *labels, value=cell["breached"] if cell else 0)


def _fill_targets(page: Page, evidence: FunnelEvidence, *, digits: int) -> None:
    for target in evidence.targets:
        place = (evidence.funnel.name, str(evidence.funnel.version), target["stage"])
        labels = (*place, target["of"], target["team"], target["period"])
        amounts = {name: target[name] for name in ("goal", "fact", "plan_by_now", "expected")}
        unit = digits if target["of"] == "revenue" else 1
        for name, amount in amounts.items():
            if amount is not None:
                page.add(judged.TARGET[name], *labels, value=amount / unit)
        page.add(judged.TARGET["elapsed"], *labels, value=target["elapsed"])
        if target["probability"] is not None:
            page.add(judged.TARGET["probability"], *labels, value=target["probability"])


def _fill_finding(page: Page, evidence: FunnelEvidence, *, standing: Standing, digits: int) -> None:
    funnel = evidence.funnel
    fall, finding = (funnel.name, str(funnel.version), standing.kind, standing.stage), standing.finding
    assert finding is not None  # noqa: S101 - asked before
    leg, unit = leg_of(funnel, standing.stage), digits if standing.kind == "revenue" else 1
    page.add(judged.MISSING_MONEY, *fall, leg, funnel.currency, value=finding.missing_minor / digits)
    for contributor in finding.contributors:
        dimension, _, value = contributor.dim.partition("=")
        page.add(judged.CONTRIBUTION, *fall, contributor.effect, dimension, value, value=contributor.part / unit)
