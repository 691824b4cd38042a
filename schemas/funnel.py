"""The funnel definition: data that says what is counted (semantics.md 2), loaded from YAML or JSON and checked.

Reads files, nothing else. Every error names the file, the path inside it and what to write instead.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from schemas.money import clean_currency
from schemas.names import normalise_name

Operator = Literal["eq", "in", "gt", "gte", "lt", "lte", "ne", "exists"]
Plain = str | int | float | bool
ROLES = ("impression", "click", "lead", "payment")
MAX_STAGES = 64
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d|w)")
_ORDERINGS = {"gt", "gte", "lt", "lte"}
_CONDITION_KEYS = ("gt", "gte", "lt", "lte", "ne", "exists")


class _Yaml(yaml.SafeLoader):
    """YAML in which only true and false are booleans: in YAML 1.1 the key `on` and the value `no` would be."""


_Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class FunnelError(ValueError):
    """A funnel file or name that cannot be used; the text says where and what to write instead."""


def parse_duration_ms(value: object) -> int:
    """Milliseconds of `30m`, `12h`, `7d` (units ms s m h d w). Raises ValueError."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        milliseconds = int(match[1]) * _UNITS_MS[match[2]]
        if milliseconds > 0:
            return milliseconds
    raise ValueError(f"{value!r} is not a duration; write a number and a unit (ms s m h d w), e.g. 30m, 12h or 7d")


DurationMs = Annotated[int, BeforeValidator(parse_duration_ms)]


def _name(value: object) -> str:
    if not isinstance(value, str) or not normalise_name(value):
        raise ValueError(f"{value!r} is not a name; write a text such as lead_created")
    return normalise_name(value)


Name = Annotated[str, BeforeValidator(_name)]


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def number_of(value: object) -> Decimal | None:
    """A number sent as a number or as a text, exactly; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    text = value.strip() if isinstance(value, str) else str(value)
    if not text.isascii() or "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Model):
    """One comparison of an event's property. An absent (or null) property fails all but `exists: false`."""

    property: str
    op: Operator
    operand: Plain | tuple[Plain, ...]

    def holds(self, value: object) -> bool:
        """Whether a property's value (None = absent) satisfies the condition.

        Equality is by type and exact text; order compares numbers, sent as numbers or as texts.
        """
        if self.op == "exists":
            return (value is not None) == bool(self.operand)
        if value is None:
            return False
        if self.op == "eq":
            return _equal(value, self.operand)
        if self.op == "ne":
            return not _equal(value, self.operand)
        if self.op == "in":
            assert isinstance(self.operand, tuple)  # noqa: S101 - set so by Rule
            return any(_equal(value, one) for one in self.operand)
        number, bound = number_of(value), number_of(self.operand)
        if number is None or bound is None:
            return False
        if self.op == "gt":
            return number > bound
        if self.op == "gte":
            return number >= bound
        return number < bound if self.op == "lt" else number <= bound


def _equal(value: object, operand: object) -> bool:
    if isinstance(value, bool) or isinstance(operand, bool):
        return value is operand
    if isinstance(value, str) or isinstance(operand, str):
        return isinstance(value, str) and isinstance(operand, str) and value == operand
    left, right = number_of(value), number_of(operand)
    return left is not None and left == right


class Rule(_Model):
    """An event name, optionally with conditions on its properties (all must hold)."""

    event: Name
    where: tuple[Condition, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        return {"event": data} if isinstance(data, str) else data

    @field_validator("where", mode="before")
    @classmethod
    def _conditions(cls, where: object) -> object:
        if not isinstance(where, dict):
            if isinstance(where, list | tuple) and all(isinstance(one, Condition) for one in where):
                return where
            raise ValueError("write a mapping of properties, e.g. where: {form: contact, value: {gt: 0}}")
        found: list[Condition] = []
        for prop, wanted in where.items():
            found += _conditions_of(str(prop), wanted)
        return tuple(found)


def _conditions_of(prop: str, wanted: object) -> list[Condition]:
    if isinstance(wanted, dict):
        if not wanted:
            raise ValueError(f"{prop}: write at least one of {' '.join(_CONDITION_KEYS)}")
        for op, operand in wanted.items():
            _check_operand(prop, str(op), operand)
        return [Condition(property=prop, op=op, operand=operand) for op, operand in wanted.items()]
    if isinstance(wanted, list | tuple):
        if not wanted or not all(isinstance(one, str | int | float | bool) for one in wanted):
            raise ValueError(f"{prop}: write a list of plain values, e.g. [contact, quote]")
        return [Condition(property=prop, op="in", operand=tuple(wanted))]
    if not isinstance(wanted, str | int | float | bool):
        raise ValueError(f"{prop}: write a value, a list of values, or any of {' '.join(_CONDITION_KEYS)}")
    return [Condition(property=prop, op="eq", operand=wanted)]


def _check_operand(prop: str, op: str, operand: object) -> None:
    if op not in _CONDITION_KEYS:
        raise ValueError(f"{prop}: unknown comparison {op!r}; write one of {' '.join(_CONDITION_KEYS)}")
    if op == "exists" and not isinstance(operand, bool):
        raise ValueError(f"{prop}: exists takes true or false")
    if op in _ORDERINGS and number_of(operand) is None:
        raise ValueError(f"{prop}: {op} compares numbers; write e.g. {op}: 100")
    if op == "ne" and not isinstance(operand, str | int | float | bool):
        raise ValueError(f"{prop}: ne takes one plain value")


Rules = Annotated[tuple[Rule, ...], BeforeValidator(_as_list), Field(min_length=1)]


def _stage_name(value: object) -> str:
    _name(value)
    return str(value).strip()


class Stage(_Model):
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


class LostRule(_Model):
    """Events that end a journey; with a fixed reason, or else the event's property `reason`."""

    on: Rules
    reason: str | None = None


class Dimension(_Model):
    """A property by which everything is also counted."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[^|=\s]+$")
    attribution: Literal["first", "stage"]
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

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if values is None:
            return None
        cleaned = tuple(dict.fromkeys(text.strip()[:64].casefold() for text in values))
        if not cleaned or "" in cleaned or len(cleaned) > 10_000:
            raise ValueError("write 1 to 10,000 distinct values that are not empty, or leave values out")
        return cleaned


class Funnel(_Model):
    """A checked definition. Two definitions with one `fingerprint` count the same."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    version: int = Field(default=1, ge=1)
    timezone: str = "UTC"
    currency: str = "USD"
    conversion_window_ms: DurationMs = Field(alias="conversion_window")
    allowed_lateness_ms: DurationMs = Field(default=3 * 86_400_000, alias="allowed_lateness", validate_default=False)
    reentry: Literal["window", "completion"] = "window"
    sources: Annotated[tuple[str, ...] | None, BeforeValidator(lambda v: v if v is None else _as_list(v))] = None
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES)
    lost: tuple[LostRule, ...] = ()
    refunds: Annotated[tuple[Name, ...], BeforeValidator(_as_list)] = ("refund",)
    ad_spend: Annotated[tuple[Name, ...], BeforeValidator(_as_list)] = ("ad_spend",)
    dimensions: tuple[Dimension, ...] = Field(default=(), max_length=12)
    pairs: tuple[tuple[str, str], ...] = ()
    description: str = ""

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
    def slot(self) -> str:
        """`name@version`: the key of everything counted by this definition."""
        return f"{self.name}@{self.version}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over everything that changes a number; the description does not."""
        meaning = self.model_dump(mode="json", exclude={"description"})
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()

    def as_definition(self) -> dict[str, Any]:
        """The definition in the form of a funnel file, defaults filled in: loading it gives an equal funnel."""
        return _definition(self)

    def event_names(self) -> frozenset[str]:
        """Normalised names of every event that can count here."""
        rules = [rule for stage in self.stages for rule in stage.on] + [rule for lost in self.lost for rule in lost.on]
        return frozenset({rule.event for rule in rules} | set(self.refunds) | set(self.ad_spend))


def preset_names() -> list[str]:
    """Names of the definitions that ship with the product."""
    folder = resources.files("schemas") / "presets"
    return sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml"))


def load_funnel(reference: str) -> Funnel:
    """The definition of a preset name or of a file. Raises FunnelError."""
    if reference in preset_names():
        text = (resources.files("schemas") / "presets" / f"{reference}.yaml").read_text(encoding="utf-8")
        return parse_funnel(text, origin=f"preset {reference}")
    path = Path(reference)
    if not path.is_file():
        raise FunnelError(
            f"{reference}: neither a file nor a preset; presets are {', '.join(preset_names())}"
            + _did_you_mean(reference, preset_names())
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FunnelError(f"{reference}: cannot be read as UTF-8 text: {error}") from None
    return parse_funnel(text, origin=reference)


def load_funnels(references: Sequence[str]) -> list[Funnel]:
    """Several definitions, each name@version once. Raises FunnelError."""
    funnels = [load_funnel(reference) for reference in references]
    names = [funnel.name for funnel in funnels]
    for name in names:
        if names.count(name) > 1:
            raise FunnelError(f"funnel {name!r} is given twice; give every funnel of one run a name of its own")
    if not funnels:
        raise FunnelError("no funnel given; name a preset (e.g. sales) or a file")
    return funnels


def parse_funnel(text: str, *, origin: str = "funnel") -> Funnel:
    """A definition from YAML or JSON text; `origin` names it in errors. Raises FunnelError."""
    try:
        data = yaml.load(text, Loader=_Yaml)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise FunnelError(f"{origin}: is neither YAML nor JSON: {error}") from None
    if not isinstance(data, dict):
        raise FunnelError(f"{origin}: must be a mapping that starts like `name: shop`, not {type(data).__name__}")
    try:
        return Funnel.model_validate(data)
    except ValidationError as error:
        raise FunnelError("\n".join(_explain(origin, one) for one in _causes(error))) from None


def _causes(error: ValidationError) -> list[Any]:
    """Errors without "list too short" where the reason is an element that failed on its own."""
    found = error.errors()
    paths = [one["loc"] for one in found]
    return [
        one
        for one in found
        if one["type"] != "too_short" or not any(p[: len(one["loc"])] == one["loc"] != p for p in paths)
    ]


def _explain(origin: str, error: Any) -> str:
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    path = path.lstrip(".")
    message = error["msg"].removeprefix("Value error, ")
    kind = error["type"]
    if kind == "extra_forbidden":
        message = "unknown key; remove it" + _did_you_mean(str(error["loc"][-1]), _known_keys(error["loc"]))
    elif kind == "missing":
        message = f"is missing; write e.g. {_EXAMPLES.get(str(error['loc'][-1]), str(error['loc'][-1]) + ': ...')}"
    elif kind == "too_short":
        message = "is empty; write at least one"
    elif kind in ("model_type", "dict_type"):
        message = (
            f"{error['input']!r} must be a mapping; write e.g. {_MAPPINGS.get(str(error['loc'][0]), 'key: value')}"
        )
    elif not kind.startswith("value_error"):
        message = f"{message}, not {error['input']!r}"
    return f"{origin}: {path}: {message}" if path else f"{origin}: {message}"


_MAPPINGS = {
    "lost": "{on: [lead_lost], reason: price}",
    "stages": "{name: lead, on: [lead_created]}",
    "dimensions": "{name: channel, attribution: first}",
}
_EXAMPLES = {
    "name": "name: shop",
    "conversion_window": "conversion_window: 30d",
    "stages": "stages: [{name: click, on: [click]}, {name: payment, on: [payment], order: true}]",
    "on": "on: [click]",
    "attribution": "attribution: first",
    "event": "event: lead_created",
}


def _known_keys(path: Sequence[object]) -> list[str]:
    model: type[BaseModel] = Funnel
    for part, inner in (("stages", Stage), ("lost", LostRule), ("dimensions", Dimension), ("on", Rule)):
        if part in path:
            model = inner
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return [*keys, "order"] if model is Stage else keys


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def format_duration(milliseconds: int) -> str:
    """The shortest exact text of a duration, e.g. `30m`."""
    for unit in ("d", "h", "m", "s"):
        if milliseconds % _UNITS_MS[unit] == 0:
            return f"{milliseconds // _UNITS_MS[unit]}{unit}"
    return f"{milliseconds}ms"


def _rule_definition(rule: Rule) -> object:
    if not rule.where:
        return rule.event
    where: dict[str, Any] = {}
    for one in rule.where:
        if one.op == "eq":
            where[one.property] = one.operand
        elif one.op == "in":
            where[one.property] = list(one.operand) if isinstance(one.operand, tuple) else one.operand
        else:
            where.setdefault(one.property, {})[one.op] = one.operand
    return {"event": rule.event, "where": where}


def _stage_definition(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = {"name": stage.name, "on": [_rule_definition(rule) for rule in stage.on]}
    for key, milliseconds in (("abandon_after", stage.abandon_after_ms), ("stalled_after", stage.stalled_after_ms)):
        if milliseconds is not None:
            found[key] = format_duration(milliseconds)
    if stage.role is not None:
        found["role"] = stage.role
    if stage.nth is not None:
        found |= {"order": True} if stage.nth == 1 else {"nth": stage.nth}
    return found


def _definition(funnel: Funnel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": funnel.name,
        "version": funnel.version,
        "timezone": funnel.timezone,
        "currency": funnel.currency,
        "conversion_window": format_duration(funnel.conversion_window_ms),
        "allowed_lateness": format_duration(funnel.allowed_lateness_ms),
        "reentry": funnel.reentry,
        "stages": [_stage_definition(stage) for stage in funnel.stages],
        "lost": [
            {"on": [_rule_definition(rule) for rule in lost.on]} | ({"reason": lost.reason} if lost.reason else {})
            for lost in funnel.lost
        ],
        "refunds": list(funnel.refunds),
        "ad_spend": list(funnel.ad_spend),
        "dimensions": [
            {"name": one.name, "attribution": one.attribution, "property": one.property}
            | ({"values": list(one.values)} if one.values is not None else {"cap": one.cap})
            for one in funnel.dimensions
        ],
        "pairs": [list(pair) for pair in funnel.pairs],
    }
    if funnel.sources is not None:
        found["sources"] = list(funnel.sources)
    if funnel.description:
        found["description"] = funnel.description
    return found
