"""What is booked of a person, entry by entry, and when and why: for people who ask about one person. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.core.base import Entry, Journey
from streams.core.history import replay, statuses_of
from streams.core.journeys import deadline_of
from streams.core.person import unpack_person
from streams.core.plan import RESOLVED, STALLED, Plan, Status


class BookedEntry(NamedTuple):
    """A stage entry and its outcome. Times are epoch milliseconds, stages and reasons their numbers; -1 for none."""

    stage: int
    at: int
    outcome: str
    """advanced, lost, abandoned, completed, open or stalled."""
    deadline: int
    """Until when it may go on."""
    next_stage: int = -1
    next_at: int = -1
    lost_at: int = -1
    reason: int = -1


class BookedJourney(NamedTuple):
    """A journey."""

    started_at: int
    """With its lead-ins, where it is a deal."""
    begins_at: int
    ends_at: int
    unit: bytes
    """A deal's unit value; empty for the person's own line."""
    is_won: bool
    """It has entered an order stage."""
    entries: tuple[BookedEntry, ...]

    @property
    def state(self) -> str:
        """What has become of it in the end: won, or the outcome of its last entry."""
        return "won" if self.is_won else self.entries[-1].outcome


def journeys_of(plan: Plan, packed: bytes, sealed: Sequence[bytes]) -> list[BookedJourney]:
    """The journeys of a packed person that are not settled and forgotten, by their start."""
    person = unpack_person(plan, packed, sealed)
    history = replay(plan, person.base, person.events)
    statuses = statuses_of(plan, person, history)
    return sorted(_booked(plan, journey, status) for journey, status in zip(history.journeys, statuses, strict=True))


def _booked(plan: Plan, journey: Journey, status: Status) -> BookedJourney:
    following: list[Entry | None] = [*journey.entries[1:], None]
    entries = [_entry(plan, journey, *pair, status) for pair in zip(journey.entries, following, strict=True)]
    is_won = any(plan.is_order[entry.stage] for entry in journey.entries)
    begins_at = journey.begins_at
    return BookedJourney(
        journey.started_at, begins_at, begins_at + plan.window, journey.unit, is_won=is_won, entries=tuple(entries)
    )


def _entry(plan: Plan, journey: Journey, entry: Entry, onward: Entry | None, status: Status) -> BookedEntry:
    deadline = deadline_of(plan, journey, entry)
    next_stage, next_at = (-1, -1) if onward is None else (onward.stage, onward.at)
    reason = entry.reason if entry.loss_at >= 0 else -1
    outcome = _outcome(plan, entry, onward, deadline, status)
    return BookedEntry(entry.stage, entry.at, outcome, deadline, next_stage, next_at, entry.loss_at, reason)


def _outcome(plan: Plan, entry: Entry, onward: Entry | None, deadline: int, status: Status) -> str:
    if entry.stage == plan.last:
        return "completed"
    if 0 <= entry.loss_at <= deadline:
        return "lost"
    if onward is not None:
        return "advanced" if onward.at <= deadline else "abandoned"
    if status == RESOLVED:
        return "abandoned"
    return "stalled" if status == STALLED else "open"
