"""Which part of a funnel an event belongs to: lost rules before stages, order stages before others (semantics.md 2).

Decided once per event name and remembered; conditions are evaluated per event only where a rule has them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import xxhash

from schemas.conditions import holds
from schemas.ids import clean_id
from schemas.money import clean_currency, clean_minor, parse_minor
from schemas.names import normalise_name
from schemas.properties import ORDER_RESTATED, ORDER_WITHDRAWN
from streams.core.decode import NO_RAW, UNREADABLE, Decoder
from streams.core.definition import Condition, LostRule, ScoreRule, StageRule
from streams.core.plan import LOST, MOST_POINTS, ORDER, REFUND, RESTATED, VOID, WITHDRAWN, EventKind, Plan

_MEMO_LIMIT = 10_000
MAX_UNIT_BYTES: Final = 90
"""Of a unit value as it is kept; a longer one is kept by its beginning and a hash of it all."""


class Match(NamedTuple):
    """What an event is to the funnel."""

    kind: EventKind
    mask: int = 0
    """Order stages it matches, a bit each (`Plan.order_bit`)."""
    reason: str | None = None
    """Fixed reason of a lost rule; None: the property `reason`."""
    points: int = 0
    """For the score of its person."""


class NameRules:
    """Everything rules say about one event name."""

    def __init__(self, plan: Plan, name: str, attribute: dict[str, str]) -> None:
        self._plan = plan
        self._attribute = attribute
        definition = plan.definition
        self._lost = [rule for rule in definition.lost_rules if rule.event == name]
        self._stages = [rule for rule in definition.stage_rules if rule.event == name]
        self._scores = [rule for rule in definition.scoring.rules if rule.event == name] if definition.scoring else []
        self._is_refund = name in definition.refunds
        self._change = {ORDER_WITHDRAWN: WITHDRAWN, ORDER_RESTATED: RESTATED}.get(name)
        groups = (self._lost, self._stages, self._scores)
        self.is_fixed = not any(rule.where for rules in groups for rule in rules)
        self.fixed: Match | None = self.classify(None) if self.is_fixed else None
        is_plain = self.fixed is not None and self.fixed.kind < ORDER and not plan.has_deals and not plan.score_mask
        self.stage = self.fixed.kind if self.fixed is not None and is_plain else -1
        """The stage of every event of this name, where it says nothing else; else -1."""

    def classify(self, properties: Any) -> Match | None:
        """What an event with those properties is; None where every condition fails."""
        match, points = self._part(properties), self._points(properties)
        return (match or Match(VOID))._replace(points=points) if points else match

    def _points(self, properties: Any) -> int:
        """Of every rule once, however many of its names and conditions fit."""
        fitting = {rule.rule: rule.points for rule in self._scores if self._holds(rule.where, properties)}
        return max(-MOST_POINTS, min(MOST_POINTS, sum(fitting.values())))

    def _part(self, properties: Any) -> Match | None:
        if self._change is not None:
            return Match(self._change)
        # A loss goes before any stage, and the first rule that holds gives its reason (semantics.md 2).
        for rule in self._lost:
            if self._holds(rule.where, properties):
                return Match(LOST, 0, rule.reason)
        matched = [rule.stage for rule in self._stages if self._holds(rule.where, properties)]
        mask = 0
        for stage in matched:
            mask |= self._plan.order_bit.get(stage, 0)
        # Which of these stages it enters depends on how many orders came before it: the pass knows.
        if mask:
            return Match(ORDER, mask)
        # Of several stages the one farthest on: it has passed the others.
        if matched:
            return Match(max(matched))
        return Match(REFUND) if self._is_refund else None

    def failures(self, properties: Any) -> list[tuple[StageRule | LostRule | ScoreRule, Condition, Any]]:
        """Of every rule the first condition that does not hold, and the value it met. For people who ask why."""
        failed: list[tuple[StageRule | LostRule | ScoreRule, Condition, Any]] = []
        rules: list[StageRule | LostRule | ScoreRule] = [*self._lost, *self._stages, *self._scores]
        for rule in rules:
            for condition in rule.where:
                value = plain(getattr(properties, self._attribute[condition.property_name]))
                if not holds(condition.operator, condition.operand, value):
                    failed.append((rule, condition, value))
                    break
        return failed

    def _holds(self, where: tuple[Condition, ...], properties: Any) -> bool:
        return all(
            holds(operator, operand, plain(getattr(properties, self._attribute[name])))
            for name, operator, operand in where
        )


def plain(value: Any) -> Any:
    """A property as a Python value. Of raw JSON, absent and null are None, and what cannot be read is an empty text."""
    if not isinstance(value, msgspec.Raw):
        return value
    if value is NO_RAW:
        return None
    try:
        return msgspec.json.decode(value)
    except UNREADABLE:
        return ""


class Matcher:
    """Rules by the name as it was sent."""

    def __init__(self, plan: Plan, decoder: Decoder) -> None:
        self._plan = plan
        self._attribute = decoder.attribute
        self._names = plan.definition.event_names
        self.memo: dict[str, NameRules | None] = {}

    def rules(self, name: str) -> NameRules | None:
        """Rules of a name, None where the funnel does not look at it. Fills `memo`."""
        normal = normalise_name(name)
        rules = NameRules(self._plan, normal, self._attribute) if normal in self._names else None
        if len(self.memo) >= _MEMO_LIMIT:
            self.memo.clear()
        self.memo[name] = rules
        return rules


NO_AMOUNT: Final = (-1, "")


def amount_of(value: Any, minor: Any, amount: Any, currency: object, default: str) -> tuple[int, str] | None:
    """(minor units, currency) of an event's raw money properties; NO_AMOUNT: it has none, None: it is refused."""
    stated = _raw_text(value)
    in_minor = stated is None and (raw := plain(minor)) is not None
    if stated is None and not in_minor:
        stated = _raw_text(amount)
        if stated is None:
            return NO_AMOUNT
    code = default if currency is None else clean_currency(currency)
    if code is None:
        return None
    units = clean_minor(raw) if in_minor else parse_minor(stated or "", code)
    return None if units is None else (units, code)


def money_of(stated: Any, currency: str) -> int:
    """Minor units of a further sum of an event, such as its cost; -1 where there is none that counts."""
    text = _raw_text(stated)
    units = None if text is None else parse_minor(text, currency)
    return -1 if units is None else units


def _raw_text(raw: msgspec.Raw) -> str | None:
    """Text of a number or string as it was sent; None for absent and null; a text that is no number for all others."""
    if raw is NO_RAW:
        return None
    text = bytes(raw)
    if text == b"null":
        return None
    if text[:1] == b'"':
        decoded = plain(raw)
        return decoded if isinstance(decoded, str) else ""
    return text.decode() if text[:1] in b"-0123456789" else ""


def unit_of(value: object) -> bytes:
    """A unit value, read as order ids are; empty for none. What no record should hold is told apart by its hash."""
    text = (id_text(value) or "").encode()
    if len(text) <= MAX_UNIT_BYTES:
        return text
    head = text[: MAX_UNIT_BYTES - 10].decode(errors="ignore")
    return f"{head}…{xxhash.xxh3_64_hexdigest(text)}".encode()


def id_text(value: object) -> str | None:
    """An order or refund id: trimmed text or integer; None for absent ones, placeholders and other types."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return clean_id(value)
