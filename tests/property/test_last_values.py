"""The laws of the attribution `last` and of touches (docs/decisions/last-values.md), compared with the oracle."""

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

LAST = ("last", "last")


@law(Wants(attributions=LAST))
def test_last_values_are_those_of_the_oracle(case: Case, rng: Random) -> None:
    """However it is run: copies, disorder, what is late; and every sum still holds by each value."""
    document = core_document(case, random_run(rng, case))
    assert_same(oracle_document(case), document)
    check_balances(case.funnel, document)


@law(Wants(attributions=LAST, units=1, people=2, links=True), share=0.5)
def test_last_values_of_deals_and_of_people_with_several_ids(case: Case, rng: Random) -> None:
    """A merge is a union of events, and a deal has what its own events say."""
    assert_same(oracle_document(case), counted_document(case, in_step(rng)))


@law(Wants(attributions=LAST, max_events=200, people=1), share=0.1)
def test_last_values_of_people_with_hundreds_of_events(case: Case, rng: Random) -> None:
    """Where most lies behind the horizon, and where nothing does."""
    case = replace(case, funnel={**case.funnel, "allowed_lateness": rng.choice(["1ms", "30d"])})
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(Wants(attributions=LAST, small_caps=False), share=0.2)
def test_the_order_of_the_log_changes_no_last_value(case: Case, rng: Random) -> None:
    """Where nothing lies behind the horizon."""
    case = order_free(case)
    in_order = core_document(case, random_run(rng, case))
    in_disorder = core_document(shuffled(rng, case), random_run(rng, case))
    assert_same(in_order["counters"], in_disorder["counters"])


@law(Wants(attributions=LAST, scores=True, max_partitions=2), share=0.2)
def test_last_values_outlive_workers(case: Case, rng: Random) -> None:
    """What is stored is enough, wherever a worker dies; temperatures have last values, too."""
    (document,) = stored_documents([case.funnel], case, rng)
    assert_same(oracle_document(case), document)
