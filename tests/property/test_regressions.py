"""Cases that an implementation once got wrong: each is the smallest that showed it, compared with the oracle."""

from __future__ import annotations

from typing import Any

import pytest

from streams.core.plan import Plan
from tests.oracle.build import HOUR, MINUTE, SECOND, counted, event, funnel, tick
from tests.oracle.generate import Case
from tests.property.cases import assert_same
from tests.property.driver import Run, core_document

RUNS = [
    Run(batch_sizes=[1000], dump_and_load=False, general_only=False),
    Run(batch_sizes=[1], dump_and_load=False, general_only=False),
    Run(batch_sizes=[1], dump_and_load=True, general_only=False, max_persons=1),
    Run(batch_sizes=[1], dump_and_load=False, general_only=False, max_persons=1),
    Run(batch_sizes=[2], dump_and_load=False, general_only=True),
]


def _hold(definition: dict[str, Any], log: list[dict[str, Any]], run: Run, delay: int = 0) -> None:
    case = Case(funnel=definition, log=log, watermark_delay_ms=delay)
    document = core_document(case, run)
    assert_same(counted(definition, log, watermark_delay_ms=delay), document)


@pytest.mark.parametrize("run", RUNS)
def test_stages_entered_at_one_instant_have_both_won(run: Run) -> None:
    definition = funnel(["a", "b", {"name": "c", "on": ["pay"], "order": True}])
    _hold(definition, [event("a", 0), event("b", 0), event("pay", 100)], run)


@pytest.mark.parametrize("run", RUNS)
def test_people_who_wake_in_one_second_need_not_fit_into_the_cache(run: Run) -> None:
    definition = funnel(
        [{"name": "a", "on": ["a"], "abandon_after": "1s"}, "b"], conversion_window="4s", allowed_lateness="1s"
    )
    log = [
        event("b", 0, "p"),
        event("a", 7_849, "q"),
        event("a", 8_076, "r", received=9_076),
        event("b", 9_836, "s", received=10_407),
        tick(60_000),
    ]
    for length in range(1, len(log) + 1):
        _hold(definition, log[:length], run, delay=2_000)


@pytest.mark.parametrize("run", RUNS)
def test_an_advance_in_order_for_its_person_behind_the_watermark_is_a_retraction(run: Run) -> None:
    definition = funnel([{"name": "a", "on": ["a"], "abandon_after": "10m"}, "b"])
    _hold(definition, [event("a", 0), tick(HOUR), event("b", 10 * MINUTE, received=HOUR)], run)
    _hold(definition, [event("a", 0), tick(HOUR), event("b", 10 * MINUTE + 1, received=HOUR)], run)


@pytest.mark.parametrize("run", RUNS)
def test_a_journey_is_not_folded_away_with_an_open_entry(run: Run) -> None:
    definition = funnel(["a", "b"], conversion_window="10s", allowed_lateness="10s")
    _hold(definition, [event("a", 0), event("noise", 40 * SECOND), event("a", 40 * SECOND, "q"), tick(HOUR)], run)
    _hold(definition, [event("a", 0), event("a", 40 * SECOND)], run)


@pytest.mark.parametrize("run", RUNS)
def test_now_goes_back_when_the_newest_event_becomes_earlier(run: Run) -> None:
    definition = funnel([{"name": "a", "on": ["a"], "abandon_after": "10m"}, "b"])
    log = [event("a", 0), event("a", 11 * MINUTE, id="x"), event("a", 5 * MINUTE, id="x", received=11 * MINUTE)]
    _hold(definition, log, run, delay=HOUR)
    orders = funnel([{"name": "a", "on": ["a"], "abandon_after": "10m"}, {"name": "b", "on": ["pay"], "order": True}])
    log = [
        event("a", 0),
        event("pay", 11 * MINUTE, order_id="o"),
        event("pay", 5 * MINUTE, id="y", order_id="o", received=11 * MINUTE),
    ]
    _hold(orders, log, run, delay=HOUR)


@pytest.mark.parametrize("run", RUNS)
def test_a_refund_in_a_sealed_chunk_moves_to_its_order_when_that_comes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "seal", 1)
    dimensions = [{"name": "place", "attribution": "first"}]
    definition = funnel(["view", {"name": "pay", "on": ["pay"], "order": True}], dimensions=dimensions)
    log = [event("refund", 0, order_id="o", value=5)]
    log += [event("view", SECOND * at, id=f"v{at}", place="north") for at in range(1, 9)]
    _hold(definition, [*log, event("pay", MINUTE, order_id="o", value=5)], run)


@pytest.mark.parametrize("run", RUNS)
def test_a_restatement_that_was_withdrawn_stays_so_when_its_withdrawal_is_folded(run: Run) -> None:
    definition = funnel(
        ["view", {"name": "pay", "on": ["pay"], "order": True}], conversion_window="10s", allowed_lateness="10s"
    )
    log = [
        event("order_restated", 0, order_id="o", value=100),
        event("order_withdrawn", SECOND, order_id="o"),
        event("pay", 12 * SECOND, order_id="o", value=5),
        tick(25 * SECOND),
        *(event("order_withdrawn", at * SECOND, id=f"w{at}", order_id="o") for at in (26, 27)),
    ]
    for length in range(1, len(log) + 1):
        _hold(definition, log[:length], run)


@pytest.mark.parametrize("run", RUNS)
def test_an_event_that_stays_with_a_linked_id_holds_none_back(run: Run) -> None:
    """What came before the link stays with the contact; what follows in the same chunk is the user's all the same."""
    definition = funnel(["a", "b"], conversion_window="2h", allowed_lateness="4h")
    device, contact = {"user_id": None, "anonymous_id": "d"}, {"user_id": None, "contact_id": "c"}
    log = [
        event("none", 0) | device | contact,
        event("none", 3 * HOUR, "u") | {"contact_id": "c"},
        event("a", HOUR - 1, received=3 * HOUR) | device,
        event("b", HOUR + 1, received=3 * HOUR) | contact,
        tick(9 * HOUR),
    ]
    _hold(definition, log, run)
