"""What the step from one definition to another changes, key by key. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from schemas.funnel.definition import definition_of
from schemas.funnel.model import WITHOUT_NUMBERS, Funnel

_NAMED = ("stages", "dimensions")


class Change(NamedTuple):
    """One key; None: it is not there."""

    path: str
    before: Any
    after: Any


def changes(before: Funnel, after: Funnel) -> list[Change]:
    """In the order of the file; stages and dimensions are compared by name."""
    return list(_changes("", before=_by_name(definition_of(before)), after=_by_name(definition_of(after))))


def changes_numbers(change: Change) -> bool:
    """Whether counting differs by it: texts for people, and what is told beside the counts, do not change it."""
    return change.path not in WITHOUT_NUMBERS and change.path != "version"


def _by_name(definition: Mapping[str, Any]) -> dict[str, Any]:
    named = {
        key: {entry["name"]: {**entry, "position": place} for place, entry in enumerate(definition[key], start=1)}
        for key in _NAMED
    }
    return {**definition, **named}


def _changes(path: str, *, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        inner = f"{path}.{key}" if path else key
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(inner, before=old, after=new)
        elif old != new:
            yield Change(inner, old, new)
