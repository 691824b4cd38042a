"""The oracle keeps the laws it is there to judge by."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.oracle.counting import Document, count
from tests.oracle.generate import Case, Wants
from tests.property.balances import check_balances
from tests.property.cases import agreeing, assert_same, law, order_free, shuffled


def _count(case: Case) -> Document:
    return count(case.funnel, case.log, watermark_delay_ms=case.watermark_delay_ms)


@law(Wants(refunds=True), share=0.3)
def test_sums_and_balances(case: Case, rng: Random) -> None:
    """Outcomes, transitions, parts and grains add up."""
    check_balances(case.funnel, _count(case))


@law(Wants(small_caps=False, refunds=True), share=0.3)
def test_order_of_the_log_changes_nothing(case: Case, rng: Random) -> None:
    """Where nothing lies behind the horizon and no cap is reached, any order counts the same."""
    case = order_free(case)
    assert_same(_count(case)["counters"], _count(shuffled(rng, case))["counters"])


@law(Wants(refunds=True), share=0.3)
def test_copies_change_nothing(case: Case, rng: Random) -> None:
    """An exact copy right behind or anywhere after its event is counted once."""
    case = agreeing(case)
    log = list(case.log)
    for _ in range(len(log)):
        at = rng.randrange(len(log))
        if "tick" not in log[at]:
            log.insert(rng.randint(at, len(log)) + 1, log[at])
    assert_same(_count(case)["counters"], _count(replace(case, log=log))["counters"])
