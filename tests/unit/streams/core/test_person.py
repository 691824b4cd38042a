"""The packed person: what goes in comes out, and how large it is."""

from __future__ import annotations

import json
from random import Random

from schemas.funnel.load import load_funnel, parse_funnel
from streams.core.base import Base, Entry, Journey, Layered, unpack_base
from streams.core.header import Header
from streams.core.kept import KeptEvent, split
from streams.core.person import Person, pack_person, unpack_person
from streams.core.plan import LOST, OPEN, ORDER, REFUND, Plan
from streams.core.planning import plan_of
from tests.support.rows import rows

_AT = 1_750_000_000_000
_WIDE = json.dumps(
    {
        "name": "w",
        "conversion_window": "1d",
        "stages": [{"name": "a", "on": ["a"]}],
        "dimensions": [{"name": f"d{at}", "attribution": "first", "cap": 10_000} for at in range(12)],
    }
)


def _person(plan: Plan, rng: Random, count: int) -> Person:
    person = Person()
    code = (1 << plan.code_bits) - 1
    for at in range(count):
        kind = rng.choice([0, 1, LOST, ORDER, REFUND])
        single = KeptEvent(_AT + at, rng.getrandbits(64), kind, rng.randint(0, code))
        if kind == LOST:
            single = single._replace(reason=101)
        elif kind >= ORDER:
            single = single._replace(order=rng.getrandbits(64), minor=rng.choice([-1, 0, 10**15]))
            single = single._replace(mask=3) if kind == ORDER else single._replace(refund=rng.getrandbits(64))
            single = single._replace(currency=17_575) if single.minor >= 0 else single
        if rng.random() < 0.3:
            single = single._replace(unit=("d" * rng.randint(1, 40) + "é").encode())
        person.events.append(single)
    person.base = Base()
    entries = [Entry(0, _AT - 9, code), Entry(1, _AT - 5, code, 7, 3, _AT - 2, 101)]
    person.base.journey = Journey(_AT - 9, code, entries)
    person.base.orders, person.base.orders_count, person.base.refunds = {2**64 - 1: (1, code)}, 3, {5}
    person.status = OPEN
    return person


@rows("text", ["sales", _WIDE])
@rows("count", [0, 3, 200])
def test_a_person_survives_packing(text: str, count: int) -> None:
    plan = plan_of(parse_funnel(text) if text.startswith("{") else load_funnel(text))
    person = _person(plan, Random(count), count)
    blob, sealed = pack_person(plan, person, Header(last_at=_AT, passed=2))
    again = unpack_person(plan, blob, sealed)
    assert again.events == sorted(person.events)
    assert again.status == OPEN
    assert again.base.orders == person.base.orders
    assert (again.base.orders_count, again.base.refunds) == (3, {5})
    packed, wanted = again.base.journey, person.base.journey
    assert packed is not None
    assert wanted is not None
    assert (packed.started_at, packed.code) == (wanted.started_at, wanted.code)
    assert [[getattr(entry, name) for name in Entry.__slots__] for entry in packed.entries] == [
        [getattr(entry, name) for name in Entry.__slots__] for entry in wanted.entries
    ]
    assert bool(sealed) == (count > 100)


def test_nothing_folded_costs_nothing() -> None:
    assert unpack_base(b"").journey is None


def test_four_kept_events_of_the_default_funnel_take_little_room() -> None:
    plan = plan_of(load_funnel("sales"))
    person = Person()
    person.events = [KeptEvent(_AT + at, at, 0, 5) for at in range(4)]
    assert len(pack_person(plan, person, Header())[0]) <= 110


def test_chunks_follow_each_other_strictly_in_time() -> None:
    events = [KeptEvent(_AT + at // 5, at, 0, 0) for at in range(100)]
    parts, tail = split(8, events)
    assert [event for part in parts for event in part] + tail == events
    assert all(part[-1].at < later[0].at for part, later in zip(parts, [*parts[1:], tail], strict=True))


def test_one_instant_cannot_be_cut() -> None:
    events = [KeptEvent(_AT, at, 0, 0) for at in range(100)]
    assert split(8, events) == ([], events)


def test_layers_of_orders_answer_as_one() -> None:
    orders = Layered(Layered({1: (0, 0)}, {2: (1, 0)}), {3: (2, 0)})
    assert [orders.get(order) for order in (1, 2, 3, 4)] == [(0, 0), (1, 0), (2, 0), None]
