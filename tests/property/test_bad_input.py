"""What becomes of input that contradicts itself or says nothing: every row of docs/decisions/bad-input.md.

By the oracle and by the core, each in plain numbers.
"""

from __future__ import annotations

from random import Random
from typing import Any

from tests.oracle.build import counted, event, funnel, total
from tests.oracle.generate import Case, Log
from tests.property.cases import assert_same
from tests.property.driver import counted_document, funnels_of, in_step, records_of
from tests.support.counting import Going, count_linked

SHOP = funnel(
    ["lead", {"name": "paid", "on": ["paid"], "order": True}], unit="deal_id", lost=[{"on": ["gone"], "reason": "x"}]
)


def _counted(*log: dict[str, Any]) -> dict[str, Any]:
    """The document, the same by both."""
    case = Case(SHOP, list(log), watermark_delay_ms=0)
    document = counted_document(case, in_step(Random(1)))
    assert_same(counted(SHOP, case.log), document)
    return document


def _lead(at: int, **ids: str) -> dict[str, Any]:
    return {**event("lead", at), "user_id": None, **ids}


def test_a_device_that_two_accounts_claim_stays_with_the_first() -> None:
    document = _counted(
        _lead(0, anonymous_id="d", user_id="a"), _lead(1, anonymous_id="d", user_id="b"), _lead(2, anonymous_id="d")
    )
    assert (document["input"]["link_conflicts"], document["input"]["persons"]) == (1, 2)
    assert total(document)["lead"] == {"entries": 2, "events": 3, "open": 2, "started": 2}


def test_links_go_up_only_so_there_is_no_circle() -> None:
    document = _counted(
        _lead(0, anonymous_id="d", contact_id="c"),
        _lead(1, contact_id="c", user_id="u"),
        _lead(2, anonymous_id="d", user_id="u"),  # the device belongs to the contact, and so to the account
    )
    assert document["input"]["persons"] == 1
    assert total(document)["lead"]["entries"] == 1


def test_an_account_of_thousands_is_one_person_and_is_told() -> None:
    log: Log = [_lead(at, anonymous_id=f"d{at}", user_id="shared") for at in range(1_100)]
    case = Case(SHOP, log, watermark_delay_ms=0)
    (document,) = count_linked(
        funnels_of([SHOP]), records_of(case), Going(Random(1), in_step=False, watermark_delay_ms=0)
    ).values()
    stats = document.views[0].meta.stats["f@1"]
    assert (stats["persons"], stats["links"]) == (1, 1_100)
    assert (stats["persons_with_many_ids"], stats["children_refused"]) == (1, 100)


def test_an_order_id_of_two_people_is_an_order_of_each() -> None:
    orders = [event("paid", at, who=who, order_id="o", value=10) for at, who in enumerate(("a", "b", "a"))]
    paid = total(_counted(*orders))["paid"]
    assert (paid["orders"], paid["revenue"], paid["events"]) == ({"EUR": 2}, {"EUR": 2_000}, 3)


def test_a_deal_id_of_two_people_is_a_deal_of_each() -> None:
    leads = [event("lead", at, who=who, deal_id="D") for at, who in enumerate(("a", "b", "a"))]
    assert total(_counted(*leads))["lead"] == {"entries": 2, "events": 3, "open": 2, "started": 2}


def test_a_refund_of_an_unknown_order_is_booked_and_a_withdrawal_waits_for_it() -> None:
    document = _counted(
        event("refund", 0, order_id="unknown", refund_id="r", value=3),
        event("order_withdrawn", 1, order_id="o"),
        event("order_withdrawn", 2),  # of no order at all
        event("paid", 0, order_id="o", value=10, received=3),  # older than its withdrawal
        event("paid", 4, order_id="o", value=20),
    )
    paid = total(document)["paid"]
    assert (paid["refunds"], paid["orders"], paid["revenue"]) == ({"EUR": 300}, {"EUR": 1}, {"EUR": 2_000})


def test_what_is_no_amount_leaves_an_order_without_one() -> None:
    said: list[dict[str, Any]] = [
        {"value": -5},
        {"value_minor": 1.5},
        {"value_minor": -7},
        {"value": 5, "currency": "EURO"},
        {"value": "five"},
    ]
    paid = total(_counted(*(event("paid", at, order_id=f"o{at}", **more) for at, more in enumerate(said))))["paid"]
    assert (paid["orders"], paid.get("revenue")) == ({"EUR": 5}, None)


def test_a_currency_that_nobody_knows_is_counted_by_itself() -> None:
    paid = total(_counted(event("paid", 0, order_id="o", value="5.005", currency="xxq")))["paid"]
    assert (paid["orders"], paid["revenue"]) == ({"XXQ": 1}, {"XXQ": 500})


def test_spend_that_is_stated_again_replaces_what_was_stated() -> None:
    def spent(at: int, value: int, **more: Any) -> dict[str, Any]:
        return {**event("ad_spend", at, day="2025-01-01", channel="mail", value=value, **more), "user_id": None}

    cells = total(_counted(spent(0, 10), spent(2, 7), spent(1, 99), spent(3, 5, campaign="other")))
    assert cells[""]["spend"] == {"EUR": 1_200}


def test_of_no_data_nothing_is_told() -> None:
    document = _counted()
    assert (document["counters"], document["watermark_ms"]) == ({}, None)
