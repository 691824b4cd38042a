"""What becomes of the last entry of a person: a table of transitions, and how one is counted.

Only the last entry of the last journey can be open, and the header says what is booked for it: its status. A row is
what happens to the entry, a column the status that it finds, a cell the status that it leaves and what it counts:

                               OPEN                 STALLED                       RESOLVED
    its stall time passes      STALLED +stalled     STALLED                       RESOLVED
    its deadline passes        RESOLVED +abandoned  RESOLVED +abandoned -stalled  RESOLVED
    a loss in time             RESOLVED +lost       RESOLVED +lost -stalled       general path
    an event goes on in time   RESOLVED +advanced   RESOLVED +advanced -stalled   general path
    an event goes on too late  -                    -                             RESOLVED +revived

Outcomes count in the bucket of the entry (cohort) and in that of the moment (period). What would take back a decision
goes the general path. The fast paths ask this table whether they are certain, and count by it. A test draws the picture
above from it and counts every cell on both paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.counters import Family
from streams.core.header import AT_SHIFT, FLAGS_SHIFT, PASSED_MASK, STATUS_MASK, Words
from streams.core.plan import OPEN, RESOLVED, STALLED, Plan, Status
from streams.core.state import FunnelState

STALLS: Final = "its stall time passes"
EXPIRES: Final = "its deadline passes"
IS_LOST: Final = "a loss in time"
GOES_ON: Final = "an event goes on in time"
REVIVES: Final = "an event goes on too late"


class Transition(NamedTuple):
    """What a happening makes of an entry."""

    status: Status
    """Of the entry. An entry that went on is no longer the last one; its successor has a status of its own."""
    outcome: Family | None = None
    """By cohort; it counts by period too."""
    stalled: int = 0


TRANSITIONS: Final[Mapping[tuple[Status, str], Transition | None]] = {
    (OPEN, STALLS): Transition(STALLED, stalled=1),
    (STALLED, STALLS): Transition(STALLED),
    (RESOLVED, STALLS): Transition(RESOLVED),
    (OPEN, EXPIRES): Transition(RESOLVED, Family.ABANDONED_COHORT),
    (STALLED, EXPIRES): Transition(RESOLVED, Family.ABANDONED_COHORT, stalled=-1),
    (RESOLVED, EXPIRES): Transition(RESOLVED),
    (OPEN, IS_LOST): Transition(RESOLVED, Family.LOST_COHORT),
    (STALLED, IS_LOST): Transition(RESOLVED, Family.LOST_COHORT, stalled=-1),
    (RESOLVED, IS_LOST): None,
    (OPEN, GOES_ON): Transition(RESOLVED, Family.ADVANCED_COHORT),
    (STALLED, GOES_ON): Transition(RESOLVED, Family.ADVANCED_COHORT, stalled=-1),
    (RESOLVED, GOES_ON): None,
    (RESOLVED, REVIVES): Transition(RESOLVED, Family.REVIVED_COHORT),
}
"""None: what is booked would be taken back, which takes the general path. What is not here cannot happen."""


def is_certain(status: Status, happening: str) -> bool:
    """Whether the header alone says what the happening makes of the last entry."""
    return TRANSITIONS[status, happening] is not None


def counted_by(plan: Plan, happening: str) -> list[tuple[Status, list[int], list[int], int]]:
    """By status of OPEN and STALLED: status after, ids of the outcome by cohort and by period, change of `stalled`."""
    counted = []
    for status in (OPEN, STALLED):
        transition = TRANSITIONS[status, happening]
        assert transition is not None  # noqa: S101 - time alone takes nothing back
        by_cohort, by_period = ([], []) if transition.outcome is None else plan.outcomes[transition.outcome]
        counted.append((transition.status, by_cohort, by_period, transition.stalled))
    return counted


def add_outcome(
    state: FunnelState, status: Status, happening: str, stage: int, entry_key: int, period_key: int, reason: int = 0
) -> Status:
    """Count a transition that is certain; the new status. The keys are of the entry and of the moment.

    By position, for it is called for every second event that comes in order.
    """
    transition = TRANSITIONS[status, happening]
    assert transition is not None  # noqa: S101 - see is_certain
    status_after, outcome, stalled = transition
    plan, counts = state.plan, state.contributions.counts
    if outcome is not None:
        by_cohort, by_period = plan.outcomes[outcome]
        counts[entry_key | by_cohort[stage] + reason] += 1
        counts[period_key | by_period[stage] + reason] += 1
    if stalled:
        counts[entry_key | plan.f_stalled[stage]] += stalled
    return status_after


def decide(state: FunnelState, words: Words, now: int, abandoned_at: int, entry_key: int) -> Status:
    """Count what time alone has made of the last entry by `now`, an event's time or the watermark; its new status."""
    last_word, _, entry_word, _, _, entry_code = words
    status, stage = last_word >> FLAGS_SHIFT & STATUS_MASK, (last_word & PASSED_MASK) - 1
    # At the limit itself an event is still in time.
    if now > abandoned_at:
        return add_outcome(state, status, EXPIRES, stage, entry_key, state.plan.key_of(abandoned_at, entry_code))
    if status == OPEN and now > (entry_word >> AT_SHIFT) + state.plan.stall[stage]:
        return add_outcome(state, status, STALLS, stage, entry_key, entry_key)
    return status
