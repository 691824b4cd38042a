"""An alert as people read it: what fell, since when, where, what it costs, what was changed, where to look. Pure.

One text for the terminal, for mails and for chats; `alerts explain --json` has the same as fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypedDict

from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from schemas.times import DAY_MS, utc_text
from streams.evidence.alerts import Alert, AlertDocument, document_of, mute_repeated
from streams.evidence.findings import Finding, hours_of
from streams.evidence.live import FunnelEvidence, Standing
from streams.report.questions.legs import leg_of
from streams.state import Annotation

_NEAR_MS: Final = 3 * DAY_MS
_SUMMARIES: Final = {
    "FunnelConversionDrop": "Fewer people go on from {stage} of {funnel} than is normal",
    "FunnelEntriesDrop": "Fewer people enter {funnel} than is normal",
    "FunnelRevenueDrop": "{funnel} takes less money than is normal",
    "FunnelTrackingBroken": "Tracking of {funnel} is broken at {stage}",
}


class ContributorShape(TypedDict):
    """See `findings.Contributor`."""

    dim: str
    effect: str
    part: float


class Story(AlertDocument):
    """An alert with all that is known of it."""

    funnel: str
    version: int
    leg: str
    """`web` or `sales`; empty where a funnel has no two."""
    contributors: list[ContributorShape]
    missing_minor: int
    """Revenue that did not come since then, about."""
    missing_minor_per_hour: int
    currency: str
    annotation: str | None
    """What was changed near its beginning."""
    annotated_at: str | None
    text: str


def stories_of(evidence: FunnelEvidence, annotations: Iterable[Annotation] = ()) -> list[Story]:
    """What fell, the most certain first; those that another one explains are of severity none."""
    falling = evidence.fallen()
    known = {(one.kind, one.stage, one.dim): one for one in falling}
    said = [each for each in annotations if each.funnel in (None, evidence.funnel.name)]
    alerts = mute_repeated(alert_of(one, evidence.made_at_ms) for one in falling)
    stories = [
        _story(evidence.funnel, alert, finding=known[alert.kind, alert.stage, alert.dim].finding, annotations=said)
        for alert in alerts
    ]
    return sorted(stories, key=lambda story: (story["severity"] == "none", -story["evidence"]))


def alert_of(standing: Standing, at_ms: int) -> Alert:
    """A standing as an alert that began now."""
    cause = standing.cause or "conversion"
    return Alert(
        standing.kind, standing.stage, standing.dim, at_ms, at_ms, standing.evidence, standing.evidence.nats, cause
    )


def _story(funnel: Funnel, alert: Alert, *, finding: Finding | None, annotations: Sequence[Annotation]) -> Story:
    near = min(annotations, key=lambda each: abs(each.at_ms - alert.since_ms), default=None)
    if near is not None and abs(near.at_ms - alert.since_ms) > _NEAR_MS:
        near = None
    missing = 0.0 if finding is None else finding.missing_minor
    story: Story = {
        **document_of(alert),
        "funnel": funnel.name,
        "version": funnel.version,
        "leg": leg_of(funnel, alert.stage),
        "contributors": []
        if finding is None
        else [{"dim": each.dim, "effect": each.effect, "part": each.part} for each in finding.contributors],
        "missing_minor": round(missing),
        "missing_minor_per_hour": round(missing / max(hours_of(alert.first), 1 / 60)),
        "currency": funnel.currency,
        "annotation": None if near is None else near.text,
        "annotated_at": None if near is None else utc_text(near.at_ms),
        "text": "",
    }
    return {**story, "text": "\n".join(_lines(story, alert))}


def _lines(story: Story, alert: Alert) -> Iterable[str]:
    name = story["name"]
    summary = _SUMMARIES[name].format(stage=story["stage"], funnel=story["funnel"])
    where = f" with {story['dim']}" if story["dim"] else ""
    yield f"{summary}{where} ({name}, {story['severity']})."
    yield _fall(story)
    yield f"Since about {story['since']} (known at {story['starts_at']}); cause: {story['cause']}{_leg(story)}."
    if alert.muted_by:
        yield f"Nobody is called: {alert.muted_by} explains it."
    if story["contributors"]:
        yield "Most of it: " + "; ".join(_contributor(story, each) for each in story["contributors"]) + "."
    if story["missing_minor"]:
        lost, hourly = (_money(story[key], story["currency"]) for key in ("missing_minor", "missing_minor_per_hour"))
        yield f"Missing so far: about {lost}, {hourly} an hour."
    if story["annotation"] is not None:
        yield f"Near it, at {story['annotated_at']}: {story['annotation']}"
    yield f"Look: /d/funnelcast-funnel?var-funnel={story['funnel']}, docs/runbook.md#{name.lower()}"
    yield f"Proof: {proof_of(story['funnel'], alert)}"


def proof_of(reference: str, alert: Alert) -> str:
    """The command that finds the same in the log."""
    since, until = utc_text(alert.since_ms - DAY_MS)[:10], utc_text(alert.ends_at_ms + DAY_MS)[:10]
    return f"funnelcast alerts backtest --from-kafka --funnel {reference} --since {since} --until {until}"


def _fall(story: Story) -> str:
    numerator, denominator, normal = story["numerator"], story["denominator"], story["baseline"]
    if denominator:
        now = numerator / denominator
        return (
            f"From {normal:.1%} to {now:.1%}: {numerator:,.0f} of {denominator:,.0f} went on; "
            f"{normal * denominator:,.0f} would be normal."
        )
    if story["name"] == "FunnelRevenueDrop":
        return f"From {_money(normal, story['currency'])} to {_money(numerator, story['currency'])}."
    return f"From {normal:,.0f} to {numerator:,.0f} entries."


def _leg(story: Story) -> str:
    return f", {story['leg']} leg" if story["leg"] else ""


def _contributor(story: Story, each: ContributorShape) -> str:
    if each["effect"] == "volume":
        amount = (
            _money(each["part"], story["currency"]) if story["name"] == "FunnelRevenueDrop" else f"{each['part']:,.0f}"
        )
        return f"{each['dim']} {amount}"
    return f"{each['dim']} {100 * each['part']:+.1f} points ({each['effect']})"


def _money(minor: float, currency: str) -> str:
    return f"{minor / 10 ** minor_digits(currency):,.0f} {currency}"
