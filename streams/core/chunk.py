"""A chunk of the log between its preparation and its apply: what each funnel is to count, in log order. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

from streams.core.kept import KeptEvent
from streams.core.match import Match
from streams.core.outgoing import Outgoing
from streams.core.plan import EventKind
from streams.core.spend import Statement

Record: TypeAlias = tuple[bytes | None, bytes, int]
"""(Kafka key, value, record timestamp in ms)."""

Op: TypeAlias = tuple[bytes, int, int, EventKind, int, int, KeptEvent | None]
"""One operation: (person key, at, event hash, kind, code, horizon at that record, the whole event or None).

The kind tells them apart (`streams.core.plan`). An event says more than its stage where the last member is not None.
Of a FORGET, at and code are 0 and the third member is the number of the forgotten person (`nameless_key`). Of a LINK,
at is when it was received, of a KIN whether it was linked, and the third member the place of the other id in
`FunnelPrepared.ids`. One shape for all kinds, because telling them apart then costs one comparison of numbers per
event: 0.02 of about 5 us.
"""


@dataclass(slots=True)
class FunnelPrepared:
    """What a chunk means to one funnel."""

    ops: list[Op] = field(default_factory=list)
    """In log order."""
    ids: list[bytes] = field(default_factory=list)
    """The higher id of a LINK, the lower one of a KIN."""
    highers: list[bytes] = field(default_factory=list)
    """Persons of this partition who may get events of others."""
    stats: Counter[str] = field(default_factory=Counter)
    outgoing: list[Outgoing] = field(default_factory=list)
    """In log order."""
    spend: list[Statement] = field(default_factory=list)
    """In log order."""
    unresolved: list[tuple[int, Any, Match]] = field(default_factory=list)
    """(index into ops, properties, match) of events with names the register did not know."""
    names: dict[tuple[int, str], str] = field(default_factory=dict)
    """(register, name) -> as first written, of names the register did not know, in log order."""
    lacks_names: bool = False
    """Whether an event that another partition sends has a name that this one does not know, and may publish."""

    def keys(self) -> Iterator[bytes]:
        """Keys of the persons whom the chunk concerns."""
        return chain((op[0] for op in self.ops), self.highers)


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
    forwards_from: dict[str, dict[int, int]] = field(default_factory=dict)
    """See `PartitionMeta`; only the funnels with forwards in this chunk."""
    forwards_applied: int = 0
    forgets: int = 0
    """Forget records up to here."""
    facts: list[bytes] = field(default_factory=list)
    """Keys of the facts that the apply will ask for."""
    source: Sequence[Record] = ()
    """What it was made of: a record whose event is refused goes out as it is."""

    @property
    def lacking_names(self) -> list[str]:
        """Funnels whose registers are to be read, and admitted, before the apply."""
        return [funnel_id for funnel_id, funnel in self.funnels.items() if funnel.lacks_names]

    @property
    def new_names(self) -> dict[str, dict[tuple[int, str], str]]:
        """By funnel: (register, name) -> as first written, in log order, to be registered in the store before the
        apply."""
        return {funnel_id: dict(funnel.names) for funnel_id, funnel in self.funnels.items() if funnel.names}
