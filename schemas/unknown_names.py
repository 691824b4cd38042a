"""Events that no funnel looks at, for their sender: names, how many, and which name was meant. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Final, TypedDict

from schemas.explain import closest
from schemas.names import normalise_name

MOST_NAMES: Final = 20
"""That are worth saying at once."""
ABOUT_PEOPLE: Final = frozenset({"identify", "alias", "group"})
"""Say who somebody is, which is used whether or not a funnel looks at them."""


class UnknownName(TypedDict):
    """One name."""

    name: str
    events: int
    did_you_mean: str | None


def unknown_names(counts: Mapping[str, int], known: Collection[str]) -> Iterator[UnknownName]:
    """The names with most events first. `known`: the names that funnels look at."""
    choices = frozenset(known)
    named = [(name, events) for name, events in counts.items() if normalise_name(name) not in ABOUT_PEOPLE]
    for name, events in sorted(named, key=lambda each: -each[1])[:MOST_NAMES]:
        yield {"name": name, "events": events, "did_you_mean": _meant(normalise_name(name), choices)}


@lru_cache(maxsize=4096)
def _meant(name: str, known: frozenset[str]) -> str | None:
    """Senders send the same names again and again."""
    return closest(name, sorted(known))


def said(unknown: UnknownName) -> str:
    """In words: `clik (3 events; did you mean 'click'?)`."""
    events = f"{unknown['events']:,} event{'' if unknown['events'] == 1 else 's'}"
    meant = unknown["did_you_mean"]
    return f"{unknown['name']} ({events}" + (f"; did you mean {meant!r}?)" if meant else ")")
