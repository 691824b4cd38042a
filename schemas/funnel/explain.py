"""What to write in a funnel file: examples for keys that are missing, and the keys that are known where. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.explain import Explainer, KeyPath
from schemas.funnel.duration import format_duration
from schemas.funnel.model import Funnel
from schemas.funnel.parts import Dimension, LostRule, Stage
from schemas.funnel.rules import Rule
from schemas.funnel.scoring import ScoreRule, Scoring

if TYPE_CHECKING:
    from pydantic import BaseModel

_INNER: Final = (
    ("stages", Stage),
    ("lost", LostRule),
    ("dimensions", Dimension),
    ("scoring", Scoring),
    ("points", ScoreRule),
    ("on", Rule),
)


def _known_keys(path: KeyPath) -> list[str]:
    model: type[BaseModel] = Funnel
    for part, inner in _INNER:
        if part in path:
            model = inner
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return [*keys, "order"] if model is Stage else keys


def explain_unit(funnel: Funnel) -> str:
    """What the unit of a funnel that has one does to its numbers."""
    window, lead_in = format_duration(funnel.conversion_window_ms), format_duration(funnel.lead_in_ms)
    return (
        f"unit {funnel.unit}: every value of the property {funnel.unit} is a deal of its own, from its first event on "
        f"for {window}. An event without it (a visit, a payment) belongs to the person's open deal that began last, "
        f"else to the one that begins within {lead_in} after it: so a deal has the channel of the visit that led to "
        "it. What belongs to no deal is one line of journeys, as without a unit. Orders stay the person's."
    )


FUNNEL_ERRORS: Final = Explainer(
    known_keys=_known_keys,
    examples={
        "name": "name: shop",
        "conversion_window": "conversion_window: 30d",
        "stages": "stages: [{name: click, on: [click]}, {name: payment, on: [payment], order: true}]",
        "on": "on: [click]",
        "attribution": "attribution: first",
        "event": "event: lead_created",
        "unit": "unit: deal_id",
        "points": "points: [{on: pricing_viewed, points: 10}]",
        "warm": "warm: 20",
        "hot": "hot: 60",
    },
    mappings={
        "lost": "{on: [lead_lost], reason: price}",
        "stages": "{name: lead, on: [lead_created]}",
        "dimensions": "{name: channel, attribution: first}",
        "scoring": "scoring: {warm: 20, hot: 60, points: [{on: pricing_viewed, points: 10}]}",
    },
)
