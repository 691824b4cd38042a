"""The engine's face: retries, odd records, restart, eviction, limits. The counts themselves: tests/property."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from schemas.counters import STAGE_LOST, Cells, Family, Grain, cell_field
from schemas.funnel.load import load_funnel, parse_funnel
from schemas.funnel.model import Funnel
from streams.core import history, sweep
from streams.core.base import Base
from streams.core.chunk import Record
from streams.core.engine import PartitionEngine
from streams.core.journeys import History
from streams.core.kept import KeptEvent
from streams.core.outgoing import late_event
from streams.core.plan import FORGET, Plan
from streams.core.planning import plan_of
from streams.core.registers import Registers
from streams.state import NO_DEADLINE, PERSON_BUCKETS, Claim
from tests.support.core_partition import Names, Partition
from tests.support.counting import cells_of, count_records
from tests.support.counting import counted as counted_of
from tests.support.thorough import cases

T0 = 1_750_000_000_000
TOTAL = (Grain.TOTAL, 0, 0)


def event(name: str, at: int, *, person: str = "a:v", received: int | None = None, **more: Any) -> Record:
    """A record of the events topic; `more` are further fields, `properties` among them."""
    received = at if received is None else received
    body = {
        "id": f"{name}{at}",
        "name": name,
        "occurred_at_ms": at,
        "received_at_ms": received,
        "source": "web",
        **more,
    }
    return person.encode(), json.dumps(body).encode(), received


def tick(at: int, **more: Any) -> Record:
    """A tick record."""
    return None, json.dumps({"tick": at, **more}).encode(), at


def counted(funnel: Funnel, records: list[Record], **how: Any) -> tuple[Cells, dict[str, int]]:
    """Cells and stats after records."""
    stored = count_records([funnel], records, **how)
    stats: dict[str, int] = {}
    for view in stored[funnel.funnel_id].views:
        for name, amount in view.meta.stats.get(funnel.funnel_id, {}).items():
            stats[name] = stats.get(name, 0) + amount
    return cells_of(stored, funnel.funnel_id), stats


def of(cells: Cells, family: Family, stage: int) -> int:
    """A family of a stage in the totals."""
    return cells.get(TOTAL, {}).get(cell_field(0, 0, stage), {}).get(int(family), 0)


@pytest.fixture
def sales() -> Funnel:
    return load_funnel("sales")


def test_what_cannot_be_read_is_counted_and_moves_nothing(sales: Funnel) -> None:
    odd = [b"", b"[]", b"nonsense", b"\xff\xfe", b'{"id": 1}', b'{"tick": "soon"}', b"null"]
    odd += [b"{}", b'{"user": "u1", "ts": 1}', b'{"id": "1", "name": "lead", "user_id": "u"}', b'{"received_at_ms": 1}']
    engine = PartitionEngine([plan_of(sales)])
    engine.apply(engine.prepare([(b"a:v", value, T0) for value in odd]))
    assert engine.meta.watermark_ms is None
    assert engine.meta.stats[sales.funnel_id]["undecodable"] == len(odd)
    assert engine.meta.records == len(odd)


def test_a_counted_event_of_nobody_moves_the_watermark_and_counts_nothing(sales: Funnel) -> None:
    """Webhooks may name things that belong to no person."""
    nobody = [(None, *event(name, T0)[1:]) for name in ("impression", "lead", "payment", "refund", "no such event")]
    engine = PartitionEngine([plan_of(sales)])
    changes = engine.apply(engine.prepare(nobody))
    assert engine.meta.watermark_ms == T0 - 60_000
    assert not changes.funnels[sales.funnel_id].persons
    assert not changes.funnels[sales.funnel_id].deltas
    assert engine.meta.records == len(nobody)


def forget(person: str | None = "a:v") -> Record:
    """A forget record."""
    return None if person is None else person.encode(), b'{"forget": 1}', T0


def test_a_forgotten_person_is_kept_under_a_number_until_the_horizon_has_passed(sales: Funnel) -> None:
    """A buyer too: without a name nobody's order can come again."""
    records = [event("payment", T0, properties={"order_id": "o1", "value": "5"}), forget(), event("payment", T0 + 1)]
    stored = count_records([sales], records)[sales.funnel_id]
    assert sorted(stored.persons) == [b"a:v", b"x:1"]
    ticks = [tick(T0 + days * 86_400_000) for days in (400, 401)]
    later = count_records([sales], [*records, *ticks], batch_sizes=[1])[sales.funnel_id]
    assert sorted(later.persons) == [b"a:v"]


@pytest.mark.parametrize("general_only", [False, True])
def test_events_and_forget_records_of_one_chunk_keep_their_order(sales: Funnel, general_only: bool) -> None:
    """Each event belongs to the person as it is at its place in the log: known, new again, known again."""
    records = [event("impression", T0), forget(), event("impression", T0 + 1), event("click", T0 + 2), forget()]
    engine = PartitionEngine([plan_of(sales)])
    assert [op[3] for op in engine.prepare(records).funnels[sales.funnel_id].ops] == [0, FORGET, 0, 1, FORGET]
    cells, stats = counted(sales, records, general_only=general_only)
    assert (stats["persons"], stats["forgotten"]) == (2, 2)
    assert of(cells, Family.STARTED, 0) == 2
    assert of(cells, Family.ADVANCED_COHORT, 0) == 1
    assert sorted(count_records([sales], records)[sales.funnel_id].persons) == [b"x:1", b"x:2"]


def test_a_forget_record_moves_no_watermark_and_wants_a_person(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)])
    prepared = engine.prepare([forget(), forget(None), (b"a:v", b'{"forget": "now"}', T0)])
    engine.admit_facts(dict.fromkeys(engine.needs(prepared).facts))
    engine.apply(prepared)
    assert engine.meta.watermark_ms is None
    assert engine.meta.forgets == 1
    assert engine.meta.records == 3
    assert engine.meta.stats[sales.funnel_id]["undecodable"] == 1
    assert "forgotten" not in engine.meta.stats[sales.funnel_id]


def test_a_key_with_nul_is_forgotten_too(sales: Funnel) -> None:
    stored = count_records([sales], [event("click", T0, person="a:v\0w"), forget("a:v\0w")])[sales.funnel_id]
    assert list(stored.persons) == [b"x:1"]


@pytest.mark.parametrize(
    "properties",
    [
        None,
        [],
        "x",
        {"channel": {"a": 1}},
        {"channel": [1]},
        {"value": {}},
        {"value": "1_0"},
        {"order_id": [1]},
        {"currency": 4},
    ],
)
def test_odd_properties_never_stop_an_event(sales: Funnel, properties: Any) -> None:
    cells, stats = counted(
        sales, [event("impression", T0, properties=properties), event("payment", T0 + 1, properties=properties)]
    )
    assert stats["accepted"] == 2
    assert of(cells, Family.EVENTS, 0) == of(cells, Family.EVENTS, 4) == 1


def test_the_exact_decimal_counts(sales: Funnel) -> None:
    value = (
        '{"id":"1","name":"payment","occurred_at_ms":%d,"received_at_ms":%d,"source":"w","properties":{"value":0.145}}'
    )
    records: list[Record] = [(b"a:v", (value % (T0, T0)).encode(), T0)]
    cells, _ = counted(sales, records)
    (revenue,) = [n for code, n in cells[TOTAL][cell_field(0, 0, 4)].items() if code & 255 == Family.REVENUE]
    assert revenue == 14


def test_a_retry_of_an_ordered_sender_is_no_duplicate(sales: Funnel) -> None:
    records = [event("impression", T0 + n, seq=["s", n]) for n in range(3)]
    _, stats = counted(sales, [*records, *records], batch_sizes=[2])
    assert (stats["accepted"], stats["duplicates"], stats["retries"]) == (3, 0, 3)


def test_only_the_last_sessions_are_remembered(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)])
    engine.apply(engine.prepare([event("impression", T0 + n, seq=[f"s{n}", 1]) for n in range(40)]))
    assert list(engine.meta.sessions) == [f"s{n}" for n in range(16, 40)]


def test_a_session_in_use_outlives_idle_ones(sales: Funnel) -> None:
    senders = [("busy" if n % 2 else f"s{n}", n) for n in range(40)]
    engine = PartitionEngine([plan_of(sales)])
    engine.apply(engine.prepare([event("impression", T0 + n, seq=[name, n]) for name, n in senders]))
    engine.apply(engine.prepare([event("impression", T0 + 1, seq=["busy", 1])]))
    assert engine.meta.stats[sales.funnel_id]["retries"] == 1
    assert engine.meta.sessions["busy"] == 39


def test_a_restart_with_nothing_due_reads_no_bucket(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)])
    deadlines = [NO_DEADLINE] * PERSON_BUCKETS
    people = [event("impression", T0, person=f"a:{n}") for n in range(2_500)]
    applied = [engine.apply(engine.prepare(people)), engine.apply(engine.prepare([tick(T0 + 3_600_000)]))]
    while (more := engine.fire()) is not None:
        applied.append(more)
    for changes in applied:
        for bucket, minute in changes.funnels[sales.funnel_id].earliest_deadlines.items():
            deadlines[bucket] = minute
    packed = b"".join(minute.to_bytes(4, "little") for minute in deadlines)
    again = PartitionEngine([plan_of(sales)])
    again.restore(
        Claim(offset=0, seq=0, token=1, meta=engine.snapshot_meta(), earliest_deadlines={sales.funnel_id: packed})
    )
    assert again.meta.pending == 0
    assert not again.needs(None)


def test_a_marker_without_a_time_moves_no_watermark(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)])
    engine.apply(engine.prepare([tick(0, marker="end")]))
    assert (engine.meta.marker, engine.meta.watermark_ms) == ("end", None)


def test_a_record_from_the_future_moves_the_watermark_a_minute_at_most(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)], watermark_delay_ms=0)
    key, value, _ = event("impression", T0, received=T0 + 10**9)
    engine.apply(engine.prepare([(key, value, T0)]))
    assert engine.meta.watermark_ms == T0 + 60_000


def test_late_events_are_handed_out_with_their_age(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)])
    late = event("impression", T0, received=T0 + sales.allowed_lateness_ms + 1)
    changes = engine.apply(engine.prepare([late]))
    age_ms = sales.allowed_lateness_ms + 1
    assert changes.outgoing == [late_event(sales.funnel_id, key=b"a:v", value=late[1], age_ms=age_ms)]
    headers = (("funnel", sales.funnel_id.encode()), ("age_ms", str(age_ms).encode()), ("reason", b"late"))
    assert changes.outgoing[0].headers == headers
    assert engine.meta.stats[sales.funnel_id]["late"] == 1
    assert engine.meta.stats[sales.funnel_id]["late_le_7d"] == 1


def test_deadlines_beyond_the_limit_stay_pending_but_for_a_few_times_as_many(
    sales: Funnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.core.engine.FIRE_LIMIT", 100)
    engine = PartitionEngine([plan_of(sales)])
    people = [event("impression", T0, person=f"a:{n}") for n in range(600)]
    engine.apply(engine.prepare(people))
    changes = engine.apply(engine.prepare([tick(T0 + 3_600_000)])).funnels[sales.funnel_id]
    assert (engine.meta.pending, len(changes.persons)) == (500, 100)
    booked = engine.fire(100)
    assert engine.meta.pending == 400
    assert booked is not None
    booked = engine.fire(100)
    assert booked is not None
    assert (engine.meta.pending, booked.funnels[sales.funnel_id].persons) == (0, {})
    assert engine.fire() is None


def test_a_deadline_that_passes_writes_nobody(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)])
    engine.apply(engine.prepare([event("lead", T0, person=f"a:{n}") for n in range(20)]))
    for days, family in ((3, Family.STALLED), (8, Family.ABANDONED_COHORT)):
        changes = engine.apply(engine.prepare([tick(T0 + days * 86_400_000)])).funnels[sales.funnel_id]
        assert changes.persons == {}
        assert changes.deltas[TOTAL][cell_field(0, 0, 2)][family] == 20


@pytest.mark.parametrize("seed", range(cases(8, few=3)))
def test_a_restart_at_any_moment_of_a_backlog_changes_nothing(
    sales: Funnel, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("streams.core.engine.FIRE_LIMIT", 2)
    rnd, names = Random(seed), ["impression", "click", "lead", "payment", "lead_lost", "offer"]
    records, now = [], T0
    for number in range(250):
        now += rnd.choice([0, 0, 60_000, 1_800_000, 9_000_000, 200_000_000])
        at, more = now - rnd.choice([0, 0, 3_600_000, 200_000_000]), {"value": number} if rnd.random() < 0.3 else {}
        person = f"a:{rnd.randrange(25)}"
        records.append(event(rnd.choice(names), at, person=person, received=now, id=f"e{number}", properties=more))
    plan = plan_of(sales)
    codes = Names(Registers([plan]))
    part, start = Partition(PartitionEngine([plan], registers=codes.registers), codes), 0
    while start < len(records):
        size = rnd.randint(1, 12)
        part.write(part.apply(records[start : start + size]))
        start += size
        for _ in range(rnd.choice([0, 0, 1, 3])):
            part.load(None)
            part.write(part.engine.fire(1))
        if rnd.random() < 0.3:
            part.engine = PartitionEngine([plan], registers=codes.registers)
            part.engine.restore(part.stored.claim())
    part.fire()
    assert (
        cells_of({sales.funnel_id: counted_of(sales.funnel_id, [part], codes)}, sales.funnel_id)
        == counted(sales, records)[0]
    )


def test_a_chunk_ends_before_too_many_people_change(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)])
    records = [event("impression", T0, person=f"a:{n // 2}") for n in range(100)]
    assert engine.chunk_end(records, 0, max_persons=10) <= 20
    assert engine.chunk_end(records, 90, max_persons=10) == 100
    assert engine.chunk_end(records, 0, max_persons=1000, max_records=7) == 7


@pytest.mark.parametrize(
    "how", [{"max_persons": 3}, {"dump_and_load": True}, {"max_persons": 1, "dump_and_load": True}]
)
def test_forgetting_and_reading_again_changes_nothing(sales: Funnel, how: dict[str, Any]) -> None:
    names = ["impression", "click", "lead", "payment", "lead_lost", "offer"]
    records = [
        event(names[n * 7 % 6], T0 + n * 400_000, person=f"a:{n % 11}", properties={"channel": f"c{n % 3}", "value": n})
        for n in range(400)
    ]
    assert counted(sales, records, batch_sizes=[7], **how) == counted(sales, records)


def test_the_general_path_alone_counts_the_same(sales: Funnel) -> None:
    names = ["impression", "click", "lead", "payment", "lead_lost", "offer", "payment"]
    records = [
        event(
            names[n * 5 % 7],
            T0 + n * 900_000 - n % 4 * 2_000_000,
            received=T0 + n * 900_000,
            person=f"a:{n % 3}",
            properties={"order_id": f"o{n // 9}", "value": n},
        )
        for n in range(cases(500, few=150))
    ]
    assert counted(sales, records, batch_sizes=[50]) == counted(sales, records, batch_sizes=[50], general_only=True)


def test_expired_minutes_are_deleted_and_totals_stay(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)], watermark_delay_ms=0)
    engine.apply(engine.prepare([event("impression", T0)]))
    changes = engine.apply(engine.prepare([tick(T0 + 50 * 3_600_000)]))
    assert (int(Grain.MINUTE), T0 // 60_000, 0) in changes.funnels[sales.funnel_id].expired
    assert not any(group[0] == Grain.HOUR for group in changes.funnels[sales.funnel_id].expired)


def test_a_heavy_person_costs_what_happened_lately(sales: Funnel, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[int] = []
    from streams.core.history import replay

    def counting(plan: Plan, base: Any, events: Any) -> History:
        walked.append(len(events))
        return replay(plan, base, events)

    monkeypatch.setattr("streams.core.sweep.replay", counting)
    monkeypatch.setattr("streams.core.settling.replay", counting)
    names = ["impression", "click", "lead_lost", "payment", "lead"]
    records = []
    count = cases(3_000, few=500)
    for n in range(count):
        late = 500_000 if n % 10 == 0 else 0
        properties = {"order_id": f"o{n}", "value": "1"}
        records.append(event(names[n % 5], T0 + n * 60_000 - late, received=T0 + n * 60_000, properties=properties))
    cells, stats = counted(sales, records, batch_sizes=[20])
    assert stats["accepted"] == count
    assert of(cells, Family.EVENTS, STAGE_LOST) == count // 5
    assert max(walked) <= 5 * Plan.seal
    few = records[:150]
    assert counted(sales, few, general_only=True)[0] == counted(sales, few)[0]


@pytest.mark.parametrize("names", [("impression", "click"), ("impression", "payment", "lead_lost")])
def test_the_disorder_of_one_person_costs_what_the_events_cost(
    sales: Funnel, monkeypatch: pytest.MonkeyPatch, names: Sequence[str]
) -> None:
    walked: list[int] = []
    from streams.core.history import replay

    def counting(plan: Plan, base: Any, events: Any) -> History:
        walked.append(len(events))
        return replay(plan, base, events)

    monkeypatch.setattr("streams.core.sweep.replay", counting)
    monkeypatch.setattr("streams.core.settling.replay", counting)
    rnd = Random(3)
    records = []
    count = cases(4_000, few=1_000)
    for n in range(count):
        received = T0 + n * 800
        properties = {"order_id": f"o{n}", "value": "1"}
        at = received - rnd.randrange(3_600_000)
        records.append(event(names[n % len(names)], at, id=f"e{n}", received=received, properties=properties))
    for batch, most in ((count, 2), (count // 20, 6), (count // 200, 20)):
        walked.clear()
        _, stats = counted(sales, records, batch_sizes=[batch])
        assert stats["accepted"] == count
        assert sum(walked) <= most * count


def test_who_has_as_many_events_as_allowed_gets_no_more(sales: Funnel) -> None:
    engine = PartitionEngine([plan_of(sales)], max_person_events=100)
    records = [event("impression", T0 + n, id=f"i{n}") for n in range(130)]
    copies = [event("impression", T0 + 99, id="i5"), event("impression", T0 + 129, id="i129", received=T0 + 131)]
    outgoing = []
    for at in range(0, 130, 40):
        outgoing += engine.apply(
            engine.prepare([*records[at : at + 40], event("click", T0 + at, person="a:w")])
        ).outgoing
    again = engine.apply(engine.prepare(copies)).outgoing
    assert [record.value for record in outgoing] == [value for _, value, _ in records[100:]]
    assert [record.value for record in again] == [copies[1][1]]
    assert outgoing[-1].headers == (
        ("funnel", sales.funnel_id.encode()),
        ("age_ms", b"0"),
        ("reason", b"too_many_of_person"),
    )
    stats = engine.meta.stats[sales.funnel_id]
    assert (stats["accepted"], stats["duplicates"], stats["too_many_of_person"]) == (104, 1, 31)
    # What lies behind the horizon counts no longer.
    later = T0 + 200 + sales.conversion_window_ms + sales.allowed_lateness_ms + 60_000
    engine.apply(engine.prepare([event("impression", later, received=later)]))
    assert stats["accepted"] == 105


def test_an_order_may_have_more_records_than_a_tail_is_long_events(sales: Funnel) -> None:
    records = [
        event("payment", T0 + n, properties={"order_id": f"o{n}", "value": "3", "cost": "1", "discount": "1"})
        for n in range(40)
    ]
    _, stats = counted(sales, records)
    assert stats["accepted"] == 40


def test_a_tail_of_one_instant_is_exact(sales: Funnel) -> None:
    records = [event("impression", T0, id=f"i{n}") for n in range(300)]
    records += [event("click", T0 + 1), event("impression", T0, id="i7")]
    cells, stats = counted(sales, records)
    assert of(cells, Family.EVENTS, 0) == 300
    assert stats["duplicates"] == 1


def test_many_wide_dimensions_are_counted_too() -> None:
    dimensions = [{"name": f"d{n}", "attribution": "first", "cap": 10_000} for n in range(12)]
    funnel = parse_funnel(
        json.dumps(
            {"name": "w", "conversion_window": "1d", "stages": [{"name": "a", "on": ["a"]}], "dimensions": dimensions}
        )
    )
    cells, _ = counted(funnel, [event("a", T0, properties={f"d{n}": "x" for n in range(12)})])
    assert cells[Grain.TOTAL, 0, 12] == {cell_field(2, 0, 0): cells[TOTAL][cell_field(0, 0, 0)]}


def test_orders_newest_first_do_not_pass_all_that_follow(sales: Funnel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is the first of the person's life when it comes, so the age of every later one changes."""
    passed: list[int] = []

    def replay(plan: Plan, base: Base, events: Sequence[KeptEvent]) -> History:
        passed.append(len(events))
        return history.replay(plan, base, events)

    monkeypatch.setattr(sweep, "replay", replay)
    orders = [{"order_id": f"o{number}", "value": "1.00"} for number in range(2000)]
    records = [event("payment", T0 - 9 * i, received=T0, properties=order) for i, order in enumerate(orders)]
    cells, _ = counted(sales, records, batch_sizes=[50])
    assert _money(cells, Family.LIFETIME) == _money(cells, Family.REVENUE) == 200_000
    assert sum(passed) < 15 * len(records)


def _money(cells: Cells, family: Family) -> int:
    """Of the order stages, in the totals, whatever the sub-key."""
    stages = [cells[TOTAL].get(cell_field(0, 0, stage), {}) for stage in (4, 5)]
    return sum(amount for values in stages for code, amount in values.items() if code & 255 == family)
