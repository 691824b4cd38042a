"""What the counters of a chaos run must be: read off the definitions, person by person, over the whole history.

A second opinion: shares no code with the counting core, knows the funnel `data/chaos.yaml` by heart and nothing else.
Assumes the final watermark to be past every deadline, so that no entry is open. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from funnelcast.chaos.events import ChaosEvent
from streams.report.cell import CellView
from streams.report.shapes import Counters

STAGES = ("click", "lead", "payment")
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


@lru_cache(maxsize=10_000)
def _buckets(hour: int) -> tuple[tuple[str, str], ...]:
    moment = datetime.fromtimestamp(hour * 3600, tz=UTC)
    return (("total", "all"), ("hour", moment.strftime("%Y-%m-%dT%HZ")), ("day", moment.strftime("%Y-%m-%d")))


class _Tally:
    """Adds one number to every cell that must show it: each grain, the whole and the channel."""

    def __init__(self) -> None:
        self.cells: Counter[Key] = Counter()

    def add(self, at_ms: int, channel: str, stage: str, family: str, sub: str = "", *, amount: int = 1) -> None:
        for grain, bucket in _buckets(at_ms // 3_600_000):
            self.cells[(grain, bucket, "", stage, family, sub)] += amount
            self.cells[(grain, bucket, f"channel={channel}", stage, family, sub)] += amount


def expected(events: Iterable[ChaosEvent]) -> dict[Key, int]:
    """Every cell that is not 0."""
    histories: defaultdict[str, dict[str, ChaosEvent]] = defaultdict(dict)
    for event in events:
        histories[event.person][event.id] = event
    tally = _Tally()
    for history in histories.values():
        _count_person(sorted(history.values(), key=lambda event: event.at_ms), tally)
    return {key: amount for key, amount in tally.cells.items() if amount}


def _count_person(history: list[ChaosEvent], tally: _Tally) -> None:
    seen_orders: set[str] = set()
    journey: list[ChaosEvent] = []
    for event in history:
        tally.add(event.at_ms, event.channel, "lost" if event.name == "lead_lost" else event.name, "events")
        if event.order_id is not None:
            if event.order_id in seen_orders:
                continue
            seen_orders.add(event.order_id)
        if journey and event.at_ms > journey[0].at_ms + WINDOW_MS:
            _count_journey(journey, tally)
            journey = []
        if journey or event.name in STAGES:
            journey.append(event)
    if journey:
        _count_journey(journey, tally)


def _count_journey(journey: list[ChaosEvent], tally: _Tally) -> None:
    start, channel = journey[0].at_ms, journey[0].channel
    entered: dict[str, int] = {}
    furthest = -1
    for event in journey:
        if event.name in STAGES and STAGES.index(event.name) > furthest:
            furthest = STAGES.index(event.name)
            entered[event.name] = event.at_ms
        if event.name == "payment":
            tally.add(event.at_ms, channel, "payment", "orders", CURRENCY)
            tally.add(event.at_ms, channel, "payment", "revenue", CURRENCY, amount=event.minor)
    losses = [event for event in journey if event.name == "lead_lost"]
    path = list(entered)
    for place, stage in enumerate(path):
        at = entered[stage]
        tally.add(at, channel, stage, "entries")
        if place == 0:
            tally.add(at, channel, stage, "started")
        else:
            for jumped in STAGES[STAGES.index(path[place - 1]) + 1 : STAGES.index(stage)]:
                tally.add(at, channel, jumped, "skipped")
        following = path[place + 1] if place + 1 < len(path) else None
        _count_outcome(
            tally, stage, at, start=start, following=following, entered=entered, losses=losses, channel=channel
        )


def _count_outcome(
    tally: _Tally,
    stage: str,
    at: int,
    *,
    start: int,
    following: str | None,
    entered: Mapping[str, int],
    losses: list[ChaosEvent],
    channel: str,
) -> None:
    if stage == STAGES[-1]:
        tally.add(at, channel, stage, "completed")
        return
    deadline = min(at + ABANDON_MS[stage], start + WINDOW_MS)
    next_at = entered[following] if following is not None else None
    loss = next((one for one in losses if at <= one.at_ms and (next_at is None or one.at_ms < next_at)), None)
    has_advanced = False
    if loss is not None and loss.at_ms <= deadline:
        tally.add(at, channel, stage, "lost.cohort", loss.reason or "unknown")
        tally.add(loss.at_ms, channel, stage, "lost.period", loss.reason or "unknown")
    elif next_at is not None and next_at <= deadline:
        has_advanced = True
        tally.add(at, channel, stage, "advanced.cohort")
        tally.add(next_at, channel, stage, "advanced.period")
    else:
        tally.add(at, channel, stage, "abandoned.cohort")
        tally.add(deadline, channel, stage, "abandoned.period")
    if following is not None and next_at is not None:
        tally.add(at, channel, stage, "transitions.cohort", following)
        tally.add(next_at, channel, stage, "transitions.period", following)
        if not has_advanced:
            tally.add(at, channel, stage, "revived.cohort")
            tally.add(next_at, channel, stage, "revived.period")


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
