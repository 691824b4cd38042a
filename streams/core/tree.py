"""Which ids are linked to a person: a fact at the owner of the higher id, for those who ask for the whole tree. Pure.

Counting does not need it. What decides is the link in the state of the lower id itself; this says where to look. One
fact for each funnel and person, with at most `MAX_CHILDREN` ids: an id beyond that is linked like any other, and
counted as `children_refused`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.core.facts import Facts
from streams.core.state import FunnelState
from streams.state import KIN_FACT

MAX_CHILDREN: Final = 1_000
MANY_CHILDREN: Final = 20
"""A person with so many ids is counted once as `persons_with_many_ids`: seldom one human being."""


def fact_key(funnel_id: str, person: bytes) -> bytes:
    """Key of the fact of a person (the person's field in the store)."""
    return bytes([KIN_FACT]) + funnel_id.encode() + b"\0" + person


def children_of(fact: bytes | None) -> list[bytes]:
    """The ids of a fact, oldest link first."""
    return [] if fact is None else msgspec.msgpack.decode(fact, type=list[bytes])


def note(state: FunnelState, facts: Facts) -> None:
    """Take over what the chunk under way has changed."""
    for person, lower, is_linked in state.kinships:
        key = fact_key(state.plan.funnel_id, person)
        children = children_of(facts.get(key))
        if not lower:
            changed: list[bytes] = []
        elif not is_linked:
            changed = [child for child in children if child != lower]
        elif lower in children:
            continue
        elif len(children) >= MAX_CHILDREN:
            state.count_stat("children_refused")
            continue
        else:
            changed = [*children, lower]
            state.count_stat("persons_with_many_ids", len(changed) == MANY_CHILDREN)
        if changed != children:
            facts.put(key, msgspec.msgpack.encode(changed) if changed else None)
    state.kinships = []
