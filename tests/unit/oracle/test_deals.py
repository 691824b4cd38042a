"""Several deals of one person at once, by the oracle and by hand (semantics 3a)."""

from __future__ import annotations

from typing import Any

from tests.oracle.build import DAY, HOUR, counted, event, funnel, tick, total

DEALS = funnel(
    ["visit", "inquiry", "offer", {"name": "pay", "on": ["pay"], "order": True}],
    unit="deal_id",
    conversion_window="30d",
    lost=[{"on": ["gone"]}],
    dimensions=[{"name": "channel", "attribution": "first"}],
)


def _entries(log: list[dict[str, Any]], definition: dict[str, Any] = DEALS, cell: str = "") -> dict[str, int]:
    found = total(counted(definition, log), cell)
    return {stage: families["entries"] for stage, families in found.items() if "entries" in families}


TWO_AT_ONCE = [
    event("inquiry", 0, id="a1", deal_id="A", channel="google", value=5000),
    event("inquiry", HOUR, id="b1", deal_id="B", channel="fair", value=900),
    event("offer", 2 * HOUR, id="a2", deal_id="A"),
    event("offer", 3 * HOUR, id="b2", deal_id="B"),
    event("gone", 4 * HOUR, id="a3", deal_id="A", reason="price"),
    event("pay", 5 * HOUR, id="b3", deal_id="B", order_id="o", value=900),
]


def test_two_deals_of_one_contact_at_once_are_two_journeys() -> None:
    document = counted(DEALS, TWO_AT_ONCE)
    assert _entries(TWO_AT_ONCE) == {"inquiry": 2, "offer": 2, "pay": 1}
    assert total(document)["offer"]["lost.cohort"] == {"price": 1}
    assert total(document)["offer"]["advanced.cohort"] == 1
    assert total(document, "channel=fair")["pay"]["revenue"] == {"EUR": 90_000}
    assert "pay" not in total(document, "channel=google")


def test_without_a_unit_they_are_one_and_the_money_is_under_the_wrong_channel() -> None:
    document = counted({**DEALS, "unit": None}, TWO_AT_ONCE)
    assert total(document)["inquiry"]["entries"] == 1
    assert total(document, "channel=google")["pay"]["revenue"] == {"EUR": 90_000}


def test_a_visit_leads_to_the_deal_that_begins_next_and_gives_it_its_channel() -> None:
    log = [event("visit", 0, channel="ad"), event("inquiry", DAY, deal_id="A", channel="crm")]
    document = counted(DEALS, log)
    assert total(document, "channel=ad")["inquiry"]["entries"] == 1
    assert total(document)["visit"]["transitions.cohort"] == {"inquiry": 1}


def test_a_visit_further_back_than_lead_in_leads_to_nothing() -> None:
    log = [event("visit", 0, channel="ad"), event("inquiry", DAY + 1, deal_id="A", channel="crm")]
    document = counted({**DEALS, "lead_in": "1d"}, log)
    assert total(document, "channel=crm")["inquiry"]["started"] == 1
    assert total(document, "channel=ad")["visit"]["entries"] == 1


def test_a_visit_while_a_deal_is_open_belongs_to_that_deal() -> None:
    log = [
        event("inquiry", 0, id="a", deal_id="A", channel="google"),
        event("visit", HOUR, channel="ad"),
        event("inquiry", 2 * HOUR, id="b", deal_id="B", channel="fair"),
    ]
    assert total(counted(DEALS, log), "channel=ad") == {"visit": {"events": 1}}
    assert _entries(log, cell="channel=fair") == {"inquiry": 1}


def test_a_payment_without_a_deal_belongs_to_the_open_deal_that_began_last() -> None:
    log = [
        event("inquiry", 0, id="a", deal_id="A", channel="google"),
        event("inquiry", HOUR, id="b", deal_id="B", channel="fair"),
        event("pay", 2 * HOUR, order_id="o", value=9),
    ]
    document = counted(DEALS, log)
    assert total(document, "channel=fair")["pay"]["revenue"] == {"EUR": 900}
    assert total(document)["inquiry"]["advanced.cohort"] == 1


def test_an_order_between_a_visit_and_a_deal_keeps_the_visit_from_leading_in() -> None:
    log = [
        event("visit", 0, channel="ad"),
        event("pay", HOUR, order_id="o", value=9),
        event("inquiry", 2 * HOUR, deal_id="A", channel="crm"),
    ]
    assert total(counted(DEALS, log), "channel=crm")["inquiry"]["started"] == 1


def test_a_deal_that_outlives_its_window_begins_again() -> None:
    log = [event("inquiry", 0, id="a", deal_id="A"), event("inquiry", 31 * DAY, id="b", deal_id="A")]
    assert _entries(log) == {"inquiry": 2}


def test_one_lead_in_behind_the_horizon_no_deal_takes_an_event_from_another() -> None:
    log = [
        event("offer", 0, id="x", channel="ad"),
        event("inquiry", HOUR, id="a1", deal_id="A", channel="google"),
        event("offer", 2 * HOUR, id="b1", deal_id="B", channel="fair"),
        tick(33 * DAY),
        event("offer", 20 * DAY, id="a2", deal_id="A"),
    ]
    definition = {**DEALS, "lead_in": "1d", "allowed_lateness": "3d"}
    assert _entries(log, definition, "channel=google") == {}
    log[3] = tick(35 * DAY)
    assert _entries(log, definition, "channel=google") == {"inquiry": 1, "offer": 1}


def test_placeholders_name_no_deal() -> None:
    log = [event("inquiry", at, id=f"i{at}", deal_id=value) for at, value in enumerate(["n/a", "", None, True])]
    assert _entries(log) == {"inquiry": 1}
