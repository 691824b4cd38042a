"""Channels: groups of visits by what is known of where they came from. Reads files of them, nothing else.

The groups that ship are `channels.yaml` beside this module; a file of an installation is read before them. Errors name
the file, the path inside it and what to write.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from producers.attribution.links import CLICK_IDS
from schemas.errors import UsageError
from schemas.explain import Explainer, KeyPath
from schemas.written_file import WrittenFile

UNASSIGNED: Final = "unassigned"
"""Something is known of where a visit came from, and no group takes it."""
MAX_NAME_CHARS: Final = 64
_WILDCARDS: Final = frozenset("*?[")
_FIELDS: Final = ("source", "medium", "campaign", "content", "term", "referrer", "click_id")


class ChannelsError(UsageError):
    """A file of channels that cannot be used; the text says where and what to write instead."""


class Visit(NamedTuple):
    """What a channel is made of; empty where it is not known."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    content: str = ""
    term: str = ""
    referrer: str = ""
    """Domain of the page before."""
    click_id: str = ""
    """Its name, such as `gclid`."""
    site: str = ""
    """Kind of the source or of the referrer in the public list."""
    tagged: bool = False
    """Whether the address said so; otherwise the page before does."""


def _patterns(value: object) -> object:
    listed = value if isinstance(value, list | tuple) else [value]
    return tuple(str(one).strip().casefold() if isinstance(one, str | int | float) else one for one in listed)


Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns), Field(min_length=1)]


class When(BaseModel):
    """One condition: all that it states must hold. A value, or one of several; `*` stands for anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Patterns | None = None
    medium: Patterns | None = None
    campaign: Patterns | None = None
    content: Patterns | None = None
    term: Patterns | None = None
    referrer: Patterns | None = None
    click_id: Patterns | None = None
    site: Literal["search", "social", "email", "paid"] | None = None
    tagged: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> When:
        if not self.model_fields_set:
            raise ValueError("states nothing; write e.g. {source: partner, medium: [banner, link]}")
        return self

    @field_validator("click_id")
    @classmethod
    def _names(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if not _WILDCARDS.intersection(name) and "id" not in name:
                raise ValueError(f"{name!r} is no name of a click id; write some of {' '.join(CLICK_IDS)}")
        return names


class Group(BaseModel):
    """A channel, and the conditions of which one must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
    when: Annotated[tuple[When, ...], BeforeValidator(lambda v: v if isinstance(v, list) else [v]), Field(min_length=1)]

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        name = name.strip()
        if name.casefold() in ("", "unknown", "other"):
            raise ValueError(f"{name!r} is a word of the reports; write another name")
        return name


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    channels: Annotated[tuple[Group, ...], Field(min_length=1)]


class _Matcher:
    """One condition, ready."""

    def __init__(self, when: When) -> None:
        self._texts = [
            (number, _matching(patterns))
            for number, name in enumerate(_FIELDS)
            if (patterns := getattr(when, name)) is not None
        ]
        self._site = when.site
        self._tagged = when.tagged

    def holds(self, visit: Visit) -> bool:
        if self._site is not None and visit.site != self._site:
            return False
        if self._tagged is not None and visit.tagged is not self._tagged:
            return False
        return all(pattern.fullmatch(str(visit[number])) for number, pattern in self._texts)


@cache
def _matching(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{fnmatch.translate(one)})" for one in patterns), re.IGNORECASE)


class Channels:
    """The groups of an installation, in order."""

    def __init__(self, groups: Sequence[Group] = ()) -> None:
        self._groups = [(group.name, [_Matcher(when) for when in group.when]) for group in (*groups, *shipped())]

    def channel_of(self, visit: Visit) -> str:
        """The name of the first group that takes it."""
        for name, matchers in self._groups:
            for matcher in matchers:
                if matcher.holds(visit):
                    return name
        return UNASSIGNED


@cache
def shipped() -> tuple[Group, ...]:
    """The groups of `channels.yaml`."""
    text = (resources.files("producers.attribution") / "channels.yaml").read_text("utf-8")
    return parse_channels(text, origin="channels.yaml")


def load_channels(path: Path) -> Channels:
    """The groups of a file, before those that ship. Raises ChannelsError."""
    return Channels(_FORMAT.load(path).channels)


def parse_channels(text: str, *, origin: str) -> tuple[Group, ...]:
    """The groups of a YAML text; `origin` names it in errors. Raises ChannelsError."""
    return _FORMAT.parse(text, origin=origin).channels


def _known_keys(path: KeyPath) -> list[str]:
    model: type[BaseModel] = When if "when" in path else Group if "channels" in path else _File
    return list(model.model_fields)


_ERRORS: Final = Explainer(
    known_keys=_known_keys,
    examples={
        "channels": "channels: [{name: partners, when: [{source: acme}]}]",
        "name": "name: partners",
        "when": "when: [{source: acme, medium: [banner, link]}]",
    },
    mappings={"channels": "{name: partners, when: [{source: acme}]}", "when": "{source: acme}"},
)
_FORMAT: Final = WrittenFile(_File, ChannelsError, _ERRORS, "; write channels: [{name: partners, when: [...]}]")
