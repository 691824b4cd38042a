"""Orders that change, what is withdrawn, restated and given back, and customers, by the oracle and by hand."""

from __future__ import annotations

from typing import Any

from tests.oracle.build import DAY, HOUR, counted, event, funnel, tick, total

SHOP = funnel(["view", {"name": "pay", "on": ["pay"], "order": True}])
AGAIN = funnel(
    ["view", {"name": "pay", "on": ["pay"], "order": True}, {"name": "again", "on": ["pay"], "nth": 2}],
    conversion_window="400d",
    allowed_lateness="400d",
)
BY_CHANNEL = {**SHOP, "dimensions": [{"name": "channel", "attribution": "first"}]}
BEHIND = 2 * DAY + HOUR
"""The watermark here puts what happened at 0 behind the horizon (a window and a lateness of a day each)."""


def _pay(log: list[dict[str, Any]], definition: dict[str, Any] = SHOP) -> dict[str, Any]:
    cell: dict[str, Any] = total(counted(definition, log)).get("pay", {})
    return cell


def _withdrawn(at: int, **more: Any) -> dict[str, Any]:
    return event("order_withdrawn", at, order_id="o", **more)


def test_an_orders_value_is_that_of_its_earliest_event_that_has_one() -> None:
    log = [
        event("pay", 1, order_id="o"),
        event("pay", 2, order_id="o", value=5, cost=2),
        event("pay", 3, order_id="o", value=9, cost=4, discount=1),
    ]
    pay = _pay(log)
    assert (pay["revenue"], pay["cost"], pay["discount"]) == ({"EUR": 500}, {"EUR": 200}, {"EUR": 100})
    assert (pay["orders"], pay["events"]) == ({"EUR": 1}, 3)


def test_a_value_that_comes_when_the_order_lies_behind_the_horizon_changes_nothing() -> None:
    log = [event("pay", 0, order_id="o"), tick(BEHIND), event("pay", BEHIND, order_id="o", value=5)]
    assert "revenue" not in _pay(log)
    assert _pay(log)["events"] == 2


def test_a_withdrawn_order_has_never_been() -> None:
    pay = _pay([event("pay", 1, order_id="o", value=5), _withdrawn(2, value=5)])
    assert pay == {"events": 1}


def test_a_withdrawal_may_come_before_its_order() -> None:
    assert _pay([_withdrawn(5), event("pay", 3, order_id="o", value=5, received=6)]) == {"events": 1}
    assert _pay([_withdrawn(5), event("pay", 6, order_id="o", value=5)])["revenue"] == {"EUR": 500}


def test_an_order_that_is_won_again_is_the_later_event() -> None:
    log = [event("pay", 1, order_id="o", value=5), _withdrawn(2), event("pay", 3, order_id="o", value=7)]
    pay = _pay(log)
    assert (pay["orders"], pay["revenue"], pay["events"]) == ({"EUR": 1}, {"EUR": 700}, 2)


def test_a_withdrawal_of_an_order_behind_the_horizon_is_a_refund_once() -> None:
    log = [
        event("pay", 0, order_id="o", value=5),
        tick(BEHIND),
        _withdrawn(BEHIND, id="w1"),
        _withdrawn(BEHIND + 1, id="w2", value=4),
        _withdrawn(BEHIND + 2, id="w3", value=3),
    ]
    pay = _pay(log)
    assert (pay["revenue"], pay["refunds"]) == ({"EUR": 500}, {"EUR": 400})


def test_a_restatement_is_the_orders_value_until_a_later_one() -> None:
    order = event("pay", 1, order_id="o", value=5)
    restated = [event("order_restated", at, id=f"r{at}", order_id="o", value=at) for at in (7, 9)]
    assert _pay([order, *restated])["revenue"] == {"EUR": 900}
    assert _pay([restated[1], restated[0], order])["revenue"] == {"EUR": 900}


def test_a_restatement_before_a_withdrawal_is_withdrawn_too() -> None:
    log = [
        event("pay", 1, order_id="o", value=5),
        event("order_restated", 2, order_id="o", value=8),
        _withdrawn(3),
        event("pay", 4, order_id="o", value=6),
    ]
    assert _pay(log)["revenue"] == {"EUR": 600}


def test_a_cancellation_that_is_told_as_withdrawal_and_refund_is_booked_once() -> None:
    order, refund = event("pay", 1, order_id="o", value=5), event("refund", 3, order_id="o", value=5)
    assert _pay([order, refund, _withdrawn(3)]) == {"events": 1}
    assert _pay([order, _withdrawn(2), refund]) == {"events": 1}
    won_again = event("pay", 2, id="again", order_id="o", value=6, received=9)
    pay = _pay([order, _withdrawn(1), won_again, refund])
    assert (pay["revenue"], pay["refunds"]) == ({"EUR": 600}, {"EUR": 500})


def test_a_refund_of_an_unknown_order_keeps_its_own_values() -> None:
    document = counted(BY_CHANNEL, [event("refund", 1, order_id="elsewhere", value=5, channel="fair")])
    assert total(document, "channel=fair") == {"pay": {"refunds": {"EUR": 500}}}


def test_customers_and_their_lifetime_value_lie_at_the_first_order() -> None:
    log = [event("pay", at * DAY, id=f"p{at}", order_id=f"o{at}", value=at + 1) for at in (0, 30, 31, 366)]
    cell = total(counted(AGAIN, log))
    assert cell["pay"]["customers"] == 1
    assert "customers" not in cell["again"]
    assert cell["pay"]["lifetime"] == {"EUR 0": 100, "EUR 30": 3100, "EUR 60": 3200, "EUR inf": 36_700}
    assert (cell["pay"]["reached"], cell["again"]["reached"]) == (1, 1)


def test_lead_time_runs_from_the_start_of_the_journey_to_the_first_order_stage() -> None:
    cell = total(counted(SHOP, [event("view", 0), event("pay", HOUR + 999)]))
    assert cell["pay"]["lead_time"] == {"14400": 1}
    assert cell["pay"]["lead_time_seconds"] == 3600
    assert "lead_time" not in _pay([event("pay", 0)])


def test_a_reason_that_comes_after_the_deadline_is_known_and_changes_no_outcome() -> None:
    definition = funnel([{"name": "a", "on": ["a"], "abandon_after": "1h"}, "b"], lost=[{"on": ["gone"]}])
    late = total(counted(definition, [event("a", 0), event("gone", HOUR + 1, reason="price")]))["a"]
    assert (late["abandoned.cohort"], late["lost_late.cohort"], late["lost_late.period"]) == (
        1,
        {"price": 1},
        {"price": 1},
    )
    in_time = total(counted(definition, [event("a", 0), event("gone", HOUR, reason="price")]))["a"]
    assert (in_time["lost.cohort"], in_time["loss_time"], in_time["loss_time_seconds"]) == (
        {"price": 1},
        {"3600": 1},
        3600,
    )
