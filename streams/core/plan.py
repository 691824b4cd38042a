"""A funnel compiled for counting: tables and numbers. Built once, read by every module here, changed by none.

Laws of the layout:
* A *code* is one integer holding an event's register code of every dimension, a bit field each.
  `entry code = journey code & journey_mask | own code & stage_mask` gives the values of an entry (semantics.md 6). The
  journey code has the values of its first event and, of dimensions with the attribution `last`, those of its latest.
* A *count key* is `(minute << code_bits | code) << family_bits | family id`; a family id is a dense number of what is
  counted: a stage and family code, or several of them that always count together (`Plan.families`). Money has unbounded
  sub-keys (currencies) and goes by tuples `(minute, code, stage, family code)`.
* Reasons of loss have at most `REASON_CAP` names (register 0), so that a reason fits into a byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final, TypeAlias

from schemas.counters import (
    AGE_EDGES_DAYS,
    DURATION_EDGES_SECONDS,
    STAGE_LOST,
    Family,
    currency_code,
    duration_sub,
    family,
)
from schemas.times import DAY_MS, MINUTE_MS
from streams.core.definition import Definition

INFINITE: Final = 1 << 62
REASON_CAP: Final = 100
REASON_CODES: Final = REASON_CAP + 2
EDGES_MS: Final = tuple(seconds * 1000 for seconds in DURATION_EDGES_SECONDS)
AGES_MS: Final = tuple(days * DAY_MS for days in AGE_EDGES_DAYS)
MOST_POINTS: Final = 1000
"""That an event can have, or take away."""
POINTS_BITS: Final = 11
"""Of the points of an event, with their sign."""
MAX_ORDER_STAGES: Final = 56
"""The mask of an order's stages has that many bits in its record."""

EventKind: TypeAlias = int
"""What an operation is: 0..63 for an event of the plain stage with that number, else one of the next."""
ORDER: Final = 64
LOST: Final = 65
REFUND: Final = 66
WITHDRAWN: Final = 67
"""An order is taken back as if it had never been."""
RESTATED: Final = 68
"""An order is worth something else."""
VOID: Final = 69
"""A withdrawal or restatement that came too late to change anything, kept to know its copies; or an event that is
nothing to the funnel but its points."""
FORGET: Final = 70
"""No event: the person is to be forgotten. Kept events are of a lower kind."""
LINK: Final = 71
"""No event: the id of the key is claimed by a higher one."""
KIN: Final = 72
"""No event: an id was linked to the person of the key, or is no longer."""
FORWARDED: Final = 128
"""Added to the kind of an event that another person has given away."""
NO_STAGE: Final = 255
"""Of an order that enters none."""

Status: TypeAlias = int
"""What is booked for the last entry of the last journey, the only one that can be open."""
OPEN: Final = 0
STALLED: Final = 1
RESOLVED: Final = 2
"""It has an outcome; also where there is no journey."""


class Plan:
    """Everything the counting needs to know about one funnel version."""

    seal = 32
    """Events per sealed chunk of a heavy person; a tail of more than twice as many is sealed."""
    has_fast_paths = True
    """Whether events may be counted on packed persons; otherwise every one takes the general path."""
    counts_together = True
    """Whether a person's events of one chunk that take the general path take it together, for the cost of one."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.funnel_id = definition.funnel_id
        self.window = definition.window_ms
        self.lateness = definition.lateness_ms
        self.keep = self.window + self.lateness
        """How far the horizon lies behind the watermark."""
        self.currency = currency_code(definition.currency)
        self.ends_at_completion = definition.ends_at_completion
        self.has_deals = definition.unit is not None
        """Whether a person's events may be parted by deals (`streams.core.deals`); the general path alone does that."""
        self.lead_in = definition.lead_in_ms
        self.publishes_journeys = definition.publishes_journeys
        scoring = definition.scoring
        self.score_life = 0 if scoring is None else scoring.half_life_ms * scoring.most_points.bit_length()
        """How long the points of an event count; so much longer a person is remembered."""
        self._plan_stages()
        self._plan_orders()
        self._plan_dimensions()
        self._plan_families()
        self._plan_formats()

    def _plan_stages(self) -> None:
        stages = self.definition.stages
        self.stages = len(stages)
        self.last = self.stages - 1
        self.abandon = [INFINITE if stage.abandon_after_ms is None else stage.abandon_after_ms for stage in stages]
        self.stall = [INFINITE if stage.stalled_after_ms is None else stage.stalled_after_ms for stage in stages]
        resolved = [INFINITE] * (self.stages + 1)
        soonest = [INFINITE, *(min(both) for both in zip(self.stall, self.abandon, strict=True))]
        self.change = [soonest, [INFINITE, *self.abandon], resolved]
        """By status and number of stages passed: how long after its entry the last entry changes by itself."""
        self.wake = [min(soonest[stage + 1], self.window) for stage in range(self.stages)]
        """How long after a journey's first event, of a stage, something changes by itself."""

    def _plan_orders(self) -> None:
        stages = self.definition.stages
        self.is_order = [stage.nth is not None for stage in stages]
        self.order_stages = [number for number, is_order in enumerate(self.is_order) if is_order]
        if len(self.order_stages) > MAX_ORDER_STAGES:
            raise ValueError(f"{self.funnel_id}: {len(self.order_stages)} order stages; use at most {MAX_ORDER_STAGES}")
        self.order_bit = {stage: 1 << bit for bit, stage in enumerate(self.order_stages)}
        self.nth = [stages[number].nth or 1 for number in self.order_stages]
        self.most_nth = max(self.nth, default=0)
        """From that many orders on a further one is like any other."""
        self.nth_of = dict(zip(self.order_stages, self.nth, strict=True))

    def order_stage(self, mask: int, ordinal: int) -> int:
        """The furthest order stage of a mask that the ordinal has reached, NO_STAGE if none."""
        for bit in range(len(self.order_stages) - 1, -1, -1):
            if mask >> bit & 1 and self.nth[bit] <= ordinal:
                return self.order_stages[bit]
        return NO_STAGE

    def lowest_order_stage(self, mask: int) -> int:
        """The lowest order stage of a mask that is not empty."""
        return self.order_stages[(mask & -mask).bit_length() - 1]

    def is_nth(self, stage: int, ordinal: int) -> bool:
        """Whether an order of that number is the one that its stage waits for."""
        return self.nth_of[stage] == ordinal

    def _plan_dimensions(self) -> None:
        self.dimensions = self.definition.dimensions
        self.shifts: list[int] = []
        self.widths: list[int] = []
        self.first_mask = self.stage_mask = self.last_mask = self.score_mask = self.touch_mask = 0
        self.last_masks: list[int] = []
        """One each, of dimensions whose value is that of the latest event that states one."""
        self.touch_fields: list[tuple[int, int]] = []
        """(shift, mask) of dimensions that count touches."""
        self.score_shifts: list[int] = []
        """Of dimensions that show the temperature; in a kept event the first of them holds its points."""
        shift = 0
        for dimension in self.dimensions:
            width = (dimension.codes + 1).bit_length()  # the highest code: `unknown` and `other` have two more
            width = POINTS_BITS if dimension.is_scored else width
            mask = ((1 << width) - 1) << shift
            if dimension.is_scored:
                self.score_mask |= mask
                self.score_shifts.append(shift)
            if dimension.attribution == "first":
                self.first_mask |= mask
            elif dimension.attribution == "stage":
                self.stage_mask |= mask
            elif dimension.counts_touches:
                self.touch_mask |= mask
                self.touch_fields.append((shift, mask >> shift))
            else:
                self.last_masks.append(mask)
                self.last_mask |= mask
            self.shifts.append(shift)
            self.widths.append(width)
            shift += width
        self.code_bits = shift
        self.last_mask |= self.touch_mask
        self.journey_mask = self.first_mask | self.last_mask
        names = [dimension.name for dimension in self.dimensions]
        self.pairs = [(names.index(left), names.index(right)) for left, right in self.definition.pairs]

    def mixed(self, journey: int, own: int) -> int:
        """Values of an entry: its journey gives some, its own event the others."""
        return journey & self.journey_mask | own & self.stage_mask

    def key_of(self, at: int, code: int) -> int:
        """Count key of a time and code; a family id is added by `|`."""
        return (at // MINUTE_MS << self.code_bits | code) << self.family_bits

    def _plan_families(self) -> None:
        self.families: list[tuple[tuple[int, int], ...]] = []
        """The (stage, family code) pairs that one count of a family id adds one to, each."""
        every = range(self.stages)
        self.f_events = [self._family(stage, Family.EVENTS) for stage in every]
        self.f_events_lost = self._family(STAGE_LOST, Family.EVENTS)
        self.f_entries = [self._family(stage, Family.ENTRIES) for stage in every]
        self.f_started = [self._family(stage, Family.STARTED) for stage in every]
        self.f_skipped = [self._family(stage, Family.SKIPPED) for stage in every]
        self.f_completed = [self._family(stage, Family.COMPLETED) for stage in every]
        self.f_stalled = [self._family(stage, Family.STALLED) for stage in every]
        self.f_won = [self._family(stage, Family.WON) for stage in every]
        self.f_advanced_cohort = [self._family(stage, Family.ADVANCED_COHORT) for stage in every]
        self.f_advanced_period = [self._family(stage, Family.ADVANCED_PERIOD) for stage in every]
        self.f_abandoned_cohort = [self._family(stage, Family.ABANDONED_COHORT) for stage in every]
        self.f_abandoned_period = [self._family(stage, Family.ABANDONED_PERIOD) for stage in every]
        self.f_revived_cohort = [self._family(stage, Family.REVIVED_COHORT) for stage in every]
        self.f_revived_period = [self._family(stage, Family.REVIVED_PERIOD) for stage in every]
        self.f_lost_cohort = [self._by_reason(stage, Family.LOST_COHORT) for stage in every]
        """First of the ids of all reasons: add the reason's code."""
        self.f_lost_period = [self._by_reason(stage, Family.LOST_PERIOD) for stage in every]
        self.f_lost_late_cohort = [self._by_reason(stage, Family.LOST_LATE_COHORT) for stage in every]
        self.f_lost_late_period = [self._by_reason(stage, Family.LOST_LATE_PERIOD) for stage in every]
        self.outcomes = {
            Family.ADVANCED_COHORT: (self.f_advanced_cohort, self.f_advanced_period),
            Family.LOST_COHORT: (self.f_lost_cohort, self.f_lost_period),
            Family.ABANDONED_COHORT: (self.f_abandoned_cohort, self.f_abandoned_period),
            Family.REVIVED_COHORT: (self.f_revived_cohort, self.f_revived_period),
        }
        """By the family of an outcome by cohort: its ids by cohort and by period."""
        cohort, period = Family.TRANSITIONS_COHORT, Family.TRANSITIONS_PERIOD
        self.f_transitions_cohort = [[self._family(j, cohort, sub=k) if k > j else -1 for k in every] for j in every]
        self.f_transitions_period = [[self._family(j, period, sub=k) if k > j else -1 for k in every] for j in every]
        times = Family.DURATIONS, Family.DURATIONS_OF_LOST
        self.f_durations, self.f_durations_of_lost = (
            [[self._durations(j, k, family=family) if k > j else -1 for k in every] for j in every] for family in times
        )
        """First of the ids of all edges: add the edge's index."""
        seconds = Family.DURATION_SECONDS
        self.f_duration_seconds = [[self._family(j, seconds, sub=k) if k > j else -1 for k in every] for j in every]
        self.f_loss_time = [self._by_edge(stage, Family.LOSS_TIME) for stage in every]
        self.f_loss_seconds = [self._family(stage, Family.LOSS_TIME_SECONDS) for stage in every]
        orders = self.order_stages
        self.f_lead_time = {stage: self._by_edge(stage, Family.LEAD_TIME) for stage in orders}
        self.f_lead_seconds = {stage: self._family(stage, Family.LEAD_TIME_SECONDS) for stage in orders}
        self.f_reached = {stage: self._family(stage, Family.REACHED) for stage in orders}
        self.f_orders_joined = {stage: self._family(stage, Family.ORDERS_JOINED) for stage in orders}
        self.f_customers = {stage: self._family(stage, Family.CUSTOMERS) for stage in orders}
        self.f_begins = [self._together(self.f_events[stage], *self._started(stage)) for stage in every]
        """An event that begins a journey: event, entry and start, of the last stage the completion too."""
        self.f_arrives = [[self._arrival(j, k) if k > j else -1 for k in every] for j in every]
        """An entry that a journey goes on to, at the entry: entry, transition, stages skipped, perhaps completion."""
        self.family_bits = max(1, (len(self.families) - 1).bit_length())

    def _started(self, stage: int) -> list[int]:
        return [self.f_started[stage], *self._entered(stage)]

    def _entered(self, stage: int) -> list[int]:
        return [self.f_entries[stage], *([self.f_completed[stage]] if stage == self.last else [])]

    def _arrival(self, stage: int, to: int) -> int:
        skipped = self.f_skipped[stage + 1 : to]
        return self._together(self.f_transitions_period[stage][to], *self._entered(to), *skipped)

    def _together(self, *ids: int) -> int:
        """Id of what always counts together: one addition on the hot path, told apart once per chunk."""
        self.families.append(tuple(part for number in ids for part in self.families[number]))
        return len(self.families) - 1

    def _family(self, stage: int, base: Family, *, sub: int = 0) -> int:
        self.families.append(((stage, family(base, sub)),))
        return len(self.families) - 1

    def _first(self, stage: int, base: Family, *, subs: Iterable[int]) -> int:
        """Id of the first of families that follow each other."""
        first = len(self.families)
        self.families += [((stage, family(base, sub)),) for sub in subs]
        return first

    def _by_reason(self, stage: int, base: Family) -> int:
        return self._first(stage, base, subs=range(REASON_CODES))

    def _durations(self, stage: int, to: int, *, family: Family) -> int:
        return self._first(stage, family, subs=[duration_sub(to, edge) for edge in range(len(EDGES_MS) + 1)])

    def _by_edge(self, stage: int, base: Family) -> int:
        return self._first(stage, base, subs=range(len(EDGES_MS) + 1))

    def _plan_formats(self) -> None:
        self.is_wide = self.code_bits > 64
        if self.is_wide or self.publishes_journeys or self.score_shifts or self.last_mask:
            self.has_fast_paths = False
        """Codes too wide for a machine integer are stored as bytes and counted by the general path alone."""
        width = (self.code_bits + 7) // 8
        letter = "B" if width <= 1 else "H" if width == 2 else "I" if width <= 4 else "Q"
        self.wire = f"{width}s" if self.is_wide else letter
        self.wire_bytes = width
        header, record = f"QQQI{self.wire}{self.wire}", f"QQ{self.wire}"
        self.header = Struct(f"<{header}")
        """What it holds: `streams.core.header`."""
        self.record = Struct(f"<{record}")
        """One record of the tail: `streams.core.kept`."""
        self.newcomer = Struct(f"<{header}{record}")
        """Header and first record of a person without a base."""
        self.word = Struct("<Q")
        """The header's first word alone."""
        self.longest_tail = 2 * self.seal * self.record.size
        """A longer tail (bytes) is sealed."""
