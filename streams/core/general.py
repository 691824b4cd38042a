"""The general path of counting, and the definition of what is right: any event on any person.

A person's contributions are taken out, its events change, its contributions are added (`streams.core.settling`). The
fast paths (`streams.core.step`, `inorder`, `heavy`, `deadlines`) must leave the same state and the same
contributions: the tests run both on the same logs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

from streams.core.changes import as_it_comes
from streams.core.chunk import Op
from streams.core.header import DEALS, flags_of, last_at, words_of
from streams.core.journey_changes import BY_TIME, Cause
from streams.core.kept import KeptEvent
from streams.core.person import Person, is_empty
from streams.core.plan import REFUND, RESOLVED, RESTATED, WITHDRAWN
from streams.core.settling import is_unsettled, living, settle, take_out
from streams.core.state import FunnelState
from streams.core.sweep import count_heavy


def count(state: FunnelState, key: bytes, ops: Sequence[Op]) -> None:
    """Count events of one person, in log order: what they contributed is taken out once and added once.

    The operations wait in a chunk until all are known (`FunnelState.waiting`), so that a person whose events come in
    disorder costs one pass a chunk and not one an event.
    """
    is_heavy = key in state.cache.sealed and state.plan.has_fast_paths
    if is_heavy and not (state.plan.has_deals and any_of_deals(state, key, ops)) and count_heavy(state, key, ops):
        return
    opened = OpenPerson(state, key, ops[0][5])
    for op in ops:
        opened.count(op)
    opened.settle()


def any_of_deals(state: FunnelState, key: bytes, ops: Sequence[Op]) -> bool:
    """Whether some of the operations of a person need its deals."""
    packed = state.cache.persons.get(key)
    if packed is not None and flags_of(words_of(state.plan, packed)[0]) & DEALS:
        return True
    return any(op[6] is not None and op[6].unit for op in ops)


def count_waiting(state: FunnelState, key: bytes | None = None) -> None:
    """Count what waits of a person, or of everybody."""
    for waiting in [key] if key is not None else list(state.waiting):
        ops = state.waiting.pop(waiting, None)
        if ops is not None:
            count(state, waiting, ops)


class OpenPerson:
    """A person to whom events are added one by one, while its contributions are out.

    Every event is judged by its own horizon, as it stands in the log: whether it is a copy, what it may still change,
    whether the person is new again. Only the pass waits, for it is a function of the events.
    """

    __slots__ = (
        "_behind",
        "_by_hash",
        "_folded",
        "_horizon",
        "_ids_behind",
        "_is_loose",
        "_is_new",
        "_is_out",
        "_newest",
        "key",
        "person",
        "state",
    )

    def __init__(self, state: FunnelState, key: bytes, horizon: int) -> None:
        self.state = state
        self.key = key
        self._open(horizon)

    def _open(self, horizon: int) -> None:
        person = living(self.state, self.key, horizon)
        self._is_new = person is None or is_empty(self.state.plan, person)
        self.person = person or Person()
        self.person.events.sort()
        self._newest = (
            0 if person is None else last_at(words_of(self.state.plan, self.state.cache.persons[self.key])[0])
        )
        self._by_hash = {event.event_hash: event for event in self.person.events}
        self._horizon = horizon
        self._is_out = False
        self._behind = 0
        """So many of the events lie behind the horizon ..."""
        self._folded = 0
        """... and so many of those were left there by a fold."""
        self._ids_behind: set[int] = set()
        """Their orders and refunds."""
        self._is_loose = False
        """Whether a refund lies there without its order."""

    def count(self, op: Op) -> None:
        """Count one event."""
        _, at, event_hash, kind, code, horizon, whole = op
        if self._newest < horizon > self._horizon:  # perhaps the person is new again
            self.settle()
            self._open(horizon)
        self._move(horizon)
        copy = self._by_hash.get(event_hash)
        if copy is not None and copy.at < horizon:
            copy = None  # it is settled, and this event new
        if copy is not None and at >= copy.at:
            self.state.count_stat("duplicates")
            return  # of copies the earliest counts, and it is kept already
        if copy is None and len(self.person.events) - self._behind >= self.state.max_events:
            self.state.refuse(op)
            return
        self._fold_for(whole, copy)
        if self.state.plan.publishes_journeys and self.person.status != RESOLVED:
            self._fold()  # before the event, as where the deadline is booked by itself before the event's chunk
        self._take_out()
        self._change(whole if whole is not None else KeptEvent(at, event_hash, kind, code), copy)
        if self.state.plan.publishes_journeys:  # each event has its changes, however the log is cut into chunks
            self._fold(cause=(event_hash, at))

    def settle(self, *, cause: Cause = BY_TIME, has_deals: bool = False) -> None:
        """Add what the person contributes now, and keep it, perhaps as one with deals; `cause`: the event that has
        changed it."""
        if self._is_out:
            settle(self.state, self.key, self.person, self._horizon, cause=cause, has_deals=has_deals)
            self._is_out = False

    def _move(self, horizon: int) -> None:
        """Take over the horizon, and note what has come to lie behind it."""
        self._horizon = horizon
        events, base, has_deals = self.person.events, self.person.base, self.state.plan.has_deals
        while self._behind < len(events) and events[self._behind].at < horizon:
            event = events[self._behind]
            if event.kind == REFUND and (has_deals or (event.order and event.order not in self._ids_behind)):
                self._is_loose = self._is_loose or has_deals or base.orders.get(event.order) is None
            self._ids_behind.update(_ids(event))
            self._behind += 1

    def _fold_for(self, whole: KeptEvent | None, copy: KeptEvent | None) -> None:
        """Fold what lies behind the horizon, where nothing changes, if the event could change it: the worth of an order
        or refund by a further event of it; where a refund is booked by whatever moves its order."""
        ids = {*_ids(whole), *_ids(copy)}
        is_touched = bool(ids) if self.state.plan.has_deals else not self._ids_behind.isdisjoint(ids)
        is_behind = self._behind > self._folded and (self._is_loose or is_touched)
        if is_behind or is_unsettled(self.state, self.person, self._horizon):
            self._fold(has_deals=is_behind and self.state.plan.has_deals)

    def _take_out(self) -> None:
        if not self._is_out:
            take_out(self.state, self.person)
            self._is_out = True

    def _fold(self, *, cause: Cause = BY_TIME, has_deals: bool = False) -> None:
        """Settle, with what lies behind the horizon folded, and go on."""
        self._take_out()
        self.settle(cause=cause, has_deals=has_deals)
        self._behind = self._folded = sum(event.at < self._horizon for event in self.person.events)
        self._ids_behind, self._is_loose = set(), False

    def _change(self, event: KeptEvent, copy: KeptEvent | None) -> None:
        events = self.person.events
        if copy is not None:
            self.state.count_stat("duplicates")
            del events[bisect_left(events, copy)]
        else:
            self.state.count_stat("accepted")
            self.state.count_stat("persons", self._is_new)
            self._is_new = False
        if event.kind in (WITHDRAWN, RESTATED):
            event = as_it_comes(self.person.base, event)
        insort(events, event)
        self._by_hash[event.event_hash] = event
        self._newest = events[-1].at


def _ids(event: KeptEvent | None) -> tuple[int, ...]:
    """Hashes of the order and refund that an event names."""
    return () if event is None else tuple(number for number in (event.order, event.refund) if number)
