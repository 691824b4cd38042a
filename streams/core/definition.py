"""A funnel as the core reads it: plain values that were checked before, so that counting needs no model.

`streams.core.planning` makes them of a `schemas.funnel.model.Funnel`; `streams.core.plan` compiles them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.attribution import Attribution
from schemas.conditions import Operand, Operator


class Condition(NamedTuple):
    """One comparison of an event's property."""

    property_name: str
    operator: Operator
    operand: Operand


class StageRule(NamedTuple):
    """Events of a stage: a normalised name, and conditions that must all hold."""

    event: str
    where: tuple[Condition, ...]
    stage: int


class LostRule(NamedTuple):
    """Events that end a journey; without a fixed reason the event's property `reason` gives it."""

    event: str
    where: tuple[Condition, ...]
    reason: str | None


class ScoreRule(NamedTuple):
    """Events that are worth points."""

    event: str
    where: tuple[Condition, ...]
    points: int
    rule: int
    """Number of the rule in the file; an event gets the points of each once."""


class Scoring(NamedTuple):
    """How events make people cold, warm or hot (`streams.core.scoring`)."""

    half_life_ms: int
    warm: int
    hot: int
    most_points: int
    """That one event can have."""
    rules: tuple[ScoreRule, ...]


class Stage(NamedTuple):
    """One stage."""

    name: str

    abandon_after_ms: int | None
    stalled_after_ms: int | None
    nth: int | None
    """Order stage for the person's nth and later orders; None: not an order stage."""


class Dimension(NamedTuple):
    """A property by which everything is also counted."""

    name: str
    property_name: str
    attribution: Attribution
    values: tuple[str, ...] | None
    """The only values that get a code; None: any."""
    cap: int
    is_scored: bool = False
    """Whether the value is the temperature that the score gives, and not what was sent."""
    counts_touches: bool = False
    """Whether the value is how many touches the journey had, and not what was sent."""

    @property
    def codes(self) -> int:
        """How many values can get a code."""
        return self.cap if self.values is None else len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One funnel version."""

    funnel_id: str
    timezone: str
    currency: str
    window_ms: int
    lateness_ms: int
    ends_at_completion: bool
    """Whether an event after the last stage begins a new journey (reentry: completion)."""
    unit: str | None
    """The property that tells one deal of a person from another (semantics.md 3a); None: one line of journeys."""
    lead_in_ms: int
    """How far before a deal begins an event can lead to it; 0 without a unit."""
    publishes_journeys: bool
    """Whether what becomes of journeys leaves as records (`streams.core.journey_changes`)."""
    sources: frozenset[str] | None
    traffic: frozenset[str]
    """Classes that are counted (`schemas.traffic`)."""
    stages: tuple[Stage, ...]
    stage_rules: tuple[StageRule, ...]
    lost_rules: tuple[LostRule, ...]
    refunds: frozenset[str]
    ad_spend: frozenset[str]
    """Names of statements of spend; they are no events of a person and not among `event_names`."""
    scoring: Scoring | None
    dimensions: tuple[Dimension, ...]
    pairs: tuple[tuple[str, str], ...]
    event_names: frozenset[str]
    """Of all rules and refunds."""
    properties: frozenset[str]
    """What rules and dimensions read; `schemas.properties.ALWAYS_READ` are read besides."""
