"""The general path of counting, and the definition of what is right: any operation on any person.

Unpack, replay, contributions out; change the history; replay, contributions in, fold, pack. The fast paths
(`streams.core.step`, `inorder`, `heavy`, `deadlines`) must leave the same state and the same contributions: the tests
run both on the same logs.
"""

from __future__ import annotations

from streams.core.changes import after_fold, as_it_comes
from streams.core.chunk import Op
from streams.core.contributions import add_contributions
from streams.core.deals import fold_deals
from streams.core.deals import is_foldable as is_base_foldable
from streams.core.forget import is_nameless, nameless_key, without_ids
from streams.core.header import Header, is_forgotten, status_of, tail_of, words_of
from streams.core.heavy import count_heavy, is_foldable, seal
from streams.core.history import decide, fold, header_of, header_of_deals, replay, statuses_of
from streams.core.journeys import History
from streams.core.person import KeptEvent, Person, pack_person, unpack_events, unpack_person
from streams.core.plan import FORGET, REFUND, RESOLVED, RESTATED, WITHDRAWN
from streams.core.state import FunnelState


def perform(state: FunnelState, op: Op) -> None:
    """Do one operation."""
    key, _, number, kind, _, horizon, _ = op
    if kind == FORGET:
        forget(state, key, nameless_key(number), horizon)
    else:
        count(state, op)


def count(state: FunnelState, op: Op) -> None:
    """Count one event."""
    key, at, event_hash, kind, code, horizon, whole = op
    if key in state.cache.sealed and state.plan.has_fast_paths and count_heavy(state, op):
        return
    person = _living(state, key, horizon)
    is_new = person is None
    person = person or Person()
    copies = (event for event in person.events if event.event_hash == event_hash and event.at >= horizon)
    copy = next(copies, None)
    if copy is not None and at >= copy.at:
        state.count_stat("duplicates")
        return  # of copies the earliest counts, and it is kept already
    if _needs_fold(person, whole, copy, horizon) or _is_unsettled(state, person, horizon):
        refresh(state, key, state.cache.persons[key], horizon + state.plan.keep)
        packed = state.cache.persons[key]
        person = unpack_person(state.plan, packed, state.cache.sealed.get(key, ()))
    _take_out(state, person)
    if copy is not None:
        state.count_stat("duplicates")
        person.events.remove(copy)
    else:
        state.count_stat("accepted")
        state.count_stat("persons", is_new)
    event = whole if whole is not None else KeptEvent(at, event_hash, kind, code)
    person.events.append(as_it_comes(person.base, event) if kind in (WITHDRAWN, RESTATED) else event)
    _settle(state, key, person, horizon)


def _needs_fold(person: Person, whole: KeptEvent | None, copy: KeptEvent | None, horizon: int) -> bool:
    """Whether something behind the horizon, where nothing changes, is still among the events and could be changed.

    An order's or refund's worth by a further event of it; where a refund is booked by whatever moves its order.
    """
    behind = [event for event in person.events if event.at < horizon]
    names_ids = any(event is not None and (event.order or event.refund) for event in (whole, copy))
    return bool(behind) and (names_ids or any(event.kind == REFUND for event in behind))


def _is_unsettled(state: FunnelState, person: Person, horizon: int) -> bool:
    """Whether the parting of deals is to be settled for something before the event can move it."""
    if not state.plan.has_deals:
        return False
    times = [*(event.at for event in person.events), *(step[0] for step in person.base.steps[:1])]
    return min(times, default=horizon) < horizon - state.plan.lead_in


def forget(state: FunnelState, key: bytes, name: bytes, horizon: int) -> None:
    """Keep a person under a name that says nothing: no later event finds the old one, no number changes."""
    person = _living(state, key, horizon)
    if person is None:
        return
    _take_out(state, person)
    state.cache.drop(key)
    _settle(state, name, without_ids(person), horizon)
    state.count_stat("forgotten")


def retire(state: FunnelState, key: bytes, packed: bytes, watermark_ms: int) -> None:
    """Delete a person, but not before what was still booked as open has been decided."""
    if status_of(words_of(state.plan, packed)[0]) != RESOLVED:
        refresh(state, key, packed, watermark_ms)
    state.cache.drop(key)


def refresh(state: FunnelState, key: bytes, packed: bytes, watermark_ms: int) -> None:
    """Book what the watermark alone has decided about a person, and fold."""
    person = unpack_person(state.plan, packed, state.cache.sealed.get(key, ()))
    _take_out(state, person)
    _settle(state, key, person, watermark_ms - state.plan.keep)


def shorten(state: FunnelState, key: bytes, packed: bytes, horizon: int) -> bytes:
    """Make a long tail short: fold where much of the person lies behind the horizon, else seal. The new form.

    A tail of one instant cannot be cut: it is tried again when it is twice as long.
    """
    cache = state.cache
    if len(packed) < cache.uncut.get(key, 0):
        return packed
    if _folds(state, key, packed, horizon):
        refresh(state, key, packed, horizon + state.plan.keep)
    else:
        seal(cache, key, packed)
    if len(cache.persons[key]) >= len(packed):
        cache.uncut[key] = 2 * len(packed)
    return cache.persons[key]


def _folds(state: FunnelState, key: bytes, packed: bytes, horizon: int) -> bool:
    """Whether a fold takes away enough to be worth its pass."""
    if key in state.cache.sealed:
        return is_foldable(state.cache, key, horizon)
    events = sorted(unpack_events(state.plan, tail_of(state.plan, packed)))
    return events[state.plan.seal // 2].at < horizon


def _living(state: FunnelState, key: bytes, horizon: int) -> Person | None:
    """The person of a key; None where it is new, or so long gone that it is new again."""
    packed = state.cache.persons.get(key)
    if packed is None:
        return None
    if is_forgotten(state.plan, packed, horizon):
        retire(state, key, packed, horizon + state.plan.keep)
        return None
    return unpack_person(state.plan, packed, state.cache.sealed.get(key, ()))


def _take_out(state: FunnelState, person: Person) -> None:
    """Contribute minus what the person has contributed so far."""
    before = replay(state.plan, person.base, person.events)
    add_contributions(state.plan, before, statuses_of(state.plan, person, before), sign=-1, into=state.contributions)


def _settle(state: FunnelState, key: bytes, person: Person, horizon: int) -> None:
    """Add, fold and keep a person whose old contributions were taken out."""
    plan = state.plan
    after = replay(plan, person.base, person.events)
    decide(plan, person, after, horizon + plan.keep)
    add_contributions(plan, after, statuses_of(plan, person, after), sign=1, into=state.contributions)
    last_at = max((event.at for event in person.events), default=0)
    orders = person.base.orders_count + after.orders_count
    if plan.has_deals:
        last_at = max([last_at, *(step[0] for step in person.base.steps)])
        _fold_deals(state, person, after, horizon)
        settled = horizon - plan.lead_in
        header = header_of_deals(plan, person, after, last_at=last_at, orders=orders, settled=settled)
    else:
        _fold(state, person, horizon)
        header = header_of(plan, after, last_at=last_at, orders=orders, horizon=horizon)
    _keep(state, key, person, header)


def _fold(state: FunnelState, person: Person, horizon: int) -> None:
    has_behind = any(event.at < horizon for event in person.events)
    if has_behind or person.base.journey is not None:
        person.base = fold(state.plan, person.base, person.events, horizon)
    if has_behind:
        person.events = after_fold(person.events, horizon)


def _fold_deals(state: FunnelState, person: Person, history: History, horizon: int) -> None:
    has_behind = any(event.at < horizon for event in person.events)
    if has_behind or is_base_foldable(state.plan, person.base, horizon):
        person.base = fold_deals(state.plan, person.base, person.events, horizon, history)
    if has_behind:
        person.events = after_fold(person.events, horizon)


def _keep(state: FunnelState, key: bytes, person: Person, header: Header) -> None:
    packed, sealed = pack_person(state.plan, person, header, may_go=is_nameless(key))
    state.cache.put_chunks(key, sealed)
    state.cache.heavy.pop(key, None)
    state.cache.put(key, packed)
