"""The laws of the counting rules, compared with the real core on random funnels and logs.

Every law draws how the core is run as well: in which batches, whether every person is written to bytes and read back
between them, whether each event takes the general path.
"""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

from tests.oracle.definition import read_funnel
from tests.oracle.generate import Case, Log, Wants
from tests.oracle.rates import rates_of
from tests.property.balances import check_balances
from tests.property.cases import agreeing, assert_same, law, order_free, shuffled
from tests.property.driver import (
    Run,
    core_document,
    core_documents,
    core_internal,
    oracle_document,
    oracle_internal,
    random_run,
    stored_documents,
)


@law()
def test_the_core_equals_the_oracle(case: Case, rng: Random) -> None:
    """However it is run."""
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(share=0.5)
def test_the_core_equals_the_oracle_with_every_event_on_the_general_path(case: Case, rng: Random) -> None:
    """The general path alone is exact."""
    assert_same(oracle_document(case), core_document(case, replace(random_run(rng, case), general_only=True)))


@law(share=0.5)
def test_the_core_equals_the_oracle_with_dump_and_load_between_all_records(case: Case, rng: Random) -> None:
    """Nothing lives outside the bytes that are stored."""
    run = Run(batch_sizes=[1] * len(case.log), dump_and_load=True, general_only=False)
    assert_same(oracle_document(case), core_document(case, run))


@law(Wants(units=1, people=2))
def test_the_deals_of_a_person(case: Case, rng: Random) -> None:
    """Parted as the oracle parts them, which looks at every deal for every event; however it is run."""
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(Wants(max_events=200, people=1, ticks=False), share=0.1)
def test_people_with_hundreds_of_events(case: Case, rng: Random) -> None:
    """Events that no longer fit into one piece of a person's state, most of them before the horizon moves."""
    case = replace(case, funnel={**case.funnel, "allowed_lateness": "30d"})
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(Wants(is_disordered=False, max_events=100, people=2, units=0), share=0.2)
def test_events_in_order(case: Case, rng: Random) -> None:
    """The usual case, which takes the fast paths."""
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(Wants(max_partitions=4), share=0.3)
def test_partitions_follow_their_own_watermarks(case: Case, rng: Random) -> None:
    """The sum of the partitions is the oracle's, each at its own watermark."""
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(share=0.3)
def test_any_prefix_equals_the_oracle(case: Case, rng: Random) -> None:
    """Not the end alone: what is shown in the middle is exact too."""
    case = replace(case, log=case.log[: rng.randint(1, len(case.log))])
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(share=0.3)
def test_any_batch_split_counts_the_same(case: Case, rng: Random) -> None:
    """One batch, single records, anything between: one document, to the byte."""
    whole = Run(batch_sizes=[len(case.log)], dump_and_load=False, general_only=False)
    documents = {json.dumps(core_document(case, run)) for run in (whole, random_run(rng, case), random_run(rng, case))}
    assert len(documents) == 1, documents


@law(Wants(small_caps=False), share=0.3)
def test_order_of_the_log_changes_nothing(case: Case, rng: Random) -> None:
    """Where nothing lies behind the horizon and no cap is reached."""
    case = order_free(case)
    in_order = core_document(case, random_run(rng, case))
    in_disorder = core_document(shuffled(rng, case), random_run(rng, case))
    assert_same(in_order["counters"], in_disorder["counters"])


@law(share=0.3)
def test_copies_change_nothing(case: Case, rng: Random) -> None:
    """An exact copy, right behind its event or long after it."""
    case = agreeing(case)
    log: Log = list(case.log)
    for _ in range(len(log)):
        at = rng.randrange(len(log))
        if "tick" not in log[at]:
            log.insert(rng.randint(at, len(log)) + 1, log[at])
    again = replace(case, log=log)
    without = core_document(case, random_run(rng, case))
    assert_same(without["counters"], core_document(again, random_run(rng, again))["counters"])


@law(share=0.3)
def test_sums_and_balances(case: Case, rng: Random) -> None:
    """Outcomes, transitions, parts and grains add up."""
    check_balances(case.funnel, core_document(case, random_run(rng, case)))


@law(share=0.2)
def test_rates_follow_from_the_counters(case: Case, rng: Random) -> None:
    """Every rate of every cell that comes with rates, by arithmetic of its own."""
    (document,) = core_documents([case.funnel], case, random_run(rng, case), with_rates=True)
    funnel = read_funnel(case.funnel)
    cells = {("total", "all"): document["counters"].get("total", {}).get("all", {})}
    cells |= {("day", day): by_dim for day, by_dim in document["counters"].get("day", {}).items()}
    expected = {
        (*place, dim): rates_of(funnel, cell, dim) for place, by_dim in cells.items() for dim, cell in by_dim.items()
    }
    shown = {(rates.pop("grain"), rates.pop("bucket"), rates.pop("dim")): rates for rates in document["rates"]}
    assert_same(_rounded_all(expected), _rounded_all(shown))


def _rounded(tree: Any) -> Any:
    """Floats to twelve digits: the last bits are nobody's business."""
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_rounded(value) for value in tree]
    return round(tree, 12) if isinstance(tree, float) else tree


def _rounded_all(rates: dict[tuple[str, str, str], Any]) -> dict[str, Any]:
    return {str(key): _rounded(value) for key, value in rates.items()}


@law(share=0.2)
def test_funnels_side_by_side_count_as_alone(case: Case, rng: Random) -> None:
    """Several funnels over one log do not touch each other."""
    slower = {**case.funnel, "name": "g", "conversion_window": "1d", "reentry": "completion"}
    slower.pop("lead_in", None)  # it may be longer than the window
    narrow = {**case.funnel, "name": "h", "sources": ["crm"], "stages": case.funnel["stages"][:2]}
    narrow["stages"] = [
        {key: value for key, value in stage.items() if key != "abandon_after"} for stage in narrow["stages"]
    ]
    funnels = [case.funnel, slower, narrow]
    documents = core_documents(funnels, case, random_run(rng, case))
    for funnel, document in zip(funnels, documents, strict=True):
        assert_same(oracle_document(replace(case, funnel=funnel)), document)


@law(Wants(max_partitions=2), share=0.2)
def test_any_replay_point(case: Case, rng: Random) -> None:
    """A worker that dies between or inside applies is followed by one that reads on from the stored cursor."""
    (document,) = stored_documents([case.funnel], case, rng)
    assert_same(oracle_document(case), document)


@law(Wants(max_events=100, people=2), share=0.5)
def test_what_is_counted_for_metrics_alone(case: Case, rng: Random) -> None:
    """Orders with a web leg, and how long it took to go on after a loss; no part of a document."""
    assert core_internal(case, random_run(rng, case)) == oracle_internal(case)
