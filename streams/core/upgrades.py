"""How stored bytes of an older layout become bytes of this one: one entry for each layout, used at load time. Pure.

A state is never converted as a whole. What is read of an older layout is upgraded on its way in, what is written is of
the newest, and the owner rewrites the buckets that are left one by one (`streams.worker.rewrite`). An upgrade sees one
stored field alone; it must give the same bytes every time. docs/decisions/layout-version.md has the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from streams.core.plan import Plan
from streams.state import CHUNK_SEPARATOR, FIRST_LAYOUT, Loaded


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From one layout to the next."""

    person: Callable[[Plan, bytes], bytes]
    """Of a packed person (`streams.core.person.pack_person`)."""
    chunk: Callable[[Plan, bytes], bytes]
    """Of a sealed chunk of a person's events."""
    core_state: Callable[[bytes], bytes]
    """Of a funnel's own small state."""


Upgrades = Mapping[int, Upgrade]
"""By the layout that an upgrade starts from, without a gap up to the newest."""


def _same_person(_: Plan, packed: bytes) -> bytes:
    return packed


def _same_state(packed: bytes) -> bytes:
    return packed


UPGRADES: Final[Upgrades] = {1: Upgrade(person=_same_person, chunk=_same_person, core_state=_same_state)}
"""Layout 2 keeps the bytes of layout 1, in other places (`streams.store.person_log`)."""


def upgraded_core_state(packed: bytes, layout: int, upgrades: Upgrades) -> bytes:
    """A core state of an older layout in the newest."""
    while layout in upgrades:
        packed, layout = upgrades[layout].core_state(packed), layout + 1
    return packed


def upgraded(plan: Plan, loaded: Loaded, upgrades: Upgrades) -> Loaded:
    """What was read, everything in the newest layout."""
    if not loaded.layouts:
        return loaded

    newest_layout = FIRST_LAYOUT + len(upgrades)

    def newest(field: bytes, packed: bytes) -> bytes:
        layout = loaded.layouts.get(field, newest_layout)
        while layout in upgrades:
            upgrade = upgrades[layout]
            packed = (upgrade.chunk if CHUNK_SEPARATOR in field else upgrade.person)(plan, packed)
            layout += 1
        return packed

    return replace(
        loaded,
        buckets={
            bucket: {field: newest(field, packed) for field, packed in fields.items()}
            for bucket, fields in loaded.buckets.items()
        },
        persons={field: None if packed is None else newest(field, packed) for field, packed in loaded.persons.items()},
        layouts={},
    )
