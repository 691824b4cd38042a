"""A person's contributions taken out and added again: the two halves of every change on the general path.

`take_out` replays the history and counts minus what it has contributed. Then the caller changes events or base.
`settle` replays it again, decides what the watermark has decided, counts what it contributes now, folds what lies
behind the horizon, and keeps the packed person. A time alone (`refresh`, `retire`), a name (`forget`) and a long tail
(`shorten`) change a person in the same way.
"""

from __future__ import annotations

from streams.core.changes import after_fold
from streams.core.contributions import add_contributions
from streams.core.deals import fold_deals, is_parted
from streams.core.deals import is_foldable as is_base_foldable
from streams.core.forget import is_nameless, without_ids
from streams.core.header import Header, is_forgotten, link_of, status_of, tail_of, words_of
from streams.core.heavy import is_foldable, seal
from streams.core.history import decide, fold, header_of, header_of_deals, replay, statuses_of
from streams.core.journey_changes import BY_TIME, Cause, changes_of, outcomes_of
from streams.core.journeys import History
from streams.core.kept import unpack_events
from streams.core.person import Person, pack_person, unpack_person
from streams.core.plan import RESOLVED
from streams.core.state import FunnelState


def living(state: FunnelState, key: bytes, horizon: int) -> Person | None:
    """The person of a key; None where it is new, or so long gone that it is new again."""
    packed = state.cache.persons.get(key)
    if packed is not None and is_forgotten(state.plan, packed, horizon):
        retire(state, key, packed, horizon + state.plan.keep)
        packed = state.cache.persons.get(key)
    if packed is None:
        return None
    return unpack_person(state.plan, packed, state.cache.sealed.get(key, ()))


def take_out(state: FunnelState, person: Person) -> None:
    """Contribute minus what the person has contributed so far."""
    before = replay(state.plan, person.base, person.events)
    statuses = statuses_of(state.plan, person, before)
    add_contributions(state.plan, before, statuses, sign=-1, into=state.contributions)
    if state.plan.publishes_journeys:
        person.outcomes = outcomes_of(state.plan, before, statuses)


def settle(
    state: FunnelState, key: bytes, person: Person, horizon: int, *, cause: Cause = BY_TIME, has_deals: bool = False
) -> None:
    """Add, fold and keep a person whose old contributions were taken out, and note what has become of journeys where
    the funnel publishes it; `cause`: the event that has changed something. Of a nameless person nothing is published.

    A person who names no deal is one as without a unit, folded one `lead_in` behind the horizon. `has_deals` settles
    its orders at the horizon all the same.
    """
    plan = state.plan
    person.has_deals = has_deals or (plan.has_deals and is_parted(person))
    after = replay(plan, person.base, person.events)
    decide(plan, person, after, horizon + plan.keep)
    statuses = statuses_of(plan, person, after)
    add_contributions(plan, after, statuses, sign=1, into=state.contributions)
    if plan.publishes_journeys and not is_nameless(key):
        outcomes = outcomes_of(plan, after, statuses)
        watermark = horizon + plan.keep
        state.journey_changes += changes_of(plan, key, person.outcomes, outcomes, cause=cause, watermark=watermark)
    newest = max([0, *(event.at for event in person.events), *(at for at, _ in person.base.scores[-1:])])
    orders = person.base.orders_count + after.orders_count
    if person.has_deals:
        newest = max(newest, person.base.newest)
        _fold_deals(state, person, after, horizon)
        settled = horizon - plan.lead_in
        header = header_of_deals(plan, person, after, last_at=newest, orders=orders, settled=settled)
    else:
        _fold(state, person, horizon - plan.lead_in)
        header = header_of(plan, after, last_at=newest, orders=orders, horizon=horizon)
    _keep(state, key, person, header)


def _fold(state: FunnelState, person: Person, horizon: int) -> None:
    has_behind = any(event.at < horizon for event in person.events)
    if has_behind or person.base.journey is not None or person.base.scores:
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


def is_unsettled(state: FunnelState, person: Person, horizon: int) -> bool:
    """Whether the parting of deals is to be settled for something before an event can move it. Events are sorted."""
    if not state.plan.has_deals:
        return False
    times = [*(event.at for event in person.events[:1]), *(step[0] for step in person.base.steps[:1])]
    times += [person.base.newest] if person.base.newest else []
    return min(times, default=horizon) < horizon - state.plan.lead_in


def refresh(state: FunnelState, key: bytes, packed: bytes, watermark_ms: int) -> None:
    """Book what the watermark alone has decided about a person, and fold."""
    person = unpack_person(state.plan, packed, state.cache.sealed.get(key, ()))
    take_out(state, person)
    settle(state, key, person, watermark_ms - state.plan.keep)


def retire(state: FunnelState, key: bytes, packed: bytes, watermark_ms: int) -> None:
    """Delete a person, but not before what was still booked as open has been decided; of a linked id the link stays."""
    if status_of(words_of(state.plan, packed)[0]) != RESOLVED:
        refresh(state, key, packed, watermark_ms)
    link = link_of(state.plan, packed)
    state.cache.drop(key)
    if link is not None:
        state.cache.put_link(key, link)


def forget(state: FunnelState, key: bytes, name: bytes, horizon: int) -> None:
    """Keep a person under a name that says nothing: no later event finds the old one, no number changes."""
    person = living(state, key, horizon)
    if person is None:
        return
    take_out(state, person)
    state.cache.drop(key)
    settle(state, name, without_ids(person), horizon)
    state.count_stat("forgotten")


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
    horizon -= state.plan.lead_in
    if key in state.cache.sealed:
        return is_foldable(state.cache, key, horizon)
    events = sorted(unpack_events(state.plan, tail_of(state.plan, packed)))
    return events[min(state.plan.seal, len(events)) // 2].at < horizon
