"""What is wrong in a funnel file, in words: the path inside it and what to write instead. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.funnel.model import Dimension, Funnel, LostRule, Rule, Stage


def causes(error: ValidationError) -> list[Any]:
    """Errors without "list too short" where the reason is an element that failed on its own."""
    found = error.errors()
    paths = [one["loc"] for one in found]
    return [
        one
        for one in found
        if one["type"] != "too_short" or not any(p[: len(one["loc"])] == one["loc"] != p for p in paths)
    ]


def explain(origin: str, error: Any) -> str:
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    path = path.lstrip(".")
    message = error["msg"].removeprefix("Value error, ")
    kind = error["type"]
    if kind == "extra_forbidden":
        message = "unknown key; remove it" + did_you_mean(str(error["loc"][-1]), _known_keys(error["loc"]))
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


def did_you_mean(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
