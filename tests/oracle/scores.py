"""Lead scores: every event of a history has the temperature that its person has at that instant.

Declarative on purpose: each event looks at all events of the history.
"""

from __future__ import annotations

from dataclasses import replace

from tests.oracle.definition import Funnel
from tests.oracle.event import Event


def with_temperatures(funnel: Funnel, history: list[Event]) -> list[Event]:
    """The history with the temperature in place of what was sent, in every dimension of that property."""
    if funnel.scoring is None:
        return history
    return [replace(event, values=_values(funnel, history, event)) for event in history]


def _values(funnel: Funnel, history: list[Event], event: Event) -> tuple[str, ...]:
    temperature = _temperature(funnel, sum(_left(funnel, one, event.occurred) for one in history))
    return tuple(
        temperature if dimension.prop == "temperature" else value
        for dimension, value in zip(funnel.dimensions, event.values, strict=True)
    )


def _left(funnel: Funnel, event: Event, at: int) -> int:
    """What is left of an event's points: half, rounded towards 0, after each half-life."""
    assert funnel.scoring is not None
    if event.occurred > at:
        return 0
    size = abs(event.points) >> (at - event.occurred) // funnel.scoring.half_life
    return size if event.points > 0 else -size


def _temperature(funnel: Funnel, score: int) -> str:
    assert funnel.scoring is not None
    if score >= funnel.scoring.hot:
        return "hot"
    return "warm" if score >= funnel.scoring.warm else "cold"
