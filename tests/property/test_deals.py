"""Several deals of one person at once, by hand (semantics 3a): the oracle and the core, however it is run."""

from __future__ import annotations

from typing import Any

from tests.oracle.build import DAY, HOUR, event, funnel, tick, total
from tests.oracle.generate import Case
from tests.property.cases import assert_same
from tests.property.driver import Run, core_document, oracle_document

DEALS = funnel(
    ["visit", "inquiry", "offer", {"name": "pay", "on": ["pay"], "order": True}],
    unit="deal_id",
    conversion_window="30d",
    lost=[{"on": ["gone"]}],
    dimensions=[{"name": "channel", "attribution": "first"}],
)


RUNS = [
    Run(batch_sizes=[1] * 50, dump_and_load=True, general_only=False),
    Run(batch_sizes=[50], dump_and_load=False, general_only=False),
]


def counted(definition: dict[str, Any], log: list[dict[str, Any]]) -> dict[str, Any]:
    """The document, by the oracle and by the core: in pieces from stored bytes, and at once."""
    case = Case(definition, log, watermark_delay_ms=0)
    document = oracle_document(case)
    for run in RUNS:
        assert_same(document, core_document(case, run))
    return document


def _entries(log: list[dict[str, Any]], definition: dict[str, Any] = DEALS, cell: str = "") -> dict[str, int]:
    counted_cell = total(counted(definition, log), cell)
    return {stage: families["entries"] for stage, families in counted_cell.items() if "entries" in families}


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
    assert total(document)["inquiry"]["advanced.cohort"] == 2
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


def test_a_visit_after_a_lost_deal_leads_to_the_next_deal() -> None:
    log = [
        event("inquiry", 0, id="a1", deal_id="A", channel="google"),
        event("gone", HOUR, deal_id="A", reason="price"),
        event("visit", 2 * HOUR, channel="mail"),
        event("inquiry", 3 * HOUR, id="b1", deal_id="B", channel="crm"),
    ]
    document = counted(DEALS, log)
    assert total(document, "channel=mail")["inquiry"]["entries"] == 1
    assert total(document, "channel=google")["inquiry"]["lost.cohort"] == {"price": 1}


def test_a_payment_without_a_deal_after_a_lost_one_revives_it() -> None:
    log = [
        event("inquiry", 0, deal_id="A", channel="google"),
        event("gone", HOUR, deal_id="A", reason="price"),
        event("pay", 2 * HOUR, order_id="o", value=9),
    ]
    document = counted(DEALS, log)
    assert total(document, "channel=google")["inquiry"]["revived.cohort"] == 1
    assert total(document, "channel=google")["pay"]["revenue"] == {"EUR": 900}


def test_the_second_order_of_a_person_is_the_second_in_whichever_deal() -> None:
    stages = [*DEALS["stages"], {"name": "again", "on": ["pay"], "nth": 2}]
    log = [
        event("inquiry", 0, id="a1", deal_id="A", channel="google"),
        event("inquiry", HOUR, id="b1", deal_id="B", channel="fair"),
        event("pay", 2 * HOUR, id="b2", deal_id="B", order_id="o1", value=1),
        event("pay", 3 * HOUR, id="a2", deal_id="A", order_id="o2", value=2),
    ]
    document = counted({**DEALS, "stages": stages}, log)
    assert total(document, "channel=google")["again"]["revenue"] == {"EUR": 200}
    assert total(document, "channel=fair")["pay"]["lifetime"] == {"EUR 0": 100, "EUR 30": 200}


def test_an_order_belongs_to_the_deal_of_its_earliest_event_whatever_the_others_say() -> None:
    log = [
        event("inquiry", 0, id="a1", deal_id="A", channel="google"),
        event("inquiry", HOUR, id="b1", deal_id="B", channel="fair"),
        event("pay", 3 * HOUR, id="p2", deal_id="A", order_id="o", value=9),
        event("pay", 2 * HOUR, id="p1", deal_id="B", order_id="o", received=3 * HOUR),
    ]
    assert total(counted(DEALS, log), "channel=fair")["pay"]["revenue"] == {"EUR": 900}


def test_a_deal_that_begins_moves_a_visit_behind_the_horizon_and_its_order_with_it() -> None:
    definition = {**DEALS, "conversion_window": "10d", "allowed_lateness": "1d", "lead_in": "10d"}
    log = [event("visit", 0, channel="ad"), tick(20 * DAY)]
    assert total(counted(definition, log))["visit"]["abandoned.cohort"] == 1
    log.append(event("inquiry", 10 * DAY, deal_id="A", channel="crm", value=5))
    document = counted(definition, log)
    assert total(document, "channel=ad")["visit"]["advanced.cohort"] == 1
    assert total(document, "channel=ad")["inquiry"]["open_value"] == {"EUR": 500}


def test_every_open_deal_keeps_its_own_deadline_and_stalls_by_itself() -> None:
    inquiry = {"name": "inquiry", "on": ["inquiry"], "abandon_after": "5d", "stalled_after": "2d"}
    log = [event("inquiry", day * DAY, id=f"i{day}", deal_id=f"d{day}") for day in range(4)]
    definition = {**DEALS, "stages": [inquiry, {"name": "offer", "on": ["offer"]}]}
    states = []
    for day in (3, 4, 6, 8):
        families = total(counted(definition, [*log, tick(day * DAY + 1)]))["inquiry"]
        states.append(tuple(families.get(name, 0) for name in ("open", "stalled", "abandoned.cohort")))
    assert states == [(4, 2, 0), (4, 3, 0), (2, 2, 2), (0, 0, 4)]


def test_reentry_by_completion_begins_a_deal_anew_within_its_window() -> None:
    log = [
        event("inquiry", 0, id="a1", deal_id="A"),
        event("pay", HOUR, deal_id="A", order_id="o", value=1),
        event("inquiry", 2 * HOUR, id="a2", deal_id="A"),
        event("offer", 3 * HOUR),
    ]
    assert _entries(log) == {"inquiry": 1, "pay": 1}
    assert _entries(log, {**DEALS, "reentry": "completion"}) == {"inquiry": 2, "offer": 1, "pay": 1}
