"""Random funnels and logs in which the rare things are common, as a pure function of a `random.Random`.

Times lie on a grid of the funnel's own durations, so that exact boundaries, ties, late events, copies with other
times and jumps of the watermark all occur in logs of a few dozen records. Nothing here knows what the counts should be.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.oracle.definition import duration_ms

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Log = list[dict[str, Any]]

SCALES_MS = [1000, 1000, 7000, 60_000, 10 * 60_000, HOUR_MS, HOUR_MS, 6 * HOUR_MS, 2 * DAY_MS]
BASES_MS = [
    1_743_292_800_000,  # 2025-03-30T00:00Z, an hour before summer time in Europe
    1_761_433_200_000,  # 2025-10-25T23:00Z, the night of the 25 h day in Europe
    1_741_501_800_000,  # 2025-03-09T06:30Z, half an hour before summer time in New York
    1_743_866_000_000,  # 2025-04-05T15:13Z, Lord Howe Island turns back by half an hour
    1_325_203_200_000,  # 2011-12-30T00:00Z, a date that Apia never had
    1_735_689_599_000,  # 2024-12-31T23:59:59Z
    978_307_199_000,  # 2000-12-31T23:59:59Z
]
TIMEZONES = [
    "UTC",
    "UTC",
    "Europe/Athens",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
    "Pacific/Chatham",
]
CURRENCIES = ["USD", "EUR", "JPY", "KWD"]
AMOUNTS: list[Any] = [
    "19.99",
    "10",
    10,
    0,
    "0",
    "0.005",
    "2.675",
    1.005,
    2.5,
    1999,
    " 7.1 ",
    "1e2",
    "abc",
    -5,
    True,
    [],
]
STATED_CURRENCIES: list[Any] = ["EUR", "usd", " jpy", "KWD", "US", "", 5, None]
WORDS: list[Any] = [
    "google",
    "google",
    "fb",
    "mail",
    "Caf\u00e9",
    "cafe\u0301",
    " Google ",
    "FB",
    "other",
    "(not set)",
    "{{channel}}",
    "Unknown",
    '"other"',
    "",
    None,
    5,
    True,
    ["x"],
    "y" * 70,
]
REASONS: list[Any] = ["price", "price", "timing", "Price ", "", None, "unknown", "Other", {"a": 1}]
TRAFFIC: list[Any] = ["human", "bot", "staff", " Bot", "organic", None, 5]
DEAL_IDS: list[Any] = ["A", "A", "B", "C", " A ", 7, "7", "n/a", None]
ORDER_IDS: list[Any] = ["o1", "o1", "o1", "o1", "o2", "o2", "o3", "o4", "o5", "n/a", "${id}", None, " o1 ", 7, "7"]


@dataclass
class Case:
    """A funnel, a log in log order, and how it is applied."""

    funnel: dict[str, Any]
    log: Log
    watermark_delay_ms: int = 60_000
    partitions: int = 1


@dataclass(frozen=True)
class Wants:
    """What a case may hold. The laws about order switch off what depends on order by definition."""

    max_events: int = 60
    people: int = 4
    ticks: bool = True
    is_disordered: bool = True
    """Late arrivals, and `received_at_ms` that runs backwards."""
    copies: bool = True
    contradicting_copies: bool = True
    """Copies of one id with another time, name or properties."""
    small_caps: bool = True
    odd_values: bool = True
    max_partitions: int = 1
    refunds: bool = True
    changes: bool = True
    """Orders that are withdrawn and restated."""
    units: float = 0.25
    """Share of funnels that part a person's events by deals."""
    scores: bool = False
    """Funnels with lead scoring."""
    attributions: tuple[str, ...] = ()
    """Of dimensions, besides `first` and `stage`; with `last` also how many touches there were."""
    links: bool = False
    """Events with several ids, which link the lower ones to the highest."""
    forgets: bool = False
    """People who are to be forgotten, and come again."""


def random_funnel(rng: Random, wants: Wants | None = None) -> dict[str, Any]:
    """A definition as a funnel file's content; durations in whole milliseconds of one random scale."""
    wants = wants or Wants()
    unit = rng.choice(SCALES_MS)
    count = rng.choice([2, 2, 3, 3, 4, 5, 6, 8, 10, 12])
    funnel: dict[str, Any] = {
        "name": "f",
        "version": rng.randint(1, 3),
        "timezone": rng.choice(TIMEZONES),
        "currency": rng.choice(CURRENCIES),
        "conversion_window": f"{rng.choice([2, 4, 8, 12, 20, 40, 100]) * unit}ms",
        "allowed_lateness": f"{rng.choice([1, unit, 3 * unit, 6 * unit, 12 * unit, 12 * unit, 40 * unit])}ms",
        "stages": _random_stages(rng, count, unit),
    }
    if rng.random() < 0.4:
        funnel["reentry"] = rng.choice(["completion", "completion", "window"])
    if rng.random() < 0.2:
        funnel["sources"] = ["web", "crm"]
    if rng.random() < 0.2:
        funnel["traffic"] = rng.choice([["human", "bot"], ["staff"], ["bot", "human", "canary"]])
    if rng.random() < wants.units:
        funnel["unit"] = "deal_id"
        if rng.random() < 0.5:
            at_most = duration_ms(funnel["conversion_window"])
            funnel["lead_in"] = f"{min(rng.choice([1, 1, 2, 4]) * unit, at_most)}ms"
    if rng.random() < 0.75:
        funnel["lost"] = _random_lost_rules(rng, count)
    if rng.random() < 0.75:
        _add_dimensions(rng, funnel, wants)
    if wants.scores:
        _add_scoring(rng, funnel, unit)
    return funnel


def _add_scoring(rng: Random, funnel: dict[str, Any], unit: int) -> None:
    """Points for events of stages, losses, orders, and for some that are nothing else."""
    names = ["noise", "noise", "e0", "e1", "pay", "gone", "refund"]
    points = []
    for _ in range(rng.randint(1, 4)):
        event: Any = rng.choice(names)
        on = [{"event": event, "where": _random_where(rng)} if rng.random() < 0.3 else event]
        on += [rng.choice(names)] if rng.random() < 0.3 else []
        points.append({"on": on, "points": rng.choice([1, 3, 5, 8, 20, 999, -2, -5, -1000])})
    warm = rng.choice([1, 2, 5, 9])
    half_life = rng.choice([1, 1, 2, 5, 20, 50]) * unit
    hot = warm + rng.choice([1, 3, 10])
    funnel["scoring"] = {"warm": warm, "hot": hot, "half_life": f"{half_life}ms", "points": points}
    dimension: dict[str, Any] = {"name": "temperature", "attribution": rng.choice(["first", "stage", "stage"])}
    funnel.setdefault("dimensions", []).insert(rng.randint(0, len(funnel.get("dimensions", []))), dimension)
    if rng.random() < 0.3:
        other = {"first": "stage", "stage": "first"}[dimension["attribution"]]
        funnel["dimensions"].append({"name": "warmth", "property": "temperature", "attribution": other})
        funnel.setdefault("pairs", []).append(["temperature", "warmth"])


def _random_stages(rng: Random, count: int, unit: int) -> list[dict[str, Any]]:
    first_order = count if rng.random() < 0.25 else rng.randint(max(0, count - 3), count - 1)
    stages = []
    nth = 0
    for at in range(count):
        stage: dict[str, Any] = {"name": f"s{at}", "on": [f"e{at}"]}
        if at >= first_order and rng.random() < 0.85:
            nth = rng.choice([nth + 1, nth + 1, nth + 2, max(nth, 1)])
            stage["on"] = rng.choice([["pay"], ["pay"], ["pay", f"e{at}"], [f"e{at}"]])
            stage |= {"order": True} if nth == 1 else {"nth": nth}
        elif rng.random() < 0.3:
            stage["on"].append({"event": f"e{rng.randrange(count)}", "where": _random_where(rng)})
        if at < count - 1 and rng.random() < 0.6:
            stage["abandon_after"] = f"{rng.choice([1, 1, 2, 3, 5, 30]) * unit}ms"
        if rng.random() < 0.4:
            stage["stalled_after"] = f"{rng.choice([1, 1, 2, 4]) * unit}ms"
        stages.append(stage)
    return stages


def _random_where(rng: Random) -> dict[str, Any]:
    wheres: list[dict[str, Any]] = [
        {"kind": "a"},
        {"kind": ["a", "b"]},
        {"kind": {"ne": "a"}},
        {"kind": {"exists": True}},
        {"kind": {"exists": False}},
        {"value": {"gt": 2}},
        {"value": {"gte": 10, "lt": 100}},
        {"value": {"lte": "2.5"}, "kind": "b"},
        {"flag": True},
        {"level": 3},
    ]
    return rng.choice(wheres)


def _random_lost_rules(rng: Random, count: int) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [{"on": ["gone"]}]
    if rng.random() < 0.5:
        rules.append({"on": ["declined", {"event": "gone", "where": {"kind": "a"}}], "reason": " Declined"})
    if rng.random() < 0.25:
        rules.insert(0, {"on": [{"event": f"e{rng.randrange(count)}", "where": {"kind": "b"}}], "reason": "b"})
    return rules


def _add_dimensions(rng: Random, funnel: dict[str, Any], wants: Wants) -> None:
    names = ["channel", "manager", "place"][: rng.randint(1, 3)]
    dimensions: list[dict[str, Any]] = []
    for name in names:
        dimension: dict[str, Any] = {"name": name, "attribution": rng.choice(["first", "stage", *wants.attributions])}
        if rng.random() < 0.3:
            dimension["property"] = f"{name}_of"
        if rng.random() < 0.35:
            dimension["values"] = rng.choice([["Google", "fb"], ["fb", "Other"], ["5", "true"]])
        elif wants.small_caps and rng.random() < 0.5:
            dimension["cap"] = rng.choice([1, 2, 3])
        dimensions.append(dimension)
    if wants.attributions and rng.random() < 0.5:
        dimensions.append({"name": "touches", "property": "journey.touches", "attribution": "last"})
        names.append("touches")
    funnel["dimensions"] = dimensions
    if len(names) > 1 and rng.random() < 0.7:
        funnel["pairs"] = [rng.sample(names, 2) for _ in range(rng.randint(1, 2))]
        if {*funnel["pairs"][0]} == {*funnel["pairs"][-1]}:
            funnel["pairs"] = funnel["pairs"][:1]


@dataclass
class _Writer:
    """Writes a log; remembers enough of it to hit its own boundaries."""

    rng: Random
    funnel: dict[str, Any]
    wants: Wants
    delay: int
    at: int
    log: Log = field(default_factory=list)
    events: Log = field(default_factory=list)
    progress: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        funnel = self.funnel
        self.window = duration_ms(funnel["conversion_window"])
        self.lateness = duration_ms(funnel["allowed_lateness"])
        self.people = self.rng.randint(1, self.wants.people)
        self.who = 0
        self.forward = self.rng.choice([0.6, 0.6, 0.95])
        self.durations = [self.window]
        self.own_durations: dict[str, list[int]] = {}
        for stage in funnel["stages"]:
            own = [duration_ms(stage[key]) for key in ("abandon_after", "stalled_after") if key in stage]
            self.durations += own
            for rule in stage["on"]:
                name = rule if isinstance(rule, str) else rule["event"]
                self.own_durations.setdefault(name, [self.window]).extend(own * 2)
        self.unit = min(self.durations) if len(self.durations) > 1 else self.window // 2
        self.pace = max(1, self.unit // self.rng.choice([1, 2, 4, 8]))

    @property
    def horizon(self) -> int:
        """Where the horizon lies after a record received now."""
        return self.at - self.delay - self.window - self.lateness

    def near(self, after: int) -> int:
        """An instant at or beside a boundary that some earlier event sets, if possible soon after `after`."""
        rng = self.rng
        edges: list[int] = []
        for _ in range(6):
            event = rng.choice(self.events[-8:] if rng.random() < 0.7 else self.events)
            own = self.own_durations.get(event["name"].strip().lower(), self.durations)
            edges.append(event["occurred_at_ms"] + rng.choice(own) * rng.choice([1, 1, 1, 1, 0]))
        ahead = [edge for edge in edges if edge >= after]
        return min(ahead or edges, key=lambda edge: abs(edge - after)) + rng.choice([0, 0, 0, 1, -1])

    def tick(self) -> None:
        """A quiet moment, or a jump of the watermark, often to the very edge of something."""
        rng = self.rng
        again: dict[str, Any] | None = None
        jump = rng.random()
        if self.events and jump < 0.5:
            target = self.near(self.at - self.delay) + self.delay
        elif self.events and jump < 0.65:  # the horizon comes to lie on an event
            event = rng.choice(self.events)
            past = rng.choice([0, 0, 1, 1])
            target = event["occurred_at_ms"] + self.window + self.lateness + self.delay + past
            again = self.copy(event)
            again["occurred_at_ms"] += rng.choice([0, past, 1, self.unit])
        elif jump < 0.85:
            target = self.at + rng.randint(0, 3) * self.unit
        elif self.events and jump < 0.93:  # a bucket's keep time ends
            grain, keep = rng.choice([(60_000, 48 * HOUR_MS), (HOUR_MS, 90 * DAY_MS)])
            event = rng.choice(self.events)
            target = (event["occurred_at_ms"] // grain + 1) * grain + keep + self.delay - rng.choice([0, 0, 1])
        else:
            target = self.at + self.window + rng.choice([0, 1, self.lateness, self.lateness + self.delay])
        self.at = max(self.at, target) if rng.random() < 0.95 else self.at
        self.log.append({"tick": self.at})
        if again is not None and self.wants.copies and self.wants.is_disordered and rng.random() < 0.7:
            again["received_at_ms"] = again["occurred_at_ms"]
            self.log.append(again)
            self.events.append(again)

    def event(self) -> None:
        """A fresh event or a copy of an earlier one."""
        rng = self.rng
        self.at += rng.choice([0, 0, 0, 1, self.pace, self.pace, 2 * self.pace, rng.randint(0, 3 * self.pace)])
        if self.events and self.wants.copies and rng.random() < 0.15:
            event = self.copy(rng.choice(self.events[-12:] if rng.random() < 0.8 else self.events))
        else:
            event = self.new_event()
        self.log.append(event)
        self.events.append(event)

    def forget(self) -> None:
        """Somebody who was seen, or will be, is to be forgotten."""
        rng = self.rng
        seen = rng.choice(self.events[-6:]) if self.events and rng.random() < 0.8 else self.ids(self.who)
        ids = {key: seen.get(key) for key in ("user_id", "contact_id", "anonymous_id")}
        self.log.append({"forget": self.at, **ids})

    def times(self) -> dict[str, int]:
        """(occurred, received) of a fresh event."""
        rng = self.rng
        occurred = self.at
        if self.events and rng.random() < 0.3:
            occurred = self.near(self.at)
            self.at = max(self.at, occurred)
        received = self.at
        if self.wants.is_disordered and rng.random() < 0.3:
            occurred = rng.choice(
                [
                    received - rng.randint(0, 3) * self.unit,
                    received - rng.randint(0, 3) * self.unit,
                    received - rng.randint(0, self.lateness),
                    received - rng.randint(0, self.window),
                    received - self.lateness - rng.choice([0, 0, 1]),
                ]
            )
        if self.wants.is_disordered and rng.random() < 0.04:
            occurred = self.horizon + rng.choice([0, 0, -1, 1, self.unit])
            received = occurred + rng.choice([0, self.lateness])
        if self.events and rng.random() < 0.1:
            occurred = rng.choice(self.events[-4:])["occurred_at_ms"]
        if not self.wants.is_disordered:
            occurred = received
        return {"occurred_at_ms": min(occurred, received), "received_at_ms": received}

    def new_event(self) -> dict[str, Any]:
        """An event of a random person, mostly one stage further."""
        rng = self.rng
        who = self.who = self.who if rng.random() < 0.4 else rng.randrange(self.people)
        name = self.name(who)
        return {
            "id": f"i{len(self.events)}" if rng.random() < 0.97 else "i0",
            "name": rng.choice([name, name, name, name.upper(), f" {name}"]) if self.wants.odd_values else name,
            **self.times(),
            **self.ids(who),
            "source": rng.choice(["web", "web", "web", "crm", "till"]),
            "properties": self.properties(),
        }

    def name(self, who: int) -> str:
        """A stage's event, with a leaning to go forward; or a lost event, a refund, noise."""
        rng = self.rng
        chance = rng.random()
        if chance < (0.2 if "lost" in self.funnel else 0.03):
            return rng.choice(["gone", "gone", "declined"])
        if chance < 0.23:
            return "noise"
        if self.wants.refunds and chance < 0.28:
            return "refund"
        if self.wants.changes and chance < 0.36:
            return rng.choice(["order_withdrawn", "order_withdrawn", "order_restated"])
        stages = self.funnel["stages"]
        stage = rng.randrange(len(stages))
        if rng.random() < self.forward:
            stage = min(self.progress.get(str(who), -1) + rng.choice([1, 1, 1, 2]), len(stages) - 1)
        self.progress[str(who)] = stage if stage < len(stages) - 1 or rng.random() < 0.7 else -1
        wanted = rng.choice(stages[stage]["on"])
        name: str = wanted if isinstance(wanted, str) else wanted["event"]
        return name

    def ids(self, who: int) -> dict[str, Any]:
        """The ids of a person: always the same one, and placeholders; or, with links, any of the person's ids."""
        rng = self.rng
        if self.wants.links:
            return self.linked_ids(who)
        below = {"anonymous_id": rng.choice([None, "Anon", "NULL", ""])}
        if who % 4 == 0:
            return {"user_id": f"u{who}", **below}
        if who % 4 == 1:
            return {"contact_id": f"c{who}", **below, "user_id": rng.choice([None, "0", "guest"])}
        if who % 4 == 2:
            return {"anonymous_id": f"d{who}", "user_id": rng.choice([None, "undefined"])}
        return {"user_id": rng.choice([1000 + who, f" {1000 + who} "]), **below}

    def linked_ids(self, who: int) -> dict[str, Any]:
        """One to three ids of somebody with a device, a contact and an account; now and then one is another's."""
        rng = self.rng
        device, contact, account = rng.choice(
            [(1, 0, 0)] * 6 + [(0, 1, 0), (0, 0, 1)] * 3 + [(1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 0, 1), (1, 1, 1)]
        )

        def of(chance: float) -> int:
            return rng.randrange(self.people) if rng.random() < chance else who

        return {
            "anonymous_id": f"d{of(0.08)}" if device else rng.choice([None, "", "guest"]),
            "contact_id": f"c{of(0.08) // 2}" if contact else None,
            "user_id": f"u{of(0.03) // 2}" if account else rng.choice([None, None, "0"]),
        }

    def properties(self) -> dict[str, Any]:
        """Whatever rules, dimensions and amounts may look at, each only sometimes there."""
        rng = self.rng
        odd = self.wants.odd_values
        stated: dict[str, Any] = {}

        def maybe(chance: float, key: str, values: list[Any], plain: int) -> None:
            if rng.random() < chance:
                stated[key] = rng.choice(values if odd else values[:plain])

        maybe(0.5, "kind", ["a", "b", "c", "A", 3, None], 3)
        maybe(0.2, "flag", [True, False, 1, "true"], 2)
        maybe(0.2, "level", [3, 4, 3.0, "3"], 2)
        maybe(0.6, rng.choice(["value", "value", "amount"]), AMOUNTS, 4)
        maybe(0.1, "value_minor", [5, 250, "70"], 2)
        maybe(0.35, "currency", STATED_CURRENCIES, 2)
        maybe(0.6, "order_id", ORDER_IDS, 9)
        maybe(0.6, "reason", REASONS, 3)
        maybe(0.2, "refund_id", ["r1", "r2", None], 2)
        maybe(0.1, "traffic", TRAFFIC, 3)
        maybe(0.2, "cost", AMOUNTS, 4)
        maybe(0.2, "discount", AMOUNTS, 4)
        if "unit" in self.funnel:
            maybe(0.6, "deal_id", DEAL_IDS, 3)
        for dimension in self.funnel.get("dimensions", []):
            maybe(0.8, dimension.get("property", dimension["name"]), WORDS, 4)
        return stated

    def copy(self, event: dict[str, Any]) -> dict[str, Any]:
        """An earlier event again, received now; sometimes it contradicts the first one."""
        rng = self.rng
        event = dict(event)
        is_old = self.wants.is_disordered and rng.random() < 0.4  # an old piece of the log, sent again
        event["received_at_ms"] = max(event["received_at_ms"] if is_old else self.at, event["occurred_at_ms"])
        if self.wants.contradicting_copies and rng.random() < 0.5:
            shift = rng.choice([-1, 1, self.unit, -self.unit, -2 * self.unit, rng.randint(-self.window, self.window)])
            event["occurred_at_ms"] = min(event["occurred_at_ms"] + shift, event["received_at_ms"])
            if rng.random() < 0.4:
                event["name"] = self.name(0)
            if rng.random() < 0.4:
                event["properties"] = self.properties()
        return event


def random_log(rng: Random, funnel: dict[str, Any], wants: Wants, delay: int) -> Log:
    """A log for a funnel, in log order."""
    writer = _Writer(rng, funnel, wants, delay, rng.choice(BASES_MS) + rng.randint(0, 3) * 1000)
    for _ in range(rng.randint(1, wants.max_events)):
        if wants.ticks and rng.random() < 0.12:
            writer.tick()
        elif wants.forgets and rng.random() < 0.1:
            writer.forget()
        else:
            writer.event()
    if wants.ticks and rng.random() < 0.4:
        writer.tick()
    return writer.log


def random_case(rng: Random, wants: Wants | None = None) -> Case:
    """A whole case: the same `rng` state gives the same case, everywhere."""
    wants = wants or Wants()
    if wants.max_partitions > 1:
        wants = replace(wants, small_caps=False)  # which names find a place depends on how partitions interleave
    funnel = random_funnel(rng, wants)
    window, lateness = duration_ms(funnel["conversion_window"]), duration_ms(funnel["allowed_lateness"])
    delay = rng.choice([60_000, 60_000, 1, 5000, lateness, window // 2, window])
    return Case(
        funnel=funnel,
        log=random_log(
            rng, funnel, replace(wants, max_events=rng.choice([6, 20, wants.max_events, 2 * wants.max_events])), delay
        ),
        watermark_delay_ms=delay,
        partitions=rng.randint(1, wants.max_partitions),
    )
