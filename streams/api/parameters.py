"""The query of a request as parameters. Knows no report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn
from urllib.parse import parse_qsl

from schemas.errors import UsageError

_MOST_PARAMETERS = 100


class ParameterError(UsageError):
    """A parameter that does not exist, or stands there twice; the text says what there is."""


def parse_query(query: str, *, single: Sequence[str], repeated: Sequence[str] = ()) -> Mapping[str, list[str]]:
    """Values by name. Raises ParameterError."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise ParameterError(f"more than {_MOST_PARAMETERS} parameters") from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in (*single, *repeated):
            _unknown(name, (*repeated, *single))
        values.setdefault(name, []).append(value)
    if twice := [name for name in single if len(values.get(name, ())) > 1]:
        raise ParameterError(f"{twice[0]} is given more than once")
    return values


def _unknown(name: str, known: Sequence[str]) -> NoReturn:
    raise ParameterError(f"{name!r} is no parameter of this page; there are: {', '.join(known) or 'none'}")
