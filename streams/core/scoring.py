"""Lead scores (docs/decisions/lead-scoring.md): the temperature of a person at each of its events. Pure.

Points are a property of an event, the temperature one of the history. So a kept event holds its points where its code
has the temperature, and a pass begins with `scored`: the same events, each with the temperature of its time. All that
follows (entries, outcomes, orders, deals) knows a temperature as it knows a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.counters import CODE_OTHER
from streams.core.base import Base, Score
from streams.core.definition import Scoring
from streams.core.kept import KeptEvent
from streams.core.plan import POINTS_BITS, Plan

COLD: Final = CODE_OTHER + 1
"""Register code; warm and hot follow, for the dimension lists them in this order."""
_POINTS_MASK: Final = (1 << POINTS_BITS) - 1


def with_points(plan: Plan, code: int, points: int) -> int:
    """The code of an event as it is kept: with its points in place of what it said of its temperature."""
    if not plan.score_shifts:
        return code
    packed = 2 * points if points >= 0 else -2 * points - 1
    return code & ~plan.score_mask | packed << plan.score_shifts[0]


def points_of(plan: Plan, event: KeptEvent) -> int:
    """The points of a kept event."""
    packed = event.code >> plan.score_shifts[0] & _POINTS_MASK
    return -(packed + 1 >> 1) if packed & 1 else packed >> 1


def halved(points: int, times: int) -> int:
    """Points after so many half-lives, rounded towards 0."""
    return points >> times if points >= 0 else -(-points >> times)


def scored(plan: Plan, base: Base, events: Sequence[KeptEvent]) -> Sequence[KeptEvent]:
    """The events with the temperature of their time; as they are where the funnel has no scores."""
    scoring = plan.definition.scoring
    if scoring is None:
        return events
    in_order = sorted(events)
    given = [(event.at, points) for event in in_order if (points := points_of(plan, event))]
    score = _Score(plan, scoring, [*base.scores, *given])
    return [_with_temperature(plan, event, score.at(event.at)) for event in in_order]


def scores_behind(plan: Plan, base: Base, events: Sequence[KeptEvent], horizon: int, settled: int) -> list[Score]:
    """What later events need to know of those behind the horizon; nothing that can move is older than `settled`.

    The newest event is among them whatever its points, so that the person is known for as long as its score may be.
    """
    if not plan.score_life:
        return []
    behind = [event for event in events if event.at < horizon]
    scores = sorted(base.scores + [(event.at, points_of(plan, event)) for event in behind])
    newest = len(scores) - 1
    return [
        (at, points)
        for number, (at, points) in enumerate(scores)
        if at >= settled - plan.score_life and (points or number == newest)
    ]


def _with_temperature(plan: Plan, event: KeptEvent, temperature: int) -> KeptEvent:
    code = event.code & ~plan.score_mask
    for shift in plan.score_shifts:
        code |= temperature << shift
    return event._replace(code=code)


class _Score:
    """The score of a person, asked at times that never fall."""

    def __init__(self, plan: Plan, scoring: Scoring, given: list[Score]) -> None:
        self._scoring = scoring
        self._given = given
        self._passed = [0] * (plan.score_life // scoring.half_life_ms + 1)
        """By number of half-lives: so many of those that gave points are at least as old."""
        self._sum = 0

    def at(self, at: int) -> int:
        """Code of the temperature then."""
        given = self._given
        for times, passed in enumerate(self._passed):
            since = at - times * self._scoring.half_life_ms
            while passed < len(given) and given[passed][0] <= since:
                points = given[passed][1]
                self._sum += halved(points, times) - (halved(points, times - 1) if times else 0)
                passed += 1
            self._passed[times] = passed
        return COLD + (self._sum >= self._scoring.warm) + (self._sum >= self._scoring.hot)
