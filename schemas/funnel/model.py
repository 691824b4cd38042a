"""The funnel definition: data that says what is counted (docs/semantics.md 2), as checked values. Pure.

Every error says what to write instead; `schemas.funnel.load` reads files, `schemas.funnel.explain` words the errors.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from schemas.funnel.duration import DurationMs
from schemas.funnel.parts import Dimension, LostRule, Stage
from schemas.funnel.rules import Name, Part, Rule, as_list
from schemas.funnel.scoring import SCORED_PROPERTY, TEMPERATURES, Scoring
from schemas.lateness import ALLOWED_LATENESS_MS
from schemas.money import clean_currency
from schemas.names import normalise_name
from schemas.places import property_of, unknown_place
from schemas.properties import MONEY, ORDER_CHANGES
from schemas.traffic import HUMAN, TRAFFIC_CLASSES

RULES = 6
"""Version of the counting rules (docs/semantics.md): what was counted by other ones is never continued."""
MAX_STAGES = 64
WITHOUT_NUMBERS = frozenset({"description", "journeys"})
"""Keys that change no number: two definitions that differ in them alone count the same."""


class Funnel(Part):
    """A checked definition. Two definitions with one `fingerprint` count the same."""

    name: str = Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Name in reports, metrics and addresses.",
        examples=["shop"],
    )
    version: int = Field(
        default=1, ge=1, description="Raised with every change of what is counted; then `recount`.", examples=["2"]
    )
    timezone: str = Field(
        default="UTC", description="Where days begin: a name of the IANA list.", examples=["Europe/Athens"]
    )
    currency: str = Field(
        default="USD", description="Of amounts without one, and of reports (ISO 4217).", examples=["EUR"]
    )
    conversion_window_ms: DurationMs = Field(
        alias="conversion_window", description="How long a journey lasts from its first stage event.", examples=["30d"]
    )
    allowed_lateness_ms: DurationMs = Field(
        default=ALLOWED_LATENESS_MS,
        alias="allowed_lateness",
        validate_default=False,
        description="How late an event may come and still be counted where it belongs.",
        examples=["3d"],
    )
    reentry: Literal["window", "completion"] = Field(
        default="window",
        description="When a new journey may begin: after the window, or also after the last stage.",
        examples=["completion"],
    )
    unit: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="The property that tells one deal of a person from another; each deal is a journey.",
        examples=["deal_id"],
    )
    given_lead_in_ms: DurationMs | None = Field(
        default=None,
        alias="lead_in",
        description="With `unit`: how far before a deal an event can lead to it; without it the conversion window.",
        examples=["14d"],
    )
    journeys: bool = Field(
        default=False,
        description="Whether what becomes of journeys is published on the topic `journeys`. It changes no number.",
        examples=["true"],
    )
    sources: Annotated[tuple[str, ...] | None, BeforeValidator(lambda v: v if v is None else as_list(v))] = Field(
        default=None,
        description="Sources that are counted, by the names of write keys; without it all.",
        examples=["[web, crm]"],
    )
    traffic: Annotated[tuple[str, ...], BeforeValidator(as_list), Field(min_length=1)] = Field(
        default=(HUMAN,),
        description="Classes of traffic that are counted: human, bot, prefetch, staff, canary.",
        examples=["[human, staff]"],
    )
    stages: tuple[Stage, ...] = Field(
        min_length=1,
        max_length=MAX_STAGES,
        description="The steps, in order.",
        examples=["[{name: click, on: click}, {name: payment, on: payment, order: true}]"],
    )
    lost: tuple[LostRule, ...] = Field(
        default=(), description="Events that end a journey.", examples=["[{on: [lead_lost]}]"]
    )
    refunds: Annotated[tuple[Name, ...], BeforeValidator(as_list)] = Field(
        default=("refund",), description="Events that give money back.", examples=["[refund, chargeback]"]
    )
    ad_spend: Annotated[tuple[Name, ...], BeforeValidator(as_list)] = Field(
        default=("ad_spend",), description="Events that are spend on advertising.", examples=["[ad_spend]"]
    )
    scoring: Scoring | None = Field(
        default=None,
        description="Points of events, by which people are cold, warm or hot.",
        examples=["{warm: 20, hot: 60, points: [{on: lead, points: 20}]}"],
    )
    dimensions: tuple[Dimension, ...] = Field(
        default=(),
        max_length=12,
        description="By what else everything is counted.",
        examples=["[{name: channel, attribution: first}]"],
    )
    pairs: tuple[tuple[str, str], ...] = Field(
        default=(), description="Two dimensions that are counted together.", examples=["[[channel, manager]]"]
    )
    description: str = Field(default="", description="For people. It changes no number.", examples=["Shop in Athens"])

    @field_validator("dimensions")
    @classmethod
    def _temperatures(cls, dimensions: tuple[Dimension, ...], info: ValidationInfo) -> tuple[Dimension, ...]:
        if info.data.get("scoring") is None:
            return dimensions
        scored = [one for one in dimensions if one.property == SCORED_PROPERTY]
        if any(one.compared_values() not in (None, TEMPERATURES) for one in scored):
            raise ValueError("temperature: its values are cold, warm and hot, by scoring; leave values out")
        return tuple(one.model_copy(update={"values": TEMPERATURES}) if one in scored else one for one in dimensions)

    @field_validator("traffic")
    @classmethod
    def _traffic(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        for name in classes:
            if name not in TRAFFIC_CLASSES:
                raise ValueError(f"{name!r} is no class of traffic; write some of {' '.join(TRAFFIC_CLASSES)}")
        return tuple(name for name in TRAFFIC_CLASSES if name in classes)

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
