"""Late events of a heavy person: the pass from the first changed chunk on, once for all events of a chunk of the log.

Most late events enter nothing: they repeat a stage that the journey before them has passed, or are one more order. What
such an event contributes follows from the pass before its chunk, and the chunk is not counted again.

`count_heavy` decides whether events come and go and nothing else; what may mean more takes the general path. Exact
where the general path is: the tests run both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from streams.core.base import Base
from streams.core.chunk import Op
from streams.core.contributions import add_contributions, add_ended
from streams.core.header import (
    CHANGES,
    FOR_LIFE,
    LINKED,
    base_of,
    flags_of,
    last_at,
    pack_header,
    status_of,
    tail_of,
    with_chunks,
    words_of,
)
from streams.core.heavy import base_before, heavy_of, kept_event, may_be_full, may_be_known
from streams.core.history import (
    base_after,
    has_same_journey,
    header_of,
    is_same_pass,
    replay,
    status_at,
    with_more_orders,
)
from streams.core.journeys import History
from streams.core.kept import KeptEvent, count_events, pack_events, split, unpack_events
from streams.core.person import Person
from streams.core.plan import ORDER, RESOLVED, RESTATED, WITHDRAWN, Status
from streams.core.state import FunnelState


def count_heavy(state: FunnelState, key: bytes, ops: Sequence[Op]) -> bool:
    """Count events of a heavy person, re-running the pass from the first changed chunk on.

    False means "nothing was done, take the general path".
    """
    packed = state.cache.persons[key]
    if flags_of(words_of(state.plan, packed)[0]) & (CHANGES | LINKED):
        return False  # an event in an older chunk may be withdrawn by a newer one; of a linked id few events are kept
    changes = _Changes(state, key, packed)
    if not all(changes.take(op) for op in ops):
        return False
    state.count_stat("accepted", len(changes.added) - len(changes.gone))
    state.count_stat("duplicates", len(ops) - len(changes.added) + len(changes.gone))
    if changes.added:
        _Sweep(state, key, packed, changes).run(ops[-1][5])
    return True


class _Changes:
    """Which events of a heavy person come and go by a chunk's operations, where that is all they do."""

    def __init__(self, state: FunnelState, key: bytes, packed: bytes) -> None:
        self.added: dict[int, KeptEvent] = {}
        """By hash."""
        self.gone: dict[int, int] = {}
        """Hash -> time of kept events of which an earlier copy came."""
        self._state = state
        self._key = key
        self._packed = packed
        self._newest = last_at(words_of(state.plan, packed)[0])
        self._ids: set[int] = set()

    def take(self, op: Op) -> bool:
        """Note what an event changes; False where it may change more."""
        _, at, event_hash, kind, code, horizon, whole = op
        stored = self._kept(event_hash)
        if self._newest < horizon or kind in (WITHDRAWN, RESTATED) or stored is None or 0 <= stored[0] < horizon:
            return False  # perhaps the key begins anew, an order changes, or a settled event is new again
        if 0 <= stored[0] <= at:
            return True  # of copies the earliest counts, and it is stored already
        if stored[1] >= ORDER or not self._are_new(whole):
            return False  # an order or refund of which another event may lie in another chunk
        if stored[0] < 0 and self._may_be_full():
            return False
        if stored[0] >= 0 and event_hash not in self.added:
            self.gone[event_hash] = stored[0]
        self.added[event_hash] = whole if whole is not None else KeptEvent(at, event_hash, kind, code)
        self._newest = max(self._newest, at)
        return True

    def _kept(self, event_hash: int) -> tuple[int, int] | None:
        """(time, kind) of the kept event of that hash, (-1, -1) for none; None where the bytes do not tell."""
        added = self.added.get(event_hash)
        if added is not None:
            return added.at, added.kind
        return kept_event(self._state.cache, self._key, self._packed, event_hash.to_bytes(8, "little"))

    def _are_new(self, whole: KeptEvent | None) -> bool:
        """Whether the ids that an event names are new to the person."""
        for number in () if whole is None else (whole.order, whole.refund):
            if number:
                if number in self._ids or may_be_known(self._state.cache, self._key, self._packed, number):
                    return False
                self._ids.add(number)
        return True

    def _may_be_full(self) -> bool:
        return may_be_full(self._state, self._key, self._packed, len(self.added))


class _Sweep:
    """The pass over a heavy person from the first changed chunk on, until it makes no difference any more.

    Before every chunk stands what the pass led to, with the changes (`_after`) and without them (`_before`). What a
    chunk contributes without them is taken out, what it contributes with them is added: all but the last journey, which
    goes on in the next one. Where both passes led to the same, chunks that did not change are left alone.

    The ids of orders and refunds that come are new to the person (`_Changes`), so no other event asks for them: the
    passes after them need not know them.
    """

    def __init__(self, state: FunnelState, key: bytes, packed: bytes, changes: _Changes) -> None:
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
        self._is_same = self._has_same_ids = True
        """Whether the next chunk finds the same in both passes; whether the orders before it are what they were."""
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
        self._bases += [with_more_orders(base, more) for base in self._heavy.bases[index + 1 : stop + 1]]
        return stop

    def _gained(self, index: int) -> History | None:
        """What comes to a chunk, where the pass leads through all of it without a change; None: it has to be counted.

        Then all its events find the same, wherever in the chunk they stand, and contribute what they would alone.
        """
        plan, added = self._state.plan, self._added.get(index, [])
        if index in self._gone or count_events(plan, self._old[index]) + len(added) > 2 * plan.seal:
            return None
        onward = self._onward(index)
        is_still = has_same_journey(self._before, onward) and (self._is_same or self._finds_the_same(index, onward))
        if not is_still:
            return None
        gained = replay(plan, self._after, added)
        return gained if is_same_pass(plan, self._after, base_after(self._after, gained)) else None

    def _onward(self, index: int) -> Base:
        """The pass after a chunk, without the changes."""
        return base_before(self._state.cache, self._key, self._packed, index + 1)

    def _finds_the_same(self, index: int, onward: Base) -> bool:
        """Whether a chunk that passed without a change does so in the pass with the changes, too."""
        plan, old, new = self._state.plan, self._before, self._after
        if old.journey is None or new.journey is None or plan.ends_at_completion or not self._has_same_ids:
            return False
        if old.orders_count != onward.orders_count or old.refunds != onward.refunds:
            return False  # what an order contributes depends on the journey
        last, now = old.journey.entries[-1], new.journey.entries[-1]
        is_in_time = self._heavy.ends[index] <= new.journey.started_at + plan.window
        return is_in_time and now.stage >= last.stage and (now.loss_at >= 0 or last.loss_at < 0)

    def _gain(self, index: int, gained: History) -> None:
        """Count and keep what comes; in a chunk the order of the records is not significant."""
        plan, added = self._state.plan, self._added.get(index, [])
        add_ended(plan, gained, sign=1, into=self._state.contributions)
        self._heavy.learn(added)
        self._chunks.append(self._old[index] + pack_events(plan, added))
        self._ends.append(self._heavy.ends[index])
        onward = self._onward(index)
        more = self._after.orders_count - self._before.orders_count + gained.orders_count
        self._after = with_more_orders(onward, more) if self._is_same else base_after(self._after, gained)
        self._before = onward
        self._bases.append(self._after)

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
        self._has_same_ids = self._has_same_ids and before.known.items() <= known.items()
        self._is_same = self._has_same_ids and is_same_pass(plan, self._before, self._after)

    def _seal(self, part: list[KeptEvent]) -> History:
        """Count some events of a chunk, and make a chunk of them."""
        plan = self._state.plan
        after = replay(plan, self._after, part)
        add_ended(plan, after, sign=1, into=self._state.contributions)
        self._after = base_after(self._after, after)
        self._chunks.append(pack_events(plan, part))
        self._ends.append(part[-1].at)
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
        heavy.ends, heavy.bases = self._ends, self._bases
        cache.put_chunks(self._key, self._chunks)
        cache.put(self._key, with_chunks(plan, self._head, len(self._chunks)) + self._tail)
