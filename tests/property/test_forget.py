"""A person who is forgotten leaves the numbers as they are and nothing else: the laws with forget records in the log.

The oracle forgets in its own way: the history changes hands to nobody, and later events of the id begin a new one.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from streams.core.header import chunks_of, words_of
from streams.core.person import Person, unpack_person
from streams.core.plan import Plan
from streams.core.planning import plan_of
from streams.core.sealed import chunk_fields
from tests.oracle.generate import Case, Log, Wants
from tests.oracle.values import person_of
from tests.property.balances import check_balances
from tests.property.cases import assert_same, law
from tests.property.driver import (
    Run,
    core_document,
    counted_of,
    funnels_of,
    oracle_document,
    random_run,
    stored_documents,
)

FORGETS = Wants(forgets=True)
WITH_REFUNDS = Wants(forgets=True, refunds=True)
_FIELDS = {"u": "user_id", "c": "contact_id", "a": "anonymous_id"}


@law(FORGETS)
def test_the_core_forgets_as_the_oracle_does(case: Case, rng: Random) -> None:
    """However it is run: fast and general paths, any batches, every person written to bytes and read back."""
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(FORGETS, share=0.3)
def test_one_record_at_a_time_from_stored_bytes(case: Case, rng: Random) -> None:
    """Nothing of a forgotten person lives outside the bytes that are stored."""
    run = Run(batch_sizes=[1] * len(case.log), dump_and_load=True, general_only=rng.random() < 0.5)
    assert_same(oracle_document(case), core_document(case, run))


@law(Wants(forgets=True, max_events=150, people=2), share=0.3)
def test_heavy_people_are_forgotten_whole(case: Case, rng: Random) -> None:
    """With all their sealed pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([1, 2, 3]))
        assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(Wants(forgets=True, max_partitions=2), share=0.3)
def test_any_replay_point(case: Case, rng: Random) -> None:
    """A worker that dies around a forget record is followed by one that reads on from the stored cursor."""
    (document,) = stored_documents([case.funnel], case, rng)
    assert_same(oracle_document(case), document)


@law(FORGETS, share=0.3)
def test_sums_and_balances(case: Case, rng: Random) -> None:
    """Outcomes still balance: the deadlines of somebody without a name pass like those of anybody else."""
    check_balances(case.funnel, core_document(case, random_run(rng, case)))


def _renamed(log: Log) -> Log:
    """The log without forget records, in which whoever comes after one has another id."""
    lives: dict[str, int] = {}
    renamed: Log = []
    for line in log:
        person = None if "tick" in line else person_of(line)
        if person is not None and "forget" in line:
            lives[person] = lives.get(person, 0) + 1
        elif person in lives:
            renamed.append({**line, _FIELDS[person[0]]: f"{person[2:]} again {lives[person]}"})
        else:
            renamed.append(line)
    return renamed


@law(WITH_REFUNDS, share=0.5)
def test_who_comes_after_is_somebody_else(case: Case, rng: Random) -> None:
    """Forgetting is the same as another id from there on, orders and refunds included."""
    other = replace(case, log=_renamed(case.log))
    assert_same(core_document(other, random_run(rng, other)), core_document(case, random_run(rng, case)))


def _everybody_forgotten(case: Case) -> Case:
    people = sorted({person for line in case.log if "tick" not in line and (person := person_of(line)) is not None})
    return replace(case, log=[*case.log, *({"forget": 1, _FIELDS[person[0]]: person[2:]} for person in people)])


@law(WITH_REFUNDS, share=0.3)
def test_forgetting_everybody_at_the_end_changes_no_number(case: Case, rng: Random) -> None:
    """The whole document stays as it is."""
    after = _everybody_forgotten(case)
    assert_same(core_document(case, random_run(rng, case)), core_document(after, random_run(rng, after)))


@law(WITH_REFUNDS, share=0.3)
def test_no_name_and_no_id_is_left_in_the_store(case: Case, rng: Random) -> None:
    """Neither as a person's field nor inside of one: what tells events and orders apart are small numbers."""
    after = _everybody_forgotten(case)
    (stored,) = counted_of([case.funnel], after, random_run(rng, after)).values()
    plan = plan_of(funnels_of([case.funnel])[0])
    for field, packed in stored.persons.items():
        assert field.startswith(b"x:"), field
        if b"\0" not in field:
            sealed = [stored.persons[chunk] for chunk in chunk_fields(field, chunks_of(words_of(plan, packed)[1]))]
            _check_small(unpack_person(plan, packed, sealed))


def _check_small(person: Person) -> None:
    numbers = {number for event in person.events for number in (event.event_hash, event.order, event.refund)}
    assert isinstance(person.base.orders, dict)
    assert max(numbers | {*person.base.orders} | person.base.refunds, default=0) < 1000
