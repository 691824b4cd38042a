"""What a chaos run must come to: its counters, and what became of every entry. Read off the definitions, person by
person, over the whole history.

A second opinion: shares no code with the counting core, knows the funnels of `data/chaos*.yaml` by heart and nothing
else. Assumes the final watermark to be past every deadline, so that no entry is open. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from funnelcast.chaos.events import ChaosEvent
from streams.report.document.cell import CellView
from streams.report.document.shapes import Counters

STAGES = ("click", "lead", "payment")
JOURNEYS_STAGES = ("lead", "payment")
"""Of the funnel that tells what becomes of its journeys."""
WINDOW_MS = 86_400_000
ABANDON_MS = {"click": 30 * 60_000, "lead": 4 * 3_600_000}
CURRENCY = "EUR"
GRAINS = ("total", "hour", "day")
_OF_ENTRIES = ("entries", "started", "skipped", "completed", "orders", "revenue")
_OF_OUTCOMES = ("advanced", "abandoned", "revived", "lost", "transitions")
FAMILIES = frozenset(
    ("events", *_OF_ENTRIES, *(f"{one}.{view}" for one in _OF_OUTCOMES for view in ("cohort", "period")))
)
"""What is checked; the document holds more."""

Key = tuple[str, str, str, str, str, str]
"""(grain, bucket, dimension value, stage, family, sub-key)."""
EntryId = tuple[str, str, int]
"""(person key, stage, time)."""
Outcome = tuple[str, int, str | None]
"""(what became of it, when, reason of a loss)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run must come to in one funnel."""

    cells: dict[Key, int]
    """Every one that is not 0."""
    outcomes: dict[EntryId, Outcome]


@lru_cache(maxsize=10_000)
def _buckets(hour: int) -> tuple[tuple[str, str], ...]:
    moment = datetime.fromtimestamp(hour * 3600, tz=UTC)
    return (("total", "all"), ("hour", moment.strftime("%Y-%m-%dT%HZ")), ("day", moment.strftime("%Y-%m-%d")))


def expected(events: Iterable[ChaosEvent], stages: tuple[str, ...] = STAGES) -> Expected:
    """Of the funnel with those stages."""
    histories: defaultdict[str, dict[str, ChaosEvent]] = defaultdict(dict)
    for event in events:
        if event.name in stages or event.name == "lead_lost":
            histories[event.owner][event.id] = event
    tally = _Tally(stages)
    for history in histories.values():
        tally.count_person(sorted(history.values(), key=lambda event: event.at_ms))
    return Expected({key: amount for key, amount in tally.cells.items() if amount}, tally.outcomes)


class _Tally:
    """Adds up one person after the other."""

    def __init__(self, stages: tuple[str, ...]) -> None:
        self.stages = stages
        self.cells: Counter[Key] = Counter()
        self.outcomes: dict[EntryId, Outcome] = {}

    def add(self, at_ms: int, *, channel: str, stage: str, family: str, sub: str = "", amount: int = 1) -> None:
        """To every cell that must show it: each grain, the whole and the channel."""
        for grain, bucket in _buckets(at_ms // 3_600_000):
            self.cells[(grain, bucket, "", stage, family, sub)] += amount
            self.cells[(grain, bucket, f"channel={channel}", stage, family, sub)] += amount

    def count_person(self, history: list[ChaosEvent]) -> None:
        """All events of a person, by time."""
        seen_orders: set[str] = set()
        journey: list[ChaosEvent] = []
        for event in history:
            self.add(
                event.at_ms,
                channel=event.channel,
                stage="lost" if event.name == "lead_lost" else event.name,
                family="events",
            )
            if event.order_id is not None:
                if event.order_id in seen_orders:
                    continue
                seen_orders.add(event.order_id)
            if journey and event.at_ms > journey[0].at_ms + WINDOW_MS:
                self._count_journey(journey)
                journey = []
            if journey or event.name in self.stages:
                journey.append(event)
        if journey:
            self._count_journey(journey)

    def _count_journey(self, journey: list[ChaosEvent]) -> None:
        channel, stages = journey[0].channel, self.stages
        entered: dict[str, int] = {}
        furthest = -1
        for event in journey:
            if event.name in stages and stages.index(event.name) > furthest:
                furthest = stages.index(event.name)
                entered[event.name] = event.at_ms
            if event.name == "payment":
                self.add(event.at_ms, channel=channel, stage="payment", family="orders", sub=CURRENCY)
                self.add(
                    event.at_ms, channel=channel, stage="payment", family="revenue", sub=CURRENCY, amount=event.minor
                )
        path = list(entered)
        for place, stage in enumerate(path):
            at = entered[stage]
            self.add(at, channel=channel, stage=stage, family="entries")
            if place == 0:
                self.add(at, channel=channel, stage=stage, family="started")
            else:
                for jumped in stages[stages.index(path[place - 1]) + 1 : stages.index(stage)]:
                    self.add(at, channel=channel, stage=jumped, family="skipped")
            onward = path[place + 1] if place + 1 < len(path) else None
            outcome = self._count_outcome(journey, stage, at=at, onward=onward, next_at=entered.get(onward or ""))
            self.outcomes[journey[0].owner, stage, at] = outcome

    def _count_outcome(
        self, journey: list[ChaosEvent], stage: str, *, at: int, onward: str | None, next_at: int | None
    ) -> Outcome:
        channel = journey[0].channel
        if stage == self.stages[-1]:
            self.add(at, channel=channel, stage=stage, family="completed")
            return "completed", at, None
        deadline = min(at + ABANDON_MS[stage], journey[0].at_ms + WINDOW_MS)
        losses = (event for event in journey if event.name == "lead_lost" and event.at_ms >= at)
        loss = next((each for each in losses if next_at is None or each.at_ms < next_at), None)
        outcome: Outcome = ("abandoned", deadline, None)
        if loss is not None and loss.at_ms <= deadline:
            outcome = ("lost", loss.at_ms, loss.reason or "unknown")
        elif next_at is not None and next_at <= deadline:
            outcome = ("advanced", next_at, None)
        family, when, reason = outcome
        self.add(at, channel=channel, stage=stage, family=f"{family}.cohort", sub=reason or "")
        self.add(when, channel=channel, stage=stage, family=f"{family}.period", sub=reason or "")
        if onward is None or next_at is None:
            return outcome
        self.add(at, channel=channel, stage=stage, family="transitions.cohort", sub=onward)
        self.add(next_at, channel=channel, stage=stage, family="transitions.period", sub=onward)
        if family == "advanced":
            return outcome
        self.add(at, channel=channel, stage=stage, family="revived.cohort")
        self.add(next_at, channel=channel, stage=stage, family="revived.period")
        return "revived", next_at, None


def checked_cells(counters: Counters) -> dict[Key, int]:
    """The cells of a counters document that are checked."""
    return {
        (grain, bucket, value, stage, family, sub): amount
        for grain in GRAINS
        for bucket, by_value in counters.get(grain, {}).items()
        for value, cell in by_value.items()
        for stage in cell
        for family in FAMILIES & cell[stage].keys()
        for sub, amount in CellView(cell).amounts(stage, family).items()
    }


def lost_and_double(want: Mapping[Key, int], have: Mapping[Key, int]) -> tuple[int, int]:
    """(events missing, events too many), by hour, channel and stage, so that one cannot hide the other."""
    lost = double = 0
    for key in want.keys() | have.keys():
        grain, _, value, _, family, _ = key
        if grain == "hour" and value and family == "events":
            difference = have.get(key, 0) - want.get(key, 0)
            lost, double = lost + max(0, -difference), double + max(0, difference)
    return lost, double
