"""The import file (docs/import.md), as checked values: which files are read, and which events a row becomes. Pure.

A text names a column, or is a template with columns in braces; a text that is the same in every row is `{text: EUR}`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from producers.importer.problems import Kind
from schemas.funnel.rules import Condition, Rule

AD_SPEND = "ad_spend"
"""The one event without a person."""
FORMATS = ("csv", "json", "parquet", "xlsx")
Shape = Literal["ga4", "hubspot", "pipedrive", "posthog", "segment", "shopify", "snowplow", "stripe"]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"{name!r} is no time zone; write an IANA name, e.g. Europe/Athens or UTC") from None
    return name


Zone = Annotated[str, BeforeValidator(lambda name: _zone(str(name)))]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Constant(_Model):
    """A text that is the same in every row."""

    text: str


def _source(value: object) -> object:
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("is an empty list; write the columns, the first that is filled counts")
        return tuple(map(_source, value))
    if isinstance(value, bool | int | float):
        raise ValueError(f"write a column, or {{text: {value!r}}} for what is the same in every row")
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty; write the name of a column")
    return value


Source = Annotated[str | Constant | tuple[str | Constant, ...], BeforeValidator(_source)]
"""Where a value comes from: a column, a template, a constant; of several the first that is filled."""


class TimeFormat(_Model):
    """How the times of a column are written: `unit` says it of numbers, `order` or `format` of texts. What can be read
    in one way only needs none."""

    order: Literal["dmy", "mdy"] | None = None
    format: str | None = None
    unit: Literal["s", "ms", "us", "ns", "excel"] | None = None
    timezone: Zone | None = None

    @model_validator(mode="after")
    def _one_way(self) -> TimeFormat:
        if self.order is not None and self.format is not None:
            raise ValueError("write either order or format")
        return self


def _delimiter(value: object) -> object:
    if value in ("tab", "\\t"):
        return "\t"
    if value is not None and (not isinstance(value, str) or len(value) != 1 or value in '"\r\n'):
        raise ValueError(f"{value!r} stands between no cells; write one character, or tab")
    return value


class TableFile(_Model):
    """A file and how it is laid out; what is left out is found."""

    file: str = Field(min_length=1)
    format: Literal["csv", "json", "parquet", "xlsx"] | None = None
    encoding: str | None = None
    delimiter: Annotated[str | None, BeforeValidator(_delimiter)] = None
    heading: Annotated[int, BeforeValidator(lambda v: int(v) if isinstance(v, bool) else v)] = Field(default=1, ge=0)
    columns: tuple[str, ...] = ()
    sheet: str | None = None
    member: str | None = None
    rows: str | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    empty: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _marks_differ(self) -> TableFile:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same mark; write two, or leave thousands out")
        if self.heading == 0 and not self.columns:
            raise ValueError("a file without a heading needs columns: [the, names, in, order]")
        return self


class Join(TableFile):
    """A second table: its columns are `NAME.column` in the rows of the input."""

    name: str = Field(alias="as", min_length=1)
    on: str
    key: str
    match: Literal["exact", "loose"] = "exact"
    """Loose: blanks, punctuation and case make no difference (`GTX Pro`, `GTXPro`)."""


class Input(TableFile):
    """A table of rows, or an archive in a shape that is known."""

    name: str = ""
    shape: Shape | None = None
    times: dict[str, TimeFormat] = Field(default_factory=dict)
    join: tuple[Join, ...] = ()


def _conditions(where: object) -> object:
    if isinstance(where, dict):
        return Rule.model_validate({"event": "row", "where": where}).where
    return where


Conditions = Annotated[tuple[Condition, ...], BeforeValidator(_conditions)]
PROPERTIES = ("order_id", "refund_id", "deal_id", "currency", "reason", "channel", "campaign", "manager", "product")
"""Keys of an event that are its properties, beside those under `properties`."""
AMOUNTS = ("value", "cost", "discount")
PERSONS = ("user_id", "contact_id", "anonymous_id", "email", "phone")


class EventRule(_Model):
    """One kind of event that a row becomes."""

    name: str = Field(min_length=1)
    at: str = Field(min_length=1)
    inputs: Annotated[
        tuple[str, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v), Field(alias="input")
    ] = ()
    when: Conditions = ()
    each: str | None = None
    group: tuple[str, ...] = ()
    id: Source | None = None
    user_id: Source | None = None
    contact_id: Source | None = None
    anonymous_id: Source | None = None
    email: Source | None = None
    phone: Source | None = None
    order_id: Source | None = None
    refund_id: Source | None = None
    deal_id: Source | None = None
    currency: Source | None = None
    reason: Source | None = None
    channel: Source | None = None
    campaign: Source | None = None
    manager: Source | None = None
    product: Source | None = None
    value: str | Constant | None = None
    cost: str | Constant | None = None
    discount: str | Constant | None = None
    minor: bool = False
    """Amounts are in minor units (cents)."""
    negative: Literal["refuse", "refund"] = "refuse"
    refuse: str | None = None
    """Rows that meet the conditions are refused, for this reason."""
    properties: dict[str, Source] = Field(default_factory=dict)

    @field_validator("group", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("properties")
    @classmethod
    def _no_amounts(cls, properties: dict[str, Any]) -> dict[str, Any]:
        for name in AMOUNTS:
            if name in properties:
                raise ValueError(f"{name} is an amount: write it beside `name`, not among the properties")
        return properties

    @model_validator(mode="after")
    def _has_a_person(self) -> EventRule:
        if self.refuse is None and self.name != AD_SPEND and not any(getattr(self, name) for name in PERSONS):
            raise ValueError(f"says nobody; write one of {', '.join(PERSONS)}, e.g. user_id: customer")
        if self.group and self.each:
            raise ValueError("write either group (rows of one thing) or each (elements of a list), not both")
        return self


class ImportFile(_Model):
    """A checked import file."""

    source: str | None = None
    timezone: Zone = "UTC"
    funnels: Annotated[tuple[str, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = ()
    tolerate: tuple[Kind, ...] = ()
    inputs: tuple[Input, ...] = Field(min_length=1)
    events: tuple[EventRule, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> ImportFile:
        named = [each.name for each in self.inputs if each.name]
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"inputs: the name {name!r} stands twice; every input needs its own")
        for number, rule in enumerate(self.events):
            for name in rule.inputs:
                if name not in named:
                    has = ", ".join(named) or "none: write `name:` beside its file"
                    raise ValueError(f"events[{number}].input: there is no input {name!r}; names are {has}")
        for number, table in enumerate(self.inputs):
            if table.shape is None and not self.rules_of(table):
                raise ValueError(f"inputs[{number}]: nothing becomes of its rows; add `events:`, or say its shape")
        return self

    def rules_of(self, table: Input) -> tuple[EventRule, ...]:
        """Which events its rows become; an archive's only where a rule names it."""
        if table.shape is not None:
            return tuple(rule for rule in self.events if table.name and table.name in rule.inputs)
        return tuple(rule for rule in self.events if not rule.inputs or table.name in rule.inputs)
