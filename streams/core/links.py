"""Links of ids (semantics.md 7), as operations on packed persons: claims, and events of a linked id.

The link is part of the state of the lower id, so whoever reads that person for counting knows it. Its events from one
window before the link was received belong to the higher id: those that are kept leave at the claim, those that come
later are never kept. Where both ids lie in one partition they change hands at once; else they go as forwards through
the log of the higher id, whose owner counts them like any other. A merge is so a union of two sets, each changed by its
own owner.

A forward is numbered by the partition and funnel it comes from, in the order of the log: after a crash the same
operations send the same numbers again, however the log is cut into chunks, and the receiver knows a repetition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.record import Forward
from streams.core.chunk import Op
from streams.core.forget import nameless_key
from streams.core.general import count, count_waiting
from streams.core.header import SILENCE_MS, Link, is_linked, link_of, with_link
from streams.core.inorder import by_itself
from streams.core.kept import KeptEvent, pack_event, whole_of
from streams.core.outgoing import forward
from streams.core.person import Person, is_empty, person_field, unpack_person
from streams.core.plan import FORGET, FORWARDED, KIN, LINK, RESOLVED
from streams.core.settling import forget, is_unsettled, living, refresh, settle, take_out
from streams.core.state import FunnelState, Kinship

_EVENTS_BYTES: Final = 200_000
"""Of one forward: far below what a topic takes as one record."""


def perform(state: FunnelState, op: Op) -> None:
    """Do one operation by itself: of a kind that is no event, or an event that may be another person's."""
    key, _, number, kind, _, horizon, _ = op
    if FORGET <= kind < FORWARDED:
        count_waiting(state, key)
    if kind == FORGET:
        state.cache.erased.add(key)
        _end(state, key, horizon + state.plan.keep, is_over=True)
        state.kinships.append(Kinship(key, b"", is_linked=False))
        forget(state, key, nameless_key(number), horizon)
    elif kind == LINK:
        _claim(state, op)
    elif kind == KIN:
        state.kinships.append(Kinship(key, state.ids[number], is_linked=bool(op[1])))
    elif kind >= FORWARDED:
        _take_over(state, (*op[:3], kind - FORWARDED, *op[4:]))
    elif _passes_on(state, op):
        state.count_stat("accepted")
    else:
        count(state, key, (op,))


def _take_over(state: FunnelState, event: Op) -> None:
    """Count an event of a lower id, or hand it on. A linked id never waits: what comes after would wait with it and not
    be handed on."""
    key = event[0]
    packed = state.cache.persons.get(key)
    has_link = packed is not None and is_linked(packed)
    if key not in state.waiting:
        if has_link and _passes_on(state, event):
            return
        if by_itself(state, event):
            return
    state.count_stat("accepted", -1)  # it was counted as accepted where it came from
    if has_link:
        count(state, key, (event,))
    else:
        state.waiting.setdefault(key, []).append(event)


def end_silent(state: FunnelState, key: bytes, watermark_ms: int) -> None:
    """End the link of somebody who has been silent for too long."""
    _end(state, key, watermark_ms, is_over=False)


def _claim(state: FunnelState, op: Op) -> None:
    """The first to claim an id gets it."""
    key, received, index, _, _, horizon, _ = op
    higher = state.ids[index]
    link = _link_now(state, key, horizon)
    if link is None:
        _link(state, key, Link(higher, received, received), horizon)
    elif link.higher != higher:
        state.count_stat("link_conflicts")
    elif received > link.seen:
        _put_link(state, key, link._replace(seen=received))


def _link(state: FunnelState, key: bytes, link: Link, horizon: int) -> None:
    """The id is the higher one's from now on, with what it has from one window before."""
    person = living(state, key, horizon)
    moved: list[KeptEvent] = []
    if person is None:
        state.cache.put_link(key, link)
    else:
        moved = _part_with(state, key, person, link, horizon)
    state.count_stat("links")
    if state.place.holds(link.higher):
        state.kinships.append(Kinship(person_field(link.higher), key, is_linked=True))
        _give(state, link.higher, moved, horizon)
    else:
        _send(state, link.higher, key, moved, is_linked=True)


def _part_with(state: FunnelState, key: bytes, person: Person, link: Link, horizon: int) -> list[KeptEvent]:
    """What a linked id has for the higher one: what is behind the horizon stays, and what is older than one window
    before the link."""
    plan, cache = state.plan, state.cache
    was_empty = is_empty(plan, person)
    person.events.sort()
    is_undecided = plan.publishes_journeys and person.status != RESOLVED  # what time decides comes before the link
    if is_undecided or any(event.at < horizon for event in person.events) or is_unsettled(state, person, horizon):
        refresh(state, key, cache.persons[key], horizon + plan.keep)
        person = unpack_person(plan, cache.persons[key], cache.sealed.get(key, ()))
    since = max(link.linked_at - plan.window, horizon)
    moved = sorted(event for event in person.events if event.at >= since)
    take_out(state, person)
    person.events = [event for event in person.events if event.at < since]
    has_gone = is_empty(plan, person)
    if has_gone and not plan.publishes_journeys:
        cache.put_link(key, link)
    else:
        person.link = link
        settle(state, key, person, horizon, cause=(0, link.linked_at))
        has_gone = is_empty(plan, person)
    state.count_stat("persons", -(not was_empty and has_gone))
    return moved


def _passes_on(state: FunnelState, op: Op) -> bool:
    """Forward an event of a linked id to the higher one, unless it is older than what belongs to that."""
    key, at, event_hash, kind, code, horizon, whole = op
    link = _link_now(state, key, horizon)
    if link is None:
        return False
    # The link lasts as long as events of the lower id keep coming.
    if at > link.seen:
        _put_link(state, key, link._replace(seen=at))
    # Older than what belongs to the higher id: it stays here.
    if at < link.linked_at - state.plan.window:
        return False
    event = whole if whole is not None else KeptEvent(at, event_hash, kind, code)
    if state.place.holds(link.higher):
        _give(state, link.higher, [event], horizon)
    else:
        _send(state, link.higher, key, [event])
    return True


def _link_now(state: FunnelState, key: bytes, horizon: int) -> Link | None:
    """The link of an id, if it has one that has not ended."""
    packed = state.cache.persons.get(key)
    link = None if packed is None or not is_linked(packed) else link_of(state.plan, packed)
    if link is not None and horizon + state.plan.keep > link.seen + SILENCE_MS:
        end_silent(state, key, horizon + state.plan.keep)
        return None
    return link


def _end(state: FunnelState, key: bytes, watermark_ms: int, *, is_over: bool) -> None:
    """End a link that has been silent for too long by then, or (`is_over`) any; what the id has kept stays."""
    plan, cache = state.plan, state.cache
    packed = cache.persons.get(key)
    link = None if packed is None else link_of(plan, packed)
    if packed is None or link is None or not (is_over or watermark_ms > link.seen + SILENCE_MS):
        return
    person = unpack_person(plan, packed, cache.sealed.get(key, ()))
    # Nothing but the link was kept of it.
    if is_empty(plan, person):
        cache.drop(key)
    else:
        take_out(state, person)
        person.link = None
        settle(state, key, person, watermark_ms - plan.keep)
    content = Forward(funnel=plan.funnel_id, origin=key, partition=state.place.partition, is_linked=False)
    state.outgoing.append(forward(link.higher, content))


def _put_link(state: FunnelState, key: bytes, link: Link) -> None:
    """Change when the id was heard of last, and nothing else."""
    cache = state.cache
    packed = with_link(state.plan, cache.persons[key], link)
    cache.persons[key] = cache.dirty[key] = packed  # it is looked at when the link would have ended before


def _give(state: FunnelState, higher: bytes, events: Sequence[KeptEvent], horizon: int) -> None:
    """Give events to a person of the same partition, at once."""
    for event in events:
        whole = whole_of(event)
        kind = event.kind + FORWARDED
        perform(state, (person_field(higher), event.at, event.event_hash, kind, event.code, horizon, whole))


def _send(
    state: FunnelState, higher: bytes, origin: bytes, events: Sequence[KeptEvent], *, is_linked: bool | None = None
) -> None:
    """Send events of a linked id, in as few records as may be; at least one that says that it was linked."""
    records: list[bytes] = [b""]
    for event in events:
        packed = pack_event(state.plan, event)
        # A record of Kafka has a limit; an event is never cut.
        if len(records[-1]) + len(packed) > _EVENTS_BYTES:
            records.append(b"")
        records[-1] += packed
    for record in records:
        state.forwards += 1
        content = Forward(
            funnel=state.plan.funnel_id,
            origin=origin,
            partition=state.place.partition,
            number=state.forwards,
            events=record,
            is_linked=is_linked,
        )
        state.outgoing.append(forward(higher, content))
