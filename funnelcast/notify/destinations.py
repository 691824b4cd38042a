"""The file of destinations: who is told what, and when nobody is to be woken. Checked when it is read.

Secrets stand elsewhere: `file:/run/secrets/name` or `env:NAME`. Every error names the place and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from funnelcast.settings.secrets import read_secret
from schemas.errors import InputFileError
from schemas.explain import Explainer
from schemas.written_file import WrittenFile

Period = Literal["daily", "weekly"]
Severity = Literal["critical", "warning"]
_QUIET: Final = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)")


class DestinationsError(InputFileError):
    """A file of destinations that cannot be used; the text says where and what to write instead."""


class Destination(BaseModel):
    """One mailbox or channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    email: str | None = None
    smtp: str | None = None
    """smtp://user@host:587 (STARTTLS where the server has it), or smtps://host:465."""
    sender: str | None = Field(default=None, alias="from")
    password: str | None = None
    webhook: str | None = None
    """A Slack-compatible incoming webhook."""
    alerts: Literal["critical", "warning", "none"] = "warning"
    """The least that it is told."""
    digest: tuple[Period, ...] = ("daily", "weekly")

    @field_validator("email")
    @classmethod
    def _mailbox(cls, value: str | None) -> str | None:
        if value is not None and not all(re.fullmatch(r"[^@\s]+@[^@\s]+", each.strip()) for each in value.split(",")):
            raise ValueError(f"{value!r} is no mailbox; write owner@shop.example")
        return value

    @field_validator("smtp")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _is_address(value, "smtp", "smtps"):
            raise ValueError(f"{value!r} is no mail server; write smtp://user@mail.example:587 or smtps://...:465")
        if urlsplit(value).password is not None:
            raise ValueError("a secret stands elsewhere; leave it out here and write password: env:NAME")
        return value

    @field_validator("password", "webhook")
    @classmethod
    def _elsewhere(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("env:", "file:")):
            raise ValueError("a secret stands elsewhere; write env:NAME or file:/run/secrets/name")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Destination:
        if (self.email is None) == (self.webhook is None):
            raise ValueError("write email (with smtp) or webhook, one of them")
        if self.email is not None and self.smtp is None:
            raise ValueError("email needs smtp; write e.g. smtp: smtp://user@mail.example:587")
        if self.smtp is not None and urlsplit(self.smtp).username and self.password is None:
            raise ValueError("a user of the mail server needs a password; write password: env:NAME, or no user")
        return self

    def wants(self, severity: str) -> bool:
        """Whether it is notified of an alert."""
        return severity == self.alerts or (severity == "critical" and self.alerts == "warning")


class Destinations(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: str = "UTC"
    quiet: str | None = None
    """`22:00-08:00`: then only what is critical is sent; the rest when it is over."""
    page: str = ""
    """Address of the live page, which messages link to, e.g. https://funnels.example."""
    destinations: Annotated[tuple[Destination, ...], Field(min_length=1)]

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{value!r} is no time zone; write e.g. Europe/Athens") from None
        return value

    @field_validator("quiet")
    @classmethod
    def _hours(cls, value: str | None) -> str | None:
        if value is not None:
            _times(value)
        return value

    @field_validator("page")
    @classmethod
    def _link(cls, value: str) -> str:
        if value and not _is_address(value, "http", "https"):
            raise ValueError(f"{value!r} is no address; write e.g. https://funnels.example")
        return value

    @field_validator("destinations")
    @classmethod
    def _apart(cls, value: tuple[Destination, ...]) -> tuple[Destination, ...]:
        names = [destination.name for destination in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two are called {name!r}; give each a name of its own")
        return value

    def is_quiet(self, at_ms: int) -> bool:
        """Whether nobody is to be woken then."""
        if self.quiet is None:
            return False
        begin, end = _times(self.quiet)
        now = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(self.timezone)).time()
        return begin <= now < end if begin <= end else now >= begin or now < end


def _is_address(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def _times(text: str) -> tuple[time, time]:
    match = _QUIET.fullmatch(text)
    try:
        if match is not None and match[1] != match[2]:
            return time.fromisoformat(match[1]), time.fromisoformat(match[2])
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no span of a day; write e.g. 22:00-08:00")


_ERRORS: Final = Explainer(
    known_keys=lambda path: (
        [field.alias or name for name, field in Destination.model_fields.items()]
        if "destinations" in path
        else list(Destinations.model_fields)
    ),
    examples={
        "destinations": "destinations: [{name: owner, email: owner@shop.example, smtp: smtp://mail.example:587}]",
        "name": "name: owner",
        "quiet": "quiet: 22:00-08:00",
    },
    mappings={"destinations": "{name: team, webhook: env:SLACK_URL}"},
)
_FILE: Final = WrittenFile(Destinations, DestinationsError, _ERRORS, f"; write {_ERRORS.examples['destinations']}")


def load_destinations(path: Path) -> Destinations:
    """Raises DestinationsError."""
    return _FILE.load(path)


def usable_destinations(path: Path, environment: Mapping[str, str]) -> Destinations:
    """Those of a file, with every secret where it is said to be: not found out when the first alert is told.

    Raises DestinationsError, SettingsError.
    """
    loaded = load_destinations(path)
    for destination in loaded.destinations:
        if destination.password is not None:
            secret_of(destination.password, environment)
        if destination.webhook is not None and not _is_address(
            secret_of(destination.webhook, environment).strip(), "http", "https"
        ):
            # the address is a secret: it is not shown
            raise DestinationsError(f"{path}: what {destination.webhook} holds is no address (https://...)")
    return loaded


def secret_of(reference: str, environment: Mapping[str, str]) -> str:
    """What `env:NAME` or `file:PATH` holds. Raises DestinationsError, SettingsError."""
    kind, _, place = reference.partition(":")
    if kind == "file":
        return read_secret(Path(place), "destinations")
    if not environment.get(place):
        raise DestinationsError(f"destinations: the environment has no {place}")
    return environment[place]
