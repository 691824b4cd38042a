"""Rates of a cell: the worked examples, and everything that must be absent rather than 0."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from streams.report.document.rates import rates_of as typed_rates_of
from streams.report.document.rates import ratio, wilson
from streams.report.document.shapes import NamedCell
from tests.oracle import examples
from tests.oracle.build import counted, funnel, total
from tests.oracle.definition import read_funnel
from tests.oracle.rates import rates_of as rates_of_the_oracle
from tests.support.rows import rows


def as_product(definition: dict[str, Any]) -> Funnel:
    return parse_funnel(json.dumps(definition))


def rates_of(funnel: Funnel, cell: NamedCell, dim: str = "") -> dict[str, Any]:
    """As plain JSON."""
    return dict(typed_rates_of(funnel, cell, dim=dim))


def rates(definition: dict[str, Any], log: examples.Log) -> dict[str, Any]:
    return rates_of(as_product(definition), total(counted(definition, log)))


def test_1000_100_10_1_is_ten_percent_thrice_and_a_thousandth_overall() -> None:
    all_rates = rates(examples.FOUR_STEPS, examples.thousand_to_one())
    assert list(all_rates["period_conversion"]) == ["attention -> interest", "interest -> desire", "desire -> action"]
    for kind in ("period_conversion", "step_conversion", "cohort_conversion"):
        assert [one["rate"] for one in all_rates[kind].values()] == [0.1, 0.1, 0.1]
    assert [one["maturity"] for one in all_rates["cohort_conversion"].values()] == [1, 1, 1]
    assert all_rates["overall"] == {
        "rate": 0.001,
        "numerator": 1,
        "denominator": 1000,
        "interval": pytest.approx([0.000177, 0.005642], abs=1e-6),
    }
    assert all_rates["bottleneck"] == "attention"


def test_the_average_check_of_100_and_1000_and_10000_is_3700() -> None:
    money = rates(examples.VISITS, examples.three_purchases())["money"]
    assert (money["orders"], money["revenue"], money["aov"]) == (3, 1_110_000, 370_000)


def test_4000_visitors_and_50_sales_are_1_to_80() -> None:
    overall = rates(examples.VISITS, examples.one_to_eighty())["overall"]
    assert overall["denominator"] == 80 * overall["numerator"]


def test_10_and_20_of_30_calls_reach_the_decision_maker() -> None:
    ten, twenty = (rates(examples.COLD_CALLS, examples.cold_calls(reached)) for reached in (10, 20))
    shares = [one["period_conversion"]["cold_call -> decision_maker"]["rate"] for one in (ten, twenty)]
    assert [round(100 * share, 1) for share in shares] == [33.3, 66.7]
    assert twenty["money"]["orders"] == 2 * ten["money"]["orders"]


def test_ten_points_more_of_paid_invoices_are_100000_more() -> None:
    fifty, sixty = (rates(examples.INVOICES, examples.invoices(paid))["money"]["revenue"] for paid in (50, 60))
    assert sixty - fifty == 100_000_00


def test_uplifts_compound() -> None:
    definition = as_product(examples.EIGHT_STEPS)
    plain = rates_of(definition, examples.entries_with_uplifts([0] * 7))["overall"]["rate"]
    lifted = rates_of(definition, examples.entries_with_uplifts(examples.UPLIFTS_PER_MILLE))["overall"]["rate"]
    assert round(100 * (lifted / plain - 1), 1) == 22.2


def test_the_cost_of_a_lead_is_budget_over_leads() -> None:
    money = rates(examples.LEADS, examples.lead_budget())["money"]
    assert (money["spend"], money["cpl"]) == (81_000_000_00, 27_000_00)


def test_300_leads_to_1_sale() -> None:
    overall = rates(examples.LEADS, examples.leads())["overall"]
    assert (overall["numerator"], overall["denominator"]) == (1, 300)


def test_rates_equal_those_of_the_oracle() -> None:
    for definition, log in (
        (examples.FOUR_STEPS, examples.thousand_to_one()),
        (examples.CALLS, examples.traffic(10)),
        (examples.INVOICES, examples.invoices(60)),
        (examples.LEADS, examples.lead_budget()),
    ):
        cell = total(counted(definition, log))
        ours, expected = rates_of(as_product(definition), cell), rates_of_the_oracle(read_funnel(definition), cell)
        assert json.loads(json.dumps(ours), parse_float=_rounded) == json.loads(
            json.dumps(expected), parse_float=_rounded
        )


def _rounded(text: str) -> float:
    return round(float(text), 12)


FULL = funnel(
    [
        {"name": "impression", "on": ["impression"]},
        {"name": "click", "on": ["click"]},
        {"name": "lead", "on": ["lead"]},
        {"name": "payment", "on": ["payment"], "order": True},
        {"name": "again", "on": ["payment"], "nth": 2},
    ]
)


def test_costs_per_unit_use_events_for_reach_and_entries_for_people() -> None:
    cell: dict[str, dict[str, Any]] = {
        "": {"spend": {"EUR": 50_000, "USD": 1}},
        "impression": {"events": 2000, "entries": 1500},
        "click": {"events": 100, "entries": 80},
        "lead": {"entries": 20, "events": 25},
        "payment": {"entries": 4, "events": 9, "orders": {"EUR": 4, "USD": 1}, "revenue": {"EUR": 80_000, "USD": 7}},
        "again": {"entries": 1, "orders": {"EUR": 1}, "revenue": {"EUR": 20_000}, "refunds": {"EUR": 500}},
    }
    assert rates_of(as_product(FULL), cell)["money"] == {
        "currency": "EUR",
        "orders": 5,
        "revenue": 100_000,
        "refunds": 500,
        "spend": 50_000,
        "aov": 20_000,
        "rpm": 50_000,
        "cpm": 25_000,
        "cpc": 500,
        "cpl": 2500,
        "cpa": 12_500,
        "roas": 2,
        "forecast": 0,
    }


def test_expected_revenue_is_open_value_times_the_share_of_the_resolved_that_won() -> None:
    cell: dict[str, dict[str, Any]] = {
        "click": {"entries": 10, "open": 10, "open_value": {"EUR": 1_000_000}},  # nothing resolved: no term
        "lead": {"entries": 50, "open": 10, "won": 8, "open_value": {"EUR": 30_000}},
        "payment": {"entries": 8, "open": 4, "won": 1, "open_value": {"EUR": 99}},  # an order stage: no term
    }
    assert rates_of(as_product(FULL), cell)["money"]["forecast"] == 6000


def test_an_empty_cell_has_no_rates_at_all() -> None:
    all_rates = rates_of(as_product(FULL), {})
    assert set(all_rates["period_conversion"].values()) == {None}
    assert set(all_rates["step_conversion"].values()) == {None}
    assert set(all_rates["cohort_conversion"].values()) == {None}
    assert set(all_rates["abandonment"].values()) == {None}
    assert all_rates["overall"] is all_rates["bottleneck"] is None
    absent = {"spend", "aov", "rpm", "cpm", "cpc", "cpl", "cpa", "roas", "forecast"}
    assert {name for name, value in all_rates["money"].items() if value is None} == absent


def test_a_funnel_without_roles_and_orders_has_no_costs_and_no_forecast() -> None:
    money = rates_of(as_product(funnel(["a", "b"])), {"": {"spend": {"EUR": 5}}, "a": {"events": 3}})["money"]
    assert [money[name] for name in ("cpm", "cpc", "cpl", "cpa", "forecast")] == [None] * 5
    assert money["roas"] == 0


def test_step_conversion_leaves_out_starts_and_counts_skips() -> None:
    cell = {
        "impression": {"entries": 100},
        "click": {"entries": 30, "skipped": 10, "started": 5},
        "lead": {"entries": 25, "started": 1},
    }
    steps = rates_of(as_product(FULL), cell)["step_conversion"]
    assert (steps["impression -> click"]["numerator"], steps["impression -> click"]["denominator"]) == (35, 100)
    assert (steps["click -> lead"]["numerator"], steps["click -> lead"]["denominator"]) == (24, 40)


def test_a_cohort_conversion_says_how_mature_it_is() -> None:
    cell = {"click": {"entries": 40, "open": 10, "advanced.cohort": 8, "abandoned.cohort": 22}}
    all_rates = rates_of(as_product(FULL), cell)
    assert all_rates["cohort_conversion"]["click"]["rate"] == 0.2
    assert all_rates["cohort_conversion"]["click"]["maturity"] == 0.75
    assert all_rates["abandonment"]["click"]["denominator"] == 30
    assert all_rates["bottleneck"] == "click"


def test_the_bottleneck_needs_30_resolved_entries_and_is_the_earliest_of_equals() -> None:
    few = {"click": {"entries": 29, "abandoned.cohort": 29}}
    assert rates_of(as_product(FULL), few)["bottleneck"] is None
    equal = {name: {"entries": 60, "abandoned.cohort": 20} for name in ("click", "lead")}
    assert rates_of(as_product(FULL), equal)["bottleneck"] == "click"
    nobody_left = {"again": {"entries": 60, "completed": 60}, "lead": {"entries": 30, "abandoned.cohort": 0}}
    assert rates_of(as_product(FULL), nobody_left)["bottleneck"] is None


def test_who_leaves_is_lost_or_abandoned_and_the_bottleneck_goes_by_both() -> None:
    cell: NamedCell = {
        "click": {"entries": 40, "abandoned.cohort": 20, "advanced.cohort": 20},
        "lead": {"entries": 40, "abandoned.cohort": 10, "lost.cohort": {"price": 15, "timing": 5}, "won": 10},
    }
    rates = rates_of(as_product(FULL), cell)
    assert rates["bottleneck"] == "lead"
    assert (rates["loss"]["lead"] or {})["rate"] == 0.5
    assert (rates["leaving"]["lead"] or {})["rate"] == 0.75
    assert (rates["win"]["lead"] or {})["rate"] == 0.25


def test_a_conversion_by_a_dimension_of_the_stage_compares_nobody() -> None:
    definition = {**FULL, "dimensions": [{"name": "manager", "attribution": "stage"}]}
    cell = {"click": {"entries": 40, "advanced.cohort": 20}, "lead": {"entries": 20}}
    rates = rates_of(as_product(definition), cell, "manager=ann")
    assert rates["overall"] is None
    assert not any(rates["period_conversion"].values())
    assert (rates["cohort_conversion"]["click"] or {})["rate"] == 0.5


def test_a_ratio_of_flows_above_one_has_no_interval() -> None:
    assert ratio(3, 2) == {"rate": 1.5, "numerator": 3, "denominator": 2, "interval": None}
    assert ratio(0, 0) is None


@rows(
    ("successes", "trials", "low", "high"),
    [(1, 10, 0.0179, 0.4042), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_intervals_by_published_figures(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson(successes, trials)
    assert interval is not None
    assert [round(edge, 4) for edge in interval] == [low, high]
    assert 0 <= interval[0] <= successes / trials <= interval[1] <= 1
