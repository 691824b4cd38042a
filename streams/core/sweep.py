"""Late events of a heavy person: the pass from the first changed chunk on, once for all events of a chunk of the log.

Most late events enter nothing: they repeat a stage that the journey before them has passed, or are one more order. What
such an event contributes follows from the pass before its chunk, and the chunk is not counted again.

`count_heavy` decides whether events come and go and nothing else; what may mean more takes the general path. Exact
where the general path is: the tests run both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from copy import copy

from streams.core.base import Base, Layered
from streams.core.chunk import Op
from streams.core.contributions import add_contributions, add_ended
from streams.core.header import (
    CHANGES,
    FOR_LIFE,
    LINKED,
    base_of,
    flags_of,
    pack_header,
    status_of,
    tail_of,
    with_chunks,
    words_of,
)
from streams.core.heavy import base_before, heavy_of
from streams.core.heavy_changes import HeavyChanges
from streams.core.history import header_of, replay, status_at
from streams.core.journeys import History
from streams.core.kept import KeptEvent, count_events, pack_events, split, unpack_events
from streams.core.lifetimes import Revenue, move, revenue_of
from streams.core.passes import base_after, has_same_journey, is_same_pass, takes_no_notice, with_more_orders
from streams.core.person import Person
from streams.core.plan import NO_STAGE, ORDER, RESOLVED, Status
from streams.core.state import FunnelState


def count_heavy(state: FunnelState, key: bytes, ops: Sequence[Op]) -> bool:
    """Count events of a heavy person, re-running the pass from the first changed chunk on.

    False means "nothing was done, take the general path".
    """
    packed = state.cache.persons[key]
    if flags_of(words_of(state.plan, packed)[0]) & (CHANGES | LINKED):
        return False  # an event in an older chunk may be withdrawn by a newer one; of a linked id few events are kept
    changes = HeavyChanges(state, key, packed)
    if not all(changes.take(op) for op in ops):
        return False
    state.count_stat("accepted", len(changes.added) - len(changes.gone))
    state.count_stat("duplicates", len(ops) - len(changes.added) + len(changes.gone))
    if changes.added:
        _Sweep(state, key, packed, changes).run(ops[-1][5])
    return True


class _Sweep:
    """The pass over a heavy person from the first changed chunk on, until it makes no difference any more.

    Before every chunk stands what the pass led to, with the changes (`_after`) and without them (`_before`). What a
    chunk contributes without them is taken out, what it contributes with them is added: all but the last journey, which
    goes on in the next one. Where both passes led to the same, chunks that did not change are left alone.

    The ids of orders and refunds that come are new to the person (`HeavyChanges`), so no other event asks for them: the
    passes after them need not know them.
    """

    def __init__(self, state: FunnelState, key: bytes, packed: bytes, changes: HeavyChanges) -> None:
        self._state, self._key, self._packed = state, key, packed
        heavy = heavy_of(state.cache, key)
        self._heavy = heavy
        self._old = state.cache.sealed[key]
        self._added: dict[int, list[KeptEvent]] = {}
        self._gone: dict[int, set[tuple[int, int]]] = {}
        for event in changes.added.values():
            self._added.setdefault(bisect_left(heavy.ends, event.at), []).append(event)
        for event_hash, at in changes.gone.items():
            self._gone.setdefault(bisect_left(heavy.ends, at), set()).add((event_hash, at))
        self._gains_ids = any(event.kind == ORDER or event.refund for event in changes.added.values())
        tail = {len(self._old)} if self._gains_ids else set()  # the header says how many orders there are
        self._changed = sorted({*self._added, *self._gone, *tail})
        """Chunks that change, ascending; their number stands for the tail."""
        first = self._changed[0]
        self._before = self._after = base_before(state.cache, key, packed, first)
        self._chunks, self._ends, self._bases = self._old[:first], heavy.ends[:first], heavy.bases[: first + 1]
        self._revenues = heavy.revenues[:first]
        self._is_same = True
        """Whether the next chunk finds the same in both passes."""
        self._moved: dict[int, tuple[int, int]] = {}
        """Orders that have become others by what came before them: a first one that is now the second."""
        self._head = packed[: state.plan.header.size] + base_of(state.plan, packed)
        self._tail = tail_of(state.plan, packed)

    def run(self, horizon: int) -> None:
        """Count and keep the changes."""
        index = self._changed[0]
        while index < len(self._old):
            if self._is_same and self._next(index) != index:
                index = self._skip(index)
            else:
                gained = self._gained(index)
                if gained is None:
                    self._recount(index)
                else:
                    self._gain(index, gained)
                index += 1
        if not self._is_same or self._changed[-1] == len(self._old):
            self._recount_tail(horizon)
        self._keep()

    def _next(self, index: int) -> int:
        """The first chunk from there on that changes; -1 for none."""
        place = bisect_left(self._changed, index)
        return self._changed[place] if place < len(self._changed) else -1

    def _skip(self, index: int) -> int:
        """Leave chunks alone up to the next changed one, or to the end; where it goes on."""
        stop, more = self._next(index), self._after.orders_count - self._before.orders_count
        if stop >= 0:
            self._before = base_before(self._state.cache, self._key, self._packed, stop)
            self._after = with_more_orders(self._before, more)
        else:
            stop = len(self._old)
        self._chunks += self._old[index:stop]
        self._ends += self._heavy.ends[index:stop]
        self._revenues += self._heavy.revenues[index:stop]
        self._bases += [with_more_orders(base, more) for base in self._heavy.bases[index + 1 : stop + 1]]
        return stop

    def _gained(self, index: int) -> History | None:
        """What comes to a chunk, where the pass leads through all of it without a change; None: it has to be counted.

        Then all its events find the same, wherever in the chunk they stand, and contribute what they would alone.
        """
        plan, added, gained = self._state.plan, self._added.get(index, []), History()
        # What goes may have been what others were counted by; and a chunk of twice its size is divided, by a count.
        if index in self._gone or count_events(plan, self._old[index]) + len(added) > 2 * plan.seal:
            return None
        onward = self._onward(index)
        if (added or self._is_same) and not has_same_journey(self._before, onward):
            return None
        if added:
            gained = replay(plan, self._after, added)
            if not is_same_pass(plan, self._after, base_after(self._after, gained)):
                return None
        return gained if self._is_same or self._finds_the_same(index, onward) else None

    def _onward(self, index: int) -> Base:
        """The pass after a chunk, without the changes."""
        return base_before(self._state.cache, self._key, self._packed, index + 1)

    def _finds_the_same(self, index: int, onward: Base) -> bool:
        """Whether a chunk contributes the same in the pass with the changes, but for the lifetime value."""
        plan, old, new = self._state.plan, self._before, self._after
        counts = old.orders_count, new.orders_count
        # Stages ask for the first orders by their number: beyond those the number of an order is not looked at.
        if counts[0] != counts[1] and min(counts) < plan.most_nth:
            return False
        # A refund there is booked with the values of its order. Bytes that only look like it cost a count and no more.
        if any(order.to_bytes(8, "little") in self._old[index] for order in self._moved):
            return False
        if not has_same_journey(old, new) and not takes_no_notice(
            plan, old=old, new=new, onward=onward, until=self._heavy.ends[index]
        ):
            return False
        return self._moves_revenue(index, onward)

    def _moves_revenue(self, index: int, onward: Base) -> bool:
        """Move the lifetime value of a chunk's orders to the new first order; False where it has to be counted."""
        old, new = self._before, self._after
        if old.orders_count == onward.orders_count or old.first_order == new.first_order:
            return True
        # In one of the passes the first order of all may lie in this chunk: that is for a count to find.
        if old.first_order is None or new.first_order is None:
            return False
        return move(self._revenue(index), old.first_order, new.first_order, self._state.contributions)

    def _revenue(self, index: int) -> Revenue:
        """That of a chunk's orders, without the changes."""
        revenue = self._heavy.revenues[index]
        if revenue is None:
            history = replay(self._state.plan, self._before, unpack_events(self._state.plan, self._old[index]))
            revenue = self._heavy.revenues[index] = revenue_of(history.orders)
        return revenue

    def _gain(self, index: int, gained: History) -> None:
        """Count and keep what comes; in a chunk the order of the records is not significant."""
        plan, added = self._state.plan, self._added.get(index, [])
        add_ended(plan, gained, sign=1, into=self._state.contributions)
        self._heavy.learn(added)
        self._chunks.append(self._old[index] + pack_events(plan, added))
        self._ends.append(self._heavy.ends[index])
        revenue, onward = self._heavy.revenues[index], self._onward(index)
        self._revenues.append(None if revenue is None else revenue_of(gained.orders, revenue))
        more = self._after.orders_count - self._before.orders_count + gained.orders_count
        after = with_more_orders(onward, more)
        if not self._is_same:
            after = self._as_before(after)
        self._before, self._after = onward, after
        self._bases.append(after)

    def _as_before(self, after: Base) -> Base:
        """The pass after a chunk that contributed the same, with what the changes made different before it."""
        again = copy(after)
        if not has_same_journey(self._before, self._after):
            again.journey = self._after.journey
        if self._before.first_order != self._after.first_order:
            again.first_order = self._after.first_order
        if self._moved:
            again.orders = Layered(again.orders, dict(self._moved))  # more of them may follow
        return again

    def _events(self, index: int, records: bytes) -> tuple[list[KeptEvent], list[KeptEvent]]:
        """Events of a chunk or the tail without and with the changes."""
        before = unpack_events(self._state.plan, records)
        gone = self._gone.get(index)
        after = before if gone is None else [event for event in before if (event.event_hash, event.at) not in gone]
        return before, sorted([*after, *self._added.get(index, ())])

    def _recount(self, index: int) -> None:
        plan, into = self._state.plan, self._state.contributions
        events, changed = self._events(index, self._old[index])
        self._heavy.learn(self._added.get(index, ()))
        before = replay(plan, self._before, events)
        add_ended(plan, before, sign=-1, into=into)
        self._before = base_after(self._before, before)
        parts, unsealed = split(plan.seal, changed)
        known: dict[int, tuple[int, int]] = {}
        for part in [*parts, unsealed] if unsealed else parts:
            known.update(self._seal(part).known)
        for order, booked in before.known.items():
            if known.get(order) != booked:
                self._moved[order] = known.get(order, (NO_STAGE, 0))
        self._is_same = not self._moved and is_same_pass(plan, self._before, self._after)

    def _seal(self, part: list[KeptEvent]) -> History:
        """Count some events of a chunk, and make a chunk of them."""
        plan = self._state.plan
        after = replay(plan, self._after, part)
        add_ended(plan, after, sign=1, into=self._state.contributions)
        self._after = base_after(self._after, after)
        self._chunks.append(pack_events(plan, part))
        self._ends.append(part[-1].at)
        self._revenues.append(revenue_of(after.orders))
        self._bases.append(self._after)
        return after

    def _recount_tail(self, horizon: int) -> None:
        plan = self._state.plan
        words = words_of(plan, self._packed)
        events, changed = self._events(len(self._old), self._tail)
        self._add_last(replay(plan, self._before, events), status_of(words[0]), -1)
        parts, unsealed = split(plan.seal, changed)
        for part in parts:
            self._seal(part)
            self._heavy.learn(part)
        after = replay(plan, self._after, unsealed)
        status = status_at(plan, after, horizon + plan.keep)
        self._add_last(after, status, 1)
        person = Person()
        person.base, person.events = self._after, changed
        newest = max(event.at for event in changed) if changed else self._ends[-1]
        orders = self._after.orders_count + after.orders_count
        header = header_of(plan, after, last_at=newest, orders=orders, horizon=horizon)
        is_for_life = person.is_for_life or self._gains_ids or flags_of(words[0]) & FOR_LIFE
        flags = status | FOR_LIFE * bool(is_for_life)
        packed = pack_header(plan, header, flags=flags, chunks=0, base_bytes=words[3])
        self._head = packed + self._head[plan.header.size :]
        self._tail = pack_events(plan, unsealed)

    def _add_last(self, history: History, status: Status, sign: int) -> None:
        """Add the tail's contributions; only the last entry of the last journey can be open."""
        statuses = [RESOLVED] * (len(history.journeys) - 1) + [status] * bool(history.journeys)
        add_contributions(self._state.plan, history, statuses, sign=sign, into=self._state.contributions)

    def _keep(self) -> None:
        plan, cache, heavy = self._state.plan, self._state.cache, self._heavy
        heavy.ends, heavy.bases, heavy.revenues = self._ends, self._bases, self._revenues
        cache.put_chunks(self._key, self._chunks)
        cache.put(self._key, with_chunks(plan, self._head, len(self._chunks)) + self._tail)
