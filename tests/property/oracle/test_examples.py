"""The worked examples of the counting rules come out exactly from the oracle; so does the real purchase history."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tests.oracle import examples
from tests.oracle.build import counted, total
from tests.oracle.cdnow import Facts, facts_of
from tests.oracle.definition import read_funnel
from tests.oracle.rates import rates_of, wilson


def _rates(definition: dict[str, Any], log: examples.Log) -> dict[str, Any]:
    return rates_of(read_funnel(definition), total(counted(definition, log)))


def _entries(definition: dict[str, Any], log: examples.Log) -> list[int]:
    return [cell["entries"] for cell in total(counted(definition, log)).values()]


def test_1000_100_10_1() -> None:
    rates = _rates(examples.FOUR_STEPS, examples.thousand_to_one())
    assert [one["rate"] for one in rates["period_conversion"].values()] == [0.1, 0.1, 0.1]
    assert [one["rate"] for one in rates["step_conversion"].values()] == [0.1, 0.1, 0.1]
    assert [one["rate"] for one in rates["cohort_conversion"].values()] == [0.1, 0.1, 0.1]
    assert [one["maturity"] for one in rates["cohort_conversion"].values()] == [1, 1, 1]
    assert rates["overall"]["rate"] == 0.001
    assert [one["rate"] for one in rates["abandonment"].values()] == [0.9, 0.9, 0.9]
    assert rates["bottleneck"] == "attention"


def test_average_check() -> None:
    money = _rates(examples.VISITS, examples.three_purchases())["money"]
    assert (money["orders"], money["revenue"], money["aov"]) == (3, 1_110_000, 370_000)


def test_one_to_eighty() -> None:
    overall = _rates(examples.VISITS, examples.one_to_eighty())["overall"]
    assert overall["denominator"] == 80 * overall["numerator"]


def test_ten_times_the_traffic() -> None:
    assert sorted(_entries(examples.CALLS, examples.traffic(1))) == [1, 4, 200]
    assert sorted(_entries(examples.CALLS, examples.traffic(10))) == [10, 40, 2000]


def test_cold_calls() -> None:
    ten, twenty = (_rates(examples.COLD_CALLS, examples.cold_calls(reached)) for reached in (10, 20))
    key = "cold_call -> decision_maker"
    assert [round(100 * one["period_conversion"][key]["rate"], 1) for one in (ten, twenty)] == [33.3, 66.7]
    assert (ten["money"]["orders"], twenty["money"]["orders"]) == (1, 2)


def test_invoices() -> None:
    fifty, sixty = (_rates(examples.INVOICES, examples.invoices(paid))["money"]["revenue"] for paid in (50, 60))
    assert sixty - fifty == 100_000_00


def test_uplifts_compound() -> None:
    definition = read_funnel(examples.EIGHT_STEPS)
    plain = rates_of(definition, examples.entries_with_uplifts([0] * 7))["overall"]["rate"]
    lifted = rates_of(definition, examples.entries_with_uplifts(examples.UPLIFTS_PER_MILLE))["overall"]["rate"]
    assert round(100 * (lifted / plain - 1), 1) == 22.2
    assert sum(examples.UPLIFTS_PER_MILLE) == 205


def test_leads_and_their_cost() -> None:
    overall = _rates(examples.LEADS, examples.leads())["overall"]
    assert (overall["denominator"], overall["numerator"]) == (300, 1)
    assert _rates(examples.LEADS, examples.lead_budget())["money"]["cpl"] == 27_000_00


def test_wilson_interval_by_a_published_figure() -> None:
    low, high = wilson(1, 10) or [0, 0]  # Newcombe 1998 and many calculators: 0.0179 to 0.4042
    assert (round(low, 4), round(high, 4)) == (0.0179, 0.4042)
    low, high = wilson(0, 10) or [0, 0]
    assert math.isclose(low, 0, abs_tol=1e-12)
    assert round(high, 4) == 0.2775
    assert wilson(3, 0) is None
    assert wilson(3, 2) is None


def test_facts_of_a_purchase_file(tmp_path: Path) -> None:
    file = tmp_path / "purchases.txt"
    lines = [
        " customer_id  date number_of_cds  dollar_value",
        "00001 19970101  1   11.77",
        "00001 19970630  1   12.00",  # day 180: counts
        "00002 19970101  5   77.00",
        "00002 19970701  2    0.01",  # day 181: does not
        "00003 19970112  1    0.00",
        "00003 19970112  1   10.10",  # the same day is again
        "00004 19970112  1    0.30",
    ]
    file.write_text("\r\n".join(lines))
    assert facts_of(file) == Facts(4, 7, 11_118, 3, 2)
