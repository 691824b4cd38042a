"""The worked examples of the counting rules come out of the product exactly: core, report and rates."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.oracle import examples
from tests.oracle.generate import Case
from tests.property.driver import core_documents, random_run


def _whole(definition: dict[str, Any], log: examples.Log) -> tuple[dict[str, Any], dict[str, Any]]:
    """(counters, rates) of the totals, counted in random batches."""
    case = Case(funnel=definition, log=log)
    (document,) = core_documents([definition], case, random_run(Random(1), case), with_rates=True)
    rates = next(rates for rates in document["rates"] if (rates["grain"], rates["dim"]) == ("total", ""))
    return document["counters"]["total"]["all"][""], rates


def _shares(rates: dict[str, Any], name: str) -> list[float]:
    return [share["rate"] for share in rates[name].values()]


def test_1000_100_10_1() -> None:
    _, rates = _whole(examples.FOUR_STEPS, examples.thousand_to_one())
    for name in ("period_conversion", "step_conversion", "cohort_conversion"):
        assert _shares(rates, name) == [0.1, 0.1, 0.1]
    assert rates["overall"]["rate"] == 0.001
    assert _shares(rates, "abandonment") == [0.9, 0.9, 0.9]


def test_average_check_of_three_purchases() -> None:
    _, rates = _whole(examples.VISITS, examples.three_purchases())
    assert (rates["money"]["orders"], rates["money"]["aov"]) == (3, 370_000)


def test_one_to_eighty() -> None:
    _, rates = _whole(examples.VISITS, examples.one_to_eighty())
    assert (rates["overall"]["denominator"], rates["overall"]["numerator"]) == (4000, 50)


def test_ten_times_the_traffic() -> None:
    counters, _ = _whole(examples.CALLS, examples.traffic(10))
    assert [counters[stage]["entries"] for stage in ("visit", "call", "payment")] == [2000, 40, 10]


def test_cold_calls_that_reach_the_decision_maker() -> None:
    (_, ten), (_, twenty) = (_whole(examples.COLD_CALLS, examples.cold_calls(reached)) for reached in (10, 20))
    assert round(_shares(ten, "period_conversion")[0], 3) == 0.333
    assert round(_shares(twenty, "period_conversion")[0], 3) == 0.667
    assert twenty["money"]["orders"] == 2 * ten["money"]["orders"]


def test_paid_invoices() -> None:
    (_, fifty), (_, sixty) = (_whole(examples.INVOICES, examples.invoices(paid)) for paid in (50, 60))
    assert sixty["money"]["revenue"] - fifty["money"]["revenue"] == 100_000_00


def test_300_leads_to_one_sale() -> None:
    _, rates = _whole(examples.LEADS, examples.leads())
    assert rates["overall"]["rate"] == pytest.approx(1 / 300)


def test_uplifts_of_every_step_compound() -> None:
    people = 2000
    steps = [people]
    for per_mille in examples.UPLIFTS_PER_MILLE:
        steps.append(round(steps[-1] * (1000 + per_mille) / 2000))
    _, rates = _whole(examples.EIGHT_STEPS, examples.people_through([f"s{at}" for at in range(8)], steps))
    product = 1.0
    for share in _shares(rates, "step_conversion"):
        product *= share
    assert product == pytest.approx(rates["overall"]["rate"])
    assert rates["overall"]["numerator"] == steps[-1]
