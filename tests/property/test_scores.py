"""The laws of lead scoring (docs/decisions/lead-scoring.md), compared with the oracle."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.oracle.generate import Case, Wants
from tests.property.balances import check_balances
from tests.property.cases import assert_same, law, order_free, shuffled
from tests.property.driver import (
    core_document,
    counted_document,
    in_step,
    oracle_document,
    random_run,
    stored_documents,
)


@law(Wants(scores=True))
def test_temperatures_are_those_of_the_oracle(case: Case, rng: Random) -> None:
    """However it is run: copies, disorder, what is late, orders and deals that change."""
    document = core_document(case, random_run(rng, case))
    assert_same(oracle_document(case), document)
    check_balances(case.funnel, document)


@law(Wants(scores=True, links=True, people=3), share=0.5)
def test_temperatures_of_people_with_several_ids(case: Case, rng: Random) -> None:
    """A merge is a union of events, and so of points."""
    assert_same(oracle_document(case), counted_document(case, in_step(rng)))


@law(Wants(scores=True, max_events=200, people=1), share=0.1)
def test_temperatures_of_people_with_hundreds_of_events(case: Case, rng: Random) -> None:
    """Where most lies behind the horizon, and where nothing does."""
    lateness = rng.choice(["1ms", "30d"])
    case = replace(case, funnel={**case.funnel, "allowed_lateness": lateness})
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(Wants(scores=True, small_caps=False), share=0.2)
def test_the_order_of_the_log_changes_no_temperature(case: Case, rng: Random) -> None:
    """Where nothing lies behind the horizon."""
    case = order_free(case)
    in_order = core_document(case, random_run(rng, case))
    in_disorder = core_document(shuffled(rng, case), random_run(rng, case))
    assert_same(in_order["counters"], in_disorder["counters"])


@law(Wants(scores=True, max_partitions=2), share=0.2)
def test_scores_outlive_workers(case: Case, rng: Random) -> None:
    """What is stored is enough, wherever a worker dies."""
    (document,) = stored_documents([case.funnel], case, rng)
    assert_same(oracle_document(case), document)
