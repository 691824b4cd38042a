"""A chunk of the log between its preparation and its apply: what each funnel is to count, in log order. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from streams.core.match import Match
from streams.core.outgoing import Outgoing
from streams.core.person import Single

Record = tuple[bytes | None, bytes, int]
"""(Kafka key, value, record timestamp in ms)."""

Op = tuple[bytes, int, int, int, int, int, Single | None]
"""(person key, occurred at, tie, kind, code, horizon at that record, the whole event where it is more than that)."""


Forget = tuple[int, bytes, bytes, int]
"""(number of ops before it, person key, name to be kept under, horizon at that record)."""


@dataclass(slots=True)
class FunnelPrepared:
    """What a chunk means to one funnel."""

    ops: list[Op] = field(default_factory=list)
    stats: Counter[str] = field(default_factory=Counter)
    outgoing: list[Outgoing] = field(default_factory=list)
    """In log order."""
    forgets: list[Forget] = field(default_factory=list)
    """In log order."""
    unresolved: list[tuple[int, Any, Match]] = field(default_factory=list)
    """(index into ops, properties, match) of events with names the register did not know."""
    names: dict[tuple[int, str], None] = field(default_factory=dict)

    def keys(self) -> Iterator[bytes]:
        """Of everybody whom the chunk concerns."""
        return chain((op[0] for op in self.ops), (one[1] for one in self.forgets))


@dataclass(slots=True)
class Prepared:
    """A chunk, ready: see `PartitionEngine.prepare`."""

    funnels: dict[str, FunnelPrepared]
    records: int = 0
    max_received_ms: int | None = None
    marker: str | None = None
    sessions: dict[str, int] = field(default_factory=dict)
    last_event_ms: int = 0
    undecodable: int = 0
    retries: int = 0
    """Records of ordered senders that were applied before."""
    forgets: int = 0
    """Forget records up to here."""

    @property
    def new_names(self) -> dict[str, list[tuple[int, str]]]:
        """By funnel: (register, name) in log order, to be registered in the store before the apply."""
        return {funnel_id: list(one.names) for funnel_id, one in self.funnels.items() if one.names}
