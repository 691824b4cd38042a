"""Writes the tables of docs/funnel-file.md from the model that checks funnel files; the prose around them is kept.

Run `python docs/write_funnel_file.py` after a key was added. A test compares the committed page with what this script
writes. It reads the model and writes nothing but that page.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.funnel.duration import DurationMs, format_duration
from schemas.funnel.model import Funnel
from schemas.funnel.parts import Dimension, LostRule, Stage
from schemas.funnel.rules import Rule
from schemas.funnel.scoring import ScoreRule, Scoring

PAGE = Path(__file__).resolve().parent / "funnel-file.md"
HEAD = "| Key | Value | Default | Meaning | Example |\n|---|---|---|---|---|\n"
LISTS = {"text": "list of names", "pair of names": "list of pairs of names"}
ORDER = (
    "| `order` | true, false | `false` | Entered by every order of a person: the same as `nth: 1`. | `order: true` |\n"
)
SECTIONS: dict[str, type[BaseModel]] = {
    "The funnel": Funnel,
    "A stage": Stage,
    "A rule of lost": LostRule,
    "A dimension": Dimension,
    "Scoring": Scoring,
    "Points": ScoreRule,
}
WORDS: dict[object, str] = {str: "text", int: "number", bool: "true, false", Rule: "events", Stage: "stages"}
WORDS |= {LostRule: "rules", Dimension: "dimensions", Scoring: "scoring", ScoreRule: "points"}


def page() -> str:
    """The page as it should be: every table under its heading written anew."""
    text = PAGE.read_text(encoding="utf-8")
    for title, model in SECTIONS.items():
        table = re.compile(rf"(^## {re.escape(title)}\n(?:(?!^## |^\|).*\n)*)(?:^\|.*\n)+", re.MULTILINE)
        match = table.search(text)
        if match is None:
            raise SystemExit(f"docs/funnel-file.md has no heading with a table: ## {title}")
        text = text[: match.end(1)] + HEAD + "".join(_rows(model)) + text[match.end() :]
    return text


def _rows(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        example = f"`{field.alias or name}: {(field.examples or [''])[0]}`"
        cells = (f"`{field.alias or name}`", _kind(field), _default(field), field.description or "", example)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    if model is Stage:
        yield ORDER


def _kind(field: FieldInfo) -> str:
    if any(each in field.metadata for each in get_args(DurationMs)[1:]) or _is_duration(field.annotation):
        return "duration"
    return _word(field.annotation)


def _is_duration(kind: Any) -> bool:
    return kind == DurationMs or any(_is_duration(each) for each in get_args(kind) if each is not int)


def _word(kind: Any) -> str:
    origin, inner = get_origin(kind), [each for each in get_args(kind) if each not in (type(None), ...)]
    if kind in WORDS:
        return WORDS[kind]
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in inner)
    if origin is tuple and len(inner) > 1:
        return "pair of names"
    if origin in (tuple, Union, types.UnionType) or hasattr(kind, "__metadata__"):
        return LISTS.get(_word(inner[0]), _word(inner[0])) if origin is tuple else _word(inner[0])
    raise SystemExit(f"{kind}: no word for it in docs/write_funnel_file.py")


def _default(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined:
        return "**needed**"
    if default in (None, (), ""):
        return ""
    if isinstance(default, tuple):
        return f"`[{', '.join(map(str, default))}]`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{format_duration(default) if _kind(field) == 'duration' else default}`"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
