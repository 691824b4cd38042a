"""One setting: its name in flags, environment and file, how a value is read, checked and shown. Reads no source."""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

PREFIX: Final = "FUNNELCAST_"
HIDDEN: Final = "***"
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_CREDENTIALS: Final = re.compile(r"^([^/@]*://)?.*@")
_SECRET_PARAMETER: Final = re.compile(r"([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a field says of itself besides its type and default; see `setting`."""

    help: str
    unit: str
    least: float | None
    most: float | None
    check: Callable[[Any], object] | None
    called: str
    is_secret: bool
    has_flag: bool


def setting(
    default: object,
    help: str,  # noqa: A002 - as the command line calls it
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    check: Callable[[Any], object] | None = None,
    called: str = "",
    is_secret: bool = False,
    has_flag: bool = True,
) -> Any:
    """A field of a section: its default, its help text and its unit stand here and nowhere else.

    `unit` is what the help shows for a value; `duration` makes milliseconds of `1m`. `check` raises ValueError with
    what to write instead. `called`: the name outside, where it is not the field's. A secret is never shown; it has no
    flag where no other user of the machine should read it among the arguments of a process.
    """
    facts = Facts(
        help=help,
        unit=unit,
        least=least,
        most=most,
        check=check,
        called=called,
        is_secret=is_secret,
        has_flag=has_flag,
    )
    return dataclasses.field(default=default, metadata={"facts": facts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A field of a section in one kind of process."""

    attribute: str
    type: Any
    default: Any
    facts: Facts
    section: str
    """Heading under which help shows it."""
    process: str = ""
    """Whose own it is; empty: the whole installation's."""

    @property
    def name(self) -> str:
        """Its name outside, without the process."""
        return self.facts.called or self.attribute

    @property
    def flag(self) -> str:
        """`--spool-bytes`."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """`FUNNELCAST_SPOOL_BYTES`, `FUNNELCAST_COLLECTOR__PORT`."""
        return PREFIX + (f"{self.process}__" if self.process else "").upper() + self.name.upper()

    @property
    def key(self) -> str:
        """In the file: `spool_bytes`, `collector.port`."""
        return f"{self.process}.{self.name}" if self.process else self.name

    @property
    def value_type(self) -> Any:
        """The type without None."""
        if get_origin(self.type) in (Union, types.UnionType):
            return next(each for each in get_args(self.type) if each is not type(None))
        return self.type

    @property
    def placeholder(self) -> str:
        """What help shows for the value."""
        if get_origin(self.value_type) is Literal:
            return "|".join(get_args(self.value_type))
        return (self.facts.unit or "text").upper()

    @property
    def expected(self) -> str:
        """What to write, in words."""
        unit = f" ({self.facts.unit})" if self.facts.unit else ""
        if self.facts.unit == "duration":
            return "a duration, e.g. 500ms, 30s, 1m or 7d"
        if get_origin(self.value_type) is Literal:
            return " or ".join(get_args(self.value_type))
        kinds = {bool: "true or false", int: f"a whole number{unit}", float: f"a number{unit}"}
        return kinds.get(self.value_type, "a text") + self._range

    @property
    def _range(self) -> str:
        least, most = self.facts.least, self.facts.most
        if most is not None:
            return f" from {least or 0:g} to {most:g}" if most < 1e6 else f" up to {most:.0f}"
        return f", {least:g} or more" if least is not None else ""

    def read(self, raw: object) -> Any:
        """The value of what was written in a flag, in the environment or in the file. Raises ValueError."""
        value = self._converted(raw)
        least, most = self.facts.least, self.facts.most
        if (least is not None and value < least) or (most is not None and value > most):
            raise self._wrong(raw)
        if self.facts.check is not None:
            self.facts.check(value)
        return value

    def _converted(self, raw: object) -> Any:
        kind = self.value_type
        try:
            if self.facts.unit == "duration":
                return _duration_ms(raw, least=self.facts.least)
            if get_origin(kind) is tuple:
                return _words(raw, keeps_empty=self.facts.check is not None)
            if get_origin(kind) is Literal:
                return get_args(kind)[get_args(kind).index(raw)]
            return _READERS[kind](raw)
        except ValueError:
            raise self._wrong(raw) from None

    def _wrong(self, raw: object) -> ValueError:
        written = "what is there" if self.facts.is_secret else repr(raw)
        return ValueError(f"write {self.expected}, not {written}")

    def written(self, value: Any) -> str:
        """The value as a person would write it; empty where there is none. Not masked."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        if self.facts.unit == "duration":
            return _duration(value)
        return (
            ",".join(value) if isinstance(value, tuple) else f"{value:.12g}" if isinstance(value, float) else str(value)
        )

    def shown(self, value: Any) -> Any:
        """The value for logs and listings: plain JSON, nothing secret."""
        if self.facts.is_secret:
            return HIDDEN if value else None
        if value is None or (isinstance(value, bool | int | float) and self.facts.unit != "duration"):
            return value
        if isinstance(value, tuple):
            return [without_credentials(each) for each in value]
        return without_credentials(self.written(value))


def without_credentials(text: str) -> str:
    """The text without what stands before the @ of an address, and without passwords among its parameters."""
    return _SECRET_PARAMETER.sub(rf"\1{HIDDEN}", _CREDENTIALS.sub(lambda match: f"{match[1] or ''}{HIDDEN}@", text))


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw.strip()


def _flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = _text(raw).lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError
    return word in _TRUE


def _whole(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    return int(_text(raw))


def _number(raw: object) -> float:
    value = float(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else float(_text(raw))
    if not math.isfinite(value):
        raise ValueError
    return value


def _words(raw: object, *, keeps_empty: bool) -> tuple[str, ...]:
    """Of `a, b` or of a list. A check sees the empty ones too, so that it can refuse them."""
    words = raw if isinstance(raw, list) else _text(raw).split(",") if raw else ()
    return tuple(word for word in map(_text, words) if word or keeps_empty)


def _duration_ms(raw: object, *, least: float | None) -> int:
    from schemas.funnel.duration import parse_duration_ms  # brings pydantic, which a `--help` does without

    return 0 if least == 0 and raw in ("0", "0s", "0ms", 0) else parse_duration_ms(raw)


def _duration(milliseconds: int) -> str:
    from schemas.funnel.duration import format_duration

    return format_duration(milliseconds) if milliseconds else "0s"


_READERS: Final[dict[Any, Callable[[object], Any]]] = {
    bool: _flag,
    int: _whole,
    float: _number,
    str: _text,
    Path: lambda raw: Path(_text(raw)),
}
