"""Lead scoring in a funnel definition: points of events, how they fade, and the temperatures that follow. Pure.

docs/decisions/lead-scoring.md says what a temperature is.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, field_validator, model_validator

from schemas.funnel.duration import DurationMs
from schemas.funnel.rules import Part, Rules, as_list
from schemas.times import DAY_MS

TEMPERATURES: Final = ("cold", "warm", "hot")
SCORED_PROPERTY: Final = "temperature"
"""What the score gives; a dimension of this property shows it."""
MOST_POINTS: Final = 1000
"""That one event can have, or take away."""
_MOST_HALF_LIFE_MS: Final = 400 * DAY_MS
_HALF_LIFE_MS: Final = 30 * DAY_MS


class ScoreRule(Part):
    """Events that are worth points."""

    on: Rules = Field(description="Events that are worth points.", examples=["[product_viewed]"])
    points: int = Field(strict=True, description="How many, from -1000 to 1000.", examples=["5"])

    @field_validator("points")
    @classmethod
    def _few(cls, points: int) -> int:
        if not points or abs(points) > MOST_POINTS:
            raise ValueError(f"{points} is no number of points; write -{MOST_POINTS} to {MOST_POINTS}, but not 0")
        return points


class Scoring(Part):
    """How a person's events make it cold, warm or hot."""

    half_life_ms: DurationMs = Field(
        default=_HALF_LIFE_MS,
        alias="half_life",
        validate_default=False,
        description="After each of it an event's points count half.",
        examples=["14d"],
    )
    warm: int = Field(strict=True, description="From so many points on a person is warm.", examples=["20"])
    hot: int = Field(strict=True, description="From so many points on a person is hot.", examples=["60"])
    points: Annotated[tuple[ScoreRule, ...], BeforeValidator(as_list), Field(min_length=1)] = Field(
        description="What is worth points.", examples=["[{on: product_viewed, points: 5}]"]
    )

    @field_validator("half_life_ms")
    @classmethod
    def _not_for_ever(cls, half_life_ms: int) -> int:
        if half_life_ms > _MOST_HALF_LIFE_MS:
            raise ValueError("is longer than 400d; write a shorter one, such as 30d")
        return half_life_ms

    @model_validator(mode="after")
    def _rising(self) -> Scoring:
        if not 0 < self.warm < self.hot:
            raise ValueError("warm: and hot: rise from cold; write e.g. warm: 20 and hot: 60")
        return self

    @property
    def most_points(self) -> int:
        """That one event can have by these rules."""
        return min(MOST_POINTS, sum(abs(rule.points) for rule in self.points))
