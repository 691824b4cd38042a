"""What becomes of the last entry: the table is what the fast paths and the general path both do, and what is drawn."""

from __future__ import annotations

from collections import Counter

from schemas.counters import FAMILY_NAMES, Family
from schemas.funnel.load import parse_funnel
from streams.core import outcomes
from streams.core.chunk import Op
from streams.core.deadlines import collect_due, fire
from streams.core.header import status_of, words_of
from streams.core.inorder import in_order
from streams.core.kept import KeptEvent
from streams.core.outcomes import EXPIRES, GOES_ON, IS_LOST, REVIVES, STALLS, TRANSITIONS
from streams.core.plan import LOST, OPEN, RESOLVED, STALLED
from streams.core.planning import plan_of
from streams.core.state import FunnelState
from streams.core.step import step
from tests.support.rows import rows

MINUTE = 60_000
T0 = 1_750_000_000_000
KEY = b"a:v"
FUNNEL = parse_funnel(
    """
name: f
conversion_window: 1d
stages:
  - {name: a, on: [a], stalled_after: 5m, abandon_after: 10m}
  - {name: b, on: [b]}
  - {name: c, on: [c]}
lost: [{on: [no]}]
"""
)
_NAMES = {OPEN: "OPEN", STALLED: "STALLED", RESOLVED: "RESOLVED"}
_FAMILIES = {Family.ADVANCED_COHORT, Family.LOST_COHORT, Family.ABANDONED_COHORT, Family.REVIVED_COHORT, Family.STALLED}


def _op(kind: int, minutes: float, number: int) -> Op:
    at = T0 + int(minutes * MINUTE)
    whole = KeptEvent(at, number, kind, 0, reason=2) if kind == LOST else None
    return KEY, at, number, kind, 0, 0, whole


def _state(status: int, *, is_fast: bool) -> FunnelState:
    """A person whose entry of stage a has a status, put there by the watermark."""
    plan = plan_of(FUNNEL)
    plan.has_fast_paths = is_fast
    state = FunnelState(plan, max_persons=10)
    state.stats = {"accepted": 0, "persons": 0, "duplicates": 0}
    step(state, [_op(0, 0, 1)])
    if status != OPEN:
        _pass(state, 6 if status == STALLED else 11)
    assert status_of(words_of(plan, state.cache.persons[KEY])[0]) == status
    return state


def _pass(state: FunnelState, minutes: float) -> None:
    """The watermark passes a time."""
    collect_due(state, T0 + int(minutes * MINUTE))
    fire(state, T0 + int(minutes * MINUTE), 10)


def _counted(state: FunnelState) -> Counter[Family]:
    """Outcomes and stalled entries of stage a."""
    plan, counted = state.plan, Counter[Family]()
    for key, amount in state.contributions.counts.items():
        for stage, family in plan.families[key & (1 << plan.family_bits) - 1]:
            if stage == 0 and Family(family & 0xFF) in _FAMILIES:
                counted[Family(family & 0xFF)] += amount
    return counted


def _happen(state: FunnelState, happening: str) -> None:
    if happening in (STALLS, EXPIRES):
        _pass(state, 7 if happening == STALLS else 12)
    else:
        kind, minutes = {IS_LOST: (LOST, 8), GOES_ON: (1, 8), REVIVES: (1, 12)}[happening]
        step(state, [_op(kind, minutes, 2)])


@rows("is_fast", [True, False], ids=["fast", "general"])
@rows(("status", "happening"), [key for key, value in TRANSITIONS.items() if value is not None])
def test_a_transition_counts_what_the_table_says(status: int, happening: str, is_fast: bool) -> None:
    transition = TRANSITIONS[status, happening]
    assert transition is not None
    state = _state(status, is_fast=is_fast)
    before = _counted(state)
    _happen(state, happening)
    changed = _counted(state)
    changed.subtract(before)
    wanted = Counter({Family.STALLED: transition.stalled})
    if transition.outcome is not None:
        wanted[transition.outcome] += 1
    assert {family: amount for family, amount in changed.items() if amount} == {
        family: amount for family, amount in wanted.items() if amount
    }
    if happening not in (GOES_ON, REVIVES):
        assert status_of(words_of(state.plan, state.cache.persons[KEY])[0]) == transition.status


@rows("happening", [GOES_ON, IS_LOST])
def test_what_would_take_back_a_decision_is_left_to_the_general_path(happening: str) -> None:
    state = _state(RESOLVED, is_fast=True)
    before, packed = dict(state.contributions.counts), state.cache.persons[KEY]
    op = _op(LOST if happening == IS_LOST else 1, 8, 2)
    assert TRANSITIONS[RESOLVED, happening] is None
    assert in_order(state, op, packed) is False
    assert (dict(state.contributions.counts), state.cache.persons[KEY]) == (before, packed)
    step(state, [op])
    assert _counted(state)[Family.ABANDONED_COHORT] == 0


def _drawn() -> str:
    """The table as text: a row for what happens, a column for the status that it finds."""
    happenings = dict.fromkeys(happening for _, happening in TRANSITIONS)
    rows = [["", *_NAMES.values()]]
    rows += [[happening, *(_cell(status, happening) for status in _NAMES)] for happening in happenings]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"    {line}".rstrip() for line in lines)


def _cell(status: int, happening: str) -> str:
    if (status, happening) not in TRANSITIONS:
        return "-"
    transition = TRANSITIONS[status, happening]
    if transition is None:
        return "general path"
    outcome = "" if transition.outcome is None else f" +{FAMILY_NAMES[transition.outcome].removesuffix('.cohort')}"
    stalled = {1: " +stalled", 0: "", -1: " -stalled"}[transition.stalled]
    return f"{_NAMES[transition.status]}{outcome}{stalled}"


def test_the_picture_in_the_module_is_drawn_from_the_table() -> None:
    assert outcomes.__doc__ is not None
    assert _drawn() in outcomes.__doc__, _drawn()
