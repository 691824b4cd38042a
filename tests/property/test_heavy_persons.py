"""Sealed chunks are exact: the laws again with chunks of a few events, so that everybody is heavy, and much disorder.

A person's events of one batch are counted together, from the first changed chunk on; the engine that counts each by
itself, on the general path, stands beside the oracle.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from streams.core.plan import Plan
from tests.oracle.counting import count
from tests.oracle.generate import Case, Wants
from tests.property.cases import assert_same, law
from tests.property.driver import Run, core_document, core_internal, oracle_document, oracle_internal, random_run


@law(Wants(max_events=150, people=2), share=0.3)
def test_tiny_chunks_count_the_same(case: Case, rng: Random) -> None:
    """However early a person's events are sealed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([1, 2, 3]))
        document = core_document(case, random_run(rng, case))
    assert_same(oracle_document(case), document)


@law(Wants(max_events=400, people=1, changes=False, refunds=False), share=0.15)
def test_one_person_in_disorder_counts_the_same(case: Case, rng: Random) -> None:
    """However many of its events wait together. Order ids are rare here: they would all go the general path."""
    case = replace(case, log=[_with_rare_order_id(record, rng) for record in case.log])
    biggest = rng.choice([2, 10, 50, 400])
    sizes = [rng.randint(1, biggest) for _ in case.log]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([1, 2, 4, 16]))
        run = Run(batch_sizes=sizes, dump_and_load=rng.random() < 0.3, general_only=False)
        assert_same(oracle_document(case), core_document(case, run))


@law(Wants(max_events=250, people=1, changes=False, units=0), share=0.15)
def test_orders_that_come_newest_first_count_the_same(case: Case, rng: Random) -> None:
    """Each becomes the first of life: the age of all others changes, one has another number, journeys begin earlier."""
    case = replace(case, log=_newest_first(case, rng), watermark_delay_ms=60_000)
    case.funnel["allowed_lateness"] = "5000d"
    case.funnel["conversion_window"] = rng.choice(["1h", "3d", "400d"])
    biggest = rng.choice([3, 20])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([1, 2, 4, 8]))
        sizes = [rng.randint(1, biggest) for _ in case.log]
        run = Run(batch_sizes=sizes, dump_and_load=rng.random() < 0.3, general_only=False)
        assert_same(oracle_document(case), core_document(case, run))


@law(Wants(max_events=60, people=1, changes=False, units=0), share=0.3)
def test_what_is_counted_for_metrics_alone_is_the_same(case: Case, rng: Random) -> None:
    """Orders with a web leg: what led to them may come last, when they are sealed."""
    if rng.random() < 0.7:
        case = replace(case, log=_newest_first(case, rng), watermark_delay_ms=60_000)
        case.funnel["allowed_lateness"] = "5000d"
    biggest = rng.choice([1, 3, 20])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([1, 2, 4]))
        sizes = [rng.randint(1, biggest) for _ in case.log]
        run = Run(batch_sizes=sizes, dump_and_load=rng.random() < 0.3, general_only=False)
        assert core_internal(case, run) == oracle_internal(case)


@law(Wants(max_events=900, people=2), share=0.1)
def test_events_counted_together_count_as_one_by_one(case: Case, rng: Random) -> None:
    """Withdrawals, refunds, folds and copies among hundreds of events; the pass over each event is what is right."""
    together = replace(random_run(rng, case), general_only=False)
    one_by_one = Run(batch_sizes=[1000], dump_and_load=False, general_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([2, 8, 32]))
        assert_same(core_document(case, one_by_one), core_document(case, together))


@law(Wants(max_events=200, people=2), share=0.2)
def test_who_has_as_many_events_as_allowed_gets_no_more(case: Case, rng: Random) -> None:
    """Until some of them lie behind the horizon: by any path, in any batches."""
    seal = rng.choice([1, 2])
    most = 2 * seal + rng.randint(1, 40)
    run = replace(random_run(rng, case), max_person_events=most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", seal)
        document = core_document(case, run)
    expected = count(case.funnel, case.log, watermark_delay_ms=case.watermark_delay_ms, most_of_person=most)
    assert_same(expected, document)


def _with_rare_order_id(record: dict[str, object], rng: Random) -> dict[str, object]:
    properties = record.get("properties")
    if not isinstance(properties, dict) or "order_id" not in properties:
        return record
    order_id = f"o{rng.randrange(10_000)}" if rng.random() < 0.1 else None
    return {**record, "properties": {**properties, "order_id": order_id}}


def _newest_first(case: Case, rng: Random) -> list[dict[str, object]]:
    """The log with times that mostly fall, mostly of orders with an id; some refunds name one of them."""
    step = rng.choice([1_000, 3_600_000, 5 * 86_400_000])
    log: list[dict[str, object]] = []
    for number, record in enumerate(record for record in case.log if "tick" not in record):
        properties = record.get("properties")
        named = {"order_id": f"o{number}"} if rng.random() < 0.8 else {}
        if record["name"] == "refund" and rng.random() < 0.5:
            named = {"order_id": f"o{rng.randrange(number + 1)}"}
        at = _NEWEST_MS - (number - (rng.randrange(9) if rng.random() < 0.2 else 0)) * step
        name = "pay" if rng.random() < 0.7 else record["name"]
        more = {**(properties if isinstance(properties, dict) else {}), **named}
        times = {"occurred_at_ms": at, "received_at_ms": _NEWEST_MS + 10 * step + number}
        log.append({**record, **times, "name": name, "properties": more})
    return log


_NEWEST_MS = 1_735_689_600_000
