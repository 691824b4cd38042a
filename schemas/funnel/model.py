"""The funnel definition: data that says what is counted (docs/semantics.md 2), as checked values. Pure.

Every error says what to write instead; `schemas.funnel.load` reads files, `schemas.funnel.explain` words the errors.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from schemas.attribution import TOUCHES, TOUCHES_PROPERTY, Attribution
from schemas.funnel.duration import DurationMs
from schemas.funnel.rules import Name, Part, Rule, Rules, as_list, clean_name
from schemas.funnel.scoring import SCORED_PROPERTY, TEMPERATURES, Scoring
from schemas.lateness import ALLOWED_LATENESS_MS
from schemas.money import clean_currency
from schemas.names import clean_text, normalise_name
from schemas.places import property_of, unknown_place
from schemas.properties import MONEY, ORDER_CHANGES
from schemas.traffic import HUMAN, TRAFFIC_CLASSES

RULES = 4
"""Version of the counting rules (docs/semantics.md): what was counted by other ones is never continued."""
ROLES = ("impression", "click", "lead", "payment")
MAX_STAGES = 64
WITHOUT_NUMBERS = frozenset({"description", "journeys"})
"""Keys that change no number: two definitions that differ in them alone count the same."""


def _stage_name(value: object) -> str:
    clean_name(value)
    return str(value).strip()


class Stage(Part):
    """One stage: which events belong to it and how long a person may stay before it counts as abandoned."""

    name: Annotated[str, BeforeValidator(_stage_name)]
    """As written: documents and metrics show it; compared like every name."""
    on: Rules
    abandon_after_ms: DurationMs | None = Field(default=None, alias="abandon_after")
    stalled_after_ms: DurationMs | None = Field(default=None, alias="stalled_after")
    role: str | None = None
    nth: int | None = Field(default=None, ge=1, le=1_000_000)
    """Order stage for the person's nth and later orders; None: not an order stage."""

    @model_validator(mode="before")
    @classmethod
    def _order_is_nth_1(cls, data: object) -> object:
        if not isinstance(data, dict):
            raise ValueError("write a mapping, e.g. {name: lead, on: [lead_created]}")
        given = dict(data)
        order = given.pop("order", False)
        if not isinstance(order, bool):
            raise ValueError("order takes true or false; for the n-th order write nth: 2")
        if order and "nth" in given and given["nth"] != 1:
            raise ValueError("write either order: true (the first and later orders) or nth: n, not both")
        if order:
            given["nth"] = 1
        if isinstance(given.get("name"), str) and given.get("role") is None:
            name = normalise_name(given["name"])
            given["role"] = name if name in ROLES else None
        return given

    @field_validator("role")
    @classmethod
    def _known_role(cls, role: str | None) -> str | None:
        if role is not None and role not in ROLES:
            raise ValueError(f"{role!r} is no role; write one of {' '.join(ROLES)}, or leave it out")
        return role


class LostRule(Part):
    """Events that end a journey; with a fixed reason, or else the event's property `reason`."""

    on: Rules
    reason: str | None = None


class Dimension(Part):
    """A property by which everything is also counted."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[^|=\s]+$")
    attribution: Attribution
    property: str = ""
    values: tuple[str, ...] | None = None
    cap: int = Field(default=100, ge=1, le=10_000)

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: object) -> object:
        if not isinstance(data, dict):
            raise ValueError("write a mapping, e.g. {name: channel, attribution: first}")
        given = dict(data)
        if not given.get("property"):
            given["property"] = given.get("name")
        if isinstance(given.get("values"), list):
            given["values"] = [str(one) for one in given["values"]]
        return given

    @field_validator("property")
    @classmethod
    def _place(cls, name: str) -> str:
        if name != TOUCHES_PROPERTY and (instead := unknown_place(name)):
            raise ValueError(instead)
        return name

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if values is None:
            return None
        cleaned = tuple(dict.fromkeys(clean_text(text) for text in values))
        if not cleaned or "" in cleaned or len(cleaned) > 10_000:
            raise ValueError("write 1 to 10,000 distinct values that are not empty, or leave values out")
        return cleaned

    @model_validator(mode="after")
    def _touches(self) -> Dimension:
        if self.property != TOUCHES_PROPERTY:
            return self
        if self.attribution != "last":
            raise ValueError(f"{TOUCHES_PROPERTY} grows with the journey; write attribution: last")
        if self.values not in (None, TOUCHES):
            raise ValueError(
                f"{TOUCHES_PROPERTY}: its values are 0 to {TOUCHES[-2]} and {TOUCHES[-1]}; leave values out"
            )
        return self if self.values else self.model_copy(update={"values": TOUCHES})


class Funnel(Part):
    """A checked definition. Two definitions with one `fingerprint` count the same."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    version: int = Field(default=1, ge=1)
    timezone: str = "UTC"
    currency: str = "USD"
    conversion_window_ms: DurationMs = Field(alias="conversion_window")
    allowed_lateness_ms: DurationMs = Field(
        default=ALLOWED_LATENESS_MS, alias="allowed_lateness", validate_default=False
    )
    reentry: Literal["window", "completion"] = "window"
    unit: str | None = Field(default=None, min_length=1, max_length=64)
    """The property that tells one deal of a person from another; None: one line of journeys for a person."""
    given_lead_in_ms: DurationMs | None = Field(default=None, alias="lead_in")
    journeys: bool = False
    """Whether what becomes of journeys is told on the topic `journeys`. It changes no number."""
    sources: Annotated[tuple[str, ...] | None, BeforeValidator(lambda v: v if v is None else as_list(v))] = None
    traffic: Annotated[tuple[str, ...], BeforeValidator(as_list), Field(min_length=1)] = (HUMAN,)
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES)
    lost: tuple[LostRule, ...] = ()
    refunds: Annotated[tuple[Name, ...], BeforeValidator(as_list)] = ("refund",)
    ad_spend: Annotated[tuple[Name, ...], BeforeValidator(as_list)] = ("ad_spend",)
    scoring: Scoring | None = None
    """Points of events, by which people are cold, warm or hot."""
    dimensions: tuple[Dimension, ...] = Field(default=(), max_length=12)
    pairs: tuple[tuple[str, str], ...] = ()
    description: str = ""

    @field_validator("dimensions")
    @classmethod
    def _temperatures(cls, dimensions: tuple[Dimension, ...], info: ValidationInfo) -> tuple[Dimension, ...]:
        if info.data.get("scoring") is None:
            return dimensions
        scored = [one for one in dimensions if one.property == SCORED_PROPERTY]
        if any(one.values not in (None, TEMPERATURES) for one in scored):
            raise ValueError("temperature: its values are cold, warm and hot, by scoring; leave values out")
        return tuple(one.model_copy(update={"values": TEMPERATURES}) if one in scored else one for one in dimensions)

    @field_validator("traffic")
    @classmethod
    def _traffic(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        for one in classes:
            if one not in TRAFFIC_CLASSES:
                raise ValueError(f"{one!r} is no class of traffic; write some of {' '.join(TRAFFIC_CLASSES)}")
        return tuple(one for one in TRAFFIC_CLASSES if one in classes)

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"{name!r} is no time zone; write an IANA name, e.g. Europe/Athens or UTC") from None
        return name

    @field_validator("currency", mode="before")
    @classmethod
    def _currency(cls, code: object) -> str:
        cleaned = clean_currency(code)
        if cleaned is None:
            raise ValueError(f"{code!r} is no currency; write a three-letter ISO-4217 code, e.g. EUR")
        return cleaned

    @field_validator("unit")
    @classmethod
    def _unit(cls, unit: str | None) -> str | None:
        if unit is not None and unit in MONEY:
            raise ValueError(
                f"{unit!r} is money, not the name of a deal; write the property that holds its id: deal_id"
            )
        return unit

    @model_validator(mode="after")
    def _lead_in_of_a_unit(self) -> Funnel:
        if self.given_lead_in_ms is None:
            return self
        if self.unit is None:
            raise ValueError(
                "lead_in: goes before a deal, so it needs a unit; write e.g. unit: deal_id, or leave it out"
            )
        if self.given_lead_in_ms > self.conversion_window_ms:
            raise ValueError("lead_in: is longer than conversion_window; write at most that, or leave it out")
        return self

    @model_validator(mode="after")
    def _temperature_is_shown(self) -> Funnel:
        if self.scoring is not None and SCORED_PROPERTY not in {one.property for one in self.dimensions}:
            raise ValueError("scoring: nothing shows it; add the dimension {name: temperature, attribution: stage}")
        return self

    @model_validator(mode="after")
    def _no_change_of_orders_in_a_rule(self) -> Funnel:
        taken = ORDER_CHANGES & {*(rule.event for rule in self.rules), *self.refunds, *self.ad_spend}
        if taken:
            raise ValueError(f"{min(taken)!r} changes an order in every funnel; no rule may name it: leave it out")
        return self

    @model_validator(mode="after")
    def _no_spend_in_a_rule(self) -> Funnel:
        taken = {*(rule.event for rule in self.rules), *self.refunds} & {*self.ad_spend}
        if taken:
            raise ValueError(f"ad_spend: {min(taken)!r} is also an event of a rule, and nobody spends; leave one out")
        return self

    @model_validator(mode="after")
    def _conditions_find_something(self) -> Funnel:
        for rule in self.rules:
            for condition in rule.where:
                if instead := unknown_place(condition.property):
                    raise ValueError(f"where: {instead}")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Funnel:
        names = [normalise_name(stage.name) for stage in self.stages]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"stages: the name {name!r} stands twice; every stage needs its own")
        if "lost" in names:
            raise ValueError("stages: the name 'lost' is taken by lost events; write another one")
        if self.stages[-1].abandon_after_ms is not None:
            raise ValueError(
                f"stages[{len(names) - 1}].abandon_after: the last stage is completed at once; leave it out"
            )
        dimensions = [dimension.name for dimension in self.dimensions]
        if len(set(dimensions)) < len(dimensions):
            raise ValueError("dimensions: a name stands twice; every dimension needs its own")
        for pair in self.pairs:
            for name in pair:
                if name not in dimensions:
                    raise ValueError(f"pairs: {name!r} is no dimension of this funnel; write two of {dimensions}")
            if pair[0] == pair[1]:
                raise ValueError(f"pairs: {list(pair)} pairs a dimension with itself")
        return self

    @property
    def funnel_id(self) -> str:
        """`name@version`: the key of everything counted by this definition."""
        return f"{self.name}@{self.version}"

    @property
    def lead_in_ms(self) -> int:
        """How far before a deal begins an event can lead to it; 0 without a unit."""
        if self.unit is None:
            return 0
        return self.conversion_window_ms if self.given_lead_in_ms is None else self.given_lead_in_ms

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Of all stages, losses and points."""
        groups = [stage.on for stage in self.stages] + [lost.on for lost in self.lost]
        groups += [] if self.scoring is None else [one.on for one in self.scoring.points]
        return tuple(rule for group in groups for rule in group)

    @property
    def event_names(self) -> frozenset[str]:
        """Events that the funnel looks at; spend is no event of a person and not among them."""
        return ORDER_CHANGES.union(self.refunds, (rule.event for rule in self.rules))

    @property
    def money_names(self) -> frozenset[str]:
        """Events that move money: of order stages, refunds, changes of orders, spend."""
        orders = (rule.event for stage in self.stages if stage.nth is not None for rule in stage.on)
        return ORDER_CHANGES.union(orders, self.refunds, self.ad_spend)

    @property
    def properties(self) -> frozenset[str]:
        """Properties that the definition names; `schemas.properties.ALWAYS_READ` are read besides."""
        conditions = [condition.property for rule in self.rules for condition in rule.where]
        named = [*(dimension.property for dimension in self.dimensions), *conditions]
        return frozenset(map(property_of, named)).union(() if self.unit is None else (self.unit,))

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over everything that changes a number; the description does not."""
        meaning = self.model_dump(mode="json", exclude={*WITHOUT_NUMBERS, "unit", "given_lead_in_ms", "scoring"})
        meaning["rules"] = RULES
        if self.unit is not None:
            meaning |= {"unit": self.unit, "lead_in_ms": self.lead_in_ms}
        if self.scoring is not None:
            meaning["scoring"] = self.scoring.model_dump(mode="json")
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()
