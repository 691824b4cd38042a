"""What becomes of journeys, as records to be published: every change of the outcome of a stage entry, and its values.

Outcomes are a function of a person's history (semantics.md 4), so a change is the difference of two of them: before and
after an event was counted or a deadline passed. A funnel that publishes them counts on the general path alone. A
decision that an event takes back is a change like another: `abandoned` becomes `advanced`; an entry that is no more is
`withdrawn`. That a person enters a stage is no outcome, and no change. An entry that is abandoned was stalled before,
where the funnel says when, also where both times have passed at once.

Published again after a crash, a change has the same id and the same bytes, and readers drop ids that they know.
An id is made of what has become of which entry, and of the event that did it: what an event has taken back another may
bring again. What the watermark alone decides of an entry without an outcome happens once and has one id. It is
published before the next event of the person, whether the deadline was booked by itself or with that event: which of
the two depends on how a worker cuts the log into chunks, and readers must get the same order. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import xxhash

from schemas.counters import REASONS, currency_text
from streams.core.base import Entry, Journey
from streams.core.journeys import History, deadline_of
from streams.core.outgoing import Outgoing, journey_change
from streams.core.plan import RESOLVED, Plan, Status
from streams.core.plan import STALLED as IS_STALLED
from streams.core.registers import FIRST_CODE, FunnelRegisters, name_of_code, values_of

OPEN, STALLED, ABANDONED, LOST = "open", "stalled", "abandoned", "lost"
ADVANCED, REVIVED, COMPLETED, WITHDRAWN = "advanced", "revived", "completed", "withdrawn"
_UNDECIDED: Final = (OPEN, STALLED)
EntryId: TypeAlias = tuple[bytes, int, int]
"""(unit value, stage, time): what an entry of a person is known by."""
Cause: TypeAlias = tuple[int, int]
"""(hash, time) of the event that is counted; of a link, which has no hash, 0."""
BY_TIME: Final[Cause] = (0, 0)
"""No event: the watermark has moved."""


class Outcome(NamedTuple):
    """What has become of an entry."""

    state: str
    at: int
    reason: int
    entry: Entry
    journey: Journey

    @property
    def meaning(self) -> tuple[str, int, int]:
        """What is compared."""
        return self.state, self.at, self.reason


class JourneyChange(NamedTuple):
    """One change, in codes."""

    key: bytes
    entry_id: EntryId
    before: Outcome | None
    after: Outcome | None
    cause: Cause


def outcomes_of(plan: Plan, history: History, statuses: Sequence[Status]) -> dict[EntryId, Outcome]:
    """Of every entry of a history."""
    outcomes: dict[EntryId, Outcome] = {}
    for journey, status in zip(history.journeys, statuses, strict=True):
        for number, entry in enumerate(journey.entries):
            onward = journey.entries[number + 1] if number + 1 < len(journey.entries) else None
            state, at, reason = _outcome(plan, journey, entry, onward, status)
            outcomes[journey.unit, entry.stage, entry.at] = Outcome(state, at, reason, entry, journey)
    return outcomes


def _outcome(plan: Plan, journey: Journey, entry: Entry, onward: Entry | None, status: Status) -> tuple[str, int, int]:
    """(state, since when, reason); `status` matters for an entry without a successor. As `contributions` counts it."""
    deadline = deadline_of(plan, journey, entry)
    if entry.stage == plan.last:
        return COMPLETED, entry.at, 0
    if 0 <= entry.loss_at <= deadline:
        return (LOST, entry.loss_at, entry.reason) if onward is None else (REVIVED, onward.at, 0)
    if onward is not None:
        return (ADVANCED if onward.at <= deadline else REVIVED), onward.at, 0
    if status == RESOLVED:
        return ABANDONED, deadline, 0
    if status == IS_STALLED:
        return STALLED, entry.at + plan.stall[entry.stage], 0
    return OPEN, entry.at, 0


def changes_of(
    plan: Plan,
    key: bytes,
    before: Mapping[EntryId, Outcome],
    after: Mapping[EntryId, Outcome],
    *,
    cause: Cause,
    watermark: int,
) -> list[JourneyChange]:
    """What differs, the oldest first."""
    changes = []
    for entry_id in sorted(before.keys() | after.keys(), key=_by_time):
        was, now = before.get(entry_id), after.get(entry_id)
        # That an entry was made is no outcome: it is published when it has one.
        if was is None and now is not None and now.state == OPEN:
            continue
        if was is None or now is None or was.meaning != now.meaning:
            is_by_time = _is_decided(was, now, watermark)
            # Time went past both limits in one step: readers get both, as they do where it goes slowly.
            if is_by_time and (stalled := _stalled_before(plan, was, now)) is not None:
                changes.append(JourneyChange(key, entry_id, was, stalled, BY_TIME))
                was = stalled
            changes.append(JourneyChange(key, entry_id, was, now, BY_TIME if is_by_time else cause))
    return changes


def _stalled_before(plan: Plan, was: Outcome | None, now: Outcome | None) -> Outcome | None:
    """What an open entry was before it was abandoned, where the funnel says when it is stalled."""
    if was is None or now is None or (was.state, now.state) != (OPEN, ABANDONED):
        return None
    at = now.entry.at + plan.stall[now.entry.stage]
    return now._replace(state=STALLED, at=at) if at < now.at else None


def _is_decided(was: Outcome | None, now: Outcome | None, watermark: int) -> bool:
    """Whether the watermark alone has decided about an entry that had no outcome."""
    if was is None or now is None or was.state not in _UNDECIDED:
        return False
    return now.state in (STALLED, ABANDONED) and now.at < watermark


def _by_time(entry_id: EntryId) -> tuple[int, int, bytes]:
    unit, stage, at = entry_id
    return at, stage, unit


class ChangeRecords:
    """Makes records of the changes of one funnel."""

    def __init__(self, plan: Plan, registers: FunnelRegisters) -> None:
        self._plan = plan
        self._registers = registers
        self._names: list[dict[int, str]] = [{} for _ in registers.all]

    def records(self, changes: Sequence[JourneyChange]) -> list[Outgoing]:
        """In their order."""
        return [self._record(change) for change in changes]

    def _record(self, change: JourneyChange) -> Outgoing:
        shown = change.after or change.before
        assert shown is not None  # noqa: S101 - one of them is there
        unit, stage, entered_at = change.entry_id
        state, at = (WITHDRAWN, entered_at) if change.after is None else (change.after.state, change.after.at)
        name, _, version = self._plan.funnel_id.rpartition("@")
        document: dict[str, Any] = {
            "id": self._id(change),
            "funnel": name,
            "version": int(version),
            "person": change.key.decode("utf-8", "replace"),
            "deal": unit.decode(errors="replace") or None,
            "stage": self._plan.definition.stages[stage].name,
            "entered_at_ms": entered_at,
            "change": state,
            "at_ms": at,
            "was": None if change.before is None else change.before.state,
            "reason": self._name(REASONS, shown.reason) if shown.state == LOST else None,
            "value_minor": shown.entry.minor if shown.entry.minor >= 0 else None,
            "currency": currency_text(shown.entry.currency) if shown.entry.minor >= 0 else None,
            "values": values_of(self._plan, shown.entry.code, self._name),
            "started_at_ms": shown.journey.started_at,
            "age_ms": at - entered_at,
        }
        value = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return journey_change(self._plan.funnel_id, key=change.key, value=value)

    def _id(self, change: JourneyChange) -> str:
        meaning = (WITHDRAWN, 0, 0) if change.after is None else change.after.meaning
        unit, stage, at = change.entry_id
        parts = (self._plan.funnel_id, change.key.hex(), unit.hex(), stage, at, *meaning, *change.cause)
        return xxhash.xxh3_128_hexdigest("\0".join(map(str, parts)).encode())

    def _name(self, register: int, code: int) -> str:
        names = self._names[register]
        if code >= FIRST_CODE and code not in names:
            names.update({known: name for name, known in self._registers.all[register].codes.items()})
        return name_of_code(names, code)
