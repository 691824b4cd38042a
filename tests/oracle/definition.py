"""A funnel definition read from its plain dict (YAML or JSON), without validation: the product does that."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.values import as_number, one_spelling, plain_text, same_name

_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def duration_ms(text: str | int) -> int:
    """`90s`, `30m`, `3d` ... in milliseconds."""
    if isinstance(text, int):
        return text
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    return int(digits) * _UNIT_MS[text[len(digits) :].strip()]


@dataclass(frozen=True)
class Rule:
    """An event name and conditions on properties: all must hold."""

    event: str
    where: dict[str, Any] = field(default_factory=dict)

    def matches(self, name: str, properties: dict[str, Any], context: dict[str, Any] | None = None) -> bool:
        """Whether an event of that (compared) name, with those properties and that context, is meant."""
        return self.event == name and all(
            _holds(wanted, value_at(key, properties, context or {})) for key, wanted in self.where.items()
        )


_PAGE = {"page.url": "url", "page.title": "title", "page.path": "path", "referrer": "referrer"}


def value_at(name: str, properties: dict[str, Any], context: dict[str, Any]) -> Any:
    """What an event has under a name of a funnel: a property, else what its context says."""
    if name.startswith("utm."):
        return properties.get(name[len("utm.") :])
    if properties.get(name) is not None:
        return properties[name]
    said = context.get("page")
    page: dict[str, Any] = said if isinstance(said, dict) else {}
    if name == "page.path" and not page.get("path"):
        url = page.get("url")
        return _path(url) if isinstance(url, str) else None
    if name in _PAGE:
        return page.get(_PAGE[name])
    if name == "device":
        return context["device"].get("type") if isinstance(context.get("device"), dict) else None
    if not name.startswith("context."):
        return None
    value: Any = context
    for key in name.split(".")[1:]:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _path(url: str) -> str | None:
    whole = url.split("?")[0].split("#")[0]
    if whole.startswith("/") and not whole.startswith("//"):
        return whole
    if "//" not in whole[:2] and "://" not in whole:
        return None
    return "/" + "/".join(whole[whole.index("//") + 2 :].split("/")[1:])


def _equal(value: Any, wanted: Any) -> bool:
    """By type and exact text: `3` is not `"3"`, `true` is not `1`."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, str) or isinstance(wanted, str):
        return isinstance(value, str) and isinstance(wanted, str) and one_spelling(value) == one_spelling(wanted)
    number = as_number(value)
    return number is not None and number == as_number(wanted)


def _holds(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, dict):
        return all(_compare(op, operand, value) for op, operand in wanted.items())
    if value is None:
        return False
    if isinstance(wanted, list):
        return any(_equal(value, one) for one in wanted)
    return _equal(value, wanted)


def _compare(op: str, operand: Any, value: Any) -> bool:
    if op == "exists":
        return (value is not None) is operand
    if value is None:
        return False
    if op == "ne":
        return not _equal(value, operand)
    if op in ("starts_with", "ends_with", "contains", "matches"):
        texts = operand if isinstance(operand, list) else [operand]
        return isinstance(value, str) and any(_says(op, one_spelling(value), one_spelling(text)) for text in texts)
    number, limit = as_number(value), as_number(operand)
    if number is None or limit is None:
        return False
    return {"gt": number > limit, "gte": number >= limit, "lt": number < limit, "lte": number <= limit}[op]


def _says(op: str, value: str, text: str) -> bool:
    if op == "matches":
        return re.search(text, value) is not None
    return {"starts_with": value.startswith(text), "ends_with": value.endswith(text), "contains": text in value}[op]


def _rules(on: Any) -> list[Rule]:
    return [
        Rule(same_name(rule)) if isinstance(rule, str) else Rule(same_name(rule["event"]), rule.get("where") or {})
        for rule in (on if isinstance(on, list) else [on])
    ]


@dataclass(frozen=True)
class Stage:
    """A stage; `nth` is None where its events are no orders."""

    name: str
    on: list[Rule]
    abandon_after: int | None
    stalled_after: int | None
    nth: int | None
    role: str


@dataclass(frozen=True)
class LostRule:
    """Events that end a journey, with their fixed reason (None: the event's own)."""

    on: list[Rule]
    reason: str | None


@dataclass(frozen=True)
class Dimension:
    """A dimension: `values` (compared form) or a cap on how many names are kept."""

    name: str
    prop: str
    attribution: str
    values: list[str] | None
    cap: int


@dataclass(frozen=True)
class Scoring:
    """Points of events: rules and what each gives; from when a person is warm and hot; how points fade."""

    rules: list[tuple[list[Rule], int]]
    warm: int
    hot: int
    half_life: int

    @property
    def life(self) -> int:
        """After which an event has no points left, whatever it had."""
        most, halvings = min(1000, sum(abs(points) for _, points in self.rules)), 0
        while most // 2**halvings > 0:
            halvings += 1
        return halvings * self.half_life


@dataclass(frozen=True)
class Funnel:
    """The whole definition; times in milliseconds."""

    name: str
    version: int
    timezone: str
    currency: str
    window: int
    lateness: int
    reentry: str
    sources: list[str] | None
    traffic: list[str]
    stages: list[Stage]
    lost: list[LostRule]
    refunds: list[Rule]
    ad_spend: list[Rule]
    dimensions: list[Dimension]
    pairs: list[tuple[int, int]]
    unit: str | None
    """The property that tells one deal of a person from another."""
    lead_in: int
    scoring: Scoring | None

    @property
    def last(self) -> int:
        """Index of the last stage."""
        return len(self.stages) - 1

    def is_order_stage(self, stage: int) -> bool:
        """Whether the stage's events are orders."""
        return self.stages[stage].nth is not None


def _stage(raw: dict[str, Any]) -> Stage:
    nth = raw.get("nth")
    if nth is None and raw.get("order"):
        nth = 1
    return Stage(
        name=raw["name"],
        on=_rules(raw["on"]),
        abandon_after=duration_ms(raw["abandon_after"]) if raw.get("abandon_after") is not None else None,
        stalled_after=duration_ms(raw["stalled_after"]) if raw.get("stalled_after") is not None else None,
        nth=nth,
        role=raw.get("role") or raw["name"],
    )


def _dimension(raw: dict[str, Any]) -> Dimension:
    values = raw.get("values")
    return Dimension(
        name=raw["name"],
        prop=raw.get("property") or raw["name"],
        attribution=raw["attribution"],
        values=None if values is None else [plain_text(value) or "" for value in values],
        cap=raw.get("cap", 100),
    )


def _scoring(raw: dict[str, Any] | None) -> Scoring | None:
    if raw is None:
        return None
    rules = [(_rules(one["on"]), one["points"]) for one in raw["points"]]
    return Scoring(rules, raw["warm"], raw["hot"], duration_ms(raw.get("half_life", "30d")))


def read_funnel(raw: dict[str, Any]) -> Funnel:
    """The definition of a funnel file's content."""
    dimensions = [_dimension(one) for one in raw.get("dimensions") or []]
    place = {dimension.name: at for at, dimension in enumerate(dimensions)}
    window = duration_ms(raw["conversion_window"])
    return Funnel(
        name=raw["name"],
        version=raw.get("version", 1),
        timezone=raw.get("timezone", "UTC"),
        currency=raw.get("currency", "USD"),
        window=window,
        lateness=duration_ms(raw.get("allowed_lateness", "3d")),
        reentry=raw.get("reentry", "window"),
        sources=raw.get("sources"),
        traffic=raw.get("traffic", ["human"]),
        stages=[_stage(one) for one in raw["stages"]],
        lost=[LostRule(_rules(one["on"]), one.get("reason")) for one in raw.get("lost") or []],
        refunds=_rules(raw.get("refunds", ["refund"])),
        ad_spend=_rules(raw.get("ad_spend", ["ad_spend"])),
        dimensions=dimensions,
        pairs=[(place[one], place[two]) for one, two in raw.get("pairs") or []],
        unit=raw.get("unit"),
        lead_in=duration_ms(raw.get("lead_in", window)),
        scoring=_scoring(raw.get("scoring")),
    )
