"""The parts of a funnel definition: stages, rules of losses, dimensions, as checked values. Pure.

Each field says what it means and an example; docs/funnel-file.md is written from them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_serializer, field_validator, model_validator

from schemas.attribution import TOUCHES, TOUCHES_PROPERTY, Attribution
from schemas.funnel.duration import DurationMs
from schemas.funnel.rules import Part, Rules, clean_name
from schemas.names import clean_text, normalise_name, written_text
from schemas.places import unknown_place

ROLES = ("impression", "click", "lead", "payment")


def _stage_name(value: object) -> str:
    clean_name(value)
    return str(value).strip()


class Stage(Part):
    """One stage: which events belong to it and how long a person may stay before it counts as abandoned."""

    name: Annotated[str, BeforeValidator(_stage_name)] = Field(
        description="Shown as written; compared without regard to case.", examples=["lead"]
    )
    on: Rules = Field(
        description="Events that enter the stage, by name or with conditions.",
        examples=["[lead_created, {event: form_submit, where: {form: contact}}]"],
    )
    abandon_after_ms: DurationMs | None = Field(
        default=None,
        alias="abandon_after",
        description="Who does not go on for so long has abandoned; without it the end of the window. "
        "Not at the last stage.",
        examples=["7d"],
    )
    stalled_after_ms: DurationMs | None = Field(
        default=None, alias="stalled_after", description="Open for longer counts as stalled.", examples=["2d"]
    )
    role: str | None = Field(
        default=None,
        description="What cost per thousand, click, lead and sale stand on: impression, click, lead or payment; "
        "a stage of such a name has it.",
        examples=["lead"],
    )
    nth: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Entered by the person's n-th and later orders. `order: true` is `nth: 1`.",
        examples=["2"],
    )

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

    on: Rules = Field(description="Events that end a journey.", examples=["[lead_lost]"])
    reason: str | None = Field(
        default=None, description="The reason; without it the event's property `reason`.", examples=["payment_error"]
    )


class Dimension(Part):
    """A property by which everything is also counted."""

    name: str = Field(
        min_length=1,
        max_length=64,
        pattern=r"^[^|=\s]+$",
        description="Name in reports and metrics.",
        examples=["channel"],
    )
    attribution: Attribution = Field(
        description="`first`: the value of the journey's first event, for all of it. `stage`: that of the event "
        "that entered the stage. `last`: the latest value that is stated.",
        examples=["first"],
    )
    property: str = Field(
        default="",
        description="Where the value comes from: a property, `page.path`, `referrer`, `device`, `utm.source`, "
        "`context.PATH`, `journey.touches`; without it the property of that name.",
        examples=["page.path"],
    )
    values: tuple[str, ...] | None = Field(
        default=None,
        description="The only values that are counted by name; others are `other`.",
        examples=["[ann, bob]"],
    )
    cap: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="How many values are counted by name; later ones are `other`.",
        examples=["200"],
    )

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
        distinct: dict[str, str] = {}
        for text in values:
            distinct.setdefault(clean_text(text), written_text(text))
        if not distinct or "" in distinct or len(distinct) > 10_000:
            raise ValueError("write 1 to 10,000 distinct values that are not empty, or leave values out")
        return tuple(distinct.values())

    @field_serializer("values")
    def _what_counts(self, _: object) -> tuple[str, ...] | None:
        """How they are written changes no number, so no fingerprint."""
        return self.compared_values()

    def compared_values(self) -> tuple[str, ...] | None:
        """`values` in the form in which they are compared."""
        return None if self.values is None else tuple(map(clean_text, self.values))

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
